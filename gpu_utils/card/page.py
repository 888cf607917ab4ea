"""The card as HTML: five lines, and behind them the tables."""

import html
from typing import TYPE_CHECKING

from gpu_utils.card.by_part import by_part
from gpu_utils.card.by_target import by_target
from gpu_utils.card.limit import known_limiter
from gpu_utils.card.lines import five
from gpu_utils.card.markup import ARITHMETIC, COLOURS, FAINT, REACHED, RULE, UNKNOWN, drawn
from gpu_utils.card.notes import notes
from gpu_utils.card.pieces import SIGNS, Line, State
from gpu_utils.card.runs import runs
from gpu_utils.card.tables import by_line, by_tensor

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
    folded = (by_tensor, by_line, by_target, by_part, runs, notes)
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
    """The edge of the first line: the colour of what limits the kernel, doubled for the L2."""
    limiter = known_limiter(card)
    if limiter is None:
        return _EDGES["unknown"]
    return f"4px {'double' if limiter == 'L2' else 'solid'} {COLOURS[limiter]}"


def _rung(line: Line) -> str:
    said = f'role="img" aria-label="{line.state}" title="{line.state}"'
    sign = f"<span {said}>{SIGNS[line.state]}</span>"
    return (
        f'<div role="listitem" style="display:flex;border-left:{_EDGES[line.state]};{_LINE}">'
        f'<div style="min-width:5.2em">{sign} <b>{line.rung}</b></div>'
        f"<div>{drawn(line.pieces)}</div></div>"
    )
