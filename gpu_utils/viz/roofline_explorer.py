"""The explorer of the roofline: an operation that moves as its sizes, dtype and parts change."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gpu_utils import roofline as model
from gpu_utils.specs import GPUSpec
from gpu_utils.viz.explorer import Explorer, choice, slider, switch
from gpu_utils.viz.roofline_plot import PARTS, Roofline, roofline
from gpu_utils.viz.roofline_points import Point, answers, roofs, timed_on

__all__ = ["OPERATIONS", "explore_roofline"]

# What an explorer of the roofline can put on it: the cost, and sizes to begin with.
OPERATIONS: Mapping[str, tuple[Callable[..., model.OpCost], Mapping[str, int]]] = {
    "matmul": (model.matmul_cost, {"m": 4096, "n": 4096, "k": 4096}),
    "mlp": (model.mlp_cost, {"batch": 16, "d_model": 4096, "d_hidden": 16384}),
    "softmax": (model.softmax_cost, {"rows": 4096, "columns": 4096}),
    "axpby": (model.axpby_cost, {"elements": 2**24}),
}
_MEANING = {
    "m": "rows of the left matrix and of the result",
    "n": "columns of the right matrix and of the result",
    "k": "columns of the left matrix, rows of the right one",
    "batch": "rows that share the weights",
    "d_model": "width of the layer's input and output",
    "d_hidden": "width of the layer between",
    "rows": "rows, each normalised by itself",
    "columns": "columns, over which each row is summed",
    "elements": "length of the vectors",
}
_MATRIX = ("matmul", "mlp")  # these reach the peak of a dtype, the others that of the plain cores
_DTYPES = [dtype for dtype in model.BYTES_PER_ELEMENT if dtype != "int8"]  # its rate is no FLOP/s


def explore_roofline(
    points: Sequence[Point] = (),
    parts: Sequence[str | GPUSpec] = PARTS,
    dtype: str = "bf16",
    operation: str = "matmul",
    **sizes: int,
) -> Explorer:
    """Move an operation over the roofline, beside kernels of your own.

    `roofline` draws the same without controls.

    Args:
        points: What stands beside the operation, as for `roofline`.
        parts: What can be shown, as for `roofline`; each has a box to hide it.
        dtype: What is stored, and whose peak is the roof, to begin with.
        operation: One of `OPERATIONS`, to begin with.
        sizes: Of the operation, to begin with: `m=1`. Sliders have the powers of two, and these.

    Raises:
        ValueError: An operation, a dtype or a size that there is no control for.
        UnknownPartError: No part has a name that was given.
    """
    theirs = roofs(parts, dtype)
    dtypes = [d for d in _DTYPES if any(d in roof.spec.peak_flops_per_s for roof in theirs)]
    _check("operation", operation, OPERATIONS)
    _check("dtype", dtype, dtypes)
    for size, value in sizes.items():
        _check("size", size, OPERATIONS[operation][1])
        if not (isinstance(value, int) and 1 <= value <= _powers(size)[-1]):
            raise ValueError(f"{size}: expected 1 to {_powers(size)[-1]}, got {value!r}")
    # A kernel's own dtype does not change with the picture's.
    own = [dataclasses.replace(point, dtype=point.dtype or dtype) for point in points]
    answers(own, theirs)  # what cannot be drawn is refused now, not while a slider moves

    def draw(values: Mapping[str, Any]) -> Roofline:
        shown = [roof.spec for roof in theirs if values[roof.spec.id]]
        beside = [p for p in own if p.part is None or any(timed_on(p, spec) for spec in shown)]
        return roofline([_operated(values), *beside], shown, values["dtype"])

    operations = choice("operation", [*OPERATIONS], operation)
    switches = {roof.spec.id: switch(roof.name) for roof in theirs}
    rows = [
        {"operation": operations, "dtype": choice("dtype", dtypes, dtype)},
        switches,
        _sliders(operations, sizes),
    ]
    return Explorer("explore the roofline", draw, rows)


def _sliders(operations: Any, sizes: Mapping[str, int]) -> dict[str, Any]:
    """A slider for each size of each operation; those of the chosen one show."""
    sliders = {
        size: slider(size, _powers(size), sizes.get(size, value), _MEANING[size])
        for _, defaults in OPERATIONS.values()
        for size, value in defaults.items()
    }

    def show(_change: Any = None) -> None:
        for size, each in sliders.items():
            needed = size in OPERATIONS[operations.value][1]
            each.layout.display = None if needed else "none"

    show()
    operations.observe(show, "value")
    return sliders


def _operated(values: Mapping[str, Any]) -> Point:
    """The point of the operation that the controls describe."""
    name = values["operation"]
    cost, defaults = OPERATIONS[name]
    sizes = {size: values[size] for size in defaults}
    called = ", ".join(f"{size}={value}" for size, value in sizes.items())
    plain = None if name in _MATRIX else "fp32"
    return Point.of(f"{name}({called})", cost(**sizes, dtype=values["dtype"]), dtype=plain)


def _check(what: str, given: str, known: Iterable[str]) -> None:
    if given not in known:
        raise ValueError(f"unknown {what} {given!r}: expected one of {', '.join(known)}")


def _powers(size: str) -> list[int]:
    """The sizes on a slider."""
    return [2**power for power in range(29 if size == "elements" else 17)]
