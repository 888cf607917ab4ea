"""The roofline in words: a line for each part, and for each point what it comes to there."""

import html
from collections.abc import Iterable, Iterator, Sequence

from gpu_utils.quantities import Quantity
from gpu_utils.viz.roofline_points import Answer, Point, Roof, answers, standing

__all__ = ["Line", "drawn", "of_answer", "of_points", "of_roof", "text"]

Line = tuple[str | Quantity, ...]


def text(line: Line) -> str:
    """A line as it prints."""
    return "".join(map(str, line))


def drawn(lines: Iterable[Line]) -> str:
    """Lines as HTML, each number with the badge of its label; what begins with "- " is set in."""
    return "".join(map(_paragraph, lines))


def _paragraph(line: Line) -> str:
    body = "".join(
        piece._repr_html_() if isinstance(piece, Quantity) else html.escape(piece) for piece in line
    )
    indent = "1.5em" if body.startswith("- ") else "0"
    style = f"line-height:1.6;font-size:92%;padding-left:{indent}"
    return f'<div style="{style}">{body.removeprefix("- ")}</div>'


def of_roof(roof: Roof) -> Line:
    """A part's figures, or which of them is missing."""
    if roof.unknown:
        return (f"{roof.name}: not drawn, {roof.unknown}",)
    return (
        *(f"{roof.name}: peak ", roof.peak, ", memory ", roof.bandwidth),
        *(", ridge ", roof.ridge),
    )


def of_points(points: Sequence[Point], parts: Sequence[Roof]) -> tuple[Line, ...]:
    """A line for each point, and under it one for each part that it stands on."""
    return tuple(line for point in points for line in _of_point(point, parts))


def _of_point(point: Point, parts: Sequence[Roof]) -> Iterator[Line]:
    if not point.bytes:
        yield (f"{point.name}: moves nothing, so it is compute-bound; not drawn",)
        return
    end = "" if point.flops else ", nothing but bytes to move; not drawn"
    more = (point.asked_bytes or 0) / point.bytes
    if more > 1:
        end += f"; asks for {Quantity(more, 'x', point.label).text} its distinct bytes"
    yield (f"{point.name}: ", point.intensity, end)
    found = {answer.roof.spec.id: answer for answer in answers([point], parts)}
    for roof in standing(point, parts):
        known = found.get(roof.spec.id)
        yield ("- ", *of_answer(known)) if known else (f"- {roof.name}: {roof.unknown}",)


def of_answer(answer: Answer) -> Line:
    """What a point comes to on one part."""
    roof, share, attainable = answer.roof, answer.share.text, answer.attainable
    start = f"{roof.name}: {answer.limiter}-bound (ridge {roof.ridge.text}), "
    if not answer.point.flops:
        if answer.reached is None:
            return (start, "at least ", answer.least)
        return (start, "reaches ", answer.share, f" of its {roof.bandwidth.text}")
    if answer.reached is None:
        ends = f", {share} of the {roof.dtype} peak, {answer.least.text} or more"
        return (start, "at most ", attainable, ends)
    ends = f", {share} of the {attainable.text} that its {roof.dtype} roof allows"
    return (start, "reaches ", answer.reached, ends)
