"""The source of a kernel and of all it calls, as text that no version of Triton or Python changes.

Triton's own cache key holds its version and the line on which the kernel stands. What is kept here
is only what the author wrote and the compiler reads: the definitions, without decorators, comments
and docstrings, and the values of the module's constants that they use.
"""

import ast
import hashlib
import inspect
import textwrap
import types
from collections.abc import Iterator
from typing import Any

import triton.language as tl
from triton.runtime.jit import JITCallable

__all__ = ["source", "source_hash"]

_CONSTANTS = (bool, int, float, str, type(None))
_NOTHING = object()  # what a name means that is local, or that only Triton knows


def source_hash(kernel: JITCallable) -> str:
    """16 hexadecimal digits of `source`."""
    return hashlib.sha256(source(kernel).encode()).hexdigest()[:16]


def source(kernel: JITCallable) -> str:
    """The definition of a kernel, then what it uses, each once, in the order of its use.

    Functions of Triton's own library are not followed: they belong to the compiler's version.
    """
    return "\n\n".join(_pieces(kernel, set()))


def _pieces(kernel: JITCallable, seen: set[Any]) -> Iterator[str]:
    seen.add(kernel.fn)
    definition = _definition(kernel)
    yield ast.unparse(definition)
    scope = {**kernel.fn.__globals__, **inspect.getclosurevars(kernel.fn).nonlocals}
    for name, value in _used(definition, scope):
        if isinstance(value, JITCallable):
            if value.fn not in seen and not value.fn.__module__.startswith("triton."):
                yield from _pieces(value, seen)
        elif name not in seen:
            seen.add(name)
            yield f"{name} = {value!r}"


def _definition(kernel: JITCallable) -> ast.FunctionDef:
    lines, _ = inspect.getsourcelines(kernel.fn)
    definition = ast.parse(textwrap.dedent("".join(lines))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.decorator_list = []
    if ast.get_docstring(definition, clean=False) is not None:
        definition.body = definition.body[1:] or [ast.Pass()]
    return definition


def _used(definition: ast.FunctionDef, scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Constants and kernels that a definition names, `helper` or `module.helper`, by position."""
    found: dict[str, Any] = {}
    names = [node for node in ast.walk(definition) if isinstance(node, ast.Name | ast.Attribute)]
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
        value = _value(node, scope)
        if isinstance(value, tl.constexpr):
            value = value.value
        if isinstance(value, (*_CONSTANTS, JITCallable)) or _is_constant_tuple(value):
            found.setdefault(ast.unparse(node), value)
    yield from found.items()


def _value(node: ast.expr, scope: dict[str, Any]) -> Any:
    """What `name` or `module.name` means where the kernel stands."""
    if isinstance(node, ast.Name):
        return scope.get(node.id, _NOTHING)
    if isinstance(node, ast.Attribute):
        owner = _value(node.value, scope)
        if isinstance(owner, types.ModuleType) and not owner.__name__.startswith("triton"):
            return getattr(owner, node.attr, _NOTHING)
    return _NOTHING


def _is_constant_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, _CONSTANTS) for item in value)
