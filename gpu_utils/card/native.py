"""The line of a card about the compiled code, and how the card sorts its instructions."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.pieces import Bare, Code, Compiled, Line, Piece
from gpu_utils.codegen import Artifact, targets
from gpu_utils.codegen.classes import class_of
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.traffic.lane_model import SECTOR_BYTES

if TYPE_CHECKING:
    from gpu_utils.card.model import Card

__all__ = ["KINDS", "compiled_for", "instructions", "native", "target_of"]

# The rows of a card, each with the instructions' classes that belong in it.
KINDS = {
    "matrix": ("matrix",),
    "global memory": ("global memory", "async copy", "TMA"),
    "shared memory": ("shared memory", "tensor memory"),
    "special functions": ("special function",),
    "local memory": ("local memory",),
}
FILLED = 0.9  # of the sectors that are touched; below that the card says so


def native(card: "Card") -> Line:
    """What the compiler made of it: its instructions, what fits where, what is wasted."""
    if not card.kernels:
        return Line("native", "unknown", (card.uncompiled,))
    troubles = list(_troubles(card))
    if troubles:
        pieces: list[Piece] = [piece for trouble in troubles for piece in ("; ", *trouble)][1:]
        fine = [
            target for target in card.targets
            if all(target in code.built and code.built[target].fits for code in card.kernels)
        ]  # fmt: skip
        pieces += [f"; fits {', '.join(fine)}"] if fine else []
        return Line("native", "failed", tuple(pieces))
    target = compiled_for(card)
    built = [code.built[target] for code in card.kernels]
    names = dict.fromkeys(
        name for kind in ("matrix", "global memory") for a in built for name in
        instructions(a, kind)
    )  # fmt: skip
    pieces = [f"{target}: "]
    for name in names:
        pieces += [Code(name), ", "]
    spilled = max(a.spill_bytes for code in card.kernels for a in code.built.values())
    pieces += [
        Quantity(max(a.registers for a in built), "registers", Label.COMPILED),
        "; fits ",
        ", ".join(card.targets),
    ]
    if spilled:
        pieces += ["; up to ", Bare(Quantity(spilled, "bytes", Label.COMPILED)), " spilled"]
    waste = tuple(_of_sectors(card))
    return Line("native", "noted" if spilled or waste else "reached", (*pieces, *waste))


def _of_sectors(card: "Card") -> Iterator[Piece]:
    """The tensor that wastes most of the sectors its warps touch, if all together waste many."""
    if card.sectors is None or (card.sectors.total.efficiency or 1) >= FILLED:
        return
    rows = card.sectors.by_tensor
    worst = max(rows, key=lambda name: SECTOR_BYTES * rows[name].sectors - rows[name].useful_bytes)
    yield f"; {worst} fills "
    yield Compiled(text(rows[worst].efficiency, "%"))
    yield " "
    yield Label.MODELLED
    yield " of its sectors"


def compiled_for(card: "Card") -> str:
    """The target of the part that the first line speaks of, if it was compiled for it."""
    return target_of(card.bounds[0].target if card.bounds else None, card.targets)


def target_of(wanted: str | None, among: Sequence[str]) -> str:
    """The target that is wanted if it is among these, else the first of them; "" of none."""
    return wanted if wanted in among and wanted else next(iter(among), "")


def _troubles(card: "Card") -> Iterator[tuple[Piece, ...]]:
    """What does not compile, and what needs more than a block can have."""
    for code in card.kernels:
        reasons: dict[str, list[str]] = {}
        for target, why in code.refused.items():
            reason = why.splitlines()[0].partition(f" for {target}: ")[2]
            reasons.setdefault(reason, []).append(target)
        for reason, where in reasons.items():
            yield (Code(code.kernel), f" does not compile for {', '.join(where)}: {reason}")
        large = [artifact for artifact in code.built.values() if not artifact.fits]
        if large:
            yield (Code(code.kernel), " does not fit: ", *_too_much(large))


def _too_much(large: Sequence[Artifact]) -> Iterator[Piece]:
    """What each target's block needs and can have; labels beside the first numbers only."""
    for place, artifact in enumerate(large):
        limit = Quantity(targets.get(artifact.target).shared_limit_bytes, "iB", Label.CITED)
        needs = Quantity(artifact.shared_bytes, "iB", Label.COMPILED)
        yield f"{', ' if place else ''}on {artifact.target} "
        if artifact.tensor_memory_columns > targets.get(artifact.target).tensor_memory_columns:
            yield f"⟨{artifact.fits_message}⟩"
        elif place:
            yield from (Bare(needs), " of ", Bare(limit))
        else:
            yield from ("a program needs ", needs, " shared memory of ", limit)


def instructions(artifact: Artifact, kind: str) -> dict[str, int]:
    """The instructions of one kind, as they are in the code, with how often they stand there."""
    table = artifact.opcodes if kind == "shared memory" else artifact.instructions
    return {name: count for name, count in table.items() if class_of(name) in KINDS[kind]}
