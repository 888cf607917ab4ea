"""One picture of a GPU, from the registers of a thread out to its memory."""

import html

from gpu_utils.quantities import Label, Quantity
from gpu_utils.specs import GPUSpec

MEMORY, ARITHMETIC = "#0072B2", "#D55E00"
_INK = "var(--jp-ui-font-color1, currentColor)"


class Drawing:
    """An SVG with the same content as text, for terminals and for those who do not see it."""

    def __init__(self, svg: str, text: str) -> None:
        self.svg, self.text = svg, text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.svg


def _box(x: int, y: int, w: int, h: int, colour: str, title: str, note: str = "") -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{colour}" '
        f'fill-opacity="0.12" stroke="{colour}" stroke-width="1.5"/>'
        f'<text x="{x + 10}" y="{y + 19}" font-weight="600">{html.escape(title)}</text>'
        + (f'<text x="{x + 10}" y="{y + 36}" font-size="12">{html.escape(note)}</text>')
    )


def machine(spec: GPUSpec) -> Drawing:
    """Draw where a program runs and what its loads pass through, with a part's cited sizes.

    Args:
        spec: an NVIDIA part, for example `specs.get("h100")`.

    Raises:
        ValueError: another vendor's part; an MI300X has eight L2 caches and one more behind them,
            which this picture would get wrong.
    """
    if spec.vendor != "NVIDIA":
        raise ValueError(f"this picture is of NVIDIA's parts; {spec.name} is built differently")

    def cited(value: float | None, unit: str) -> str:
        return str(Quantity(value, unit, Label.CITED))

    sms = cited(spec.sm_count, "")
    shared = cited(spec.shared_bytes_per_sm, "iB")
    l2 = cited(spec.l2_bytes, "iB")
    memory = cited(spec.memory_bytes, "B")
    rate = cited(spec.memory_bandwidth_bytes_per_s, "B/s")
    rows = [
        (f"{spec.name}", ""),
        ("SM, streaming multiprocessor", f"{sms} of them; each runs several programs at a time"),
        ("warp", "32 threads that step together; a program is 4 warps unless you say otherwise"),
        ("registers", "where a block of values lives between load and store"),
        ("shared memory", f"up to {shared} in each SM"),
        ("L2 cache", f"{l2}, shared by all SMs"),
        ("global memory", f"{memory}, {rate}: what tl.load and tl.store move"),
    ]
    text = "\n".join(f"{name}: {note}" if note else name for name, note in rows)
    sm = "".join(
        [
            _box(20, 40, 400, 190, ARITHMETIC, rows[1][0], rows[1][1]),
            _box(40, 88, 170, 56, ARITHMETIC, "warps", "32 threads each"),
            _box(230, 88, 170, 56, MEMORY, "registers", "a program's values"),
            _box(40, 160, 360, 56, MEMORY, rows[4][0], rows[4][1]),
        ]
    )
    body = "".join(
        [
            f'<text x="20" y="26" font-weight="600">{html.escape(spec.name)}</text>',
            sm,
            _box(440, 40, 250, 190, ARITHMETIC, "more SMs", "all alike"),
            _box(20, 262, 670, 50, MEMORY, rows[5][0], rows[5][1]),
            _box(20, 344, 670, 50, MEMORY, rows[6][0], rows[6][1]),
            *(_arrow(x, y) for x in (220, 565) for y in (232, 314)),
        ]
    )
    svg = (
        f'<svg role="img" aria-label="{html.escape(text, quote=True)}" viewBox="0 0 710 404" '
        f'style="max-width:710px;width:100%" xmlns="http://www.w3.org/2000/svg">'
        f'<g font-family="sans-serif" font-size="14" fill="{_INK}">{body}</g></svg>'
    )
    return Drawing(svg, text)


def _arrow(x: int, y: int) -> str:
    """A two-headed arrow of the memory's colour, 28 high."""
    return (
        f'<path d="M{x} {y + 4} v20 m-5 -5 l5 5 l5 -5 M{x - 5} {y + 9} l5 -5 l5 5" '
        f'fill="none" stroke="{MEMORY}" stroke-width="2"/>'
    )
