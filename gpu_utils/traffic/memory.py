"""The memory an interpreted kernel sees: virtual addresses, bounds, and a count of each byte."""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch

from gpu_utils._triton import atomics
from gpu_utils._triton.addresses import NeedsData
from gpu_utils._triton.frames import kernel_line, kernel_site, where
from gpu_utils._triton.launches import Launch
from gpu_utils._triton.values import Missing, splat
from gpu_utils.traffic import faults, places
from gpu_utils.traffic.places import Place
from gpu_utils.traffic.region import Region
from gpu_utils.traffic.storage import Storage, storage_key
from gpu_utils.traffic.stream import Access, Observer

# A tensor argument owns 2**40 addresses and starts in their middle, so that an offset wrong by
# up to half a terabyte in either direction still names the tensor it was computed from.
_SPAN = 40
_MIDDLE = 1 << (_SPAN - 1)
# Operations whose result has a shape that depends on values.
_DECIDING = ("nonzero", "masked_select", "unique", "_unique2", "unique_consecutive", "bincount")
_TRUE = np.array([True])
_Kind = Literal["load", "store", "atomic"]


class CountingMemory:
    """Implements `_triton.builder.Memory` for a run of several launches.

    Args:
        observers: each is called with every access; see `stream`.
        addresses_only: read no floating point, and no meta tensor, which is admitted then.
        on_program: called as each program starts.
    """

    def __init__(
        self,
        observers: Sequence[Observer] = (),
        addresses_only: bool = False,
        on_program: Callable[[], object] | None = None,
    ) -> None:
        self._on_program = on_program
        self._observers = tuple(observers)
        self.addresses_only = addresses_only
        self._allocations = self._launches = 0
        self.storages: dict[int, Storage] = {}  # by `storage_key`, those alive
        self.retired: list[Storage] = []
        self.lines: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
        self.flops = self.dots = self.dot_flops = self.special_ops = self.atomics = 0
        self.load_bytes = self.store_bytes = 0
        self._regions: list[Region] = []
        self._launch: Launch | None = None
        self._program: tuple[int, int, int] = (0, 0, 0)

    def storage(self, tensor: torch.Tensor, uninitialised: bool = False) -> Storage:
        """The record of a tensor's allocation, made at first sight."""
        key = storage_key(tensor)
        if key not in self.storages:
            self.storages[key] = Storage(tensor, uninitialised, self._allocations)
            self._allocations += 1
        return self.storages[key]

    def retire(self, key: int) -> None:
        """An allocation was freed; its address may come again."""
        if key in self.storages:
            storage = self.storages.pop(key)
            storage.alive = False
            self.retired.append(storage)

    def define(self, tensor: torch.Tensor) -> None:
        """A torch operation wrote this tensor."""
        if (storage := self.storages.get(storage_key(tensor))) is not None:
            storage.define(tensor)
            if not self.addresses_only:
                storage.witness()

    def follow(self, name: str, read: Sequence, written: Sequence, result: object) -> None:
        """A torch operation: what it makes of values that were not computed is none either."""
        storages = (self.storages.get(storage_key(tensor)) for tensor in read)
        if not any(storage is not None and storage.unknown for storage in storages):
            return
        if name in _DECIDING or not isinstance(result, (torch.Tensor, tuple, list)):
            raise NeedsData(
                f"{name} asks for values that an addresses-only count did not compute: "
                "count without addresses_only"
            )
        for tensor in written:
            self.storage(tensor).unknown = True

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
                if not self.addresses_only and storage.touched["store"].any():
                    storage.witness()
            self._regions, self._launch = [], None
            self._launches += 1

    # What follows is the protocol that the interpreter calls.

    def enter(self, program: tuple[int, int, int]) -> None:
        self._program = program
        if self._on_program is not None:
            self._on_program()

    def arithmetic(self, flops: int, dot: bool = False) -> None:
        self.flops += flops
        if dot:
            self.dots += 1
            self.dot_flops += flops

    def special(self, count: int) -> None:
        self.special_ops += count

    def pointer(self, name: str, tensor: torch.Tensor) -> int:
        faults.check_argument(name, tensor, self.addresses_only)
        storage = self.storage(tensor)
        view = storage.view(name.removesuffix("_ptr"), tensor)
        offset = tensor.storage_offset() * tensor.element_size()
        # The low bits of the real address stay, for kernels that look at alignment.
        base = ((len(self._regions) + 1) << _SPAN) + _MIDDLE + (storage.address + offset & 0xFFF)
        self._regions.append(Region(tensor, storage, view, base, offset))
        return base

    def load(
        self,
        address: np.ndarray,
        mask: np.ndarray | None,
        other: np.ndarray | None,
        dtype: np.dtype,
    ) -> np.ndarray | Missing:
        if mask is None or mask.all():
            region, place = self._access("load", address, None, address, dtype)
            if self.addresses_only and (source := region.unread()):
                return Missing(dtype, source)
            return place.take(region.array(dtype))
        active = address[mask]
        if active.size:
            region, place = self._access("load", address, mask, active, dtype)
            if self.addresses_only and (source := region.unread()):
                return Missing(dtype, source)
        values = places.undefined(address.shape, dtype)
        if other is not None:
            values[...] = other
        if active.size:
            values[mask] = place.take(region.array(dtype))
        return values

    def store(
        self, address: np.ndarray, value: np.ndarray | Missing, mask: np.ndarray | None
    ) -> None:
        every = mask is None or mask.all()
        active = address if every else address[mask]
        if not active.size:
            return
        region, place = self._access("store", address, None if every else mask, active, value.dtype)
        if isinstance(value, Missing):
            region.storage.unknown = True
        elif region.data:
            lanes = value if every else np.broadcast_to(value, address.shape)[mask]
            place.put(region.array(value.dtype), lanes)

    def atomic(
        self,
        address: np.ndarray,
        mask: np.ndarray | None,
        combine: Callable[..., np.ndarray],
        operands: tuple[np.ndarray | Missing, ...],
    ) -> np.ndarray | Missing:
        every = np.ones(address.shape, dtype=bool) if mask is None else mask
        active, dtype = address[every], operands[-1].dtype
        found = np.zeros(address.shape, dtype)
        if not active.size:
            return found
        region, place = self._access("atomic", address, every, active, dtype)
        sources = [x.source for x in operands if isinstance(x, Missing)]
        if self.addresses_only and (unread := region.unread()):
            sources.append(unread)
        if sources:
            region.storage.unknown = True
            return Missing(dtype, sources[0])
        given = [x for x in operands if isinstance(x, np.ndarray)]
        lanes = tuple(np.broadcast_to(x, address.shape)[every] for x in given)
        found[every] = atomics.apply(region.array(dtype), place.index, combine, lanes)
        return found

    def _access(
        self,
        kind: _Kind,
        address: np.ndarray,
        mask: np.ndarray | None,
        active: np.ndarray,
        dtype: np.dtype,
    ) -> tuple[Region, Place]:
        """Check an access, count it, tell the observers: its tensor, and its elements there."""
        region, place = self._resolve(kind, address, mask, active, dtype.itemsize)
        if self._observers:
            self._tell(kind, region, address, mask, dtype.itemsize)
        line = self.lines[kernel_line()]
        nbytes = active.size * dtype.itemsize
        if kind != "store":
            region.view.load_bytes += nbytes
            self.load_bytes += nbytes
            line[0] += nbytes
            place.put(*region.map("load", dtype.itemsize))
        if kind != "load":
            region.view.store_bytes += nbytes
            self.store_bytes += nbytes
            line[1] += nbytes
            place.put(*region.map("store", dtype.itemsize))
        if kind == "atomic":
            region.view.atomics += active.size
            self.atomics += active.size
        return region, place

    def _tell(
        self, kind: _Kind, region: Region, address: np.ndarray, mask: np.ndarray | None, size: int
    ) -> None:
        mask = splat(_TRUE, address.shape) if mask is None else mask
        site = kernel_site()
        access = Access(kind, self._launches, self._program, region, address, mask, size, *site)
        for observer in self._observers:
            observer(access)

    def _resolve(
        self,
        kind: _Kind,
        address: np.ndarray,
        mask: np.ndarray | None,
        active: np.ndarray,
        size: int,
    ) -> tuple[Region, Place]:
        """The tensor that all active lanes point into, and their elements in it."""
        slot = active.item(0) >> _SPAN
        if not 1 <= slot <= len(self._regions):
            raise faults.stray(self._place(), kind, active, self._regions)
        region = self._regions[slot - 1]
        if kind == "store" and region.overlaps:
            raise faults.overlapping(self._place(), region)
        found = region.locate(active, size)
        if found == "misaligned":
            raise faults.misaligned(self._place(), kind, region, size)
        if isinstance(found, str):
            raise self._outside(kind, region, address, mask, active, size)
        return region, found

    def _outside(
        self,
        kind: _Kind,
        region: Region,
        address: np.ndarray,
        mask: np.ndarray | None,
        active: np.ndarray,
        size: int,
    ) -> Exception:
        if int(active.min()) >> _SPAN != int(active.max()) >> _SPAN:
            return faults.stray(self._place(), kind, active, self._regions)
        mask = np.ones(address.shape, dtype=bool) if mask is None else mask
        return faults.outside(self._place(), kind, region, address, mask, size)

    def _place(self) -> str:
        return f"{where()} in {self._launch.name if self._launch else '?'}, program {self._program}"
