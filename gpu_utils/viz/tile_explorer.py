"""The explorer of tiles: a tile that fits one part and not the next, and what it is worth there."""

from collections.abc import Mapping, Sequence
from typing import Any

from gpu_utils.specs import GPUSpec
from gpu_utils.viz.explorer import Explorer, slider
from gpu_utils.viz.tile_plot import TILE_PARTS, Tiling, tiling

__all__ = ["explore_tiles"]

_SLIDERS = {
    "block_m": ([16, 32, 64, 128, 256], "rows of the tile"),
    "block_n": ([16, 32, 64, 128, 256], "columns of the tile"),
    "block_k": ([16, 32, 64, 128], "length of a step along k"),
    "warps": ([1, 2, 4, 8, 16], "of a program"),
    "stages": ([2, 3, 4, 5, 6], "steps whose operands are under way at once"),
    "size": ([2**n for n in range(8, 16)], "rows and columns of both matrices"),
}


def explore_tiles(
    block_m: int = 128,
    block_n: int = 128,
    block_k: int = 64,
    warps: int = 8,
    stages: int = 3,
    size: int = 8192,
    parts: Sequence[str | GPUSpec] = TILE_PARTS,
) -> Explorer:
    """Change a tile and see where it fits, how many programs live there, and what bounds them.

    `tiling` draws the same without controls, and says what the arguments are.

    Raises:
        UnknownPartError: No part has such a name.
        ValueError: As `tiling`.
    """
    begin = {"block_m": block_m, "block_n": block_n, "block_k": block_k,
             "warps": warps, "stages": stages, "size": size}  # fmt: skip
    tiling(**begin, parts=parts)  # refused now, not while a slider moves

    def draw(values: Mapping[str, Any]) -> Tiling:
        return tiling(**values, parts=parts)

    controls = {
        name: slider(name, options, begin[name], meaning)
        for name, (options, meaning) in _SLIDERS.items()
    }
    rows = [
        {name: controls[name] for name in names}
        for names in (("block_m", "block_n", "block_k"), ("warps", "stages", "size"))
    ]
    return Explorer("explore tiles", draw, rows)
