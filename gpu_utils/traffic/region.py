"""A tensor argument of a launch, and where in it addresses lie."""

import ctypes
import dataclasses
import functools
import operator
from typing import Literal

import numpy as np
import torch

from gpu_utils.traffic import places
from gpu_utils.traffic.places import Place
from gpu_utils.traffic.storage import Storage, View, extent, own_elements


@dataclasses.dataclass(frozen=True)
class Region:
    """A tensor argument of a launch, as an access finds it.

    Attributes:
        tensor, storage, view: what it is an argument's view of.
        base: virtual address of its first element.
        offset: of its first element in the storage, bytes.
    """

    tensor: torch.Tensor
    storage: Storage
    view: View
    base: int
    offset: int
    _arrays: dict = dataclasses.field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The tensor as the report names it."""
        return self.view.name

    @functools.cached_property
    def itemsize(self) -> int:
        """Bytes of one element of the tensor; an access may be of another width."""
        return self.tensor.element_size()

    @functools.cached_property
    def extent(self) -> int:
        """Bytes from its first element to the end of its last."""
        return extent(self.tensor)

    @functools.cached_property
    def own(self) -> np.ndarray | None:
        """Which element offsets are its own; None: all of them."""
        return own_elements(self.tensor)

    @functools.cached_property
    def overlaps(self) -> bool:
        """Whether several of its elements share memory."""
        distinct = self.extent // self.itemsize if self.own is None else int(self.own.sum())
        return self.tensor.numel() > distinct

    @functools.cached_property
    def data(self) -> bool:
        """Whether there is memory behind it."""
        return not self.tensor.is_meta

    def unread(self) -> str | None:
        """Why an addresses-only count does not read it; None if it does."""
        if not self.data:
            return f"{self.name}, a meta tensor: pass one with data"
        if self.tensor.dtype.is_floating_point:
            return f"{self.name}, whose floating-point values are not read: count them all"
        if self.storage.unknown:
            return f"{self.name}, which holds what was not computed: count all values"
        return None

    def locate(self, active: np.ndarray, size: int) -> Place | Literal["outside", "misaligned"]:
        """The elements of a width at some addresses, or what is wrong with these."""
        if (strides := places.strides_of(active)) is not None:
            first = active.item(0)
            offset, reach = first - self.base, active.item(-1) - self.base
            low_bits = functools.reduce(operator.or_, strides, first)
            steps = tuple([stride // size for stride in strides])
            place: Place = places.Window(offset // size, active.shape, steps)
        else:
            offsets = active - np.uint64(self.base)
            # An address below the base wraps round and is far above the end.
            offset, reach = 0, int(np.maximum.reduce(offsets, axis=None))
            low_bits = int(np.bitwise_or.reduce(active, axis=None))
            shift = np.uint64(size.bit_length() - 1)
            place = places.Scattered((offsets >> shift).view(np.int64))
        if offset < 0 or reach > self.extent - size:
            return "outside"
        if low_bits & (size - 1):
            return "misaligned"
        if self.own is not None and size == self.itemsize and not place.take(self.own).all():
            return "outside"
        return place

    def array(self, dtype: np.dtype) -> np.ndarray:
        """Its extent as a flat array of `dtype`."""
        if dtype not in self._arrays:
            size = self.extent // dtype.itemsize * dtype.itemsize
            buffer = (ctypes.c_uint8 * size).from_address(self.tensor.data_ptr())
            self._arrays[dtype] = np.ctypeslib.as_array(buffer).view(dtype)
        return self._arrays[dtype]

    def map(self, kind: Literal["load", "store"], itemsize: int) -> tuple[np.ndarray, int]:
        """The map of touched bytes as elements of a width, and what marks all bytes of one."""
        key = kind, itemsize
        if key not in self._arrays:
            size = self.extent // itemsize * itemsize
            part = self.storage.touched[kind][self.offset : self.offset + size]
            ones = int.from_bytes(b"\x01" * itemsize, "little")
            self._arrays[key] = part.view(f"u{itemsize}"), ones
        touched, ones = self._arrays[key]
        return touched, ones
