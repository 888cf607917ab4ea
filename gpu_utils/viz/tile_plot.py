"""A tile as a picture: for each part its shared memory, the programs that live in it, the bound.

A bar is an SM's shared memory, all bars to one scale; each filled piece is a program, cut into its
stages. What does not fit is a dashed piece beside the limit, and says so.
"""

import html
from collections.abc import Iterator, Sequence

from gpu_utils.occupancy import limits
from gpu_utils.quantities import text
from gpu_utils.specs import GPUSpec
from gpu_utils.viz import roofline_lines
from gpu_utils.viz.machine import ARITHMETIC, MEMORY, Drawing
from gpu_utils.viz.roofline_axes import INK, text_at
from gpu_utils.viz.roofline_lines import Line
from gpu_utils.viz.roofline_svg import FAINT, UNKNOWN, WIDTH
from gpu_utils.viz.tile_answers import Tile, Tiled, lines, tiled

__all__ = ["TILE_PARTS", "Tiling", "tiling"]

TILE_PARTS = ("a100", "h100", "b200", "rtx 4090", "mi300x")
_LEFT, _TOP, _ROW, _BAR = 16, 44, 62, 20
_KIB = 256 * 1024  # a bar of this many bytes is
_LONG = 420  # this long


class Tiling(Drawing):
    """A picture whose answers can be had alone.

    Attributes:
        answers: What each part comes to, as values.
        lines: The same as text.
    """

    def __init__(self, svg: str, found: tuple[Tiled, ...], said: tuple[Line, ...]) -> None:
        super().__init__(svg, "\n".join(map(roofline_lines.text, said)))
        self.answers, self.lines = found, said


def tiling(
    block_m: int = 128,
    block_n: int = 128,
    block_k: int = 64,
    warps: int = 8,
    stages: int = 3,
    size: int = 8192,
    parts: Sequence[str | GPUSpec] = TILE_PARTS,
) -> Tiling:
    """Draw what a tile of a square product in 16 bits comes to on some parts.

    Args:
        block_m, block_n, block_k: Rows and columns of the tile, and the length of a step.
        warps: Of a program.
        stages: How many steps' operands are under way at once, 2 at least.
        size: Of the product, [size, size] @ [size, size].
        parts: Names as `specs.get` takes them, or a `GPUSpec`.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: A block that is no power of two from 16 on, or a part that is no GPU.

    >>> print(tiling(128, 256, 64, 8, 4, parts=["h100", "rtx 4090"]))
    128 x 256 x 64, 8 warps, 4 stages, 8192 x 8192 x 8192 in 16 bits: 85.3 FLOP/byte MODELLED \
asked for, 48.0 KiB a stage
    - NVIDIA H100 SXM5 80GB: 192 KiB of 227 KiB, at most 1 program an SM (shared memory), 12.5 % \
of its warps, at least 1.11 ms MODELLED, compute-bound (compute 1.11 ms, its L2's bandwidth is \
unknown)
    - NVIDIA GeForce RTX 4090: needs 144 KiB, has 99.0 KiB: no launch
    """
    tile = Tile(block_m, block_n, block_k, warps, stages, size)
    found = tiled(tile, parts)
    said = lines(tile, found)
    return Tiling(_drawn(tile, found, said), found, said)


def _drawn(tile: Tile, found: Sequence[Tiled], said: Sequence[Line]) -> str:
    whole = "\n".join(map(roofline_lines.text, said))
    head = (
        f"{tile.block_m} x {tile.block_n} x {tile.block_k}: "
        f"{text(tile.intensity, 'FLOP/byte')} asked for; shared memory of one SM, by programs"
    )
    body = [text_at(_LEFT, 22, head, 'font-weight="600"')]
    for place, each in enumerate(found):
        body += _part(tile, each, _TOP + _ROW * place)
    return (
        f'<svg role="img" aria-label="{html.escape(whole, quote=True)}" '
        f'viewBox="0 0 {WIDTH} {_TOP + _ROW * len(found)}" '
        f'style="max-width:{WIDTH}px;width:100%" xmlns="http://www.w3.org/2000/svg">'
        f'<g font-family="var(--jp-ui-font-family, sans-serif)" font-size="12" fill="{INK}">'
        f"{''.join(body)}</g></svg>"
    )


def _part(tile: Tile, each: Tiled, top: float) -> Iterator[str]:
    sm = limits(str(each.spec.target))
    bar, piece = top + 18, _wide(each.shared_bytes)
    yield text_at(_LEFT, top + 10, each.spec.name, 'font-weight="600"')
    yield (
        f'<rect x="{_LEFT}" y="{bar:.1f}" width="{_wide(sm.shared_bytes):.1f}" height="{_BAR}" '
        f'fill="none" stroke="{FAINT}" style="stroke:{FAINT}"/>'
    )
    if each.refused:
        yield (
            f'<rect x="{_LEFT}" y="{bar + 3:.1f}" width="{piece:.1f}" height="{_BAR - 6}" '
            f'fill="none" stroke="{UNKNOWN}" stroke-width="2" stroke-dasharray="5 4"/>'
        )
        beside = max(piece, _wide(sm.shared_bytes))
        yield text_at(_LEFT + beside + 12, bar + 14, each.refused, f'style="fill:{INK}"')
        return
    stages = max(1, each.shared_bytes // tile.stage_bytes)
    for program in range(each.living.blocks_per_sm):
        left = _LEFT + program * _wide(each.shared_bytes + sm.shared_reserve_bytes)
        yield from _program(left, bar, piece - 2, stages)  # a gap between two
    yield text_at(_LEFT + _wide(sm.shared_bytes) + 12, bar + 14, _said(each))
    yield _bound(each, bar)


def _program(left: float, top: float, wide: float, stages: int) -> Iterator[str]:
    """A filled piece, cut into stages."""
    yield (
        f'<rect x="{left:.1f}" y="{top + 3:.1f}" width="{wide:.1f}" height="{_BAR - 6}" '
        f'fill="{MEMORY}" fill-opacity="0.55" stroke="{MEMORY}" stroke-width="1.5"/>'
    )
    for stage in range(1, stages):
        at = left + wide * stage / stages
        yield f'<path d="M{at:.1f} {top + 3:.1f}v{_BAR - 6}" style="stroke:{INK}"/>'


def _said(each: Tiled) -> str:
    living = each.living
    size = text(each.shared_bytes, "iB")
    return f"{size} each: {living.blocks_per_sm} at most ({living.limiter})"


def _bound(each: Tiled, bar: float) -> str:
    """The least time, in the colour of what sets it."""
    colour = {"compute": ARITHMETIC, "memory": MEMORY, "L2": MEMORY}[each.bound.limiter]
    said = f"{each.bound.limiter}-bound, {text(each.bound.time_s, 's')} at least"
    spot = (WIDTH - 240, bar - 8)
    mark = f'<rect x="{spot[0] - 16}" y="{spot[1] - 9}" width="10" height="10" fill="{colour}"/>'
    return mark + text_at(*spot, said)


def _wide(nbytes: float) -> float:
    return _LONG * nbytes / _KIB
