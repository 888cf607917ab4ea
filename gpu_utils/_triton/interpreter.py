"""Run a caught launch on the CPU, program by program, on a memory that somebody watches.

Triton's own interpreter supplies the meaning of each operation. Three things differ. It is
entered on demand, for one launch, and everything it patches is put back: a process that
interprets can still compile. Pointers are virtual: each tensor argument has an address range of
its own and every access goes through a `Memory`, so a wrong pointer is an error with a name and
never a segmentation fault. And bfloat16 is right (see `bfloat16`).
"""

import ast
import contextlib
import inspect
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction, mangle_type

from gpu_utils._triton import bfloat16
from gpu_utils._triton.launches import Launch

Handle = interpreter.TensorHandle
_FLOPS = (np.add, np.subtract, np.multiply, np.divide)
_HIDDEN = (str(Path(triton.__file__).parent), str(Path(__file__).parent))


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


def kernel_line() -> tuple[str, int]:
    """File and line of the innermost frame that is a kernel's own code."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(_HIDDEN)
        or "interpreter_semantic" not in frame.f_globals
    ):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


def short_name(file: str) -> str:
    """A file as people know it: its name, or "cell" for a notebook's cell."""
    return "cell" if "ipykernel" in file else Path(file).name


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


class _Rewriter(ast.NodeTransformer):
    """`x = 3` in a kernel makes a tensor, so that `x` is one when it is loop-carried."""

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        semantic = ast.Name(id="interpreter_semantic", ctx=ast.Load())
        to_tensor = ast.Attribute(value=semantic, attr="to_tensor", ctx=ast.Load())
        node.value = ast.Call(func=to_tensor, args=[node.value, ast.Constant(False)], keywords=[])
        return node


_rewritten: WeakKeyDictionary[Callable, types.CodeType] = WeakKeyDictionary()


def _code(fn: Callable) -> types.CodeType:
    """The module code that defines the kernel, rewritten, with the line numbers of its file."""
    if fn not in _rewritten:
        lines, first = inspect.getsourcelines(fn)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        ast.increment_lineno(tree, first - 1)
        definition = tree.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.decorator_list = []
        tree = ast.fix_missing_locations(_Rewriter().visit(tree))
        _rewritten[fn] = compile(tree, inspect.getsourcefile(fn) or "<kernel>", "exec")
    return _rewritten[fn]


def _python_function(fn: Callable) -> Callable:
    # A fresh namespace: the kernel sees its module and closure as they are now, and its module
    # does not see ours.
    closure = inspect.getclosurevars(fn).nonlocals
    scope = {**fn.__globals__, **closure, "interpreter_semantic": interpreter.interpreter_semantic}
    exec(_code(fn), scope)
    return scope[fn.__name__]


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


class FalsePromise(ValueError):
    """A hint to the compiler that does not hold: on a GPU the code would be wrong."""


def _keep_promises(scope: Any) -> None:
    """Check the hints that stock interpretation only stores: the compiler believes them."""

    def checked(name: str, holds: Callable[[np.ndarray, int], bool]) -> Callable:
        def hint(input: Any, values: Any, **_: Any) -> Any:
            first = values[0] if isinstance(values, (list, tuple)) else values
            value = int(first.value if isinstance(first, tl.constexpr) else first)
            data = input.handle.data if isinstance(input, tl.tensor) else np.array([input])
            if data.ndim <= 1 and not holds(data, value):
                file, line = kernel_line()
                raise FalsePromise(
                    f"{short_name(file)}:{line}: tl.{name}(..., {value}) is false here (values "
                    f"begin {data.ravel()[:4].tolist()}): the compiler would believe it"
                )
            return input

        return hint

    def contiguous(data: np.ndarray, value: int) -> bool:
        groups = data[: data.size - data.size % value].reshape(-1, value).astype(np.int64)
        return bool((np.diff(groups, axis=1) == 1).all())

    def constant(data: np.ndarray, value: int) -> bool:
        groups = data[: data.size - data.size % value].reshape(-1, value)
        return bool((groups == groups[:, :1]).all())

    checks = {
        "multiple_of": lambda data, value: int(data[0]) % value == 0,
        "max_contiguous": contiguous,
        "max_constancy": constant,
    }
    for name, holds in checks.items():
        for module in (tl, tl.core):
            scope.set_attr(module, name, checked(name, holds))


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
            functions[self.fn] = _python_function(self.fn)
        kwargs.pop("_semantic", None)
        return functions[self.fn](*args, **kwargs)

    for name, value in swapped.items():
        setattr(interpreter, name, value)
    JITFunction.__call__ = device_call
    # The stock function patches the language modules that its argument's globals name.
    both = types.SimpleNamespace(__globals__={"tl": tl, "core": tl.core})
    scope = interpreter._patch_lang(both)
    _keep_promises(scope)
    # Triton 3.6 calls int() on a one-element array, which NumPy refuses by now.
    scope.set_attr(tl.tensor, "__index__", lambda self: int(self.handle.data.item()))
    try:
        yield builder
    finally:
        scope.restore()
        JITFunction.__call__ = call
        for name, value in original.items():
            setattr(interpreter, name, value)


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
        fn = _python_function(launch.kernel.fn)
        builder.set_grid_dim(*launch.grid)
        for index in np.ndindex(*launch.grid):
            builder.set_grid_idx(*index)
            memory.enter(index)
            fn(**arguments)
