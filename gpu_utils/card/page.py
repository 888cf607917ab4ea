"""The card as HTML: five lines, and behind them the tables.

Only inline styles: a notebook that is not trusted loses its style sheets. Text and lines take
JupyterLab's variables, so that both themes work; the three colours are for bars and edges, which
stand beside a word that says the same.
"""

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gpu_utils.card.lines import SIGNS, Bare, Code, Line, Piece, State, five, instructions, short
from gpu_utils.quantities import Label, Quantity

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, KernelCode, PartBound
    from gpu_utils.codegen import Artifact

MEMORY, ARITHMETIC, REACHED = "#0072B2", "#D55E00", "#009E73"
_FAINT = "var(--jp-ui-font-color2, #757575)"
_EDGES: dict[State, str] = {
    "reached": f"4px solid {REACHED}",
    "failed": f"4px solid {ARITHMETIC}",
    "noted": f"4px solid {_FAINT}",
    "unknown": f"4px dashed {_FAINT}",
}
_CELL = "text-align:left;vertical-align:top;padding:2px 10px 2px 0;background:transparent"


def html_of(pieces: Iterable[Piece]) -> str:
    """Pieces of a line or a cell, escaped, with a badge beside each labelled number."""
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
