"""Every operation that touches memory or does arithmetic, reported to a `Memory`."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from gpu_utils._triton import atomics, externs
from gpu_utils._triton.bfloat16 import BFloat16Builder
from gpu_utils._triton.descriptors import Descriptor
from gpu_utils._triton.values import Handle, Missing, is_splat, numpy_dtype, sizes, splat, spread

_FLOPS = frozenset((np.add, np.subtract, np.multiply, np.divide))
_SPECIAL = frozenset((np.exp, np.exp2, np.log, np.log2, np.sin, np.cos, np.sqrt))


class Memory(Protocol):
    """What an interpreted kernel loads from and stores to. Addresses are uint64 arrays.

    A mask is a bool array of the addresses' shape, or None where all lanes are active. Where only
    addresses are asked for, a `Missing` may stand for an array of values.
    """

    def pointer(self, name: str, tensor: torch.Tensor) -> int:
        """Admit a tensor argument and return its virtual address."""

    def load(
        self,
        address: np.ndarray,
        mask: np.ndarray | None,
        other: np.ndarray | None,
        dtype: np.dtype,
    ) -> np.ndarray | Missing:
        """Values at the active lanes; `other`, or garbage where it is None, elsewhere."""

    def store(
        self, address: np.ndarray, value: np.ndarray | Missing, mask: np.ndarray | None
    ) -> None:
        """Write the active lanes."""

    def atomic(
        self,
        address: np.ndarray,
        mask: np.ndarray | None,
        combine: Callable[..., np.ndarray],
        operands: tuple[np.ndarray | Missing, ...],
    ) -> np.ndarray | Missing:
        """Replace each active lane's value by `combine(value, *operands)`, lane after lane.

        Returns the values before; 0 where a lane is inactive.
        """

    def arithmetic(self, flops: int, dot: bool = False) -> None:
        """Note floating-point operations that were executed."""

    def special(self, count: int) -> None:
        """Note special functions (exp, sqrt, ...) that were executed."""

    def enter(self, program: tuple[int, int, int]) -> None:
        """Note that the interpreter starts a program of the grid."""


@functools.cache
def _range(start: int, stop: int) -> np.ndarray:
    return np.arange(start, stop, dtype=np.int32)


class Builder(BFloat16Builder):
    """Triton's `InterpreterBuilder` on a watched memory, on blocks that share their elements."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory
        self.arithmetic, self.special = memory.arithmetic, memory.special
        # Overflow assertions cost five operations per add; a wrapped offset is out of bounds here.
        self.options = interpreter.InterpreterOptions(sanitize_overflow=False)

    @contextlib.contextmanager
    def collected(self) -> Iterator[dict[str, int]]:
        """Counts of the arithmetic in here, which nobody else sees."""
        seen, kept = {"arithmetic": 0, "special": 0}, (self.arithmetic, self.special)

        def counter(kind: str) -> Callable[..., None]:
            def add(count: int, **_: Any) -> None:
                seen[kind] += count

            return add

        self.arithmetic, self.special = counter("arithmetic"), counter("special")
        try:
            yield seen
        finally:
            self.arithmetic, self.special = kept

    # Shape: blocks that repeat an element or a row take no memory of their own.

    def create_make_range(self, ret_ty: Any, start: int, stop: int) -> Any:
        return Handle(_range(start, stop), tl.int32)

    def create_splat(self, ret_ty: Any, arg: Any) -> Any:
        return Handle(splat(arg.data, sizes(ret_ty)), arg.dtype)

    def create_unsplat(self, arg: Any) -> Any:
        return Handle(arg.data.reshape(-1)[:1], arg.dtype)

    def create_expand_dims(self, arg: Any, axis: int) -> Any:
        shape = arg.data.shape
        return Handle(arg.data.reshape(*shape[:axis], 1, *shape[axis:]), arg.dtype)

    def create_broadcast(self, arg: Any, shape: Any) -> Any:
        return Handle(spread(arg.data, tuple(shape)), arg.dtype)

    def create_addptr(self, ptr: Any, offset: Any) -> Any:
        width = max(1, ptr.get_element_ty().primitive_bitwidth // 8)
        steps = offset.data
        if is_splat(steps):
            steps = steps.reshape(-1)[:1]
        step = steps.astype(np.int64) * width
        return Handle(ptr.data + step.view(np.uint64), ptr.dtype)

    # Memory. Triton 3.9 passes a policy where earlier versions pass two modifiers.

    def create_load(self, ptr: Any, *_: Any, **__: Any) -> Any:
        return self._load(ptr.data, None, None, ptr.get_element_ty())

    def create_masked_load(self, ptrs: Any, mask: Any, other: Any, *_: Any, **__: Any) -> Any:
        kept = None if other is None else other.data
        return self._load(ptrs.data, mask.data, kept, ptrs.get_element_ty())

    def create_store(self, ptr: Any, value: Any, *_: Any, **__: Any) -> None:
        self._store(ptr.data, value, None)

    def create_masked_store(self, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._store(ptrs.data, value, mask.data)

    def _load(self, address: np.ndarray, mask: Any, other: Any, type_: Any) -> Any:
        values = self.memory.load(address, mask, other, numpy_dtype(type_))
        return self._loaded(values, address.shape, type_)

    def _store(self, address: np.ndarray, value: Any, mask: Any) -> None:
        self.memory.store(address, self._values(value), mask)

    def _loaded(self, values: Any, shape: tuple[int, ...], type_: Any) -> Any:
        return Handle(values, type_)

    def _values(self, handle: Any) -> Any:
        return handle.data

    def create_atomic_cas(self, ptr: Any, cmp: Any, val: Any, *_: Any, **__: Any) -> Any:
        return self._atomic(ptr.data, None, atomics.exchange_if, (cmp, val))

    def create_atomic_rmw(self, op: Any, ptr: Any, val: Any, mask: Any, *_: Any, **__: Any) -> Any:
        return self._atomic(ptr.data, mask.data, atomics.function(op.name, val.dtype), (val,))

    def _atomic(self, address: np.ndarray, mask: Any, combine: Callable, values: tuple) -> Any:
        found = self.memory.atomic(address, mask, combine, tuple(map(self._values, values)))
        return self._loaded(found, address.shape, values[-1].dtype)

    # Tensor descriptors

    def create_make_tensor_descriptor(
        self, base: Any, shape: Any, strides: Any, block: Any, is_signed: bool, padding: Any
    ) -> Descriptor:
        return Descriptor.of(base, shape, strides, block, padding)

    def create_descriptor_load(self, desc: Descriptor, offsets: Any, *_: Any, **__: Any) -> Any:
        return self._load_inside(desc, *desc.block_at(offsets))

    def create_descriptor_store(self, desc: Descriptor, value: Any, offsets: Any) -> None:
        address, inside = desc.block_at(offsets)
        self._store(address, value, inside)

    def create_descriptor_gather(self, desc: Descriptor, rows: Any, column: Any, _: Any) -> Any:
        return self._load_inside(desc, *desc.rows_at(rows, column))

    def create_descriptor_scatter(
        self, desc: Descriptor, value: Any, rows: Any, column: Any
    ) -> None:
        address, inside = desc.rows_at(rows, column)
        self._store(address, value, inside)

    def create_descriptor_reduce(self, kind: Any, desc: Descriptor, value: Any, at: Any) -> None:
        address, inside = desc.block_at(at)
        self._atomic(address, inside, atomics.function(kind.name, value.dtype), (value,))

    def _load_inside(self, desc: Descriptor, address: np.ndarray, inside: np.ndarray) -> Any:
        return self._load(address, inside, splat(desc.padding, address.shape), desc.element)

    # Arithmetic

    def binary_op(self, lhs: Any, rhs: Any, op: Callable) -> Any:
        self.note(op, lhs.dtype, lhs.data.size)
        if op in _FLOPS and lhs.data.dtype == np.bool_:  # one-bit integers wrap, NumPy's do not
            out = op(lhs.data.astype(np.int8), rhs.data.astype(np.int8)) & 1
            return Handle(out.astype(np.bool_), lhs.dtype)
        return super().binary_op(lhs, rhs, op)

    def note(self, op: Callable, dtype: Any, count: int) -> None:
        """Count an operation on elements of a type, if it is one of those that are counted."""
        if op in _FLOPS and dtype.is_floating():
            self.arithmetic(count)
        elif op in _SPECIAL:
            self.special(count)

    def unary_op(self, arg: Any, op: Callable) -> Any:
        self.note(op, arg.dtype, arg.data.size)
        return super().unary_op(arg, op)

    def create_minnumf(self, lhs: Any, rhs: Any) -> Any:
        return self.binary_op(lhs, rhs, np.fmin)

    def create_maxnumf(self, lhs: Any, rhs: Any) -> Any:
        return self.binary_op(lhs, rhs, np.fmax)

    def create_clampf(self, arg: Any, low: Any, high: Any, propagate_nans: Any) -> Any:
        if propagate_nans == tl.PropagateNan.ALL:
            return self.ternary_op(arg, low, high, np.clip)
        return self.create_minnumf(self.create_maxnumf(arg, low), high)

    def create_fma(self, x: Any, y: Any, z: Any) -> Any:
        out = super().create_fma(x, y, z)
        self.arithmetic(2 * out.data.size)
        return out

    def create_dot(self, a: Any, b: Any, d: Any, *args: Any, **kwargs: Any) -> Any:
        self.arithmetic(2 * d.data.size * a.data.shape[-1], dot=True)
        return super().create_dot(a, b, d, *args, **kwargs)

    def create_dot_scaled(
        self, lhs: Any, lhs_scale: Any, lhs_format: Any, *args: Any, **kwargs: Any
    ) -> Any:
        out = super().create_dot_scaled(lhs, lhs_scale, lhs_format, *args, **kwargs)
        packed = 2 if lhs_format.name == "E2M1" else 1  # two four-bit numbers in a byte
        self.arithmetic(2 * out.data.size * lhs.data.shape[-1] * packed, dot=True)
        return out

    def create_rsqrt(self, arg: Any) -> Any:
        self.special(arg.data.size)
        return Handle(1 / np.sqrt(arg.data), arg.dtype)

    def create_erf(self, arg: Any) -> Any:
        return self.extern("erf", [arg], arg.dtype)

    def create_ashr(self, lhs: Any, rhs: Any) -> Any:
        return self.binary_op(lhs, rhs, np.right_shift)

    def create_umulhi(self, lhs: Any, rhs: Any) -> Any:
        bits = lhs.data.dtype.itemsize * 8
        unsigned = np.dtype(f"u{bits // 8}")
        a, b = (x.data.view(unsigned).astype(object if bits == 64 else np.uint64)
                for x in (lhs, rhs))  # fmt: skip
        return Handle((a * b >> bits).astype(unsigned).view(lhs.data.dtype), lhs.dtype)

    def create_histogram(self, data: Any, bins: int, mask: Any) -> Any:
        values = data.data if mask is None else data.data[mask.data]
        inside = values[(values >= 0) & (values < bins)]
        return Handle(np.bincount(inside, minlength=bins).astype(np.int32), tl.int32)

    # Code that is not Triton's

    def create_extern_elementwise(
        self, library: str, path: str, symbol: str, args: list, type_: Any, is_pure: bool
    ) -> Any:
        return self.extern(externs.name_of(symbol), args, type_.scalar)

    def extern(self, name: str, args: list, dtype: Any) -> Any:
        """A function of libdevice by its name there."""
        function = externs.function(name)
        if name in externs.SPECIAL:
            self.special(args[0].data.size)
        out = function(*(arg.data for arg in args))
        return Handle(np.asarray(out).astype(numpy_dtype(dtype)), dtype)

    def create_inline_asm(self, asm: str, *_: Any, **__: Any) -> Any:
        line = next((line.strip() for line in asm.splitlines() if line.strip()), "")
        raise NotImplementedError(
            f"inline assembly is for one GPU and has no interpreter: {line!r}. Write it as "
            "Triton operations, or compile the kernel without counting it"
        )
