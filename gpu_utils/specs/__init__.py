"""The hardware table: what a part's documents say, each figure with its source.

>>> from gpu_utils import specs
>>> h100 = specs.get("h100 sxm")
>>> h100.peak_flops_per_s["bf16"], h100.memory_bandwidth_bytes_per_s
(989400000000000.0, 3350000000000.0)
>>> h100.sources["memory_bandwidth_bytes_per_s"].trust
'vendor'
"""

from gpu_utils.specs.devices import Device, detect
from gpu_utils.specs.measured import Achieved, achieved
from gpu_utils.specs.model import GPUSpec, Source, UnknownFigureError
from gpu_utils.specs.table import UnknownPartError, get, names
from gpu_utils.specs.throughput import (
    MLPerfResult,
    Served,
    SingleUser,
    mlperf,
    served,
    single_user,
)

__all__ = [
    "Achieved",
    "Device",
    "GPUSpec",
    "MLPerfResult",
    "Served",
    "SingleUser",
    "Source",
    "UnknownFigureError",
    "UnknownPartError",
    "achieved",
    "detect",
    "get",
    "mlperf",
    "names",
    "served",
    "single_user",
]
