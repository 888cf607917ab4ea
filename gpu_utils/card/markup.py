"""The bits of HTML that a card is made of.

All style is inline, since a notebook that is not trusted loses its style sheets. Text takes
JupyterLab's variables, so that both themes work. The colours are edges and bars, never text; a
sign or a word beside each says the same. They are no variables: those an untrusted notebook loses.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Sequence

from gpu_utils.card.pieces import Bare, Code, Compiled, Piece, Strong
from gpu_utils.quantities import Label, Quantity
from gpu_utils.roofline.bounds import Limiter

__all__ = [
    "ARITHMETIC",
    "COLOURS",
    "FAINT",
    "MEMORY",
    "NONE",
    "REACHED",
    "RULE",
    "UNKNOWN",
    "Bar",
    "Cell",
    "drawn",
    "folded",
    "table",
]

MEMORY, ARITHMETIC, REACHED, UNKNOWN = "#0072B2", "#D55E00", "#009E73", "#767676"
# Of what limits a kernel; the L2 is a memory too.
COLOURS: dict[Limiter, str] = {"memory": MEMORY, "L2": MEMORY, "compute": ARITHMETIC}
FAINT = "var(--jp-ui-font-color2, #767676)"
RULE = "var(--jp-border-color2, #9e9e9e)"


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar under a number: its share of the longest, and its colour."""

    share: float
    colour: str


Cell = Sequence[Piece | Bar]

NONE: Cell = ("–",)


def drawn(pieces: Cell) -> str:
    """Pieces of a line or a cell, escaped, with a badge beside each number that has a label."""
    return "".join(map(_piece, pieces))


def _piece(piece: Piece | Bar) -> str:
    if isinstance(piece, Bar):
        width = math.ceil(120 * piece.share)
        return f'<div style="width:{width}px;height:6px;background-color:{piece.colour}"></div>'
    if isinstance(piece, Quantity):
        return piece._repr_html_()
    if isinstance(piece, Label):
        return piece.badge
    if isinstance(piece, Bare):
        kind = "unknown" if piece.quantity.value is None else piece.quantity.label.lower()
        return f'<span class="{kind}">{html.escape(piece.quantity.text)}</span>'
    if isinstance(piece, Compiled):
        return f'<span class="compiled">{html.escape(str(piece))}</span>'
    text = html.escape(piece).replace("\n", "<br>")
    tag = {Code: "code", Strong: "b"}.get(type(piece))
    return f"<{tag}>{text}</{tag}>" if tag else text


def folded(title: str, headline: Cell, body: str) -> str:
    """A part of the card that opens when it is asked for."""
    return (
        f'<details style="margin:1px 0"><summary style="cursor:pointer;font-size:92%">'
        f"<b>{title}</b> {drawn(headline)}</summary>"
        f'<div style="overflow-x:auto;padding:4px 0 8px 14px">{body}</div></details>'
    )


def table(label: str, align: str, head: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    """A table whose first column names the rows; `align` has an "l" or an "r" for each column."""
    sides = [{"l": "pre-wrap;text-align:left", "r": "nowrap;text-align:right"}[a] for a in align]
    style = (
        "vertical-align:top;line-height:1.5;padding:2px 16px 2px 0;background:transparent;"
        "white-space:"
    )

    def row(cells: Sequence[Cell], tags: Iterable[str]) -> str:
        filled = (
            f'<{tag};{style}{side}">{drawn(cell)}</{tag[:2]}>'
            for tag, side, cell in zip(tags, sides, cells, strict=True)
        )
        return f'<tr style="background:transparent">{"".join(filled)}</tr>'

    across = ['th scope="col" style="font-weight:600'] * len(align)
    down = [
        'th scope="row" style="font-weight:normal;min-width:9em',
        *['td style="color:inherit'] * (len(align) - 1),
    ]
    heads, body = row(head, across), "".join(row(cells, down) for cells in rows)
    return (
        f'<table aria-label="{html.escape(label)}" style="border-collapse:collapse;margin:0 0 8px">'
        f"<thead>{heads}</thead><tbody>{body}</tbody></table>"
    )
