"""Facts that torch knows: its own settings, and the GPU that it would compute on."""

import sys
from typing import Any

from gpu_utils.parity.facts import FACTS, Reading, Unknown

__all__ = ["GPU", "gpu", "software", "torch_if"]

GPU = tuple(name for name in FACTS if name.startswith(("gpu.", "driver.")))
_SOFTWARE = ("torch.cuda", "torch.hip", "torch.cudnn", "torch.nccl",
             "torch.float32_matmul_precision", "torch.deterministic",
             "torch.cudnn_benchmark")  # fmt: skip


def torch_if(wanted: bool | None) -> tuple[Any, str]:
    """The torch module and "", or None and why not. `wanted` None takes it if it is imported."""
    if wanted is False:
        return None, "torch was not asked"
    if wanted is None:
        return sys.modules.get("torch"), "torch was not imported, and not asked for"
    try:
        import torch
    except ImportError as error:
        return None, f"torch cannot be imported: {error}"
    return torch, ""


def software(torch: Any, why_not: str) -> Reading:
    """How torch was built and is set."""
    if torch is None:
        return dict.fromkeys(_SOFTWARE, Unknown(why_not))
    return {
        "torch.cuda": torch.version.cuda,
        "torch.hip": torch.version.hip,
        "torch.cudnn": _cudnn(torch.backends.cudnn.version()),
        "torch.nccl": _nccl(torch),
        "torch.float32_matmul_precision": torch.get_float32_matmul_precision(),
        "torch.deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch.cudnn_benchmark": torch.backends.cudnn.benchmark,
    }


def gpu(torch: Any, index: int, why_not: str) -> Reading:
    """What torch says of GPU number `index`; unknown, with the reason, where there is none."""
    if torch is None:
        return dict.fromkeys(GPU, Unknown(why_not))
    if not torch.cuda.is_available():
        return dict.fromkeys(GPU, Unknown("torch finds no GPU"))
    if not 0 <= index < torch.cuda.device_count():
        raise ValueError(
            f"device must be from 0 to {torch.cuda.device_count() - 1}, got {index}: torch sees "
            f"{torch.cuda.device_count()} GPUs"
        )
    found = torch.cuda.get_device_properties(index)

    def field(name: str) -> Any:
        value = getattr(found, name, None)
        return Unknown(f"this torch does not tell a GPU's {name}") if value is None else value

    amd = bool(torch.version.hip)
    return dict.fromkeys(GPU, Unknown("torch does not tell it")) | {
        "gpu.name": found.name,
        "gpu.vendor": "AMD" if amd else "NVIDIA",
        # gcnArchName is "gfx942:sramecc+:xnack-".
        "gpu.architecture": (
            found.gcnArchName.partition(":")[0] if amd else f"sm_{found.major}{found.minor}"
        ),
        "gpu.sm_count": found.multi_processor_count,
        "gpu.l2_bytes": field("L2_cache_size"),
        "gpu.memory_bytes": found.total_memory,
        "gpu.memory_bus_bits": field("memory_bus_width"),
        "gpu.shared_bytes_per_sm": field("shared_memory_per_multiprocessor"),
        "gpu.warp_size": field("warp_size"),
        "gpu.count": torch.cuda.device_count(),
        "gpu.uuid": str(getattr(found, "uuid", "")) or Unknown("this torch does not tell it"),
    }


def _cudnn(version: int | None) -> Any:
    """91002 is 9.10.2; before 9, 8907 was 8.9.7.

    >>> _cudnn(91002), _cudnn(8907)
    ('9.10.2', '8.9.7')
    """
    if version is None:
        return Unknown("this torch has no cuDNN")
    major, rest = divmod(version, 10_000 if version >= 90_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _nccl(torch: Any) -> Any:
    if not torch.distributed.is_available() or not torch.distributed.is_nccl_available():
        return Unknown("this torch has no NCCL")
    return ".".join(map(str, torch.cuda.nccl.version()))
