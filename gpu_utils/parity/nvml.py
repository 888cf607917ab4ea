"""Facts that only NVIDIA's management library knows, through nvidia-ml-py where it is installed."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

from gpu_utils.parity.facts import Reading, Unknown

__all__ = ["read"]

# NVML's bits for a GPU that runs slower than it could. Idle and application clocks are no fault.
_THROTTLES = {
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
_VIRTUAL = ("none", "passthrough", "vGPU", "host vGPU", "host vSGA")
_COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")
_MHZ, _MW = 1_000_000, 1e-3


def read(index: int, uuid: str | None) -> Reading:
    """What NVML says of a GPU.

    Args:
        index: Its number, used where its UUID is not known.
        uuid: As torch gives it; torch's numbers and NVML's may differ (CUDA_VISIBLE_DEVICES).
    """
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return dict.fromkeys(_READERS, Unknown("nvidia-ml-py is not installed"))
    try:
        with _open(nvml, index, uuid) as handle:
            return {name: _one(nvml, ask, handle) for name, ask in _READERS.items()}
    except nvml.NVMLError as error:
        return dict.fromkeys(_READERS, Unknown(f"NVML: {error}"))


@contextlib.contextmanager
def _open(nvml: Any, index: int, uuid: str | None) -> Iterator[Any]:
    nvml.nvmlInit()
    try:
        if uuid:
            name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
            yield nvml.nvmlDeviceGetHandleByUUID(name)
        else:
            yield nvml.nvmlDeviceGetHandleByIndex(index)
    finally:
        nvml.nvmlShutdown()


def _one(nvml: Any, ask: Callable[[Any, Any], Any], handle: Any) -> Any:
    try:
        value = ask(nvml, handle)
    except nvml.NVMLError as error:
        return Unknown(f"NVML: {error}")
    except AttributeError as error:  # an nvidia-ml-py that is older than the question
        return Unknown(f"nvidia-ml-py: {error}")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else f"number {number}"


def _throttles(reasons: int) -> tuple[str, ...]:
    """What slows the GPU down; nothing is the empty tuple.

    >>> _throttles(0x1 | 0x4)
    ('software power cap',)
    """
    return tuple(name for bit, name in _THROTTLES.items() if reasons & bit)


def _remapped(counts: tuple[int, int, int, int]) -> str:
    correctable, uncorrectable, pending, failed = counts
    said = f"{correctable} correctable, {uncorrectable} uncorrectable"
    return said + (", pending" if pending else "") + (", failed" if failed else "")


def _cuda(version: int) -> str:
    """13000 is 13.0.

    >>> _cuda(12080)
    '12.8'
    """
    return f"{version // 1000}.{version % 1000 // 10}"


# n is the module, h the GPU's handle.
_READERS: dict[str, Callable[[Any, Any], Any]] = {
    "gpu.name": lambda n, h: n.nvmlDeviceGetName(h),
    "gpu.vendor": lambda n, h: "NVIDIA",
    "gpu.architecture": lambda n, h: "sm_{}{}".format(*n.nvmlDeviceGetCudaComputeCapability(h)),
    "gpu.count": lambda n, h: n.nvmlDeviceGetCount(),
    "gpu.memory_bus_bits": lambda n, h: n.nvmlDeviceGetMemoryBusWidth(h),
    "gpu.mig": lambda n, h: bool(n.nvmlDeviceGetMigMode(h)[0]),
    "gpu.virtualization": lambda n, h: _named(_VIRTUAL, n.nvmlDeviceGetVirtualizationMode(h)),
    "gpu.ecc": lambda n, h: bool(n.nvmlDeviceGetEccMode(h)[0]),
    "gpu.confidential_computing": lambda n, h: bool(n.nvmlSystemGetConfComputeState().ccFeature),
    "gpu.remapped_rows": lambda n, h: _remapped(n.nvmlDeviceGetRemappedRows(h)),
    "gpu.power_limit_w": lambda n, h: n.nvmlDeviceGetEnforcedPowerLimit(h) * _MW,
    "gpu.power_default_w": lambda n, h: n.nvmlDeviceGetPowerManagementDefaultLimit(h) * _MW,
    "gpu.clock_sm_max_hz": lambda n, h: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_SM) * _MHZ,
    "gpu.clock_memory_max_hz": lambda n, h: n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_MEM) * _MHZ,
    "gpu.clock_sm_application_hz": (
        lambda n, h: n.nvmlDeviceGetApplicationsClock(h, n.NVML_CLOCK_SM) * _MHZ
    ),
    "gpu.clock_sm_hz": lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM) * _MHZ,
    "gpu.clock_memory_hz": lambda n, h: n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM) * _MHZ,
    "gpu.throttled_by": lambda n, h: _throttles(n.nvmlDeviceGetCurrentClocksEventReasons(h)),
    "gpu.temperature_c": lambda n, h: n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU),
    "gpu.power_w": lambda n, h: n.nvmlDeviceGetPowerUsage(h) * _MW,
    "gpu.pcie_generation": lambda n, h: n.nvmlDeviceGetCurrPcieLinkGeneration(h),
    "gpu.pcie_width": lambda n, h: n.nvmlDeviceGetCurrPcieLinkWidth(h),
    "gpu.persistence": lambda n, h: bool(n.nvmlDeviceGetPersistenceMode(h)),
    "gpu.compute_mode": lambda n, h: _named(_COMPUTE_MODES, n.nvmlDeviceGetComputeMode(h)),
    "gpu.numa_node": lambda n, h: n.nvmlDeviceGetNumaNodeId(h),
    "gpu.vbios": lambda n, h: n.nvmlDeviceGetVbiosVersion(h),
    "gpu.board_part": lambda n, h: n.nvmlDeviceGetBoardPartNumber(h),
    "gpu.uuid": lambda n, h: n.nvmlDeviceGetUUID(h),
    "gpu.serial": lambda n, h: n.nvmlDeviceGetSerial(h),
    "driver.version": lambda n, h: n.nvmlSystemGetDriverVersion(),
    "driver.cuda": lambda n, h: _cuda(n.nvmlSystemGetCudaDriverVersion_v2()),
    "driver.gsp_firmware": lambda n, h: n.nvmlDeviceGetGspFirmwareVersion(h),
}
