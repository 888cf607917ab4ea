"""Interpretation for the addresses alone: what depends on unread data is unknown, not computed.

A value is unknown if it was loaded from memory that is not read, or comes from one that is.
Arithmetic on unknown values is counted and not done. Everything else is exact: indices that
really are in memory are loaded, and offsets are computed from them. An unknown value may be
stored, and may not decide an address, a mask or a branch.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl

from gpu_utils._triton import builder as builders
from gpu_utils._triton import reductions
from gpu_utils._triton.frames import where
from gpu_utils._triton.values import Handle, Missing, numpy_dtype, splat

_COMPARISONS = frozenset((
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
))  # fmt: skip


class NeedsData(ValueError):
    """An address, a mask or a branch depends on values that were not read."""


class Unknown(Handle):
    """A block whose values nobody computed. `source` says what they would have come from."""

    __slots__ = ("source",)

    def __init__(self, shape: tuple[int, ...], dtype: Any, source: str) -> None:
        zero = np.zeros(1, dtype=numpy_dtype(dtype))
        super().__init__(splat(zero, shape), dtype)
        self.source = source

    def item(self) -> Any:
        raise _needs("control flow", self)


def _needs(role: str, handle: Unknown) -> NeedsData:
    return NeedsData(f"{where()}: the {role} depends on {handle.source}")


def _source(*values: Any) -> str | None:
    """Where the first unknown one of some values comes from."""
    for value in values:
        if type(value) is Unknown:
            return value.source
        if isinstance(value, (list, tuple)) and (source := _source(*value)):
            return source
    return None


def _as_unknown(value: Any, source: str) -> Any:
    if isinstance(value, tuple):
        return tuple(_as_unknown(part, source) for part in value)
    return Unknown(value.data.shape, value.dtype, source) if isinstance(value, Handle) else value


def _decides(role: str, handle: Any) -> None:
    if isinstance(handle, Unknown):
        raise _needs(role, handle)


class Builder(builders.Builder):
    """Computes what is known, and passes on what is not."""

    # Memory

    def create_load(self, ptr: Any, *args: Any, **kwargs: Any) -> Any:
        _decides("address", ptr)
        return super().create_load(ptr, *args, **kwargs)

    def create_masked_load(self, ptrs: Any, mask: Any, other: Any, *args: Any, **_: Any) -> Any:
        _decides("address", ptrs)
        _decides("mask", mask)
        out = super().create_masked_load(ptrs, mask, other)
        source = _source(other)
        return _as_unknown(out, source) if source else out

    def create_store(self, ptr: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        _decides("address", ptr)
        super().create_store(ptr, value)

    def create_masked_store(self, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        _decides("address", ptrs)
        _decides("mask", mask)
        super().create_masked_store(ptrs, value, mask)

    def create_atomic_cas(self, ptr: Any, cmp: Any, val: Any, *args: Any, **kwargs: Any) -> Any:
        _decides("address", ptr)
        return super().create_atomic_cas(ptr, cmp, val)

    def create_atomic_rmw(self, op: Any, ptr: Any, val: Any, mask: Any, *_: Any, **__: Any) -> Any:
        _decides("address", ptr)
        _decides("mask", mask)
        return super().create_atomic_rmw(op, ptr, val, mask)

    def create_descriptor_gather(self, desc: Any, rows: Any, *args: Any) -> Any:
        _decides("address", rows)
        return super().create_descriptor_gather(desc, rows, *args)

    def create_descriptor_scatter(self, desc: Any, value: Any, rows: Any, column: Any) -> None:
        _decides("address", rows)
        super().create_descriptor_scatter(desc, value, rows, column)

    def _loaded(self, values: Any, shape: tuple[int, ...], type_: Any) -> Any:
        if isinstance(values, Missing):
            return Unknown(shape, type_, values.source)
        return super()._loaded(values, shape, type_)

    def _values(self, handle: Any) -> Any:
        if isinstance(handle, Unknown):
            return Missing(handle.data.dtype, handle.source)
        return super()._values(handle)

    # Arithmetic

    def binary_op(self, lhs: Any, rhs: Any, op: Callable) -> Any:
        if (source := _source(lhs, rhs)) is None:
            return super().binary_op(lhs, rhs, op)
        self.note(op, lhs.dtype, lhs.data.size)
        return Unknown(lhs.data.shape, tl.int1 if op in _COMPARISONS else lhs.dtype, source)

    def unary_op(self, arg: Any, op: Callable) -> Any:
        if (source := _source(arg)) is None:
            return super().unary_op(arg, op)
        self.note(op, arg.dtype, arg.data.size)
        return Unknown(arg.data.shape, arg.dtype, source)

    def ternary_op(self, lhs: Any, rhs: Any, other: Any, op: Callable) -> Any:
        if (source := _source(lhs, rhs, other)) is None:
            return super().ternary_op(lhs, rhs, other, op)
        return Unknown(lhs.data.shape, other.dtype, source)

    def cast_impl(self, src: Any, dst_type: Any) -> Any:
        if (source := _source(src)) is None:
            return super().cast_impl(src, dst_type)
        return Unknown(src.data.shape, dst_type.scalar, source)

    def create_fp_to_fp(self, src: Any, dst_type: Any, rounding_mode: Any = None) -> Any:
        if _source(src) is None:
            return super().create_fp_to_fp(src, dst_type, rounding_mode)
        return self.cast_impl(src, dst_type)

    def create_dot(self, a: Any, b: Any, d: Any, *args: Any, **kwargs: Any) -> Any:
        if (source := _source(a, b, d)) is None:
            return super().create_dot(a, b, d, *args, **kwargs)
        self.arithmetic(2 * d.data.size * a.data.shape[-1], dot=True)
        return Unknown(d.data.shape, d.dtype, source)

    def create_assert(self, condition: Any, message: str) -> None:
        if _source(condition) is None:
            super().create_assert(condition, message)

    def create_assume(self, condition: Any) -> None:
        if _source(condition) is None:
            super().create_assume(condition)


def _passing_on(name: str) -> Callable:
    """An operation that moves values about: what comes of an unknown one is unknown."""
    method = getattr(builders.Builder, name)

    def create(self: Builder, *args: Any, **kwargs: Any) -> Any:
        out, source = method(self, *args, **kwargs), _source(*args)
        return out if source is None else _as_unknown(out, source)

    return create


for _name in dir(builders.Builder):
    if _name.startswith("create_") and _name not in vars(Builder):
        setattr(Builder, _name, _passing_on(_name))


def _tracked(base: type) -> type:
    """A reduction or scan class whose results are unknown where its inputs are."""

    class Tracked(base):
        def apply_impl(self, input: Any) -> Any:
            out, source = super().apply_impl(input), _source(*(x.handle for x in input))
            if source is not None:
                for tensor in out:
                    tensor.handle = _as_unknown(tensor.handle, source)
            return out

    return Tracked


ReduceOps = _tracked(reductions.ReduceOps)
ScanOps = _tracked(reductions.ScanOps)
