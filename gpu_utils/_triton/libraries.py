"""Triton's builtins and libdevice, callable from a kernel that runs as Python."""

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


def _bound(member: Any) -> Callable:
    """A builtin that brings the semantics of the kernel under way with it."""
    function, rules = getattr(member, "__wrapped__", member), interpreter.interpreter_semantic

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs["_semantic"] = rules
        return function(*args, **kwargs)

    return call


def bind(owner: Any, name: str, member: Any, _: Any, scope: Any) -> None:
    """Triton's `_patch_attr`, with half the calls for each operation."""
    scope.set_attr(owner, name, _bound(member))


def stand_in(scope: Any) -> None:
    """Give libdevice's functions, which are declarations to fill in for a target, a meaning."""
    for module in (cuda_libdevice, hip_libdevice):
        for name, member in list(vars(module).items()):
            if tl.core.is_builtin(member):
                bind(module, name, member, None, scope)
    for name, member in list(vars(libdevice).items()):
        if isinstance(member, types.FunctionType) and hasattr(cuda_libdevice, name):
            scope.set_attr(libdevice, name, getattr(cuda_libdevice, name))


def localised(value: Any) -> Any:
    """What a name that a kernel's module imported stands for while it is interpreted."""
    if not isinstance(value, types.FunctionType):
        return value
    if value.__module__.startswith(_EXTRA):
        return getattr(sys.modules[value.__module__], value.__name__, value)
    return _bound(value) if tl.core.is_builtin(value) else value
