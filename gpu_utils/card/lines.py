"""The five lines of a card: what limits the kernel, then right, lean, native, fast."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpu_utils.card.limit import limit, short
from gpu_utils.card.native import native
from gpu_utils.card.pieces import Bare, Code, Line, Piece, State
from gpu_utils.quantities import Label, Quantity
from gpu_utils.traffic.lane_model import SECTOR_BYTES

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, PartBound, Recorded

__all__ = ["NOT_ON_GPU", "NO_GPU", "five", "is_temporary"]

# Why there is no time, which a recording may make up for.
NO_GPU, NOT_ON_GPU = "no GPU here", "pass CUDA tensors to time it"


def five(card: "Card") -> tuple[Line, ...]:
    """The five lines, read top down as the ladder."""
    return (
        Line("", "noted", (Code(card.name), ": ", *limit(card))),
        _right(card),
        _lean(card),
        native(card),
        _fast(card),
    )


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
