"""The facts of an environment, and what it means for a comparison when one of them differs."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

__all__ = ["FACTS", "Fact", "Policy", "Reading", "Unknown", "Value"]

Policy = Literal["block", "warn", "record"]
Value = bool | int | float | str | tuple[str, ...] | Mapping[str, str] | None


@dataclasses.dataclass(frozen=True)
class Unknown:
    """Why a fact could not be read."""

    reason: str


Reading = dict[str, Value | Unknown]


@dataclasses.dataclass(frozen=True)
class Fact:
    """One row of the table.

    Args:
        policy: "block" makes two runs incomparable where they differ, "warn" makes the reader
            look, "record" explains afterwards.
        compared: "exactly"; by "minor" version, so that 2.11.0+cu130 is 2.11; or to "2 digits",
            since a driver keeps some of a GPU's memory for itself.
        momentary: it changes from second to second and means something only under load.
        private: it names one machine, and is left out of what is published.
    """

    policy: Policy
    compared: Literal["exactly", "minor", "2 digits"] = "exactly"
    momentary: bool = False
    private: bool = False


_BLOCK, _WARN, _RECORD = Fact("block"), Fact("warn"), Fact("record")
_VERSION = Fact("block", "minor")
_PRIVATE = Fact("record", private=True)

FACTS: Mapping[str, Fact] = {
    # The GPU. An H100 PCIe has 114 multiprocessors and 50 MiB of L2, an H100 SXM 132.
    "gpu.name": _BLOCK,
    "gpu.vendor": _BLOCK,
    "gpu.architecture": _BLOCK,
    "gpu.sm_count": _BLOCK,
    "gpu.l2_bytes": _BLOCK,
    "gpu.memory_bytes": Fact("block", "2 digits"),
    "gpu.memory_bus_bits": _BLOCK,
    "gpu.shared_bytes_per_sm": _BLOCK,
    "gpu.warp_size": _BLOCK,
    "gpu.count": _RECORD,
    "gpu.mig": _BLOCK,
    "gpu.virtualization": _BLOCK,
    "gpu.ecc": _BLOCK,
    "gpu.confidential_computing": _BLOCK,
    "gpu.remapped_rows": _WARN,
    "gpu.power_limit_w": _BLOCK,
    "gpu.power_default_w": _RECORD,
    "gpu.clock_sm_max_hz": _BLOCK,
    "gpu.clock_memory_max_hz": _BLOCK,
    "gpu.clock_sm_application_hz": _WARN,
    "gpu.clock_sm_hz": Fact("block", momentary=True),
    "gpu.clock_memory_hz": Fact("block", momentary=True),
    "gpu.throttled_by": Fact("block", momentary=True),
    "gpu.temperature_c": Fact("record", momentary=True),
    "gpu.power_w": Fact("record", momentary=True),
    "gpu.pcie_generation": Fact("warn", momentary=True),
    "gpu.pcie_width": Fact("warn", momentary=True),
    "gpu.persistence": _RECORD,
    "gpu.compute_mode": _RECORD,
    "gpu.numa_node": _WARN,
    "gpu.vbios": _RECORD,
    "gpu.board_part": _RECORD,
    "gpu.uuid": _PRIVATE,
    "gpu.serial": _PRIVATE,
    "driver.version": _WARN,
    "driver.cuda": _WARN,
    "driver.gsp_firmware": _RECORD,
    # Around it.
    "host.cpu": _WARN,
    "host.cores": _WARN,
    "host.memory_bytes": Fact("record", "2 digits"),
    "host.system": _RECORD,
    "host.kernel": _RECORD,
    "host.name": _PRIVATE,
    # The software that makes the code.
    "python.version": _VERSION,
    "numpy.version": Fact("warn", "minor"),
    "torch.version": _VERSION,
    "torch.cuda": _VERSION,
    "torch.hip": _VERSION,
    "torch.cudnn": _VERSION,
    "torch.nccl": _VERSION,
    "triton.version": _VERSION,
    "triton.ptxas": _BLOCK,
    "triton.ptxas_blackwell": _BLOCK,
    "triton.environment": _BLOCK,
    # What changes numbers or speed without a change of code.
    "torch.float32_matmul_precision": _BLOCK,
    "torch.deterministic": _WARN,
    "torch.cudnn_benchmark": _WARN,
    "environment.allocator": _WARN,
    "environment.cuda_module_loading": _WARN,
    "environment.nccl": _WARN,
    "environment.mps": _RECORD,
}
