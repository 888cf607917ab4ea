"""What unfolds last on a card: what the numbers mean, and what they take for granted."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpu_utils.card.limit import short
from gpu_utils.card.markup import Cell, drawn, folded
from gpu_utils.card.pieces import Bare
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card
    from gpu_utils.traffic import Traffic

__all__ = ["notes"]


def notes(card: "Card") -> str:
    """What the numbers mean, and what they take for granted."""
    said = "".join(f"<li>{drawn(note)}</li>" for note in _notes(card))
    if not said:
        return ""
    return folded("What is assumed", (), f'<ul style="margin:0;padding-left:1.2em">{said}</ul>')


def _notes(card: "Card") -> Iterator[Cell]:
    if card.traffic and card.compulsory_bytes is not None:
        yield from _counting(card.traffic, card.compulsory_bytes)
    if card.kernels:
        yield (
            "Compiled as a launch with these very arguments would be: the compiler knows their "
            "alignment, and which sizes are 1 or multiples of 16.",
        )
    known = [part for part in card.bounds if part.bound]
    if known:
        yield (
            "A part needs at least the longer of two times: compulsory bytes over its memory "
            "bandwidth, FLOP over its peak. No launch, latency or cache is in it.",
        )
        if any(part.bound and part.bound.l2_time_s is not None for part in known):
            yield (
                "The L2 limits too: what programs ask it for over its bandwidth, where that is "
                "known and takes longer than what DRAM moves. No L1 is in it.",
            )
        dtypes = dict.fromkeys(part.dtype for part in known)
        plain = all(dtype in ("fp32", "fp64") for dtype in dtypes)
        yield (
            f"The peak is {', '.join(dtypes)}: "
            + ("of the plain cores, since there are no matrix products." if plain else
               "matrix products as the dtype of the largest argument."),
        )  # fmt: skip
    yield from _modelling(card)


def _counting(moved: "Traffic", compulsory_bytes: int) -> Iterator[Cell]:
    yield (
        Quantity(compulsory_bytes, "B", Label.COUNTED),
        " are compulsory: the distinct bytes of the arguments that are used and of the results. "
        "Temporaries are not.",
    )
    if moved.launches:
        programs = sum(launch.programs for launch in moved.launches)
        yield (
            Quantity(moved.flops, "FLOP", Label.COUNTED),
            " in ",
            Bare(Quantity(programs, "program" if programs == 1 else "programs", Label.COUNTED)),
            "; lanes that a mask switches off calculate too.",
        )
    if moved.special_ops:
        yield (
            Quantity(moved.special_ops, "special functions", Label.COUNTED),
            " (exp, log, sqrt and their kind): other units compute them, and no bound knows them.",
        )
    if any(op.kind == "compute" for op in moved.eager_ops):
        yield ("What torch's own operations calculate is not counted in FLOP.",)
    yield (
        Quantity(moved.peak_bytes, "B", Label.COUNTED),
        " is the most that its own allocations held at once.",
    )


def _modelling(card: "Card") -> Iterator[Cell]:
    """Under what the sectors, the DRAM bytes and each part's bound hold."""
    if card.sectors:
        yield (
            "Sectors of 32 bytes: a warp's lanes ask for elements as the compiler laid them out "
            f"for {card.sectors.target}; each instruction's sectors are counted alone.",
        )
    elif card.unsectored:
        yield (f"Sectors are not modelled: {card.unsectored}.",)
    models = [part.dram.assumptions for part in card.bounds if part.dram]
    shared = [said for said in models[0] if all(said in each for each in models)] if models else []
    if shared:
        yield (f"DRAM bytes: {'; '.join(shared)}.",)
    for part in card.bounds:
        own = [said for said in part.dram.assumptions if said not in shared] if part.dram else []
        said = [*own, f"bandwidth and peak: {', '.join(part.sources)}"] if part.sources else own
        name = "" if own else f"{short(part)}: "  # a model's assumptions begin with it
        yield from [(f"{name}{'; '.join(said)}.",)] if said else []
