"""The speed lens: time a callable on the device that its tensors are on, or the machine itself.

What cannot be timed honestly is refused: a Triton kernel on CPU tensors is interpreted, and its
time would say nothing about a GPU; a time that beats the roofline was not spent on the work.

>>> from gpu_utils import bench
>>> timed = bench.measure(sorted, [3, 1, 2], budget_s=0.01)
>>> timed.device, timed.median_s > 0
('cpu', True)
"""

from gpu_utils.bench.ceilings import ceilings
from gpu_utils.bench.ceilings.result import Ceilings, CeilingsError, SweepPoint
from gpu_utils.bench.comparison import Comparison
from gpu_utils.bench.device import InterpretedKernelError
from gpu_utils.bench.lens import compare, measure
from gpu_utils.bench.lock import TimingLockTimeout
from gpu_utils.bench.plausible import ImplausibleTimingError, believable
from gpu_utils.bench.timing import Timing

__all__ = [
    "Ceilings",
    "CeilingsError",
    "Comparison",
    "ImplausibleTimingError",
    "InterpretedKernelError",
    "SweepPoint",
    "Timing",
    "TimingLockTimeout",
    "believable",
    "ceilings",
    "compare",
    "measure",
]
