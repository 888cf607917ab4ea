"""The SVG of a roofline: axes, a roof and a key for each part, points with their names.

A part is known by its dashes and its marker, memory and arithmetic by words and colours, what is
reached by a filled circle and what is allowed by a ring.
"""

import html
import math
from collections.abc import Iterator, Sequence

from gpu_utils.quantities import Label
from gpu_utils.viz import roofline_lines
from gpu_utils.viz.machine import ARITHMETIC, MEMORY
from gpu_utils.viz.roofline_axes import INK, RIGHT, Scale, axes, scales, text_at
from gpu_utils.viz.roofline_points import Answer, Point, Roof, known

__all__ = ["drawn"]

REACHED, UNKNOWN = "#009E73", "#767676"
FAINT = "var(--jp-ui-font-color2, #767676)"
PAPER = "var(--jp-layout-color0, transparent)"
# A rim in the colour of the ground, so that a name stays readable where a line passes behind it.
HALO = f'style="paint-order:stroke;stroke:{PAPER};stroke-width:5px;stroke-linejoin:round"'

WIDTH = 820
CHARACTER = 7.2  # width of one in a wide font
LANE = 17  # height of the line above the plot that each point's name has
HEIGHT, ENTRY, SHORT = 360, 62, 34  # of the plot, and of a part in its key, drawn or not
DASHES = ("", "9 4", "2 3", "12 3 2 3", "5 2", "16 5", "9 3 2 3 2 3", "1 2")
# A part's marker: a path around (0, 0).
MARKERS = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.5 -4.5h9v9h-9z",
    "M0 -6.5l6 6.5l-6 6.5l-6 -6.5z",
    "M0 -6l6 10.5h-12z",
    "M0 6l6 -10.5h-12z",
    "M-6 -2h4v-4h4v4h4v4h-4v4h-4v-4h-4z",
    "M-5 -6h10l-10 12h10z",
    "M-6 -5v10l12 -10v10z",
)


def drawn(
    points: Sequence[Point], theirs: Sequence[Roof], found: Sequence[Answer], text: str
) -> str:
    """The picture as SVG, with `text` for those who do not see it."""
    visible = [(place, roof) for place, roof in enumerate(theirs) if not roof.unknown]
    standing = [point for point in points if point.flops and point.bytes]
    top = 34 + LANE * len(standing)
    bottom = top + max(HEIGHT, sum(map(_tall, theirs)))
    x, y = scales([roof for _, roof in visible], standing, found, top, bottom)
    body = [
        axes(x, y),
        *(_roof(roof, place, x, y) for place, roof in visible),
        *_points(standing, found, x, y),
        _words([roof for _, roof in visible], x, y),
        *_key(theirs, y),
    ]
    measured = any(Label.MEASURED in (a.roof.derived, a.share.label) for a in found) or any(
        roof.derived is Label.MEASURED for _, roof in visible
    )
    return (
        f'<svg class="{"measured" if measured else "modelled"}" role="img" '
        f'aria-label="{html.escape(text, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {bottom + 48}" '
        f'style="max-width:{WIDTH}px;width:100%" xmlns="http://www.w3.org/2000/svg">'
        f'<g font-family="var(--jp-ui-font-family, sans-serif)" font-size="12" fill="{INK}">'
        f"{''.join(body)}</g></svg>"
    )


def _roof(roof: Roof, place: int, x: Scale, y: Scale) -> str:
    """The slope up to the ridge, the plateau behind it, and a marker with a drop line there."""
    left, right = 10.0**x.low, 10.0**x.high
    bandwidth, peak, ridge = known(roof.bandwidth), known(roof.peak), known(roof.ridge)
    at, height = x(ridge), y(peak)
    dash = f'stroke-width="2" stroke-dasharray="{DASHES[place % len(DASHES)]}" fill="none"'
    return (
        f'<path d="M{x(left):.1f} {y(left * bandwidth):.1f}L{at:.1f} {height:.1f}" '
        f'stroke="{MEMORY}" {dash}/>'
        f'<path d="M{at:.1f} {height:.1f}H{x(right):.1f}" stroke="{ARITHMETIC}" {dash}/>'
        f'<path d="M{at:.1f} {height:.1f}V{y.start:.1f}" stroke="{FAINT}" stroke-width="0.8" '
        'stroke-dasharray="1 4" fill="none"/>'
        + _marker(at, height, MARKERS[place % len(MARKERS)], f"ridge of {roof.name}")
    )


def _words(visible: Sequence[Roof], x: Scale, y: Scale) -> str:
    """What the slopes and the plateaus are, once."""
    if not visible:
        return ""
    steep = max(visible, key=lambda roof: known(roof.bandwidth))
    across = 10 ** (x.low + 0.35)
    rise = (y.start - y.end) / (y.high - y.low) / ((x.end - x.start) / (x.high - x.low))
    spot = f"{x(across):.1f} {y(across * known(steep.bandwidth)) - 9:.1f}"
    high = max(known(roof.peak) for roof in visible)
    turned = f'transform="translate({spot}) rotate({-math.degrees(math.atan(rise)):.1f})" {HALO}'
    return text_at(0, 0, "limited by memory", turned) + text_at(
        x.end - 4, y(high) - 9, "limited by arithmetic", f'text-anchor="end" {HALO}'
    )


def _key(theirs: Sequence[Roof], y: Scale) -> Iterator[str]:
    """Beside each plateau the part's name and figures, pushed apart where they would touch."""
    order = sorted(
        enumerate(theirs), key=lambda each: (each[1].unknown, -_height(each[1]), each[0])
    )
    tall = [_tall(roof) for _, roof in order]
    free, spots = y.end - 8.0, []
    for (_, roof), height in zip(order, tall, strict=True):
        wanted = y(known(roof.peak)) - 4 if not roof.unknown else free
        spots.append(max(free, wanted))
        free = spots[-1] + height
    low = y.start
    for place in reversed(range(len(spots))):  # up again from the axis
        spots[place] = min(spots[place], low - tall[place])
        low = spots[place]
    for (place, roof), spot in zip(order, spots, strict=True):
        yield _entry(roof, place, spot, y)


def _height(roof: Roof) -> float:
    return 0.0 if roof.unknown else known(roof.peak)


def _tall(roof: Roof) -> int:
    return SHORT if roof.unknown else ENTRY


def _entry(roof: Roof, place: int, spot: float, y: Scale) -> str:
    across = RIGHT + 36
    name = text_at(across, spot + 8, roof.name, 'font-weight="600"')
    if roof.unknown:
        return (
            f'<path d="M{RIGHT + 6} {spot + 4:.1f}h24" stroke="{UNKNOWN}" stroke-width="2" '
            'stroke-dasharray="4 3" fill="none"/>'
            + name
            + text_at(across, spot + 22, roof.unknown, f'font-size="11" style="fill:{FAINT}"')
        )
    dash = DASHES[place % len(DASHES)]
    figures = (f"{roof.peak}", f"{roof.bandwidth}", f"ridge {roof.ridge}")
    return (
        f'<path d="M{RIGHT} {y(known(roof.peak)):.1f}L{RIGHT + 22} {spot + 4:.1f}" '
        f'stroke="{ARITHMETIC}" stroke-dasharray="{dash}" fill="none"/>'
        + _marker(RIGHT + 28, spot + 4, MARKERS[place % len(MARKERS)], roof.name)
        + name
        + "".join(
            text_at(across, spot + 22 + 13 * row, figure, f'font-size="11" style="fill:{FAINT}"')
            for row, figure in enumerate(figures)
        )
    )


def _points(
    standing: Sequence[Point], found: Sequence[Answer], x: Scale, y: Scale
) -> Iterator[str]:
    """Each point's name on a line of its own above the plot, and its rings and circles below.

    The farther right a point is, the lower its name: leaders then cross few names, and behind.
    """
    order = sorted(standing, key=lambda point: known(point.intensity))
    for lane, point in enumerate(order):
        at, level = x(known(point.intensity)), 26 + LANE * lane
        theirs = [answer for answer in found if answer.point is point]
        low = max([y(known(answer.attainable)) for answer in theirs], default=y.end)
        circles = "".join(_circles(answer, at, y) for answer in theirs)
        label = f"{point.name}: {point.intensity}"
        # A name that would leave the picture is moved to the left, over its leader's end.
        begin = max(0.0, min(at + 5, WIDTH - CHARACTER * len(label)))
        end = level - 9 if begin > at else level + 4
        yield (
            f'<path d="M{at:.1f} {end}V{max(low, end):.1f}" stroke="{FAINT}" '
            'stroke-width="0.8" fill="none"/>' + circles + text_at(begin, level, label, HALO)
        )


def _circles(answer: Answer, at: float, y: Scale) -> str:
    roof = y(known(answer.attainable))
    said = html.escape(roofline_lines.text(roofline_lines.of_answer(answer)))
    ring = (
        f'<circle cx="{at:.1f}" cy="{roof:.1f}" r="7" fill="none" stroke="{REACHED}" '
        f'stroke-width="2.5"><title>{said}</title></circle>'
    )
    if answer.reached is None or not answer.reached.value:
        return ring
    spot = y(known(answer.reached))
    return (
        f'<path d="M{at:.1f} {roof + 7:.1f}V{max(spot, roof + 7):.1f}" stroke="{REACHED}" '
        f'stroke-width="1.5" stroke-dasharray="3 3" fill="none"/>{ring}'
        f'<circle cx="{at:.1f}" cy="{spot:.1f}" r="5" fill="{REACHED}"/>'
        + text_at(at + 10, spot + 4, answer.share.text, HALO)
    )


def _marker(x: float, y: float, path: str, title: str) -> str:
    return (
        f'<path transform="translate({x:.1f} {y:.1f})" d="{path}" stroke="{PAPER}">'
        f"<title>{html.escape(title)}</title></path>"
    )
