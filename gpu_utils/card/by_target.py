"""What unfolds on a card by target: what the compiler made of each kernel, side by side."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.markup import NONE, Cell, folded, table
from gpu_utils.card.native import KINDS, compiled_for, instructions
from gpu_utils.card.pieces import Bare, Code, Compiled
from gpu_utils.codegen import targets
from gpu_utils.quantities import Label, Quantity, text

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, KernelCode
    from gpu_utils.codegen import Artifact

__all__ = ["by_target"]


def by_target(card: "Card") -> str:
    """What the compiler made of each kernel, target beside target."""
    if not card.kernels:
        return ""
    body = "".join(_code(code, card.targets) for code in card.kernels)
    built = [artifact for code in card.kernels for artifact in code.built.values()]
    compilers = "; ".join(dict.fromkeys(artifact.compiler for artifact in built))
    if compilers:
        body += f'with <span class="compiled">⟨{html.escape(compilers)}⟩</span>'
    return folded("By target", _headline(card), body)


def _headline(card: "Card") -> Cell:
    """The most registers and the least occupancy on the target that the card speaks of."""
    shown = compiled_for(card)
    built = [code.built[shown] for code in card.kernels if shown in code.built]
    if not built:
        return (f"no code for {shown}",)
    registers = max(artifact.registers for artifact in built)
    fullest = min(artifact.occupancy.share for artifact in built)
    return (
        Quantity(registers, "registers", Label.COMPILED),
        ", ",
        Compiled(text(fullest, "%")),
        f" occupancy on {shown}",
    )


def _code(code: "KernelCode", wanted: Sequence[str]) -> str:
    built = [code.built.get(target) for target in wanted]
    rows: list[list[Cell]] = [[("fits",), *(_fits(code, target) for target in wanted)]]
    for kind in KINDS:
        rows.append([(kind,), *(_listed(instructions(a, kind) if a else {}) for a in built)])
    for title, field in (
        ("a thread loads", "load_widths"),
        ("a thread stores", "store_widths"),
        ("past the registers", "async_copy_widths"),
    ):
        rows.append([(title,), *(_widths(getattr(a, field) if a else {}) for a in built)])
    rows.append([("registers a thread",), *(_figure(a, "registers") for a in built)])
    rows.append([("spilled a thread",), *(_figure(a, "spill_bytes", "B") for a in built)])
    rows.append([("shared memory",), *map(_shared, built)])
    if any(a and a.tensor_memory_columns for a in built):
        columns = [_figure(a, "tensor_memory_columns") for a in built]
        rows.append([("tensor memory columns",), *columns])
    rows.append([("warps",), *(_figure(a, "num_warps") for a in built)])
    rows.append([("occupancy",), *(_occupancy(a) if a else NONE for a in built)])
    rows.append([("other instructions",), *(_rest(a) if a else NONE for a in built)])
    rows = [row for row in rows if any(cell != NONE for cell in row[1:])]
    times = f" x {code.launches}" if code.launches > 1 else ""
    head: list[Cell] = [(Code(code.kernel), times), *((target,) for target in wanted)]
    return table(f"{code.kernel} by target", "l" * len(head), head, rows)


def _fits(code: "KernelCode", target: str) -> Cell:
    if target in code.refused:
        return ("✗ does not compile:\n", code.refused[target].partition(": ")[2])
    return ("✓",) if code.built[target].fits else ("✗ does not fit",)


def _listed(names: Mapping[str, int]) -> Cell:
    return _lines((Code(name), " ", _compiled(count)) for name, count in names.items())


def _widths(table: Mapping[int, int]) -> Cell:
    return _lines((f"{bits} bit ", _compiled(table[bits])) for bits in sorted(table, reverse=True))


def _lines(cells: Iterable[Cell]) -> Cell:
    """Cells one below the other."""
    return tuple(piece for cell in cells for piece in ("\n", *cell))[1:] or NONE


def _figure(artifact: "Artifact | None", field: str, unit: str = "") -> Cell:
    return (_compiled(getattr(artifact, field), unit),) if artifact else NONE


def _occupancy(artifact: "Artifact") -> Cell:
    """Blocks that live on an SM at once, their warps' share, and what runs out first."""
    found = artifact.occupancy
    blocks = "block" if found.blocks_per_sm == 1 else "blocks"
    return (
        Compiled(text(found.share, "%")),
        "\n",
        Compiled(f"{found.blocks_per_sm} {blocks} an SM"),
        "\nlimited by ",
        Compiled(found.limiter),
    )


def _rest(artifact: "Artifact") -> Cell:
    """The classes of instructions that have no row of their own."""
    named = {name for kinds in KINDS.values() for name in kinds}
    rest = {name: count for name, count in artifact.classes.items() if name not in named}
    return _lines((Compiled(f"{count} {name}"),) for name, count in rest.items())


def _shared(artifact: "Artifact | None") -> Cell:
    if artifact is None:
        return NONE
    limit = Quantity(targets.get(artifact.target).shared_limit_bytes, "iB", Label.CITED)
    return (_compiled(artifact.shared_bytes, "iB"), " of ", Bare(limit))


def _compiled(value: int, unit: str = "") -> Bare:
    return Bare(Quantity(value, unit, Label.COMPILED))
