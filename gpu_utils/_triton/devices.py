"""Answer what a launcher asks of the device, where there is none.

Launchers pick a grid by the number of SMs, a tile by the shared memory, a branch by the compute
capability. With no GPU these questions fail, or worse, fall back to "one SM", and then what is
counted is a launch that no GPU would see. So while a lens looks, one stated part answers, on
every machine alike: a count does not depend on the GPU that happens to be here.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import torch

from gpu_utils import specs
from gpu_utils._triton import compiler

__all__ = ["STATED", "Properties", "Unstated", "answered"]

STATED = "h100-sxm5-80gb"
# NVIDIA, CUDA C++ Programming Guide, Technical Specifications per Compute Capability, 9.0.
_CAPABILITY = (9, 0)
_SHARED_BYTES_PER_BLOCK_OPTIN = 227 * 1024
_REGISTERS_PER_SM = 65_536
_WARP_SIZE = 32
_THREADS_PER_SM = 2_048


class Unstated(KeyError, AttributeError):
    """A launcher asked for a figure of the device that is not stated."""

    def __init__(self, figure: str) -> None:
        self.figure = figure
        super().__init__(figure)

    def __str__(self) -> str:
        return (
            f"a launcher asks for {self.figure!r} of the device, and while a lens looks only an "
            f"{_stated().name} answers, of which that is not stated: pass the launcher "
            "what it would compute from it, or call a wrapper that launches the kernel itself"
        )


@dataclasses.dataclass(frozen=True)
class Properties:
    """The part under the names of `torch.cuda.get_device_properties`."""

    name: str
    major: int
    minor: int
    multi_processor_count: int
    total_memory: int
    L2_cache_size: int
    shared_memory_per_block_optin: int
    shared_memory_per_multiprocessor: int
    regs_per_multiprocessor: int
    max_threads_per_multi_processor: int
    warp_size: int

    def __getattr__(self, figure: str) -> Any:  # called for names that are not fields
        if figure.startswith("__"):
            raise AttributeError(figure)
        raise Unstated(figure)

    @classmethod
    def of(cls, part: specs.GPUSpec) -> "Properties":
        major, minor = _CAPABILITY
        return cls(
            part.name,
            major,
            minor,
            part.require("sm_count"),
            part.require("memory_bytes"),
            part.require("l2_bytes"),
            _SHARED_BYTES_PER_BLOCK_OPTIN,
            part.require("shared_bytes_per_sm"),
            _REGISTERS_PER_SM,
            _THREADS_PER_SM,
            _WARP_SIZE,
        )


class _Figures(dict):
    """The part under the names of Triton's `driver.active.utils.get_device_properties`."""

    def __missing__(self, figure: str) -> Any:
        raise Unstated(figure)

    @classmethod
    def of(cls, properties: Properties) -> "_Figures":
        return cls(
            max_shared_mem=properties.shared_memory_per_block_optin,
            max_num_regs=properties.regs_per_multiprocessor,
            multiprocessor_count=properties.multi_processor_count,
            warpSize=properties.warp_size,
        )


class _Utils:
    """What stands in for a driver's `utils`; the index is that of a CPU tensor's device: None."""

    def __init__(self, properties: Properties) -> None:
        self._figures = _Figures.of(properties)

    def get_device_properties(self, device: Any) -> dict[str, int]:
        return self._figures

    def __getattr__(self, name: str) -> Any:
        raise Unstated(name)


class _Driver(compiler.OfflineDriver):
    def __init__(self, properties: Properties) -> None:
        super().__init__(compiler.GPUTarget("cuda", 90, properties.warp_size))
        self.utils = _Utils(properties)

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def get_device_interface(self) -> Any:
        return torch.cuda

    def __getattr__(self, name: str) -> Any:
        raise Unstated(name)


class _Here(torch.cuda.device):
    """`with torch.cuda.device(...)`: there is nowhere to go."""

    def __init__(self, device: Any) -> None:
        self.idx = self.prev_idx = -1

    def __enter__(self) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


@functools.cache
def _stated() -> Properties:
    return Properties.of(specs.get(STATED))


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """While active, questions about the current GPU are answered as `STATED` would.

    `torch.cuda.is_available()` stays as it is, and a tensor's `is_cuda` too: code that insists on
    a GPU tensor has another reason than a figure.
    """
    properties = _stated()
    answers = {
        "current_device": lambda: 0,
        "device": _Here,
        "get_device_capability": lambda device=None: _CAPABILITY,
        "get_device_name": lambda device=None: properties.name,
        "get_device_properties": lambda device=None: properties,
    }
    before = {name: getattr(torch.cuda, name) for name in answers}
    try:
        for name, answer in answers.items():
            setattr(torch.cuda, name, answer)
        with compiler.driven_by(_Driver(properties)):
            yield
    finally:
        for name, original in before.items():
            setattr(torch.cuda, name, original)
