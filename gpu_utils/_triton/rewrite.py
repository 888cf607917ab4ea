"""Give a kernel's Python the compiler's meaning, and make a function of it again."""

import ast
import inspect
import sys
import textwrap
import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import triton
import triton.language as tl
from triton.runtime import interpreter

from gpu_utils._triton import libraries
from gpu_utils._triton.frames import HIDDEN, places_of_calls, where
from gpu_utils._triton.versions import release


class _Rewriter(ast.NodeTransformer):
    """Python's meaning made the compiler's.

    `x = 3` makes a tensor, so that `x` is one when it is loop-carried. `and`, `or`, `not` and
    `a < b < c` act on each lane of a block, where Python would ask for the truth of the whole.
    A loop's variable, a constant and a literal have a tensor's `to` and `dtype`.
    """

    def __init__(self) -> None:
        self.chained = 0

    def visit_BoolOp(self, node: ast.BoolOp, lazy: bool = True) -> ast.expr:
        self.generic_visit(node)
        result = node.values[0]
        name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        empty = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        for value in node.values[1:]:  # the right side is a function: Python may not need it
            right = ast.Lambda(args=empty, body=value) if lazy else value
            result = _call("interpreter_logic", ast.Constant(name), result, right)
        return result

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return _call("interpreter_logic", ast.Constant("logical_not"), node.operand)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            self.generic_visit(node)
            return node
        # Each operand in the middle is named where it is first needed: it is evaluated once.
        pairs: list[ast.expr] = []
        left = node.left
        for position, (op, right) in enumerate(zip(node.ops, node.comparators, strict=True)):
            later = right
            if position < len(node.ops) - 1:
                self.chained += 1
                name = f"interpreter_operand_{self.chained}"
                right = ast.NamedExpr(ast.Name(name, ast.Store()), right)
                later = ast.Name(name, ast.Load())
            pairs.append(ast.Compare(left, [op], [right]))
            left = later
        return self.visit_BoolOp(ast.BoolOp(ast.And(), pairs), lazy=False)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if node.attr in _OF_NUMBERS and isinstance(node.ctx, ast.Load):
            return _call("interpreter_attribute", node.value, ast.Constant(node.attr))
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        semantic = ast.Name(id="interpreter_semantic", ctx=ast.Load())
        to_tensor = ast.Attribute(value=semantic, attr="to_tensor", ctx=ast.Load())
        node.value = ast.Call(func=to_tensor, args=[node.value, ast.Constant(False)], keywords=[])
        return node


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=list(args), keywords=[])


def _logic(name: str, left: Any, right: Any = None) -> Any:
    """`and`, `or` and `not`; the right side may be a function, if Python may not need it."""
    if isinstance(left, tl.tensor):
        if right is None:
            return left.__not__()
        return getattr(left, name)(right() if isinstance(right, types.FunctionType) else right)
    if right is None:
        return not left
    if bool(left) is (name == "logical_or"):
        return left
    return right() if isinstance(right, types.FunctionType) else right


# What a compiled kernel's numbers have and Python's have not.
_OF_NUMBERS = ("to", "cast", "dtype", "value")


def _attribute(owner: Any, name: str) -> Any:
    if isinstance(owner, (bool, int, float)):
        if name == "value":  # of a constant, which the interpreter has unwrapped already
            return owner
        owner = interpreter.interpreter_semantic.to_tensor(owner)
    return getattr(owner, name)


def truth(value: Any) -> bool:
    """The truth of a number; a block has none, and a compiler refuses to make one up."""
    asking = sys._getframe(1)
    if asking.f_code.co_filename.startswith(HIDDEN) and "interpreter_logic" not in asking.f_globals:
        return True  # Triton's own code asks whether there is a tensor at all
    if value.handle.data.size != 1:
        raise TypeError(
            f"{where()}: a block of {value.handle.data.size} values is neither true nor false; "
            "give loads and stores a mask, choose with tl.where, join conditions with &"
        )
    return bool(value.handle.item())


# Up to 3.7 the compiler puts a call where it puts the call's last argument, which it visited last,
# and counts columns from 0 in the dedented source. Later ones put it where it begins, and count
# from 1 in the file.
_PLACED_BY_LAST_ARGUMENT = release(triton.__version__) < (3, 8)


def _place(call: ast.Call, indent: int) -> tuple[int, int]:
    """Line and column at which the compiler says that a call is."""
    if not _PLACED_BY_LAST_ARGUMENT:
        return call.lineno, call.col_offset + indent + 1
    visited: list[ast.expr | ast.keyword] = [call.func, *call.keywords, *call.args]
    last = visited[-1].value if isinstance(visited[-1], ast.Starred) else visited[-1]
    return last.lineno, last.col_offset


def _note_sites(file: str, tree: ast.AST, indent: int) -> None:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            extent = call.lineno, call.end_lineno, call.col_offset, call.end_col_offset
            places_of_calls[file, extent] = _place(call, indent)


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
        file = inspect.getsourcefile(fn) or "<kernel>"
        _note_sites(file, tree, indent=len(lines[0]) - len(lines[0].lstrip()))
        tree = ast.fix_missing_locations(_Rewriter().visit(tree))
        _rewritten[fn] = compile(tree, file, "exec")
    return _rewritten[fn]


def python_function(fn: Callable) -> Callable:
    # A fresh namespace: the kernel sees its module and closure as they are now, and its module
    # does not see ours.
    closure = inspect.getclosurevars(fn).nonlocals
    ours = {
        "interpreter_semantic": interpreter.interpreter_semantic,
        "interpreter_logic": _logic,
        "interpreter_attribute": _attribute,
    }
    names = {**fn.__globals__, **closure}
    scope = {name: libraries.localised(value) for name, value in names.items()} | ours
    exec(_code(fn), scope)
    return scope[fn.__name__]
