"""The clocks: one call timed many times, on a CPU or by CUDA events, until its median is known."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

from gpu_utils.bench.timing import Timing

__all__ = ["on_cpu", "on_cuda"]

_RELATIVE_ERROR = 0.01  # of the median; when it is this small, more runs tell nothing new
_RUNS = (10, 10_000)  # at least, unless the budget forbids it; at most
_SHARE = 0.1  # of the budget goes to the warm-up, and again at least to the timed calls
_CUDA_QUEUE = 500  # calls in flight, well below the depth of a stream
_CUDA_EVENT_RESOLUTION_S = 0.5e-6  # CUDA's documentation of cudaEventElapsedTime
_MIN_FLUSH_BYTES = 64 * 2**20
_AMD_FLUSH_BYTES = 512 * 2**20  # the driver reports the L2, not the Infinity Cache behind it


def on_cpu(call: Callable[[], Any], budget_s: float) -> Timing:
    """Time by the wall clock."""
    clock = time.perf_counter_ns

    def batch(runs: int) -> list[float]:
        samples = []
        for _ in range(runs):
            before = clock()
            call()
            samples.append((clock() - before) * 1e-9)
        return samples

    _warm_up(call, budget_s)
    samples = _repeat(batch, budget_s)
    tick_s = statistics.median(-clock() + clock() for _ in range(101)) * 1e-9  # nothing, timed
    return _timing(samples, "cpu", "wall clock of one call, caches warm", tick_s)


def on_cuda(call: Callable[[], Any], device: Any, budget_s: float) -> Timing:
    """Time by events in the stream, on one GPU of NVIDIA or AMD."""
    import torch

    def synchronised() -> None:
        call()
        torch.cuda.synchronize()

    def batch(runs: int) -> list[float]:
        # Queued together, so that the host runs ahead and the flush hides the launch.
        events = []
        for _ in range(min(runs, _CUDA_QUEUE)):
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            flush.zero_()
            start.record()
            call()
            stop.record()
            events.append((start, stop))
        torch.cuda.synchronize()
        return [start.elapsed_time(stop) * 1e-3 for start, stop in events]

    with torch.cuda.device(device):
        flush = torch.empty(_flush_bytes(torch, device), dtype=torch.int8, device=device)
        synchronised()  # compiles; the warm-up proper is for the clocks
        _warm_up(synchronised, budget_s)
        samples = _repeat(batch, budget_s)
        name = f"cuda: {torch.cuda.get_device_name(device)}"
    method = "CUDA events around one call, L2 flushed before it"
    return _timing(samples, name, method, _CUDA_EVENT_RESOLUTION_S)


def _warm_up(call: Callable[[], Any], budget_s: float) -> None:
    began = time.perf_counter()
    call()
    while time.perf_counter() - began < _SHARE * budget_s:
        call()


def _repeat(batch: Callable[[int], list[float]], budget_s: float) -> list[float]:
    """Run batches, each as long as all before it, until the median is known or time is up."""
    began = time.perf_counter()
    samples = batch(1)
    while len(samples) < _RUNS[1]:
        spent_s = time.perf_counter() - began
        if spent_s >= _SHARE * budget_s and _is_known(samples):
            break
        affordable = int((budget_s - spent_s) / spent_s * len(samples))
        if affordable < 1:
            break
        samples += batch(min(len(samples), affordable, _RUNS[1] - len(samples)))
    return samples


def _flush_bytes(torch: Any, device: Any) -> int:
    if torch.version.hip:
        return _AMD_FLUSH_BYTES
    return max(2 * torch.cuda.get_device_properties(device).L2_cache_size, _MIN_FLUSH_BYTES)


def _is_known(samples: list[float]) -> bool:
    """Whether the median is known to 1 %.

    By the 95 % interval between order statistics, n/2 -+ 0.98 sqrt(n), which assumes nothing about
    how times are distributed.
    """
    runs = len(samples)
    if runs < _RUNS[0]:
        return False
    ordered = sorted(samples)
    reach = 0.98 * math.sqrt(runs)
    low = ordered[max(0, math.floor(runs / 2 - reach))]
    high = ordered[min(runs - 1, math.ceil(runs / 2 + reach))]
    return (high - low) / 2 <= _RELATIVE_ERROR * statistics.median(ordered)


def _timing(samples: list[float], device: str, method: str, resolution_s: float) -> Timing:
    ordered = sorted(samples)
    last = len(ordered) - 1
    p20, p80 = (ordered[round(share * last)] for share in (0.2, 0.8))
    median = statistics.median(ordered)
    return Timing(median, p20, p80, len(ordered), device, method, resolution_s)
