"""What unfolds on a card of recorded runs: the solution's, on GPUs that are not here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.limit import short
from gpu_utils.card.markup import NONE, Cell, folded, table
from gpu_utils.card.pieces import Bare
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, Recorded

__all__ = ["runs"]


def runs(card: "Card") -> str:
    """One row a recorded run; a stale one says so."""
    if not card.recorded:
        return ""
    head = (("run",), ("state",), ("arguments",), ("time",), ("share of its bound",))
    rows = [_row(run) for run in card.recorded]
    whose = ", ".join(dict.fromkeys(run.whose for run in card.recorded))
    return folded(
        "Recorded", (f"{whose} ", Label.RECORDED), table("recorded runs", "lllll", head, rows)
    )


def _row(run: "Recorded") -> Sequence[Cell]:
    given = ", ".join(f"{name}: {value}" for name, value in run.arguments.items())
    time = Bare(Quantity(run.timing.median_s, "s", Label.RECORDED))
    state = f"stale: {', '.join(run.changes)}" if run.changes else "fresh"
    return (f"{run.where}\n{run.versions}",), (state,), (given,), (time,), _share(run)


def _share(run: "Recorded") -> Cell:
    if run.bound.bound is None:
        return (f"unknown: {run.bound.unknown}",) if run.bound.unknown else NONE
    reached = Quantity(run.bound.bound.time_s / run.timing.median_s, "%", Label.RECORDED)
    return (Bare(reached), f" of {short(run.bound)}")
