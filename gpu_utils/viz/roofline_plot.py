"""The roofline as a picture: FLOP/byte against FLOP/s, one roof a part, points under them."""

from collections.abc import Sequence

from gpu_utils.specs import GPUSpec
from gpu_utils.viz import roofline_lines, roofline_svg
from gpu_utils.viz.machine import Drawing
from gpu_utils.viz.roofline_lines import Line
from gpu_utils.viz.roofline_points import Answer, Point, answers, roofs

__all__ = ["PARTS", "Roofline", "roofline"]

PARTS = ("h100", "mi300x", "rtx 4090")  # what is drawn unless something else is asked for


class Roofline(Drawing):
    """A picture whose answers can be had alone.

    Attributes:
        answers: What each point comes to on each part, as values.
        lines: The same as text, a line for each point and one for each of its parts.
    """

    def __init__(self, svg: str, text: str, found: tuple[Answer, ...], said: tuple[Line, ...]):
        super().__init__(svg, text)
        self.answers, self.lines = found, said


def roofline(
    points: Sequence[Point] = (),
    parts: Sequence[str | GPUSpec] = PARTS,
    dtype: str = "bf16",
) -> Roofline:
    """Draw what parts allow, and where operations and kernels stand under it.

    A roof is min(peak, FLOP/byte * bandwidth). A point without a time is drawn on the roofs, as
    what it can reach at best; one with a time where it is, on the part that it was timed on.
    What has an unknown figure, and what has no place on a log axis, is named and not drawn.

    Args:
        points: Operations (`Point.of("name", roofline.matmul_cost(...))`) and counted kernels.
        parts: Names as `specs.get` takes them, or a `GPUSpec` of your own machine.
        dtype: Whose peak is the roof.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: A point was timed on a part that is not among `parts`, or beats its roof; or
            there are more parts than a picture can tell apart without colour.

    >>> from gpu_utils.roofline import axpby_cost
    >>> roofline([Point.of("axpby", axpby_cost(1000), dtype="fp32")], ["h100"], "fp32")
    roofline of fp32
    H100 SXM5 80GB: peak 66.9 TFLOP/s CITED, memory 3.35 TB/s CITED, ridge 20.0 FLOP/byte MODELLED
    axpby: 0.250 FLOP/byte MODELLED
    - H100 SXM5 80GB: memory-bound (ridge 20.0 FLOP/byte), at most 838 GFLOP/s MODELLED, 1.25 % of \
the fp32 peak, 3.58 ns or more
    """
    most = len(roofline_svg.DASHES)
    if len(parts) > most:
        raise ValueError(f"a roofline tells {most} parts apart, and {len(parts)} were given")
    theirs = roofs(parts, dtype)
    found, said = answers(points, theirs), roofline_lines.of_points(points, theirs)
    head = [(f"roofline of {dtype}",), *map(roofline_lines.of_roof, theirs)]
    text = "\n".join(map(roofline_lines.text, [*head, *said]))
    return Roofline(roofline_svg.drawn(points, theirs, found, text), text, found, said)
