"""The axes of a roofline: FLOP/byte against FLOP/s, both logarithmic."""

import dataclasses
import html
import math
from collections.abc import Sequence

from gpu_utils import quantities
from gpu_utils.viz.roofline_points import Answer, Point, Roof, known

__all__ = ["INK", "LEFT", "RIGHT", "Scale", "axes", "scales", "text_at"]

INK = "var(--jp-ui-font-color1, currentColor)"
RULE = "var(--jp-border-color2, #9e9e9e)"
LEFT, RIGHT = 86, 586  # where the x axis begins and ends


@dataclasses.dataclass(frozen=True)
class Scale:
    """A logarithmic axis: decades `low` to `high` on pixels `start` to `end`.

    >>> Scale(-1, 4, 86, 586)(1)  # one decade of five, of 500 pixels, from the left
    186.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> tuple[float, ...]:
        """The powers of ten on it."""
        return tuple(10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1))


def scales(
    drawn: Sequence[Roof], standing: Sequence[Point], found: Sequence[Answer], top: int, bottom: int
) -> tuple[Scale, Scale]:
    """Axes that hold all that is drawn; they move in steps, so that few changes move them."""
    across = [known(point.intensity) for point in standing]
    across += [known(roof.ridge) for roof in drawn]
    low = min(-1, math.floor(math.log10(min(across, default=1))))
    high = max(4, math.ceil(math.log10(max(across, default=1))))
    peaks = [known(roof.peak) for roof in drawn] or [1e15]
    starts = [known(roof.bandwidth) * 10.0**low for roof in drawn] or [1e11]
    up = [known(answer.attainable) for answer in found if answer.point.flops]
    up += [known(answer.reached) for answer in found if answer.reached and answer.reached.value]
    floor = math.floor(2 * math.log10(min([*starts, *peaks, *up]))) / 2
    ceiling = math.ceil(2 * math.log10(max([*peaks, *up])) + 0.3) / 2
    return Scale(low, high, LEFT, RIGHT), Scale(floor, ceiling, bottom, top)


def axes(x: Scale, y: Scale) -> str:
    """Axes, a grid of decades, and what stands beside it."""
    grid = [f"M{x(tick):.1f} {y.end:.0f}V{y.start:.0f}" for tick in x.ticks]
    grid += [f"M{LEFT} {y(tick):.1f}H{RIGHT}" for tick in y.ticks]
    names = [
        text_at(x(tick), y.start + 17, _tick(tick, ""), 'text-anchor="middle"') for tick in x.ticks
    ]
    names += [
        text_at(LEFT - 8, y(tick) + 4, _tick(tick, "FLOP/s"), 'text-anchor="end"')
        for tick in y.ticks
    ]
    middle = (LEFT + RIGHT) / 2
    return (
        f'<path d="{"".join(grid)}" stroke="{RULE}" stroke-width="0.6" fill="none"/>'
        f'<path d="M{LEFT} {y.end:.0f}V{y.start:.0f}H{RIGHT}" stroke="{INK}" fill="none"/>'
        + "".join(names)
        + text_at(middle, y.start + 38, "FLOP per byte moved", 'text-anchor="middle"')
        + text_at(LEFT - 8, y.end - 16, "FLOP/s", 'text-anchor="end"')
    )


def text_at(x: float, y: float, words: str, attributes: str = "") -> str:
    """Words as SVG."""
    space = " " if attributes else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{space}{attributes}>{html.escape(words)}</text>'


def _tick(value: float, unit: str) -> str:
    """A power of ten without the zeros that only tell its precision: 1 TFLOP/s, 0.1."""
    number, _, rest = quantities.text(value, unit).partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {rest}".strip()
