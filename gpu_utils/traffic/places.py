"""Which elements of a tensor an access touches: a window with strides, or a list.

Most blocks are windows: every step along an axis is one stride. That takes one comparison to find
out, and then bounds, alignment and overlap follow from the corners, and values are copied without
an index for each.
"""

import dataclasses
import functools
from typing import TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True, slots=True)
class Scattered:
    """Elements by their offsets."""

    index: np.ndarray

    def take(self, array: np.ndarray) -> np.ndarray:
        """A copy of the elements of a flat array."""
        return array.take(self.index)

    def put(self, array: np.ndarray, values: np.ndarray | int) -> None:
        """Set the elements of a flat array; of several for one element the last one stays."""
        array[self.index] = values


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Elements from `start` on, `strides` apart; no two lanes share one."""

    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def _view(self, array: np.ndarray) -> np.ndarray:
        size = array.itemsize
        steps = [stride * size for stride in self.strides]
        return np.ndarray(self.shape, array.dtype, array, self.start * size, steps)

    def take(self, array: np.ndarray) -> np.ndarray:
        """A copy of the elements of a flat array."""
        return self._view(array).copy()

    def put(self, array: np.ndarray, values: np.ndarray | int) -> None:
        """Set the elements of a flat array."""
        self._view(array)[...] = values

    @property
    def index(self) -> np.ndarray:
        """Offsets of the elements."""
        return _pattern(self.shape, self.strides).view(np.int64) + self.start


Place: TypeAlias = Scattered | Window


@functools.lru_cache(maxsize=64)
def _pattern(shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
    """Offsets of a block's elements from its first."""
    offsets = np.zeros((), dtype=np.uint64)
    for size, stride in zip(shape, strides, strict=True):
        offsets = offsets[..., None] + np.arange(size, dtype=np.uint64) * np.uint64(stride)
    return offsets


@functools.lru_cache(maxsize=256)
def _apart(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether no two elements lie in one place."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return False
            reach += stride * (size - 1)
    return True


def strides_of(address: np.ndarray) -> tuple[int, ...] | None:
    """Bytes from lane to lane along each axis, none negative, if that says it all."""
    shape, first = address.shape, address.item(0)
    strides, step, last = [], 1, first
    for size in reversed(shape):
        stride = address.item(step) - first if size > 1 else 0
        if stride < 0:
            return None
        strides.append(stride)
        step, last = step * size, last + stride * (size - 1)
    found = tuple(reversed(strides))
    if last != address.item(-1) or not _apart(shape, found):
        return None
    if address.size > 2 and not (address - np.uint64(first) == _pattern(shape, found)).all():
        return None
    return found


def undefined(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What a masked-off lane holds where no `other` was given: undefined, so never zero."""
    if dtype.kind == "f":
        return np.full(shape, np.nan, dtype=dtype)
    # 0x7F.. is a NaN as bfloat16 (0x7FFF) and float8, and a conspicuous integer.
    pattern = int.from_bytes(b"\xff" * (dtype.itemsize - 1) + b"\x7f", "little")
    return np.full(shape, pattern if dtype.kind in "iu" else True, dtype=dtype)
