"""The first line of a card: what limits the kernel on the first part, and by how much."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpu_utils.card.pieces import Bare, Piece, Strong
from gpu_utils.quantities import Label, Quantity
from gpu_utils.roofline.bounds import Limiter

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, PartBound
    from gpu_utils.traffic import Traffic

__all__ = ["WORDS", "known_limiter", "limit", "short"]

WORDS: dict[Limiter, str] = {"memory": "memory", "L2": "L2", "compute": "arithmetic"}


def short(part: "PartBound") -> str:
    """A part's name without its vendor's."""
    return part.name.removeprefix("NVIDIA ").removeprefix("AMD ")


def known_limiter(card: "Card") -> Limiter | None:
    """What limits the kernel on the first part; None if that is not known."""
    bound = card.bounds[0].bound if card.bounds else None
    if bound is None or card.traffic is None or not card.traffic.launches:
        return None
    return bound.limiter


def limit(card: "Card") -> Iterator[Piece]:
    """What limits the kernel and by how much, or why that is unknown."""
    part = card.bounds[0] if card.bounds else None
    if card.traffic is None:
        yield "what limits it is unknown, since its traffic could not be counted"
    elif not card.traffic.launches:
        yield "launches no Triton kernel; torch's own are counted in bytes, not in FLOP"
    elif part is None:
        yield "no part was asked for, so there is no ridge to compare with"
    elif part.bound is None:
        yield f"what limits it is unknown: {part.unknown}"
    else:
        yield Strong(f"limited by {WORDS[part.bound.limiter]}")
        yield ": "
        if part.bound.limiter == "L2":
            yield from _by_l2(part)
        elif not card.traffic.flops:
            yield from _without_flops(card.traffic)
        else:
            yield from _from_the_ridge(part)


def _by_l2(part: "PartBound") -> Iterator[Piece]:
    assert part.bound is not None
    assert part.bound.l2_time_s is not None
    assert part.dram is not None
    yield "programs ask it for "
    yield Quantity(part.dram.l2_bytes, "B", Label.MODELLED)
    yield ", which takes "
    others = max(part.bound.memory_time_s, part.bound.compute_time_s)
    yield Bare(Quantity(part.bound.l2_time_s / others, "x", Label.MODELLED))
    yield f" as long as what limits it next on {short(part)}"


def _without_flops(moved: "Traffic") -> Iterator[Piece]:
    yield Quantity(0, "FLOP", Label.COUNTED)
    if moved.special_ops:
        yield ", and "
        yield Bare(Quantity(moved.special_ops, "special functions", Label.COUNTED))
        yield " that no bound knows"
    else:
        yield ", nothing but bytes to move"


def _from_the_ridge(part: "PartBound") -> Iterator[Piece]:
    assert part.bound is not None
    assert part.intensity is not None
    assert part.ridge is not None
    below = part.bound.limiter == "memory"
    ratio = part.ridge / part.intensity if below else part.intensity / part.ridge
    yield Quantity(part.intensity, "FLOP/byte", Label.COUNTED)
    yield ", "
    yield Bare(Quantity(ratio, "x", Label.MODELLED))
    yield f" {'below' if below else 'above'} the {part.dtype} ridge of "
    yield Quantity(part.ridge, "FLOP/byte", Label.MODELLED)
    yield f" on {short(part)}"
