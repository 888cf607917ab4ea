"""What unfolds on a card of its traffic: by tensor, by torch operation, by source line."""

from typing import TYPE_CHECKING

from gpu_utils.card.limit import short
from gpu_utils.card.lines import is_temporary
from gpu_utils.card.markup import NONE, Cell, folded, table
from gpu_utils.card.pieces import Bare, Code, Compiled
from gpu_utils.quantities import Label, Quantity, text

if TYPE_CHECKING:
    from gpu_utils.card.model import Card
    from gpu_utils.traffic import Traffic

__all__ = ["by_line", "by_tensor"]


def by_tensor(card: "Card") -> str:
    """What the kernels load and store of each tensor; what torch moves around them."""
    moved = card.traffic
    if moved is None:
        return ""
    body = (_kernels(card, moved) if moved.launches else "") + _torch(moved)
    return folded("By tensor", (Quantity(moved.total_bytes, "B", Label.COUNTED),), body)


def _kernels(card: "Card", moved: "Traffic") -> str:
    """Requests COUNTED, and beside them what the first part's DRAM moves of each tensor."""
    part = card.bounds[0] if card.bounds else None
    dram = part.dram.by_tensor if part and part.dram else None
    head: list[Cell] = [("tensor",), ("its size",), ("kernels load",), ("kernels store",)]
    head += [("atomics",)] if moved.atomics else []
    head += [(f"DRAM of {short(part)}",)] if part and dram is not None else []
    rows = []
    for name, row in moved.by_tensor.items():
        cells: list[Cell] = [
            (Code(name), " (temporary)" if is_temporary(card, name) else ""),
            (_counted(row.nbytes),),
            _asked(row.load_bytes, row.nbytes),
            _asked(row.store_bytes, row.nbytes),
        ]
        cells += [(_counted(row.atomics, ""),)] if moved.atomics else []
        if dram is not None:
            reached = dram.get(name)
            nbytes = reached.read_bytes + reached.write_bytes if reached else 0
            cells.append(_asked(nbytes, row.nbytes, Label.MODELLED))
        rows.append(cells)
    return table("bytes by tensor", "l" + "r" * (len(head) - 1), head, rows)


def _torch(moved: "Traffic") -> str:
    rows = [
        (
            (Code(op.name),),
            (op.where,),
            (_counted(op.read_bytes),),
            (_counted(op.written_bytes),),
        )
        for op in moved.eager_ops
    ]
    head = (("torch operation",), ("line",), ("reads",), ("writes",))
    return table("bytes by torch operation", "llrr", head, rows) if rows else ""


def by_line(card: "Card") -> str:
    """What each line of a kernel loads and stores, and how well it fills the sectors it touches."""
    moved, sectors = card.traffic, card.sectors
    if moved is None or not moved.by_line:
        return ""
    filled = (
        {place: count.efficiency for place, count in sectors.by_line.items()} if sectors else {}
    )
    head: list[Cell] = [("line",), ("loads",), ("stores",)]
    head += [("sectors filled",)] if sectors else []
    rows: list[list[Cell]] = []
    for where, line in moved.by_line.items():
        cells: list[Cell] = [(where,), _asked(line.load_bytes), _asked(line.store_bytes)]
        cells += [_filled(filled.get(where))] if sectors else []
        rows.append([*cells, (Code(line.code),)])
    body = table(
        "bytes by source line", "l" + "r" * (len(head) - 1) + "l", [*head, ("source",)], rows
    )
    headline: list = [Quantity(moved.kernel_bytes, "B", Label.COUNTED)]
    if sectors and sectors.total.efficiency is not None:
        share = Compiled(text(sectors.total.efficiency, "%"))
        headline += [
            ", ",
            share,
            " ",
            Label.MODELLED,
            f" of its sectors filled on {sectors.target}",
        ]
    return folded("By source line", headline, body)


def _filled(efficiency: float | None) -> Cell:
    return NONE if efficiency is None else (Compiled(text(efficiency, "%")),)


def _counted(value: float, unit: str = "B") -> Bare:
    return Bare(Quantity(value, unit, Label.COUNTED))


def _asked(nbytes: int, size: int = 0, label: Label = Label.COUNTED) -> Cell:
    """Bytes that were asked for, and how many times a tensor of that size."""
    if not nbytes:
        return NONE
    times = (", ", Bare(Quantity(nbytes / size, "x", label))) if size else ()
    return (Bare(Quantity(nbytes, "B", label)), *times)
