"""The five lines of a card: what limits the kernel, then right, lean, native, fast."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from gpu_utils.codegen import Artifact, targets
from gpu_utils.codegen.classes import class_of
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, PartBound

__all__ = [
    "KINDS",
    "SIGNS",
    "Bare",
    "Code",
    "Line",
    "Piece",
    "State",
    "Strong",
    "compiled_for",
    "five",
    "instructions",
    "is_temporary",
    "short",
]

State = Literal["reached", "failed", "noted", "unknown"]

# A sign and a word for each state: colour is never the only signal.
SIGNS: dict[State, str] = {"reached": "✓", "failed": "✗", "noted": "△", "unknown": "○"}

# The rows of a card, each with the instructions' classes that belong in it.
KINDS = {
    "matrix": ("matrix",),
    "global memory": ("global memory", "async copy", "TMA"),
    "shared memory": ("shared memory", "tensor memory"),
    "special functions": ("special function",),
    "local memory": ("local memory",),
}


class Code(str):
    """A word of code: an instruction, a name."""


class Strong(str):
    """A word that the eye should find first."""


@dataclasses.dataclass(frozen=True)
class Bare:
    """A number whose label stands beside its neighbour."""

    quantity: Quantity

    def __str__(self) -> str:
        return self.quantity.text


Piece = str | Code | Strong | Quantity | Bare


@dataclasses.dataclass(frozen=True)
class Line:
    """One line; the first has no rung."""

    rung: str
    state: State
    pieces: tuple[Piece, ...]

    def __str__(self) -> str:
        text = "".join(map(str, self.pieces))
        return f"{SIGNS[self.state]} {self.rung:<8}{text}" if self.rung else text


def five(card: "Card") -> tuple[Line, ...]:
    """The five lines, read top down as the ladder."""
    return (
        Line("", "noted", (Code(card.name), ": ", *_limit(card))),
        _right(card),
        _lean(card),
        _native(card),
        _fast(card),
    )


def instructions(artifact: Artifact, kind: str) -> dict[str, int]:
    """The instructions of one kind, as they are in the code, with how often they stand there."""
    table = artifact.opcodes if kind == "shared memory" else artifact.instructions
    return {name: count for name, count in table.items() if class_of(name) in KINDS[kind]}


def short(part: "PartBound") -> str:
    """A part's name without its vendor's."""
    return part.name.removeprefix("NVIDIA ").removeprefix("AMD ")


def is_temporary(card: "Card", name: str) -> bool:
    """Whether a tensor is neither an argument nor a result, as far as its name tells."""
    root, _, copy = name.partition("[")[0].partition("#")
    return root != "out" and bool(copy or root not in card.arguments)


def _limit(card: "Card") -> Iterator[Piece]:
    part = card.bounds[0] if card.bounds else None
    if card.traffic is None:
        yield "what limits it is unknown, since its traffic could not be counted"
    elif not card.traffic.launches:
        yield "launches no Triton kernel; torch's own are counted in bytes, not in FLOP"
    elif part is None:
        yield "no part was asked for, so there is no ridge to compare with"
    elif part.bound is None or part.intensity is None or part.ridge is None:
        yield f"what limits it is unknown: {part.unknown}"
    elif not card.traffic.flops:
        yield Strong("limited by memory")
        yield ": "
        yield Quantity(0, "FLOP", Label.COUNTED)
        yield ", nothing but bytes to move"
    else:
        memory = part.bound.limiter == "memory"
        yield Strong(f"limited by {'memory' if memory else 'arithmetic'}")
        yield ": "
        yield Quantity(part.intensity, "FLOP/byte", Label.COUNTED)
        yield ", "
        ratio = part.ridge / part.intensity if memory else part.intensity / part.ridge
        yield Bare(Quantity(ratio, "x", Label.MODELLED))
        yield f" {'below' if memory else 'above'} the {part.dtype} ridge of "
        yield Quantity(part.ridge, "FLOP/byte", Label.MODELLED)
        yield f" on {short(part)}"


def _right(card: "Card") -> Line:
    states: dict[str, State] = {
        "agrees": "reached", "wrong": "failed", "stopped": "failed", "not compared": "unknown",
    }  # fmt: skip
    pieces: list[Piece] = [card.check.message]
    if card.check.state != "agrees" and card.traffic:
        pieces += _unwritten(card)
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
        return Line("lean", "unknown", ("not counted",))
    pieces: list[Piece] = [Quantity(moved.total_bytes, "B", Label.COUNTED)]
    if least:
        ratio = Quantity(moved.total_bytes / least, "x", Label.COUNTED)
        pieces += [", ", Bare(ratio), " the compulsory bytes"]
    if card.elements:
        each = moved.total_bytes / card.elements
        per = Quantity(int(each) if each == int(each) else each, "B/element", Label.COUNTED)
        pieces += [", ", Bare(per)]
    pieces += _by_torch(card)
    pieces += _again(card)
    reached = moved.total_bytes <= least and not any(op.kind != "fill" for op in moved.eager_ops)
    return Line("lean", "reached" if reached else "noted", tuple(pieces))


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
    return Line("native", "noted" if spilled else "reached", tuple(pieces))


def compiled_for(card: "Card") -> str:
    """The target of the part that the first line speaks of, if it was compiled for it."""
    wanted = card.bounds[0].target if card.bounds else ""
    return wanted if wanted in card.targets else card.targets[0]


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
        return Line("fast", "unknown", (card.untimed,))
    pieces: list[Piece] = [Quantity(card.timing.median_s, "s", Label.MEASURED)]
    part = card.timed_on
    if part is None or part.bound is None:
        pieces += [f" on {card.timing.device}, whose bound is unknown"]
    elif not card.timing.resolved:
        pieces += [f" on {short(part)}: too short for the timer"]
    else:
        share = Quantity(part.bound.time_s / card.timing.median_s, "%", Label.MEASURED)
        bound = Quantity(part.bound.time_s, "s", Label.MODELLED)
        pieces += [", ", Bare(share), f" of what {short(part)} allows, ", bound]
    pieces += [f"; {said}" for said in (card.timing.swing, card.timing.note) if said]
    return Line("fast", "noted", tuple(pieces))
