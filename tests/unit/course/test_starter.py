"""Solving only adds lines; markers that do not pair up are named."""

import pytest

from gpu_utils.course import units
from gpu_utils.course.starter import MarkerError, starter

SOLUTION = '''
@triton.jit
def k(x_ptr):
    """One line.

    ### BEGIN SOLUTION
    Why it is so.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 1 line
    tl.store(x_ptr, 1)
    ### END SOLUTION


@triton.jit
def bare(x_ptr):
    ### BEGIN SOLUTION: about 1 line
    tl.store(x_ptr, 1)
    ### END SOLUTION


def launch(x):
    """Launch.

    Args:
        x: [n].

    ### BEGIN SOLUTION
    Because.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION
    k[(1,)](x)
    return x
    ### END SOLUTION
'''

STARTER = '''
@triton.jit
def k(x_ptr):
    """One line."""
    # TODO: about 1 line


@triton.jit
def bare(x_ptr):
    # TODO: about 1 line
    pass


def launch(x):
    """Launch.

    Args:
        x: [n].
    """
    # TODO: your code
    raise NotImplementedError("launch")
'''


def test_regions_become_todos_and_explanations_vanish():
    assert starter(SOLUTION) == STARTER


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f():\n    ### BEGIN SOLUTION\n    pass\n", "s.py:2: this region has no end"),
        ("def f():\n    pass\n    ### END SOLUTION\n", "s.py:3: ends a region"),
        ("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\n", "s.py:1: a region stands in a function"),
        (
            "def f():\n    ### BEGIN SOLUTION\n    ### BEGIN SOLUTION\n    pass\n",
            "s.py:3: a region inside the one of line 2",
        ),
    ],
)
def test_unpaired_markers_are_named(text, words):
    with pytest.raises(MarkerError, match=words):
        starter(text, "s.py")


@pytest.mark.parametrize("unit", units.units(), ids=lambda unit: unit.name)
def test_solving_only_adds_lines(unit):
    # Every line of the starter but its TODOs stands in the solution, in the same order.
    text = unit.solution_file.read_text("utf-8")
    rest = iter(text.splitlines())
    for line in starter(text).splitlines():
        todo = line.strip().startswith(("# TODO", "raise NotImplementedError"))
        # A docstring that lost its explanation is closed on its first line.
        opened = line.removesuffix('"""') if line.count('"""') == 2 else line
        assert todo or any(opened == other or line == other for other in rest), line
