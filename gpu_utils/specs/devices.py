"""The processors of this machine, and which known part each of them is."""

import contextlib
import dataclasses
import importlib
import os
import platform
from pathlib import Path
from typing import Any, Literal

from gpu_utils.specs.model import GPUSpec
from gpu_utils.specs.table import UnknownPartError, fitting, get

__all__ = ["Device", "detect"]

_CPUINFO, _MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
# A driver reports what is left of a printed GB after error correction (0.94 of it at least) or,
# where the GB was 2^30 bytes, 1.07 of it.
_MEMORY_SHARE = (0.9, 1.1)


@dataclasses.dataclass(frozen=True)
class Device:
    """One processor that a program on this machine can use.

    Args:
        kind: "cpu", "cuda" or "rocm".
        index: As PyTorch counts devices of its kind.
        name: As the system reports it.
        processors: Logical cores that this process may use; SMs; compute units. None if unknown.
        memory_bytes: As the system reports it.
        spec: The known part that it is, or one device of it. None if there is none.
        why: Why there is no spec; empty if there is one.
    """

    kind: Literal["cpu", "cuda", "rocm"]
    index: int
    name: str
    processors: int | None = None
    memory_bytes: int | None = None
    spec: GPUSpec | None = None
    why: str = ""


def detect() -> tuple[Device, ...]:
    """The CPU, then the GPUs of this machine that this process may use.

    GPUs are found by PyTorch if it is installed and sees any, else by NVML if `nvidia-ml-py` is
    installed. PyTorch initialises the GPUs in this process: do not fork after it and use them in
    the child.

    >>> cpu, *gpus = detect()
    >>> cpu.kind, {gpu.kind for gpu in gpus} <= {"cuda", "rocm"}
    ('cpu', True)
    """
    return (_cpu(), *(_by_torch() or _by_nvml()))


def _cpu() -> Device:
    name = _field(_CPUINFO, "model name") or platform.processor() or platform.machine()
    kilobytes = _field(_MEMINFO, "MemTotal").removesuffix("kB").strip()
    return Device(
        kind="cpu",
        index=0,
        name=name,
        processors=_usable_cores(),
        memory_bytes=int(kilobytes) * 1024 if kilobytes else None,
        why="no data sheet of a CPU is kept: measure it with bench.ceilings()",
    )


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _field(file: Path, key: str) -> str:
    """The first value of `key` in a file of "key : value" lines; empty where there is none."""
    with contextlib.suppress(FileNotFoundError):  # only Linux has these files
        for line in file.read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def _by_torch() -> list[Device]:
    torch = _installed("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    kind: Literal["cuda", "rocm"] = "rocm" if torch.version.hip else "cuda"
    found = []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        sms, memory = properties.multi_processor_count, properties.total_memory
        found.append(_gpu(kind, index, properties.name, sms, memory))
    return found


def _by_nvml() -> list[Device]:
    nvml = _installed("pynvml")
    if nvml is None:
        return []
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        return []  # a machine without an NVIDIA driver has no NVIDIA device
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return [_nvml_device(nvml, index, handle) for index, handle in enumerate(handles)]
    finally:
        nvml.nvmlShutdown()


def _nvml_device(nvml: Any, index: int, handle: Any) -> Device:
    name = nvml.nvmlDeviceGetName(handle)
    name = name.decode() if isinstance(name, bytes) else name  # bytes before nvidia-ml-py 11.5
    with contextlib.suppress(nvml.NVMLError_NotSupported):  # most parts cannot be sliced
        if nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE:
            name = f"{name} MIG"
    return _gpu("cuda", index, name, None, nvml.nvmlDeviceGetMemoryInfo(handle).total)


def _installed(module: str) -> Any | None:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name != module:
            raise  # it is installed and lacks something
        return None


def _gpu(
    kind: Literal["cuda", "rocm"], index: int, name: str, sms: int | None, memory: int
) -> Device:
    try:
        return Device(kind, index, name, sms, memory, spec=_part(name, sms, memory))
    except UnknownPartError as unknown:
        return Device(kind, index, name, sms, memory, why=str(unknown))


def _part(name: str, sms: int | None, memory_bytes: int) -> GPUSpec:
    """The part, or one device of it, that has this name and these sizes.

    Raises:
        UnknownPartError: There is none; the message says what does not fit.
    """
    if "mig" in name.lower().split():
        raise UnknownPartError(
            f"{name!r} is a MIG slice: how many SMs, how much L2 and bandwidth it has was chosen "
            "when it was made, and no data sheet gives it"
        )
    called = [spec.per_device() for spec in fitting(name)] or [get(name)]
    matching = [spec for spec in called if _fits(spec, sms, memory_bytes)]
    if len(matching) == 1:
        return matching[0]
    said = f"{sms} SMs or compute units and {memory_bytes / 1e9:.1f} GB"
    known = ", ".join(f"{s.id} ({s.sm_count}, {(s.memory_bytes or 0) / 1e9:g} GB)" for s in called)
    which = "fits several" if matching else "fits none"
    raise UnknownPartError(f"{name!r} with {said} {which} of the parts of that name: {known}")


def _fits(spec: GPUSpec, sms: int | None, memory_bytes: int) -> bool:
    least, most = _MEMORY_SHARE
    # RDNA's driver counts pairs of compute units.
    counts = {None, spec.sm_count, *([(spec.sm_count or 0) // 2] if _is_rdna(spec) else [])}
    enough = spec.memory_bytes is None or least <= memory_bytes / spec.memory_bytes <= most
    return enough and (spec.sm_count is None or sms in counts)


def _is_rdna(spec: GPUSpec) -> bool:
    return str(spec.architecture).startswith("RDNA")
