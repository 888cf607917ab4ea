"""Interpreter values: a NumPy array with a Triton type, and arrays that repeat without copies."""

import dataclasses
from typing import Any

import numpy as np

_NUMPY = {
    name: np.dtype(kind)
    for kind, names in {
        "bool": ("int1",),
        "int8": ("int8",),
        "int16": ("int16",),
        "int32": ("int32",),
        "int64": ("int64",),
        # Narrow floating point is kept as its bits.
        "uint8": ("uint8", "fp8e5", "fp8e5b16", "fp8e4nv", "fp8e4b8", "fp8e4b15"),
        "uint16": ("uint16", "bf16"),
        "uint32": ("uint32",),
        "uint64": ("uint64",),
        "float16": ("fp16",),
        "float32": ("fp32",),
        "float64": ("fp64",),
    }.items()
    for name in names
}
_ADDRESS = np.dtype(np.uint64)


def numpy_dtype(type_: Any) -> np.dtype:
    """How the interpreter keeps elements of a Triton type; pointers are addresses."""
    return _NUMPY.get(type_.scalar.name, _ADDRESS)


def sizes(block_type: Any) -> tuple[int, ...]:
    """A block type's shape as Python's tuple; Triton's own is slow to hash and compare."""
    known: tuple[int, ...] | None = vars(block_type).get("sizes")
    return tuple(block_type.shape) if known is None else known


class Handle:
    """What stands for an MLIR value: an array and its element type. Arrays are never changed.

    The same as Triton's `TensorHandle`, which looks up the width of its type at each creation.
    """

    __slots__ = ("attr", "data", "dtype")

    def __init__(self, data: np.ndarray, dtype: Any, attr: dict | None = None) -> None:
        self.data, self.dtype, self.attr = data, dtype, attr

    def __bool__(self) -> bool:
        return bool(self.data.all())

    def item(self) -> Any:
        """The value of a scalar."""
        return self.data.item()

    def get_element_ty(self) -> Any:
        dtype = self.dtype
        while hasattr(dtype, "element_ty"):
            dtype = dtype.element_ty
        return dtype

    def clone(self) -> "Handle":
        return Handle(self.data.copy(), self.dtype)

    def set_attr(self, key: str, value: Any) -> None:
        self.attr = {**(self.attr or {}), key: value}


@dataclasses.dataclass(frozen=True)
class Missing:
    """Stands for an array where only addresses are asked for. `source` completes a message."""

    dtype: np.dtype
    source: str


def splat(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One element as a block of the shape, in no memory of its own."""
    return np.ndarray(shape, value.dtype, value, strides=(0,) * len(shape))


def is_splat(block: np.ndarray) -> bool:
    """Whether a block is known to repeat one element."""
    return block.size == 1 or not any(block.strides)


def spread(block: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`np.broadcast_to` for blocks of one rank; several times faster, which counts here."""
    if not block.flags.c_contiguous:
        return np.broadcast_to(block, shape)
    pairs = zip(block.strides, block.shape, strict=True)
    return np.ndarray(shape, block.dtype, block, strides=[s if n != 1 else 0 for s, n in pairs])
