"""Make a lab's starter from its solution: one source, so the two cannot drift apart.

In a solution, `### BEGIN SOLUTION: about 5 lines` and `### END SOLUTION` enclose what the
learner writes. Inside a docstring the enclosed lines (the explanation of the answer) vanish;
in code they become a TODO, followed outside kernels by `raise NotImplementedError`, which a
check reports as "not started".
"""

import ast

_BEGIN, _END = "### BEGIN SOLUTION", "### END SOLUTION"


class MarkerError(ValueError):
    """A solution's markers do not pair up."""


def _strings(tree: ast.AST) -> set[int]:
    """Line numbers covered by string literals."""
    return {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def _owner(tree: ast.AST, line: int) -> ast.FunctionDef | None:
    inner = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(inner, key=lambda node: node.lineno, default=None)


def _is_kernel(function: ast.FunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in function.decorator_list)


def starter(solution: str, name: str = "solution") -> str:
    """The starter's text.

    Raises:
        MarkerError: an unpaired marker, or one outside every function; with its line.
    """
    tree = ast.parse(solution)
    strings = _strings(tree)
    out: list[str] = []
    opened = 0
    for number, line in enumerate(solution.splitlines(), start=1):
        text = line.strip()
        if text.startswith(_BEGIN):
            if opened:
                raise MarkerError(f"{name}:{number}: a region inside the one of line {opened}")
            opened = number
            if number in strings:
                while out and not out[-1].strip():
                    out.pop()
            else:
                out += _todo(tree, number, line, text.removeprefix(_BEGIN).lstrip(": "), name)
        elif text.startswith(_END):
            if not opened:
                raise MarkerError(f"{name}:{number}: ends a region that was not begun")
            opened = 0
        elif not opened and text == '"""' and out and out[-1].lstrip().startswith('"""'):
            out[-1] += text  # nothing but its first line is left of this docstring
        elif not opened:
            out.append(line)
    if opened:
        raise MarkerError(f"{name}:{opened}: this region has no end")
    return "\n".join(out) + "\n"


def _todo(tree: ast.AST, number: int, line: str, size: str, name: str) -> list[str]:
    function = _owner(tree, number)
    if function is None:
        raise MarkerError(f"{name}:{number}: a region stands in a function")
    indent = line[: len(line) - len(line.lstrip())]
    todo = [f"{indent}# TODO: {size or 'your code'}"]
    if not _is_kernel(function):
        todo.append(f'{indent}raise NotImplementedError("{function.name}")')
    elif ast.get_docstring(function) is None:
        todo.append(f"{indent}pass")
    return todo
