"""An interpreter builder that computes in bfloat16 as hardware does.

Triton's interpreter keeps bfloat16 as bit patterns in uint16 and, in every version from 3.6 to
3.9, adds and multiplies those patterns as integers. Here each operation widens to float32,
computes, and rounds to nearest even; the round trip is exact for values that are bfloat16.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

Handle = interpreter.TensorHandle
_BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)


def is_bfloat16(handle: Any) -> bool:
    """Whether a handle holds bfloat16 bit patterns (a comparison's result does not)."""
    dtype = getattr(handle, "dtype", None)
    return dtype is not None and dtype.scalar == tl.bfloat16 and handle.data.dtype == np.uint16


def widen(bits: np.ndarray) -> np.ndarray:
    """uint16 bit patterns of bfloat16 -> float32, exact."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def narrow(values: np.ndarray) -> np.ndarray:
    """float32 -> uint16 bit patterns of bfloat16, to nearest even; every NaN becomes quiet."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    bits = values.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(0x7FC0), rounded)


def _wide(handle: Any) -> Any:
    return Handle(widen(handle.data), tl.float32) if is_bfloat16(handle) else handle


def _narrow(handle: Any) -> Any:
    return Handle(narrow(handle.data), tl.bfloat16)


class BFloat16Builder(interpreter.InterpreterBuilder):
    """`InterpreterBuilder` with bfloat16 arithmetic, products, casts and constants mended."""

    def get_bf16(self, value: float) -> Any:
        return Handle(narrow(np.array([value], dtype=np.float32)), tl.bfloat16)

    def binary_op(self, lhs: Any, rhs: Any, op: Callable) -> Any:
        if not (is_bfloat16(lhs) and is_bfloat16(rhs)) or op in _BITWISE:
            return super().binary_op(lhs, rhs, op)
        out = op(widen(lhs.data), widen(rhs.data))
        # A comparison keeps its operands' dtype on the handle; so does the stock builder.
        return Handle(out if out.dtype == np.bool_ else narrow(out), tl.bfloat16)

    def unary_op(self, arg: Any, op: Callable) -> Any:
        if not is_bfloat16(arg):
            return super().unary_op(arg, op)
        return _narrow(super().unary_op(_wide(arg), op))

    def ternary_op(self, lhs: Any, rhs: Any, other: Any, op: Callable) -> Any:
        if op is np.where or not is_bfloat16(lhs):  # a select moves bits, whatever they mean
            return super().ternary_op(lhs, rhs, other, op)
        return _narrow(super().ternary_op(_wide(lhs), _wide(rhs), _wide(other), op))

    def create_fma(self, x: Any, y: Any, z: Any) -> Any:
        if not is_bfloat16(x):
            return super().create_fma(x, y, z)
        return _narrow(super().create_fma(_wide(x), _wide(y), _wide(z)))

    def create_dot(self, a: Any, b: Any, d: Any, *args: Any, **kwargs: Any) -> Any:
        return super().create_dot(_wide(a), _wide(b), d, *args, **kwargs)

    def cast_impl(self, src: Any, dst_type: Any) -> Any:
        source, target = src.dtype.scalar, dst_type.scalar
        if target == tl.bfloat16 and source != tl.bfloat16:
            return Handle(narrow(src.data.astype(np.float32)), tl.bfloat16)
        if is_bfloat16(src):
            return _wide(src) if target == tl.float32 else super().cast_impl(_wide(src), dst_type)
        return super().cast_impl(src, dst_type)

    def create_fp_to_fp(self, src: Any, dst_type: Any, *args: Any, **kwargs: Any) -> Any:
        if dst_type.scalar == tl.bfloat16 or is_bfloat16(src):
            return self.cast_impl(src, dst_type)
        return super().create_fp_to_fp(src, dst_type, *args, **kwargs)


def _with_bfloat16(base: type) -> type:
    """A reduction or scan class that widens bfloat16 where the stock one uses NumPy on the bits.

    A combine function of the learner's own runs element by element through the builder, which
    is right already.
    """
    stock = {
        getattr(tl.standard, name)
        for name in ("_elementwise_max", "_elementwise_min", "_sum_combine", "_prod_combine",
                     "_argmax_combine_tie_break_left", "_argmin_combine_tie_break_left")
        if hasattr(tl.standard, name)
    }  # fmt: skip

    def wide(arg: Any) -> Any:
        if not is_bfloat16(arg.handle):
            return arg
        shape = [int(size) for size in arg.handle.data.shape]
        return tl.core.tensor(_wide(arg.handle), tl.block_type(tl.float32, shape))

    def narrow_again(arg: Any) -> Any:
        if arg.handle.dtype.scalar != tl.float32:
            return arg  # an index
        type_ = tl.bfloat16
        if arg.type.is_block():
            type_ = tl.block_type(tl.bfloat16, [int(size) for size in arg.shape])
        return tl.core.tensor(_narrow(arg.handle), type_)

    class Mended(base):
        def apply_impl(self, input: Any) -> Any:
            if self.combine_fn not in stock or not is_bfloat16(input[0].handle):
                return super().apply_impl(input)
            result = super().apply_impl(tuple(wide(arg) for arg in input))
            if isinstance(result, (tuple, list)):
                return type(result)(narrow_again(arg) for arg in result)
            return narrow_again(result)

    Mended.__name__ = base.__name__
    return Mended


ReduceOps = _with_bfloat16(interpreter.ReduceOps)
ScanOps = _with_bfloat16(interpreter.ScanOps)
