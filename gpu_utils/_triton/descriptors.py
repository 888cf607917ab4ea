"""Tensor descriptors: a base, a shape and strides that turn offsets into addresses."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from triton._C.libtriton import ir

from gpu_utils._triton.bfloat16 import narrow
from gpu_utils._triton.frames import where
from gpu_utils._triton.values import numpy_dtype

_ALIGNMENT = 16  # bytes, of the base and of every stride but the last


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """What `tl.make_tensor_descriptor` makes.

    Args:
        base: virtual address of the first element.
        element: the Triton type of an element.
        shape, strides: in elements, outermost first.
        block: shape of the block that a load or store moves.
        padding: the element read outside the shape, an array of one.
    """

    base: int
    element: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    block: tuple[int, ...]
    padding: np.ndarray

    @classmethod
    def of(
        cls, base: Any, shape: Sequence, strides: Sequence, block: Sequence, padding: Any
    ) -> "Descriptor":
        """From interpreter values, checked as the hardware would."""
        element = base.get_element_ty()
        value = float("nan") if padding == ir.PADDING_OPTION.PAD_NAN else 0.0
        fill = narrow(np.array([value])) if element.name == "bf16" else np.array([value])
        made = cls(
            int(base.item()),
            element,
            tuple(int(size.item()) for size in shape),
            tuple(int(stride.item()) for stride in strides),
            tuple(int(size) for size in block),
            fill.astype(numpy_dtype(element)),
        )
        made.check()
        return made

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return max(1, self.element.primitive_bitwidth // 8)

    def check(self) -> None:
        """Refuse what a descriptor cannot describe."""
        if self.base % _ALIGNMENT:
            raise ValueError(
                f"{where()}: the base of a tensor descriptor lies {self.base % _ALIGNMENT} bytes "
                f"past a multiple of {_ALIGNMENT}: align it, or use pointers"
            )
        for axis, stride in enumerate(self.strides[:-1]):
            if stride * self.itemsize % _ALIGNMENT:
                raise ValueError(
                    f"{where()}: stride {stride} of axis {axis} of a tensor descriptor is "
                    f"{stride * self.itemsize} bytes, no multiple of {_ALIGNMENT}: pad the rows"
                )
        if self.strides[-1] != 1:
            raise ValueError(f"{where()}: a tensor descriptor's last stride is 1")

    def block_at(self, offsets: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Addresses of the block at these offsets, and which of them lie inside the shape."""
        ranges = [
            int(offset.item()) + np.arange(size)
            for offset, size in zip(offsets, self.block, strict=True)
        ]
        return self._addresses(ranges)

    def rows_at(self, rows: Any, column: Any) -> tuple[np.ndarray, np.ndarray]:
        """The same for a column of blocks one row high, one at each row index."""
        columns = int(column.item()) + np.arange(self.block[-1])
        return self._addresses([rows.data.astype(np.int64), columns])

    def _addresses(self, ranges: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        address = np.array(self.base, dtype=np.int64)
        inside = np.array(True)
        for index, size, stride in zip(ranges, self.shape, self.strides, strict=True):
            address = address[..., None] + index * (stride * self.itemsize)
            inside = inside[..., None] & ((index >= 0) & (index < size))
        return address.view(np.uint64), inside
