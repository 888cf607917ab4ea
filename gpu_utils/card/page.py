"""The card as HTML: five lines, and behind them the tables."""

import html
from typing import TYPE_CHECKING

from gpu_utils.card import tables
from gpu_utils.card.lines import SIGNS, Line, State, five
from gpu_utils.card.markup import ARITHMETIC, FAINT, MEMORY, REACHED, RULE, UNKNOWN, drawn

if TYPE_CHECKING:
    from gpu_utils.card.model import Card

__all__ = ["page"]

_EDGES: dict[State, str] = {
    "reached": f"4px solid {REACHED}",
    "failed": f"4px solid {ARITHMETIC}",
    "noted": f"4px solid {UNKNOWN}",
    "unknown": f"4px dashed {UNKNOWN}",
}
_LINE = "padding:2px 0 2px 10px;margin:4px 0"


def page(card: "Card") -> str:
    """The HTML of a card."""
    first, *rungs = five(card)
    given = ", ".join(f"{name}: {value}" for name, value in card.arguments.items())
    folded = (tables.by_tensor, tables.by_line, tables.by_target, tables.by_part, tables.notes)
    return (
        f'<div class="ridge-card" role="group" aria-label="kernel card of {html.escape(card.name)}"'
        f' style="border:1px solid {RULE};padding:6px 14px;max-width:70em">'
        f'<div style="border-left:{_limit(card)};{_LINE}">{drawn(first.pieces)}'
        f'<div style="color:{FAINT};font-size:90%">{html.escape(given)}</div></div>'
        f'<div role="list">{"".join(map(_rung, rungs))}</div>'
        f'<div style="border-top:1px solid {RULE};padding-top:4px">'
        f"{''.join(part(card) for part in folded)}</div></div>"
    )


def _limit(card: "Card") -> str:
    """The edge of the first line: the colour of what limits the kernel."""
    bound = card.bounds[0].bound if card.bounds else None
    if bound is None or card.traffic is None or not card.traffic.launches:
        return _EDGES["unknown"]
    return f"4px solid {MEMORY if bound.limiter == 'memory' else ARITHMETIC}"


def _rung(line: Line) -> str:
    said = f'role="img" aria-label="{line.state}" title="{line.state}"'
    sign = f"<span {said}>{SIGNS[line.state]}</span>"
    return (
        f'<div role="listitem" style="display:flex;border-left:{_EDGES[line.state]};{_LINE}">'
        f'<div style="min-width:5.2em">{sign} <b>{line.rung}</b></div>'
        f"<div>{drawn(line.pieces)}</div></div>"
    )
