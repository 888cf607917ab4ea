"""The card as HTML: five lines, and behind them the tables.

All style is inline, since a notebook that is not trusted loses its style sheets. Text and lines
take JupyterLab's variables, so that both themes work. The three colours are edges and bars, never
text, and a word beside each says the same.
"""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.lines import (
    KINDS,
    SIGNS,
    Bare,
    Code,
    Line,
    Piece,
    State,
    compiled_for,
    five,
    instructions,
    short,
)
from gpu_utils.codegen import targets
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, KernelCode, PartBound
    from gpu_utils.codegen import Artifact

__all__ = ["page"]

_COLOURS = {"memory": "#0072B2", "arithmetic": "#D55E00", "reached": "#009E73"}
_FAINT = "var(--jp-ui-font-color2, #767676)"
_RULE = "1px solid var(--jp-border-color2, #9e9e9e)"
_EDGES: dict[State, str] = {
    "reached": f"4px solid {_COLOURS['reached']}",
    "failed": f"4px double {_COLOURS['arithmetic']}",
    "noted": f"4px solid {_FAINT}",
    "unknown": f"4px dashed {_FAINT}",
}
_ROW = "padding:2px 0 2px 10px;margin:3px 0"

Cell = Sequence[Piece]


def page(card: "Card") -> str:
    """The HTML of a card."""
    first, *rungs = five(card)
    given = ", ".join(f"{name}: {value}" for name, value in card.arguments.items())
    return (
        f'<div class="ridge-card" role="group" aria-label="kernel card of {_quoted(card.name)}" '
        f'style="border:{_RULE};padding:8px 14px;max-width:62em">'
        f'<div style="border-left:{_limit_edge(card)};{_ROW};font-size:110%">'
        f"{_html(first.pieces)}</div>"
        f'<div style="padding-left:14px;color:{_FAINT}">{html.escape(given)}</div>'
        f'<div role="list">{"".join(map(_rung, rungs))}</div>'
        + "".join((_by_tensor(card), _by_line(card), _by_target(card), _by_part(card)))
        + f"{_notes(card)}</div>"
    )


def _quoted(text: str) -> str:
    return html.escape(text, quote=True)


def _html(pieces: Cell) -> str:
    """Pieces of a line or a cell, escaped, with a badge beside each number that has a label."""
    return "".join(map(_piece, pieces))


def _piece(piece: Piece) -> str:
    if isinstance(piece, Quantity):
        return piece._repr_html_()
    if isinstance(piece, Bare):
        kind = "unknown" if piece.quantity.value is None else piece.quantity.label.lower()
        return f'<span class="{kind}">{html.escape(piece.quantity.text)}</span>'
    if isinstance(piece, Code):
        return f"<code>{html.escape(piece)}</code>"
    return html.escape(piece)


def _limit_edge(card: "Card") -> str:
    bound = card.bounds[0].bound if card.bounds else None
    if bound is None or card.traffic is None or not card.traffic.launches:
        return _EDGES["unknown"]
    return f"4px solid {_COLOURS['memory' if bound.limiter == 'memory' else 'arithmetic']}"


def _rung(line: Line) -> str:
    return (
        f'<div role="listitem" style="border-left:{_EDGES[line.state]};{_ROW}">'
        f'<span role="img" aria-label="{line.state}" title="{line.state}">{SIGNS[line.state]}</span> '
        f'<b style="display:inline-block;width:4.5em">{line.rung}</b>{_html(line.pieces)}</div>'
    )


def _details(title: str, headline: Cell, body: str) -> str:
    return (
        f'<details style="margin:4px 0"><summary style="cursor:pointer"><b>{title}</b> '
        f"{_html(headline)}</summary>"
        f'<div style="overflow-x:auto;padding:4px 0 8px 14px">{body}</div></details>'
    )


def _table(label: str, head: Sequence[Cell], rows: Iterable[Sequence[Cell]], align: str) -> str:
    """A table whose first column names the row; `align` has one of "l" and "r" a column."""
    sides = ["text-align:" + {"l": "left", "r": "right"}[letter] for letter in align]
    style = "vertical-align:top;padding:2px 14px 2px 0;background:transparent"

    def row(tag: str, cells: Sequence[Cell]) -> str:
        drawn = []
        for place, (cell, side) in enumerate(zip(cells, sides, strict=True)):
            kind, scope = (tag, "col") if tag == "th" else ("td", "")
            if place == 0 and tag == "td":
                kind, scope = "th", "row"
            scoped = f' scope="{scope}"' if scope else ""
            drawn.append(f'<{kind}{scoped} style="{side};{style}">{_html(cell)}</{kind}>')
        return f'<tr style="background:transparent">{"".join(drawn)}</tr>'

    body = "".join(row("td", cells) for cells in rows)
    return (
        f'<table aria-label="{_quoted(label)}" style="border-collapse:collapse;margin:0">'
        f"<thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"
    )


def _counted(value: float, unit: str = "B") -> Bare:
    return Bare(Quantity(value, unit, Label.COUNTED))


def _compiled(value: float, unit: str = "") -> Bare:
    return Bare(Quantity(value, unit, Label.COMPILED))


def _by_tensor(card: "Card") -> str:
    moved = card.traffic
    if moved is None or not moved.by_tensor:
        return ""
    rows = [
        (
            (Code(name),),
            (_counted(row.nbytes),),
            _times(row.load_bytes, row.nbytes),
            _times(row.store_bytes, row.nbytes),
        )
        for name, row in moved.by_tensor.items()
    ]
    head = (("tensor",), ("its size",), ("kernels load",), ("kernels store",))
    body = _table("bytes by tensor", head, rows, "lrrr")
    if moved.eager_ops:
        ops = [
            ((Code(op.name),), (Code(op.where),), (_counted(op.read_bytes),),
             (_counted(op.written_bytes),))
            for op in moved.eager_ops
        ]  # fmt: skip
        head = (("torch operation",), ("where",), ("reads",), ("writes",))
        body += _table("bytes by torch operation", head, ops, "llrr")
    return _details("By tensor", (Quantity(moved.total_bytes, "B", Label.COUNTED),), body)


def _times(asked: int, nbytes: int) -> Cell:
    if not asked:
        return ("–",)
    return (_counted(asked), ", ", _counted(asked / max(nbytes, 1), "x"))


def _by_line(card: "Card") -> str:
    moved = card.traffic
    if moved is None or not moved.by_line:
        return ""
    rows = [
        (
            (where,),
            (_counted(line.load_bytes) if line.load_bytes else "–",),
            (_counted(line.store_bytes) if line.store_bytes else "–",),
            (Code(line.code),),
        )
        for where, line in moved.by_line.items()
    ]
    head = (("line",), ("loads",), ("stores",), ("source",))
    body = _table("bytes by source line", head, rows, "lrrl")
    return _details("By source line", (Quantity(moved.kernel_bytes, "B", Label.COUNTED),), body)


def _by_target(card: "Card") -> str:
    if not card.kernels:
        return ""
    body = "".join(_code(code, card.targets) for code in card.kernels)
    target = compiled_for(card)
    built = [code.built[target] for code in card.kernels if target in code.built]
    compilers = dict.fromkeys(a.compiler for code in card.kernels for a in code.built.values())
    body += "".join(f'<div><span class="compiled">⟨{_quoted(c)}⟩</span></div>' for c in compilers)
    most = Quantity(max(a.registers for a in built), "registers", Label.COMPILED) if built else ""
    return _details("By target", (most, f" on {target}" if built else ""), body)


def _code(code: "KernelCode", wanted: Sequence[str]) -> str:
    """What one kernel became, target beside target."""
    built = [code.built.get(target) for target in wanted]
    rows: list[list[Cell]] = [[("fits",), *(_fits(code, target) for target in wanted)]]
    for kind in KINDS:
        found = [instructions(a, kind) if a else {} for a in built]
        if any(found):
            rows.append([(kind,), *map(_listed, found)])
    for title, field in (("loads", "load_widths"), ("stores", "store_widths"),
                         ("async copies", "async_copy_widths")):  # fmt: skip
        widths = [getattr(a, field) if a else {} for a in built]
        if any(widths):
            named = [{f"{bits} bit": table[bits] for bits in table} for table in widths]
            rows.append([(f"{title}, a lane",), *map(_listed, named)])
    rows.append([("registers, a thread",), *_figures(built, "registers")])
    rows.append([("spilled, a thread",), *_figures(built, "spill_bytes", "B")])
    rows.append([("shared memory, a block",), *map(_shared, built)])
    if any(a.tensor_memory_columns for a in built if a):
        rows.append([("tensor memory columns",), *_figures(built, "tensor_memory_columns")])
    rows.append([("warps, a block",), *_figures(built, "num_warps")])
    times = f" x {code.launches}" if code.launches > 1 else ""
    head: list[Cell] = [(Code(code.kernel), times), *((target,) for target in wanted)]
    return _table(f"{code.kernel} by target", head, rows, "l" * len(head))
