"""Triton's builtins and libdevice, callable from a kernel that runs as Python."""

import functools
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

import triton.language as tl
from triton.language.extra import libdevice
from triton.language.extra.cuda import libdevice as cuda_libdevice
from triton.language.extra.hip import libdevice as hip_libdevice
from triton.runtime import interpreter

_EXTRA = "triton.language.extra"


@functools.cache
def _bound(member: Any) -> Callable:
    """A builtin that brings the semantics of the kernel under way with it."""
    function = getattr(member, "__wrapped__", member)

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs["_semantic"] = interpreter.interpreter_semantic
        return function(*args, **kwargs)

    return call


@functools.cache
def _builtins(package: Any) -> tuple[tuple[str, Callable], ...]:
    """The names of a package's builtins, and what stands for each. Asked first when unpatched."""
    found = inspect.getmembers(package, tl.core.is_builtin)
    return tuple((name, _bound(member)) for name, member in found)


def patch(package: Any, _: Any, scope: Any) -> None:
    """Triton's `_patch_builtin`, with half the calls for each operation and for each launch."""
    for name, call in _builtins(package):
        scope.set_attr(package, name, call)


@functools.cache
def _libdevice() -> tuple[tuple[str, Callable], ...]:
    """The declarations that a target fills in, and what fills them in here."""
    filled_in = dict(_builtins(cuda_libdevice))
    return tuple(
        (name, filled_in[name])
        for name, member in vars(libdevice).items()
        if isinstance(member, types.FunctionType) and name in filled_in
    )


def stand_in(scope: Any) -> None:
    """Give libdevice's functions, which are declarations to fill in for a target, a meaning."""
    for module in (cuda_libdevice, hip_libdevice):
        patch(module, None, scope)
    for name, call in _libdevice():
        scope.set_attr(libdevice, name, call)


def localised(value: Any) -> Any:
    """What a name that a kernel's module imported stands for while it is interpreted."""
    if not isinstance(value, types.FunctionType):
        return value
    if value.__module__.startswith(_EXTRA):
        return getattr(sys.modules[value.__module__], value.__name__, value)
    return _bound(value) if tl.core.is_builtin(value) else value
