"""Pictures of machines and measurements: data in, one drawing out, readable in both themes.

`explore_...` puts controls above such a drawing; what it draws, the plain function of the same
name draws too.

>>> from gpu_utils import viz
>>> from gpu_utils.roofline import matmul_cost
>>> picture = viz.roofline([viz.Point.of("square", matmul_cost(4096, 4096, 4096))])
>>> [(answer.roof.name, answer.limiter) for answer in picture.answers][0]
('H100 SXM5 80GB', 'compute')
"""

from gpu_utils.viz.decode_explorer import explore_decoding
from gpu_utils.viz.decode_plot import Decoding, decoding
from gpu_utils.viz.explorer import Explorer
from gpu_utils.viz.machine import Drawing, machine
from gpu_utils.viz.roofline_explorer import explore_roofline
from gpu_utils.viz.roofline_plot import PARTS, Roofline, roofline
from gpu_utils.viz.roofline_points import Point
from gpu_utils.viz.tile_explorer import explore_tiles
from gpu_utils.viz.tile_plot import TILE_PARTS, Tiling, tiling

__all__ = [
    "PARTS",
    "TILE_PARTS",
    "Decoding",
    "Drawing",
    "Explorer",
    "Point",
    "Roofline",
    "Tiling",
    "decoding",
    "explore_decoding",
    "explore_roofline",
    "explore_tiles",
    "machine",
    "roofline",
    "tiling",
]
