"""Run a caught launch on the CPU, program by program, on a memory that somebody watches.

Triton's own interpreter supplies the meaning of each operation. Three things differ. It is
entered on demand, for one launch, and everything it patches is put back: a process that
interprets can still compile. Pointers are virtual: each tensor argument has an address range of
its own and every access goes through a `Memory`, so a wrong pointer is an error with a name and
never a segmentation fault. And what Triton's interpreter gets wrong is mended (see `bfloat16`,
`float8`, `reductions`).
"""

import contextlib
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
import triton.compiler.code_generator  # noqa: F401  it keeps tl's builtins: not while patched
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.jit import JITFunction, TensorWrapper, mangle_type
from triton.tools.tensor_descriptor import TensorDescriptor

from gpu_utils._triton import addresses, libraries, promises, reductions, rewrite, semantic
from gpu_utils._triton.builder import Builder, Memory
from gpu_utils._triton.launches import Launch
from gpu_utils._triton.values import Handle, numpy_dtype

__all__ = ["Memory", "interpret"]


def _argument(name: str, value: Any, memory: Memory) -> Any:
    """What the compiled kernel would receive, as an interpreter value."""
    if isinstance(value, (torch.Tensor, TensorWrapper)):
        type_ = tl.str_to_ty(mangle_type(value), None)
        tensor = value.base if isinstance(value, TensorWrapper) else value
        address = np.array([memory.pointer(name, tensor)], dtype=np.uint64)
        return tl.tensor(Handle(address, type_), type_)
    if isinstance(value, bool):
        return tl.tensor(Handle(np.array([value]), tl.int1), tl.int1)
    if isinstance(value, float):  # a float argument is an fp32 register, not a weak constant
        return tl.tensor(Handle(np.array([value], dtype=np.float32), tl.float32), tl.float32)
    if isinstance(value, tuple):
        parts = [_argument(f"{name}[{i}]", part, memory) for i, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else tl.tuple(parts)
    if isinstance(value, TensorDescriptor):
        return _descriptor(name, value, memory)
    if not (value is None or isinstance(value, (int, str, tl.dtype, tl.constexpr, JITFunction))):
        raise TypeError(
            f"a kernel takes tensors, numbers and tuples of them, and {name} is a "
            f"{type(value).__name__}: pass a torch.Tensor"
        )
    return interpreter._implicit_cvt(value)


def _descriptor(name: str, value: TensorDescriptor, memory: Memory) -> Any:
    return interpreter.interpreter_semantic.make_tensor_descriptor(
        _argument(name, value.base, memory),
        [interpreter._implicit_cvt(int(size)) for size in value.shape],
        [*(interpreter._implicit_cvt(int(x)) for x in value.strides[:-1]), tl.constexpr(1)],
        [tl.constexpr(size) for size in value.block_shape],
        padding_option=value.padding,
    )


@contextlib.contextmanager
def _interpreting(builder: Builder, combining: Any) -> Iterator[None]:
    """Make `triton.language` act on NumPy arrays, and put everything back afterwards."""
    rules, scope = semantic.Semantic(builder), interpreter._LangPatchScope()
    swapped = {
        "interpreter_builder": builder,
        "interpreter_semantic": rules,
        "TensorHandle": Handle,
        "ReduceOps": combining.ReduceOps,
        "ScanOps": combining.ScanOps,
        "_get_np_dtype": numpy_dtype,
        "_patch_builtin": libraries.patch,
        "_LangPatchScope": lambda: scope,
    }
    original = {name: getattr(interpreter, name) for name in swapped}
    call = JITFunction.__call__
    functions: dict[Callable, Callable] = {}

    def device_call(self: JITFunction, *args: Any, **kwargs: Any) -> Any:
        if self.fn not in functions:
            functions[self.fn] = rewrite.python_function(self.fn)
        kwargs.pop("_semantic", None)
        return functions[self.fn](*args, **kwargs)

    try:
        for name, value in swapped.items():
            setattr(interpreter, name, value)
        JITFunction.__call__ = device_call
        semantic.remember(scope)
        # The stock function patches the language modules that its argument's globals name.
        both = types.SimpleNamespace(__globals__={"tl": tl, "core": tl.core})
        interpreter._patch_lang(both)
        promises.keep(scope)
        semantic.make_way(scope)
        libraries.stand_in(scope)
        scope.set_attr(tl.tensor, "__index__", lambda self: int(self.handle.item()))
        scope.set_attr(tl.tensor, "__bool__", rewrite.truth)
        yield
    finally:
        scope.restore()
        JITFunction.__call__ = call
        for name, value in original.items():
            setattr(interpreter, name, value)


def _programs(grid: tuple[int, int, int], sample: int | None) -> Iterator[tuple[int, int, int]]:
    """The grid's programs as a GPU numbers them, x fastest; or the first, the last, some others."""
    x, y, z = grid
    total = x * y * z
    numbers: Iterable[int] = range(total)
    if sample is not None and sample < total:
        others = random.SystemRandom().sample(range(1, total - 1), max(0, sample - 2))
        numbers = sorted({0, total - 1, *others})
    return ((i % x, i // x % y, i // (x * y)) for i in numbers)


def interpret(
    launch: Launch, memory: Memory, addresses_only: bool = False, sample: int | None = None
) -> None:
    """Run every program of a launch, one after another, in grid order.

    Args:
        launch: what was caught.
        memory: what its tensors are.
        addresses_only: do no arithmetic on values that `memory` does not give.
        sample: run so many programs: the first, the last, and others drawn at random.

    Raises:
        NeedsData: with `addresses_only`, an address or a branch depends on such a value.
        NotImplementedError: the kernel is Gluon, which only compiles.
        Exception: whatever the kernel's own code raises, with the kernel's file and line.
    """
    if launch.kernel.is_gluon():
        raise NotImplementedError(f"{launch.name} is Gluon: it compiles, nothing interprets it")
    constant = {launch.kernel.arg_names[index] for index in launch.kernel.constexprs}
    builder = addresses.Builder(memory) if addresses_only else Builder(memory)
    with (
        _interpreting(builder, addresses if addresses_only else reductions),
        np.errstate(all="ignore"),
    ):
        arguments = {
            name: value if name in constant else _argument(name, value, memory)
            for name, value in launch.arguments.items()
        }
        fn = rewrite.python_function(launch.kernel.fn)
        builder.set_grid_dim(*launch.grid)
        for program in _programs(launch.grid, sample):
            builder.set_grid_idx(*program)
            memory.enter(program)
            fn(**arguments)
