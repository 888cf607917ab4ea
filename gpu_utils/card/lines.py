"""The five lines of a card: what limits the kernel, then right, lean, native, fast."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.limit import limit, short
from gpu_utils.card.pieces import Bare, Code, Compiled, Line, Piece, State
from gpu_utils.codegen import Artifact, targets
from gpu_utils.codegen.classes import class_of
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.traffic.lane_model import SECTOR_BYTES

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, PartBound, Recorded

__all__ = [
    "KINDS",
    "NOT_ON_GPU",
    "NO_GPU",
    "compiled_for",
    "five",
    "instructions",
    "is_temporary",
    "target_of",
]

# The rows of a card, each with the instructions' classes that belong in it.
KINDS = {
    "matrix": ("matrix",),
    "global memory": ("global memory", "async copy", "TMA"),
    "shared memory": ("shared memory", "tensor memory"),
    "special functions": ("special function",),
    "local memory": ("local memory",),
}
NO_GPU, NOT_ON_GPU = "no GPU here", "pass CUDA tensors to time it"
FILLED = 0.9  # of the sectors that are touched; below that the card says so


def five(card: "Card") -> tuple[Line, ...]:
    """The five lines, read top down as the ladder."""
    return (
        Line("", "noted", (Code(card.name), ": ", *limit(card))),
        _right(card),
        _lean(card),
        _native(card),
        _fast(card),
    )


def instructions(artifact: Artifact, kind: str) -> dict[str, int]:
    """The instructions of one kind, as they are in the code, with how often they stand there."""
    table = artifact.opcodes if kind == "shared memory" else artifact.instructions
    return {name: count for name, count in table.items() if class_of(name) in KINDS[kind]}


def is_temporary(card: "Card", name: str) -> bool:
    """Whether a tensor is neither an argument nor a result, as far as its name tells."""
    root, _, copy = name.partition("[")[0].partition("#")
    return root != "out" and bool(copy or root not in card.arguments)


def _right(card: "Card") -> Line:
    states: dict[str, State] = {
        "agrees": "reached", "wrong": "failed", "stopped": "failed", "not compared": "unknown",
    }  # fmt: skip
    pieces: list[Piece] = [card.check.message]
    if card.check.state != "agrees" and card.traffic:
        pieces += _unwritten(card)
    if card.traffic and card.traffic.written_inputs:
        pieces.append(f"; writes into {', '.join(card.traffic.written_inputs)}")
    return Line("right", states[card.check.state], tuple(pieces))


def _unwritten(card: "Card") -> Iterator[Piece]:
    assert card.traffic is not None
    for name, row in card.traffic.by_tensor.items():
        if row.unwritten_bytes and name.partition("[")[0] == "out":
            yield "; "
            yield Quantity(row.unwritten_bytes, "B", Label.COUNTED)
            yield f" of {name} were never written"


def _lean(card: "Card") -> Line:
    moved, least = card.traffic, card.compulsory_bytes
    if moved is None or least is None:
        # What stopped a run is on the line above, unless that one only says that nothing ran.
        why = (
            ("not counted",) if card.check.state == "stopped" else ("not counted: ", card.uncounted)
        )
        return Line("lean", "unknown", why)
    pieces: list[Piece] = [Quantity(moved.total_bytes, "B", Label.COUNTED)]
    if least:
        ratio = Quantity(moved.total_bytes / least, "x", Label.COUNTED)
        pieces += [", ", Bare(ratio), " the compulsory bytes"]
    if card.elements:
        each = moved.total_bytes / card.elements
        per = Quantity(int(each) if each == int(each) else each, "B/element", Label.COUNTED)
        pieces += [", ", Bare(per)]
    pieces += _by_torch(card)
    waste = [*_again(card), *_from_dram(card)]
    reached = not waste and moved.total_bytes <= least and not _torch_works(card)
    return Line("lean", "reached" if reached else "noted", (*pieces, *waste))


def _torch_works(card: "Card") -> bool:
    """Whether torch runs anything around the kernels that is more than a fill."""
    assert card.traffic is not None
    return any(op.kind != "fill" for op in card.traffic.eager_ops)


def _by_torch(card: "Card") -> Iterator[Piece]:
    """The operations that torch ran around the kernels, with their bytes."""
    assert card.traffic is not None
    if card.traffic.eager_ops:
        yield "; "
        yield Bare(Quantity(card.traffic.eager_bytes, "B", Label.COUNTED))
        yield " by torch: "
        names = Counter(op.name for op in card.traffic.eager_ops)
        for place, (name, times) in enumerate(names.items()):
            yield ", " if place else ""
            yield Code(name)
            yield f" x {times}" if times > 1 else ""


def _again(card: "Card") -> Iterator[Piece]:
    """The tensors that kernels asked for more than once, and those in between."""
    assert card.traffic is not None
    for name, row in card.traffic.by_tensor.items():
        if is_temporary(card, name):
            yield "; "
            yield Bare(Quantity(row.load_bytes + row.store_bytes, "B", Label.COUNTED))
            yield f" through {name}, a temporary"
            continue
        for verb, asked in (("loaded", row.load_bytes), ("stored", row.store_bytes)):
            if asked > row.nbytes:
                yield f"; {name} {verb} "
                yield Bare(Quantity(asked / row.nbytes, "x", Label.COUNTED))


def _from_dram(card: "Card") -> Iterator[Piece]:
    """What DRAM moves, where caches make that differ from what is asked for or is compulsory."""
    moved, least = card.traffic, card.compulsory_bytes
    part = card.bounds[0] if card.bounds else None
    if part is None or part.dram is None or moved is None or not least or _torch_works(card):
        return
    dram = part.dram.total_bytes
    ends = 2 * SECTOR_BYTES * len(part.dram.by_tensor)  # sectors that a tensor fills in part
    if moved.kernel_bytes > moved.unique_bytes or dram > least + ends:
        yield "; DRAM moves "
        yield Quantity(dram, "B", Label.MODELLED)
        yield ", "
        yield Bare(Quantity(dram / least, "x", Label.MODELLED))
        yield f", on {short(part)}"


def _native(card: "Card") -> Line:
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


def _fast(card: "Card") -> Line:
    if card.timing is None:
        return Line("fast", "unknown", tuple(_untimed(card)))
    pieces: list[Piece] = [Quantity(card.timing.median_s, "s", Label.MEASURED)]
    part = card.timed_on
    if part is None or part.bound is None:
        pieces += [f" on {card.timing.device}, whose bound is unknown"]
    elif not card.timing.resolved:
        pieces += [f" on {short(part)}: too short for the timer"]
    else:
        pieces += [", ", *_share(card.timing.median_s, part, Label.MEASURED)]
    pieces += [f"; {said}" for said in (card.timing.swing, card.timing.note) if said]
    return Line("fast", "noted", tuple(pieces))


def _share(time_s: float, part: "PartBound", label: Label) -> Iterator[Piece]:
    """A time as a share of what a part allows; its bound is known."""
    assert part.bound is not None
    yield Bare(Quantity(part.bound.time_s / time_s, "%", label))
    yield f" of what {short(part)} allows, "
    yield Quantity(part.bound.time_s, "s", Label.MODELLED)


def _untimed(card: "Card") -> Iterator[Piece]:
    """Why there is no time, and what the solution's was where there was a GPU."""
    yield card.untimed
    if card.recorded:
        yield "; "
        yield from _run(card.recorded[0])
    elif card.untimed in (NO_GPU, NOT_ON_GPU):
        yield "; no recording yet"


def _run(run: "Recorded") -> Iterator[Piece]:
    """A recorded run; of a stale one no number, since it is of other code."""
    if run.changes:
        yield f"the run of {run.whose} on {run.where}, is stale: {', '.join(run.changes)}"
        return
    yield f"{run.whose} took "
    yield Quantity(run.timing.median_s, "s", Label.RECORDED)
    yield f" on {run.where}, for {', '.join(run.arguments.values())}"
    if run.bound.bound:
        yield ": "
        yield from _share(run.timing.median_s, run.bound, Label.RECORDED)
