"""Triton's typing rules, with what it works out anew at each operation remembered.

An interpreted operation on a small block takes longer to type than to compute. Types, shapes and
constants of a kernel repeat, so each is made once; the rules themselves stay Triton's.
"""

import math
from collections.abc import Callable
from typing import Any

import triton.language as tl
from triton.language.semantic import TritonSemantic
from triton.runtime.interpreter import InterpreterBuilder

from gpu_utils._triton.frames import where
from gpu_utils._triton.values import sizes

_Shape = tuple[int, ...]
_NUMBERS = (int, float)
_INTEGERS = {f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
_INTEGERS |= {f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}


class Semantic(TritonSemantic):
    """`TritonSemantic` with a short way for operands that need no conversion."""

    def __init__(self, builder: Any) -> None:
        super().__init__(builder)
        # A scalar type is kept alive by its block type, so that its id names it.
        self._blocks: dict[tuple[int, _Shape], Any] = {}
        self._constants: dict[tuple[str, Any], Any] = {}

    def block(self, scalar: Any, shape: _Shape) -> Any:
        """The block type of a scalar type and a shape."""
        key = id(scalar), shape
        if key not in self._blocks:
            self._blocks[key] = tl.block_type(scalar, list(shape))
        return self._blocks[key]

    def scalar_constant(self, value: Any, dtype: Any) -> Any:
        key = dtype.name, value
        if value == 0 or value != value:  # Triton's zero has no sign; a NaN is no key
            return super().scalar_constant(value, dtype)
        if key not in self._constants:
            self._constants[key] = super().scalar_constant(value, dtype)
        return self._constants[key]

    def cast(self, input: Any, dst_ty: Any, *args: Any, **kwargs: Any) -> Any:
        if input.dtype is dst_ty.scalar:
            return input
        return super().cast(input, dst_ty, *args, **kwargs)

    def binary_op_type_checking_impl(
        self,
        lhs: Any,
        rhs: Any,
        allow_lhs_ptr: bool = False,
        allow_rhs_ptr: bool = False,
        arithmetic_check: bool = True,
        div_or_mod: bool = False,
    ) -> tuple[Any, Any]:
        left = self._like(rhs, lhs, div_or_mod) if type(lhs) in _NUMBERS else lhs
        right = self._like(lhs, rhs, div_or_mod) if type(rhs) in _NUMBERS else rhs
        if type(left) is tl.tensor and type(right) is tl.tensor:
            dtype = left.dtype
            # Operands of one type stay of that type, except where narrow ones are divided.
            if dtype is right.dtype and not dtype.is_ptr() and not (div_or_mod and _narrow(dtype)):
                return self.broadcast_impl_value(left, right)
        return super().binary_op_type_checking_impl(
            lhs, rhs, allow_lhs_ptr, allow_rhs_ptr, arithmetic_check, div_or_mod
        )

    def dot_scaled(self, *args: Any, **kwargs: Any) -> Any:
        if not hasattr(InterpreterBuilder, "create_dot_scaled"):
            raise NotImplementedError(
                f"{where()}: Triton's interpreter has tl.dot_scaled from 3.8 on: count with a "
                "newer Triton, or compile the kernel without counting it"
            )
        return super().dot_scaled(*args, **kwargs)

    def _like(self, tensor: Any, number: Any, div_or_mod: bool) -> Any:
        """A number as a constant of a tensor's type, where Triton's rules make it one."""
        if type(tensor) is not tl.tensor or (div_or_mod and _narrow(tensor.dtype)):
            return number
        dtype = tensor.dtype
        if dtype.is_floating():
            return self.scalar_constant(number, dtype)
        low, high = _INTEGERS.get(dtype.name, (1, 0))
        fits = type(number) is int and low <= number <= high
        return self.scalar_constant(number, dtype) if fits else number

    def broadcast_impl_value(self, lhs: Any, rhs: Any) -> tuple[Any, Any]:
        if not lhs.type.is_block():
            return (self._splat(lhs, rhs), rhs) if rhs.type.is_block() else (lhs, rhs)
        if not rhs.type.is_block():
            return lhs, self._splat(rhs, lhs)
        left, right = sizes(lhs.type), sizes(rhs.type)
        if left == right:
            return lhs, rhs
        if len(left) != len(right):
            return super().broadcast_impl_value(lhs, rhs)
        shape = tuple([b if a == 1 else a for a, b in zip(left, right, strict=True)])
        if any(b not in (1, n) for b, n in zip(right, shape, strict=True)):
            return super().broadcast_impl_value(lhs, rhs)  # which says what does not fit
        return self._spread(lhs, left, shape), self._spread(rhs, right, shape)

    def _splat(self, value: Any, like: Any) -> Any:
        type_ = self.block(value.dtype, sizes(like.type))
        return self.tensor(self.builder.create_splat(type_, value.handle), type_)

    def _spread(self, value: Any, own: _Shape, shape: _Shape) -> Any:
        if own == shape:
            return value
        handle = self.builder.create_broadcast(value.handle, shape)
        return self.tensor(handle, self.block(value.dtype, shape))


def _narrow(dtype: Any) -> bool:
    return dtype.is_floating() and dtype.primitive_bitwidth < 32


def remember(scope: Any) -> None:
    """Make tensors and block types without working out the same shapes each time."""
    shapes: dict[_Shape, tuple[Any, Any]] = {}

    def shape_of(shape: _Shape) -> tuple[Any, Any]:
        known = tl.tuple([tl.constexpr(size) for size in shape])
        shapes[shape] = known, tl.constexpr(math.prod(shape))
        return shapes[shape]

    def make_tensor(self: Any, handle: Any, type: Any) -> None:
        shape = sizes(type) if type.is_block() else ()
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = shapes.get(shape) or shape_of(shape)

    scope.set_attr(tl.tensor, "__init__", make_tensor)
    scope.set_attr(tl.block_type, "__init__", _quick_block(tl.block_type.__init__))


def _quick_block(make: Callable) -> Callable:
    known: dict[tuple, tuple] = {}

    def init(self: Any, element_ty: Any, shape: Any) -> None:
        key = (element_ty.name, *shape)
        if any(type(size) is not int for size in key[1:]):
            make(self, element_ty, shape)
            self.sizes = tuple(self.shape)
        elif key in known:
            self.element_ty = element_ty
            self.sizes, self.shape, self.numel, self.name = known[key]
        else:
            make(self, element_ty, shape)
            self.sizes = key[1:]
            known[key] = self.sizes, self.shape, self.numel, self.name

    return init


_OPERATORS = ("add", "sub", "mul", "mod", "truediv", "floordiv", "and", "or", "xor", "lshift",
              "rshift", "lt", "le", "gt", "ge", "eq", "ne")  # fmt: skip


def make_way(scope: Any) -> None:
    """Let a tensor on the right of a constant decide, as the compiler does."""

    def deferring(method: Callable) -> Callable:
        def operator(self: Any, other: Any) -> Any:
            return NotImplemented if isinstance(other, tl.tensor) else method(self, other)

        return operator

    for name in (f"__{operator}__" for operator in _OPERATORS):
        if name in vars(tl.constexpr):
            scope.set_attr(tl.constexpr, name, deferring(getattr(tl.constexpr, name)))
