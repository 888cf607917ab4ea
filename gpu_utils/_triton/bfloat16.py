"""An interpreter builder that computes in bfloat16 as hardware does, and converts as it does.

Triton's interpreter keeps bfloat16 as bit patterns in uint16 and, in every version from 3.6 to
3.9, adds and multiplies those patterns as integers. Here each operation widens to float32,
computes, and rounds to nearest even; the round trip is exact for values that are bfloat16.
Eight-bit floats, which hardware only converts and multiplies in dots, go through `float8`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime import interpreter

from gpu_utils._triton import float8
from gpu_utils._triton.values import Handle, numpy_dtype

_BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)


def is_bfloat16(handle: Any) -> bool:
    """Whether a handle holds bfloat16 bit patterns."""
    return handle.dtype.name == "bf16"


def widen(bits: np.ndarray) -> np.ndarray:
    """uint16 bit patterns of bfloat16 -> float32, exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values: np.ndarray) -> np.ndarray:
    """float32 -> uint16 bit patterns of bfloat16, to nearest even; every NaN becomes quiet."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def wide(handle: Any) -> Any:
    """A handle of a narrow float as float32; any other as it is."""
    if is_bfloat16(handle):
        return Handle(widen(handle.data), tl.float32)
    if float8.is_float8(handle.dtype):
        return Handle(float8.decode(handle.data, handle.dtype.name), tl.float32)
    return handle


def narrowed(handle: Any) -> Any:
    """A float32 handle as bfloat16."""
    return Handle(narrow(handle.data), tl.bfloat16)


def toward_zero(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Floating point in a narrower type, rounded toward zero."""
    if dtype.name == "bf16":
        bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        return np.where(np.isnan(values), 0x7FC0, bits >> 16).astype(np.uint16)
    nearest = values.astype(numpy_dtype(dtype))
    beyond = np.abs(nearest) > np.abs(values)
    return np.where(beyond, np.nextafter(nearest, nearest.dtype.type(0)), nearest)


class BFloat16Builder(interpreter.InterpreterBuilder):
    """`InterpreterBuilder` with bfloat16 arithmetic, products, casts and constants mended."""

    def get_bf16(self, value: float) -> Any:
        return Handle(narrow(np.array([value], dtype=np.float32)), tl.bfloat16)

    def binary_op(self, lhs: Any, rhs: Any, op: Callable) -> Any:
        if not (is_bfloat16(lhs) and is_bfloat16(rhs)) or op in _BITWISE:
            return self._same_type(lhs, op(lhs.data, rhs.data))
        out = op(widen(lhs.data), widen(rhs.data))
        return Handle(out, tl.int1) if out.dtype == np.bool_ else Handle(narrow(out), tl.bfloat16)

    def _same_type(self, like: Any, out: np.ndarray) -> Any:
        if out.dtype == like.data.dtype:
            return Handle(out, like.dtype)
        if out.dtype == np.bool_:  # a comparison
            return Handle(out, tl.int1)
        return Handle(out.astype(like.data.dtype), like.dtype)

    def unary_op(self, arg: Any, op: Callable) -> Any:
        if not is_bfloat16(arg):
            return super().unary_op(arg, op)
        return narrowed(super().unary_op(wide(arg), op))

    def ternary_op(self, lhs: Any, rhs: Any, other: Any, op: Callable) -> Any:
        if op is np.where or not is_bfloat16(lhs):  # a select moves bits, whatever they mean
            return self._same_type(other, op(lhs.data, rhs.data, other.data))
        return narrowed(Handle(op(*(widen(x.data) for x in (lhs, rhs, other))), tl.float32))

    def create_fma(self, x: Any, y: Any, z: Any) -> Any:
        if not is_bfloat16(x):
            return super().create_fma(x, y, z)
        return narrowed(super().create_fma(wide(x), wide(y), wide(z)))

    def create_dot(self, a: Any, b: Any, d: Any, *args: Any, **kwargs: Any) -> Any:
        if a.data.dtype == np.int8:  # exact in float64, which has a fast product
            product = np.matmul(a.data, b.data, dtype=np.float64)
            return Handle(product.astype(np.int32) + d.data, d.dtype)
        return super().create_dot(wide(a), wide(b), d, *args, **kwargs)

    def cast_impl(self, src: Any, dst_type: Any) -> Any:
        target = dst_type.scalar
        if target.name == src.dtype.name:
            return src
        values = wide(src).data
        if target.name == "bf16":
            return Handle(narrow(values.astype(np.float32)), target)
        if float8.is_float8(target):
            return Handle(float8.encode(values, target.name), target)
        return Handle(values.astype(numpy_dtype(target)), target)

    def create_fp_to_fp(self, src: Any, dst_type: Any, rounding_mode: Any = None) -> Any:
        if rounding_mode == ir.ROUNDING_MODE.RTZ and not float8.is_float8(dst_type.scalar):
            return Handle(toward_zero(wide(src).data, dst_type.scalar), dst_type.scalar)
        return self.cast_impl(src, dst_type)
