"""What unfolds on a card by part: its limits, which of them binds, and what its DRAM moves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.limit import WORDS, short
from gpu_utils.card.markup import COLOURS, NONE, Bar, Cell, folded, table
from gpu_utils.card.pieces import Bare
from gpu_utils.quantities import Label, Quantity
from gpu_utils.roofline import Bound

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, PartBound
    from gpu_utils.roofline.bounds import Limiter

__all__ = ["by_part"]


def by_part(card: "Card") -> str:
    """The times of each part and which of them binds, and the bytes that its DRAM moves."""
    if not card.bounds or card.traffic is None:
        return ""
    kernels = bool(card.traffic.launches)
    l2 = any(part.bound and part.bound.l2_time_s is not None for part in card.bounds)
    head: list[Cell] = [("part",), ("memory",), *([("L2",)] if l2 else []), ("arithmetic",)]
    head += [("limited by",), ("ridge",), *([("DRAM moves",)] if kernels else [])]
    rows = [_row(part, card, l2) for part in card.bounds]
    body = table("bounds by part", "l" * len(head), head, rows)
    first = card.bounds[0]
    if first.bound is None:
        return folded("By part", (f"unknown on {short(first)}",), body)
    least = Quantity(first.bound.time_s, "s", Label.MODELLED)
    return folded("By part", ("at least ", least, f" on {short(first)}, from cold memory"), body)


def _row(part: "PartBound", card: "Card", l2: bool) -> Sequence[Cell]:
    assert card.traffic is not None
    kernels = bool(card.traffic.launches)
    bound = part.bound
    row: list[Cell] = [(short(part),), _time(bound, "memory")]
    row += [_time(bound, "L2")] if l2 else []
    if bound is None:
        row += [NONE, (_unknown(part.unknown),), NONE]
    elif not kernels:
        row += [("not counted",), ("unknown",), NONE]
    else:
        ridge = Bare(Quantity(part.ridge, "FLOP/byte", Label.MODELLED))
        row += [_time(bound, "compute"), (WORDS[bound.limiter],), (ridge, f", {part.dtype}")]
    return [*row, _dram(part, card.compulsory_bytes)] if kernels else row


def _time(bound: Bound | None, limiter: "Limiter") -> Cell:
    """One of a part's times, with its bar beside those of the others."""
    if bound is None:
        return NONE
    times = {"memory": bound.memory_time_s, "L2": bound.l2_time_s, "compute": bound.compute_time_s}
    time_s = times[limiter]
    if time_s is None:
        return NONE
    written = Bare(Quantity(time_s, "s", Label.MODELLED))
    return (written, Bar(time_s / bound.time_s, COLOURS[limiter]))


def _dram(part: "PartBound", compulsory_bytes: int | None) -> Cell:
    """Bytes that DRAM moves for the kernels, and how many times the compulsory ones."""
    if part.dram is None:
        return (_unknown(part.unmodelled),) if part.unmodelled else NONE
    moved = part.dram.total_bytes
    nbytes = Bare(Quantity(moved, "B", Label.MODELLED))
    if not compulsory_bytes:
        return (nbytes,)
    return (nbytes, ", ", Bare(Quantity(moved / compulsory_bytes, "x", Label.MODELLED)))


def _unknown(why: str) -> str:
    """A reason without the part's name, which stands in the same row."""
    return f"unknown: {why.partition(' of ')[0]}"
