"""Reductions and scans on whole arrays, by tree where the combining function is anybody's.

Triton's interpreter calls such a function once for each element, and works on the bits of
bfloat16. A tree calls it once for each level. It combines neighbours only, in order, so that it
needs the function to be associative and no more, as the GPU does.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter

from gpu_utils._triton.bfloat16 import is_bfloat16, narrow, wide
from gpu_utils._triton.builder import Builder
from gpu_utils._triton.values import Handle, numpy_dtype


def _named(*names: str) -> set:
    """Triton's combining functions of these names, as far as this version has them."""
    return {getattr(tl.standard, name) for name in names if hasattr(tl.standard, name)}


_SUM = _named("_sum_combine")
_PRODUCT = _named("_prod_combine")
_MAX, _MIN = _named("_elementwise_max"), _named("_elementwise_min")
_ARGMAX = _named("_argmax_combine_tie_break_left", "_argmax_combine_tie_break_fast")
_ARGMIN = _named("_argmin_combine_tie_break_left", "_argmin_combine_tie_break_fast")


def _tensor(data: np.ndarray, dtype: Any) -> Any:
    """An array as a tensor of a scalar type; an array of no dimensions as a scalar."""
    if data.dtype != numpy_dtype(dtype):
        data = narrow(data) if dtype.name == "bf16" else data.astype(numpy_dtype(dtype))
    if not data.shape:
        return tl.tensor(Handle(data.reshape(1), dtype), dtype)
    return tl.tensor(Handle(data, dtype), tl.block_type(dtype, list(data.shape)))


def _values(tensor: Any) -> np.ndarray:
    return wide(tensor.handle).data if is_bfloat16(tensor.handle) else tensor.handle.data


class _Combining:
    """A combining function on tuples of arrays whose first axis is combined."""

    def __init__(self, function: Callable, dtypes: list[Any]) -> None:
        self.function, self.dtypes = function, dtypes

    def __call__(self, left: list[np.ndarray], right: list[np.ndarray]) -> list[np.ndarray]:
        tensors = [_tensor(x, d) for x, d in zip([*left, *right], self.dtypes * 2, strict=True)]
        out = self.function(*tensors)
        out = list(out) if isinstance(out, (tuple, list, tl.tuple)) else [out]
        return [
            np.broadcast_to(self._cast(x, dtype).handle.data, like.shape)
            for x, dtype, like in zip(out, self.dtypes, left, strict=True)
        ]

    def _cast(self, value: Any, dtype: Any) -> Any:
        semantic = interpreter.interpreter_semantic
        return semantic.cast(semantic.to_tensor(value), dtype)

    def fold(self, columns: list[np.ndarray]) -> list[np.ndarray]:
        """All elements combined; the first axis goes."""
        while columns[0].shape[0] > 1:
            columns = self([x[0::2] for x in columns], [x[1::2] for x in columns])
        return [x[0] for x in columns]

    def scan(self, columns: list[np.ndarray]) -> list[np.ndarray]:
        """Each element combined with all before it."""
        if columns[0].shape[0] == 1:
            return columns
        even = [x[0::2] for x in columns]
        pairs = self.scan(self(even, [x[1::2] for x in columns]))
        # The first element has none before it; its partner here is a place holder.
        before = [np.concatenate([x[:1], x[:-1]]) for x in pairs]
        mixed = self(before, even)
        out = [np.empty_like(x) for x in columns]
        for whole, pair, mix, first in zip(out, pairs, mixed, even, strict=True):
            whole[1::2], whole[0::2], whole[0] = pair, mix, first[0]
        return out


class ReduceOps(interpreter.ReduceOps):
    """`tl.reduce` and what is made of it."""

    def apply_impl(self, input: Any) -> Any:
        if self.axis is None:
            axis, arrays = 0, [x.handle.data.reshape(-1) for x in input]
        else:
            axis, arrays = self.axis % len(input[0].shape), [x.handle.data for x in input]
        dtypes = [x.dtype for x in input]
        if (function := self.combine_fn) in _ARGMAX | _ARGMIN:
            out = _extreme(arrays, dtypes, axis, function in _ARGMAX)
        elif function in _SUM | _PRODUCT | _MAX | _MIN:
            out = [self._known(_wide(arrays[0], dtypes[0]), dtypes[0], axis)]
        else:
            columns = [np.moveaxis(x, axis, 0) for x in arrays]
            out = _Combining(function, dtypes).fold(columns)
        return [_tensor(self._shaped(x, input[0], axis), d)
                for x, d in zip(out, dtypes, strict=True)]  # fmt: skip

    def _known(self, values: np.ndarray, dtype: Any, axis: int) -> np.ndarray:
        if self.combine_fn in _SUM | _PRODUCT:
            add = self.combine_fn in _SUM
            out = (np.add if add else np.multiply).reduce(values, axis=axis, dtype=values.dtype)
            if dtype.is_floating():
                builder().arithmetic(values.size - np.size(out))
        else:  # a NaN loses against a number
            out = (np.fmax if self.combine_fn in _MAX else np.fmin).reduce(values, axis=axis)
        return np.asarray(out)

    def _shaped(self, out: np.ndarray, like: Any, axis: int) -> np.ndarray:
        if not self.keep_dims:
            return np.asarray(out)
        if self.axis is None:
            return np.reshape(out, (1,) * len(like.shape))
        return np.expand_dims(out, axis)


def builder() -> Builder:
    """The builder of the kernel that runs."""
    return interpreter.interpreter_builder


def _wide(data: np.ndarray, dtype: Any) -> np.ndarray:
    return wide(Handle(data, dtype)).data if dtype.name == "bf16" else data


def _extreme(
    arrays: list[np.ndarray], dtypes: list[Any], axis: int, largest: bool
) -> list[np.ndarray]:
    """The largest or smallest value, and the index that stands beside its first occurrence."""
    values = _wide(arrays[0], dtypes[0])
    if values.dtype.kind == "f":  # a NaN loses against a number
        values = np.where(np.isnan(values), -np.inf if largest else np.inf, values)
    place = np.expand_dims((np.argmax if largest else np.argmin)(values, axis=axis), axis)
    return [np.take_along_axis(x, place, axis).squeeze(axis) for x in arrays]


class ScanOps(interpreter.ScanOps):
    """`tl.associative_scan` and what is made of it."""

    def apply_impl(self, input: Any) -> Any:
        axis = self.axis % len(input[0].shape)
        dtypes = [x.dtype for x in input]
        columns = [np.moveaxis(x.handle.data, axis, 0) for x in input]
        columns = [x[::-1] for x in columns] if self.reverse else columns
        steps = input[0].handle.data.size - input[0].handle.data.size // columns[0].shape[0]
        if self.combine_fn in _SUM | _PRODUCT:
            op = np.add if self.combine_fn in _SUM else np.multiply
            values = _wide(columns[0], dtypes[0])
            out = [op.accumulate(values, axis=0, dtype=values.dtype)]
            if dtypes[0].is_floating():
                builder().arithmetic(steps)
        else:
            out = self._any(columns, dtypes)
        out = [x[::-1] for x in out] if self.reverse else out
        return [_tensor(np.ascontiguousarray(np.moveaxis(x, 0, axis)), d)
                for x, d in zip(out, dtypes, strict=True)]  # fmt: skip

    def _any(self, columns: list, dtypes: list) -> list[np.ndarray]:
        # Over n elements the tree combines 2 (n - 1) times: n/2 pairs, then the n/2 others, on
        # each level. A scan has n - 1 steps, and they are what counts.
        with builder().collected() as seen:
            out = _Combining(self.combine_fn, dtypes).scan(columns)
        builder().arithmetic(seen["arithmetic"] // 2)
        builder().special(seen["special"] // 2)
        return out
