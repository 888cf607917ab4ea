"""Decoding as a picture: tokens/s of each GPU against the batch, a line for each part.

A line is blue where memory limits the products with weights, orange where arithmetic does, and
ends where the memory is full; there a dotted line leads to the part's name.
"""

import html
import itertools
import math
from collections.abc import Iterator, Sequence

from gpu_utils.specs import GPUSpec
from gpu_utils.viz import roofline_lines
from gpu_utils.viz.decode_answers import Decoded, Setting, batches, decoded, lines, setting
from gpu_utils.viz.machine import ARITHMETIC, MEMORY, Drawing
from gpu_utils.viz.roofline_axes import INK, LEFT, RIGHT, RULE, Scale, text_at
from gpu_utils.viz.roofline_lines import Line
from gpu_utils.viz.roofline_svg import FAINT, HALO, REACHED, UNKNOWN, WIDTH

__all__ = ["Decoding", "decoding"]

TOP, BOTTOM = 46, 386
MOST = 6  # names beside the plot


class Decoding(Drawing):
    """A picture whose answers can be had alone.

    Attributes:
        answers: What each part comes to, as values.
        lines: The same as text.
    """

    def __init__(self, svg: str, found: tuple[Decoded, ...], said: tuple[Line, ...]) -> None:
        super().__init__(svg, "\n".join(map(roofline_lines.text, said)))
        self.answers, self.lines = found, said


def decoding(
    model: str = "Llama 2 70B",
    parts: Sequence[str | GPUSpec] = ("h100", "mi300x"),
    *,
    gpus: int = 2,
    batch: int = 1,
    context: int = 4096,
    dtype: str = "bf16",
    ceilings: str = "data sheet",
) -> Decoding:
    """Draw how fast parts decode at best, as `roofline.decode_step` models it.

    Args:
        model: A name of `roofline.LLMS`.
        parts: Names as `specs.get` takes them, or a `GPUSpec`. The last is compared with the first.
        gpus: How many hold one copy of the model.
        batch: The sequences at which the answer is given.
        context: Tokens in the cache of each.
        dtype: Of weights, caches and arithmetic.
        ceilings: "data sheet", or "reached" for the best matrix product that was published.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: An unknown model, dtype or ceiling, or a size below 1.

    >>> print(decoding("Llama 3.1 8B", ["h100"], gpus=1, context=1000))
    Llama 3.1 8B in bf16, 1 GPU for a copy, caches of 1000 tokens, peaks: data sheet
    H100 SXM5 80GB: at most 426 sequences fit
    - batch 1: 221 tokens/s MODELLED a GPU, 221 tokens/s a user; weights limited by memory, caches \
take 0.866 % of the time
    - full, batch 426: 18.4 k tokens/s MODELLED a GPU, 43.2 tokens/s a user; weights limited by \
arithmetic, caches take 72.1 % of the time
    """
    if len(parts) > MOST:
        raise ValueError(f"the picture has room for {MOST} parts, not {len(parts)}")
    given = setting(model, gpus, batch, context, dtype, ceilings)
    found = decoded(parts, given)
    said = lines(given, found)
    return Decoding(_drawn(given, found, said), found, said)


def _drawn(given: Setting, found: Sequence[Decoded], said: Sequence[Line]) -> str:
    visible = [each for each in found if each.drawn]
    x, y = Scale(0, 4, LEFT, RIGHT), _vertical(visible)
    body = [_axes(x, y), *(_curve(each, x, y) for each in visible)]
    body += _names(visible, x, y)
    body += _missing([each for each in found if not each.drawn])
    body += _legend()
    label = html.escape("\n".join(map(roofline_lines.text, said)), quote=True)
    return (
        f'<svg class="modelled" role="img" aria-label="{label}" '
        f'viewBox="0 0 {WIDTH} {BOTTOM + 48}" '
        f'style="max-width:{WIDTH}px;width:100%" xmlns="http://www.w3.org/2000/svg">'
        f'<g font-family="var(--jp-ui-font-family, sans-serif)" font-size="12" fill="{INK}">'
        f"{''.join(body)}</g></svg>"
    )


def _vertical(visible: Sequence[Decoded]) -> Scale:
    """Three decades, or as many as it takes; whole ones, so that few changes move it."""
    rates = [each.rate(batch) for each in visible for batch in (1, each.largest)] or [10.0]
    low = math.floor(math.log10(min(rates)))
    return Scale(low, max(low + 3, math.ceil(math.log10(max(rates)))), BOTTOM, TOP)


def _axes(x: Scale, y: Scale) -> str:
    grid = [f"M{x(tick):.1f} {TOP}V{BOTTOM}" for tick in x.ticks]
    grid += [f"M{LEFT} {y(tick):.1f}H{RIGHT}" for tick in y.ticks]
    names = [text_at(x(t), BOTTOM + 17, f"{t:,.0f}", 'text-anchor="middle"') for t in x.ticks]
    names += [text_at(LEFT - 8, y(t) + 4, f"{t:,.0f}", 'text-anchor="end"') for t in y.ticks]
    return (
        f'<path d="{"".join(grid)}" stroke="{RULE}" stroke-width="0.6" fill="none"/>'
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="{INK}" fill="none"/>'
        + "".join(names)
        + text_at((LEFT + RIGHT) / 2, BOTTOM + 38, "sequences in a batch", 'text-anchor="middle"')
        + text_at(8, TOP - 16, "tokens/s of each GPU")
    )


def _curve(each: Decoded, x: Scale, y: Scale) -> str:
    """The line in its two colours, a bar where memory is full, a ring at the chosen batch."""
    sizes = [batch for batch in batches(each.largest) if batch <= 10**x.high]
    points = [(x(batch), y(each.rate(batch)), _colour(each, batch)) for batch in sizes]
    parts = [
        f'<path d="M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" stroke="{b[2]}"/>'
        for a, b in itertools.pairwise(points)
    ]
    across, height, colour = points[-1]
    end = (
        f'<path d="M{across:.1f} {height - 9:.1f}v18" stroke="{colour}" stroke-width="4">'
        f"<title>{html.escape(each.name)}: memory full at batch {each.largest}</title></path>"
        if each.largest <= 10**x.high
        else ""
    )
    return f'<g stroke-width="2.5" fill="none">{"".join(parts)}{end}</g>' + _ring(each, x, y)


def _colour(each: Decoded, batch: int) -> str:
    step = each.step(batch)
    return MEMORY if step is None or step.weights.limiter == "memory" else ARITHMETIC


def _ring(each: Decoded, x: Scale, y: Scale) -> str:
    step = each.step(each.setting.batch)
    if step is None:
        return ""
    return (
        f'<circle cx="{x(each.setting.batch):.1f}" cy="{y(step.tokens_per_s_per_gpu):.1f}" r="7" '
        f'fill="none" stroke="{REACHED}" stroke-width="2.5"/>'
    )


def _names(visible: Sequence[Decoded], x: Scale, y: Scale) -> Iterator[str]:
    """Beside the plot, the higher line's name above, pushed apart where they would touch."""
    free = float(TOP)
    for each in sorted(visible, key=lambda each: -each.rate(each.largest)):
        end = min(each.largest, int(10**x.high))
        across, height = x(end), y(each.rate(end))
        spot = max(free, height)
        free = spot + 40
        full = f"memory full at batch {each.largest:,}"
        yield (
            f'<path d="M{across + 6:.1f} {height:.1f}L{RIGHT + 18} {spot:.1f}" stroke="{FAINT}" '
            'stroke-dasharray="2 3" fill="none"/>'
            + text_at(RIGHT + 22, spot + 4, each.name, f'font-weight="600" {HALO}')
            + text_at(RIGHT + 22, spot + 19, full, 'font-size="11"')
        )


def _missing(undrawn: Sequence[Decoded]) -> Iterator[str]:
    """What is not drawn, by name, with a dashed grey line for the curve that it has not."""
    for place, each in enumerate(undrawn):
        row = BOTTOM - 12 - 18 * place
        why = each.unknown or "it does not fit"
        yield (
            f'<path d="M{RIGHT - 34} {row - 4}h26" stroke="{UNKNOWN}" stroke-width="2" '
            'stroke-dasharray="4 3" fill="none"/>'
            + text_at(RIGHT - 42, row, f"{each.name}: {why}", f'text-anchor="end" {HALO}')
        )


def _legend() -> list[str]:
    """The two colours, in words."""
    row = TOP - 16
    return [
        f'<path d="M{LEFT + 150} {row - 4}h26" stroke="{MEMORY}" stroke-width="2.5"/>',
        text_at(LEFT + 182, row, "limited by memory"),
        f'<path d="M{LEFT + 310} {row - 4}h26" stroke="{ARITHMETIC}" stroke-width="2.5"/>',
        text_at(LEFT + 342, row, "limited by arithmetic"),
    ]
