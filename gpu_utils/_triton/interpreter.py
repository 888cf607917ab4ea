"""Run a caught launch on the CPU, program by program, on a memory that somebody watches.

Triton's own interpreter supplies the meaning of each operation. Three things differ. It is
entered on demand, for one launch, and everything it patches is put back: a process that
interprets can still compile. Pointers are virtual: each tensor argument has an address range of
its own and every access goes through a `Memory`, so a wrong pointer is an error with a name and
never a segmentation fault. And bfloat16 is right (see `bfloat16`).
"""

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
import triton.compiler.code_generator  # noqa: F401  it keeps tl's builtins: not while patched
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction, mangle_type

from gpu_utils._triton import bfloat16, promises, rewrite
from gpu_utils._triton.launches import Launch

Handle = interpreter.TensorHandle
_FLOPS = (np.add, np.subtract, np.multiply, np.divide)


class Memory(Protocol):
    """What an interpreted kernel loads from and stores to. Addresses are uint64 arrays."""

    def pointer(self, name: str, tensor: torch.Tensor) -> int:
        """Admit a tensor argument and return its virtual address."""

    def load(
        self, address: np.ndarray, mask: np.ndarray, other: np.ndarray | None, dtype: np.dtype
    ) -> np.ndarray:
        """Values at the active lanes; `other`, or garbage where it is None, elsewhere."""

    def store(self, address: np.ndarray, value: np.ndarray, mask: np.ndarray) -> None:
        """Write the active lanes."""

    def atomic(self, address: np.ndarray, mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Count a read-modify-write of the active lanes and return real addresses for it."""

    def arithmetic(self, flops: int, dot: bool = False) -> None:
        """Note floating-point operations that were executed."""

    def enter(self, program: tuple[int, int, int]) -> None:
        """Note that the interpreter starts a program of the grid."""


def _as_mask(mask: Any, like: np.ndarray) -> np.ndarray:
    # Descriptor accesses pass the bare array, everything else a handle.
    array = mask if isinstance(mask, np.ndarray) else mask.data
    return np.broadcast_to(array, like.shape)


class _Builder(bfloat16.BFloat16Builder):
    """Every operation that touches memory or does arithmetic, reported to a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.memory = memory
        # Overflow assertions cost five operations per add; a wrapped offset is out of bounds here.
        self.options = interpreter.InterpreterOptions(sanitize_overflow=False)

    def create_masked_load(self, ptrs: Any, mask: Any, other: Any, *_: Any, **__: Any) -> Any:
        type_ = ptrs.get_element_ty()
        values = self.memory.load(
            ptrs.data,
            _as_mask(mask, ptrs.data),
            None if other is None else other.data,
            interpreter._get_np_dtype(type_),
        )
        return Handle(values, type_)

    def create_masked_store(self, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        self.memory.store(ptrs.data, value.data, _as_mask(mask, ptrs.data))

    def create_atomic_cas(self, ptr: Any, cmp: Any, val: Any, *args: Any, **kwargs: Any) -> Any:
        every = np.ones(ptr.data.shape, dtype=bool)
        real = Handle(self.memory.atomic(ptr.data, every, val.data.dtype), ptr.dtype)
        return super().create_atomic_cas(real, cmp, val, *args, **kwargs)

    def create_atomic_rmw(
        self, op: Any, ptr: Any, val: Any, mask: Any, *args: Any, **kwargs: Any
    ) -> Any:
        active = _as_mask(mask, ptr.data)
        real = Handle(self.memory.atomic(ptr.data, active, val.data.dtype), ptr.dtype)
        return super().create_atomic_rmw(op, real, val, mask, *args, **kwargs)

    def binary_op(self, lhs: Any, rhs: Any, op: Callable) -> Any:
        out = super().binary_op(lhs, rhs, op)
        if op in _FLOPS and lhs.dtype.scalar.is_floating():
            self.memory.arithmetic(out.data.size)
        return out

    def create_fma(self, x: Any, y: Any, z: Any) -> Any:
        out = super().create_fma(x, y, z)
        self.memory.arithmetic(2 * out.data.size)
        return out

    def create_dot(self, a: Any, b: Any, d: Any, *args: Any, **kwargs: Any) -> Any:
        self.memory.arithmetic(2 * d.data.size * a.data.shape[-1], dot=True)
        return super().create_dot(a, b, d, *args, **kwargs)


def _argument(name: str, value: Any, memory: Memory) -> Any:
    """What the compiled kernel would receive, as an interpreter value."""
    if isinstance(value, torch.Tensor):
        type_ = tl.str_to_ty(mangle_type(value), None)
        address = np.array([memory.pointer(name, value)], dtype=np.uint64)
        return tl.tensor(Handle(address, type_), type_)
    if isinstance(value, float):  # a float argument is an fp32 register, not a weak constant
        return tl.tensor(Handle(np.array([value], dtype=np.float32), tl.float32), tl.float32)
    if isinstance(value, tuple):
        return tl.tuple([_argument(f"{name}[{i}]", v, memory) for i, v in enumerate(value)])
    return interpreter._implicit_cvt(value)


@contextlib.contextmanager
def _interpreting(memory: Memory) -> Iterator[_Builder]:
    """Make `triton.language` act on NumPy arrays, and put everything back afterwards."""
    builder = _Builder(memory)

    class ReduceOps(bfloat16.ReduceOps):
        def sum(self, input: Any) -> Any:
            out = super().sum(input)
            if input.handle.dtype.scalar.is_floating():
                memory.arithmetic(input.handle.data.size - out.handle.data.size)
            return out

    swapped = {
        "interpreter_builder": builder,
        "interpreter_semantic": interpreter.TritonSemantic(builder),
        "ReduceOps": ReduceOps,
        "ScanOps": bfloat16.ScanOps,
    }
    original = {name: getattr(interpreter, name) for name in swapped}
    call = JITFunction.__call__
    functions: dict[Callable, Callable] = {}

    def device_call(self: JITFunction, *args: Any, **kwargs: Any) -> Any:
        if self.fn not in functions:
            functions[self.fn] = rewrite.python_function(self.fn)
        kwargs.pop("_semantic", None)
        return functions[self.fn](*args, **kwargs)

    for name, value in swapped.items():
        setattr(interpreter, name, value)
    JITFunction.__call__ = device_call
    # The stock function patches the language modules that its argument's globals name.
    both = types.SimpleNamespace(__globals__={"tl": tl, "core": tl.core})
    scope = interpreter._patch_lang(both)
    promises.keep(scope)
    # Triton 3.6 calls int() on a one-element array, which NumPy refuses by now.
    scope.set_attr(tl.tensor, "__index__", lambda self: int(self.handle.data.item()))
    scope.set_attr(tl.tensor, "__bool__", rewrite.truth)
    try:
        yield builder
    finally:
        scope.restore()
        JITFunction.__call__ = call
        for name, value in original.items():
            setattr(interpreter, name, value)


def _programs(grid: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
    """The grid's programs as a GPU numbers them: x runs fastest."""
    x, y, z = (range(size) for size in grid)
    return ((i, j, k) for k in z for j in y for i in x)


def interpret(launch: Launch, memory: Memory) -> None:
    """Run every program of a launch, one after another, in grid order.

    Raises:
        NotImplementedError: the kernel is Gluon, which only compiles.
        Exception: whatever the kernel's own code raises, with the kernel's file and line.
    """
    if launch.kernel.is_gluon():
        raise NotImplementedError(f"{launch.name} is Gluon: it compiles, nothing interprets it")
    constant = {launch.kernel.arg_names[index] for index in launch.kernel.constexprs}
    with _interpreting(memory) as builder, np.errstate(all="ignore"):
        arguments = {
            name: value if name in constant else _argument(name, value, memory)
            for name, value in launch.arguments.items()
        }
        fn = rewrite.python_function(launch.kernel.fn)
        builder.set_grid_dim(*launch.grid)
        for program in _programs(launch.grid):
            builder.set_grid_idx(*program)
            memory.enter(program)
            fn(**arguments)
