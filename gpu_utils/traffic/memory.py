"""The memory an interpreted kernel sees: virtual addresses, bounds, and a count of each byte."""

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch

from gpu_utils._triton.frames import kernel_line, kernel_site, short_name
from gpu_utils._triton.launches import Launch
from gpu_utils.traffic.result import OutOfBounds
from gpu_utils.traffic.storage import Region, Storage, extent, own_elements
from gpu_utils.traffic.stream import Access, Observer

# A tensor argument owns 2**40 addresses and starts in their middle, so that an offset wrong by
# up to half a terabyte in either direction still names the tensor it was computed from.
_SPAN = 40
_MIDDLE = 1 << (_SPAN - 1)


class CountingMemory:
    """Implements `_triton.interpreter.Memory` for a run of several launches.

    Args:
        observers: each is called with every access; see `stream`.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)
        self._allocations = self._launches = 0
        self.storages: dict[int, Storage] = {}  # by real address, those alive
        self.retired: list[Storage] = []
        self.lines: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self.flops = self.dots = self.dot_flops = 0
        self.load_bytes = self.store_bytes = 0
        self._regions: list[Region] = []
        self._launch: Launch | None = None
        self._program: tuple[int, int, int] = (0, 0, 0)

    def storage(self, tensor: torch.Tensor, uninitialised: bool = False) -> Storage:
        """The record of a tensor's allocation, made at first sight."""
        key = tensor.untyped_storage().data_ptr()
        if key not in self.storages:
            self.storages[key] = Storage(tensor, uninitialised, self._allocations)
            self._allocations += 1
        return self.storages[key]

    def retire(self, address: int) -> None:
        """The allocation at a real address was freed; the address may come again."""
        if address in self.storages:
            self.retired.append(self.storages.pop(address))

    def define(self, tensor: torch.Tensor) -> None:
        """A torch operation wrote this tensor."""
        if (storage := self.storages.get(tensor.untyped_storage().data_ptr())) is not None:
            storage.define(tensor)
            storage.witness()

    @contextlib.contextmanager
    def reachable(self, launch: Launch) -> Iterator[None]:
        """For one launch: afterwards its arguments are out of reach, and may be freed."""
        self._launch = launch
        try:
            yield
        finally:
            for storage in {
                id(region.storage): region.storage for region in self._regions
            }.values():
                if storage.stored.any():
                    storage.witness()
            self._regions, self._launch = [], None
            self._launches += 1

    # What follows is the protocol that the interpreter calls.

    def enter(self, program: tuple[int, int, int]) -> None:
        self._program = program

    def arithmetic(self, flops: int, dot: bool = False) -> None:
        self.flops += flops
        if dot:
            self.dots += 1
            self.dot_flops += flops

    def pointer(self, name: str, tensor: torch.Tensor) -> int:
        if tensor.device.type != "cpu":
            raise ValueError(
                f"traffic counts on CPU tensors, and {name} is on {tensor.device}: "
                "pass tensor.cpu(), or a small tensor of the same shape rules"
            )
        storage = self.storage(tensor)
        view = storage.view(name.removesuffix("_ptr"), tensor)
        address = tensor.data_ptr()
        # The low bits of the real address stay, for kernels that look at alignment.
        base = ((len(self._regions) + 1) << _SPAN) + _MIDDLE + (address & 0xFFF)
        offset = address - storage.address
        region = Region(tensor, storage, view, base, offset, extent(tensor), own_elements(tensor))
        self._regions.append(region)
        return base

    def load(
        self, address: np.ndarray, mask: np.ndarray, other: np.ndarray | None, dtype: np.dtype
    ) -> np.ndarray:
        values = _garbage(address.shape, dtype)
        if other is not None:
            values[...] = other
        active = address[mask]
        if active.size:
            region, index = self._resolve("load", address, mask, active, dtype)
            if self._observers:
                self._tell("load", region, address, mask, dtype.itemsize)
            values[mask] = region.array(dtype)[index]
            self._count(region, index, dtype, kind=0)
        return values

    def store(self, address: np.ndarray, value: np.ndarray, mask: np.ndarray) -> None:
        active = address[mask]
        if active.size:
            region, index = self._resolve("store", address, mask, active, value.dtype)
            if self._observers:
                self._tell("store", region, address, mask, value.dtype.itemsize)
            region.array(value.dtype)[index] = np.broadcast_to(value, address.shape)[mask]
            self._count(region, index, value.dtype, kind=1)

    def atomic(self, address: np.ndarray, mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
        active = address[mask]
        if not active.size:
            return np.zeros_like(address)
        region, index = self._resolve("atomic", address, mask, active, dtype)
        if self._observers:
            self._tell("atomic", region, address, mask, dtype.itemsize)
        self._count(region, index, dtype, kind=0)
        self._count(region, index, dtype, kind=1)
        real = np.zeros(address.shape, dtype=np.uint64)  # 0 where masked: never dereferenced
        real[mask] = active - np.uint64(region.base) + np.uint64(region.tensor.data_ptr())
        return real

    def _tell(
        self,
        kind: Literal["load", "store", "atomic"],
        region: Region,
        address: np.ndarray,
        mask: np.ndarray,
        itemsize: int,
    ) -> None:
        access = Access(
            kind, self._launches, self._program, region, address, mask, itemsize, *kernel_site()
        )
        for observer in self._observers:
            observer(access)

    def _count(self, region: Region, index: np.ndarray, dtype: np.dtype, kind: int) -> None:
        nbytes = index.size * dtype.itemsize
        touched = (region.storage.loaded, region.storage.stored)[kind]
        if kind == 0:
            region.view.load_bytes += nbytes
            self.load_bytes += nbytes
        else:
            region.view.store_bytes += nbytes
            self.store_bytes += nbytes
        self.lines[kernel_line()][kind] += nbytes
        # One assignment marks all bytes of an element: the map is viewed in the access's width.
        width = np.dtype(f"u{dtype.itemsize}")
        view = touched[region.offset : region.offset + region.extent]
        view = view[: view.size - view.size % dtype.itemsize].view(width)
        view[index] = int.from_bytes(b"\x01" * dtype.itemsize, "little")

    def _resolve(
        self,
        kind: str,
        address: np.ndarray,
        mask: np.ndarray,
        active: np.ndarray,
        dtype: np.dtype,
    ) -> tuple[Region, np.ndarray]:
        """The tensor that all active lanes point into, and their element offsets in it."""
        low, high = int(active.min()), int(active.max())
        slot = low >> _SPAN
        if slot != high >> _SPAN or not 1 <= slot <= len(self._regions):
            self._stray(kind, active)
        region = self._regions[slot - 1]
        offset = active - np.uint64(region.base)
        size = dtype.itemsize
        inside = low >= region.base and high + size <= region.base + region.extent
        if inside and (offset & np.uint64(size - 1)).any():
            raise ValueError(
                f"{self._where()}: a {size}-byte {kind} of {region.view.name} at an address "
                f"that is no multiple of {size}: a GPU faults here"
            )
        index = (offset // np.uint64(size)).astype(np.int64)
        own = region.own
        if inside and (own is None or size != region.tensor.element_size() or own[index].all()):
            return region, index
        self._outside(kind, region, address, mask, size)
        raise AssertionError("unreachable")

    def _where(self) -> str:
        file, line = kernel_line()
        name = self._launch.name if self._launch else "?"
        return f"{short_name(file)}:{line} in {name}, program {self._program}"

    def _stray(self, kind: str, active: np.ndarray) -> None:
        known = ", ".join(region.view.name for region in self._regions) or "none"
        raise OutOfBounds(
            f"{self._where()}: {kind} through something that is no pointer into a tensor of this "
            f"launch (tensors: {known}; first address {int(active.ravel()[0]):#x}). Add offsets "
            "to a pointer argument, and keep each access to one tensor."
        )

    def _outside(
        self, kind: str, region: Region, address: np.ndarray, mask: np.ndarray, size: int
    ) -> None:
        offset = address.astype(np.int64) - region.base
        bad = (offset < 0) | (offset + size > region.extent)
        gap = ""
        if not (bad & mask).any() and region.own is not None:
            bad = ~region.own[np.clip(offset // size, 0, region.own.size - 1)]
            strides = tuple(region.tensor.stride())
            gap = f" and strides {strides}, so this lies in a gap between its elements"
        bad = bad & mask
        lane = int(np.flatnonzero(bad.ravel())[0])
        element = int(offset.ravel()[lane]) // size
        name, shape = region.view.name, tuple(region.tensor.shape)
        raise OutOfBounds(
            f"{self._where()}: {kind} outside {name}:\n"
            f"lane {lane} asks for element {element}, but {name} has shape {shape}{gap} "
            f"({int(bad.sum())} of {int(mask.sum())} active lanes are outside).\n"
            "Does the mask stop at the last element?"
        )


def _garbage(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What a masked-off lane holds where no `other` was given: undefined, so never zero."""
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype=dtype)
    # 0x7F.. is a NaN as bfloat16 (0x7FFF) and float8, and a conspicuous integer.
    pattern = int.from_bytes(b"\xff" * (dtype.itemsize - 1) + b"\x7f", "little")
    return np.full(shape, pattern if dtype.kind in "iu" else True, dtype=dtype)
