"""The traffic lens: what a callable's kernels load and store, counted on the interpreter."""

from gpu_utils._triton.addresses import NeedsData
from gpu_utils.traffic.l2_model import Dram, TensorDram, dram
from gpu_utils.traffic.lane_model import LineSectors, SectorCount, Sectors, sectors
from gpu_utils.traffic.lens import count
from gpu_utils.traffic.result import (
    EagerOp,
    LaunchTraffic,
    LineTraffic,
    OutOfBounds,
    TensorTraffic,
    Traffic,
)

__all__ = [
    "Dram",
    "EagerOp",
    "LaunchTraffic",
    "LineSectors",
    "LineTraffic",
    "NeedsData",
    "OutOfBounds",
    "SectorCount",
    "Sectors",
    "TensorDram",
    "TensorTraffic",
    "Traffic",
    "count",
    "dram",
    "sectors",
]
