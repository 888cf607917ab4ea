"""The speed lens: time a callable on the device that its tensors are on, or the machine itself.

What cannot be timed honestly is refused: a Triton kernel on CPU tensors is interpreted, and its
time would say nothing about a GPU.

>>> from gpu_utils import bench
>>> timed = bench.measure(sorted, [3, 1, 2], budget_s=0.01)
>>> timed.device, timed.median_s > 0
('cpu', True)
"""

from gpu_utils.bench.ceilings import Ceilings, CeilingsError, SweepPoint, ceilings
from gpu_utils.bench.lens import InterpretedKernelError, measure
from gpu_utils.bench.timing import Timing

__all__ = [
    "Ceilings",
    "CeilingsError",
    "InterpretedKernelError",
    "SweepPoint",
    "Timing",
    "ceilings",
    "measure",
]
