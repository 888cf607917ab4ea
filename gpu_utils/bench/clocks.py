"""The clocks: calls timed many times, on a CPU or by CUDA events, until enough is known.

Several calls are timed in alternation: each round times every call once, and every other round in
the opposite order, so that a drift of the machine adds to all of them alike.
"""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from gpu_utils.bench import nvml
from gpu_utils.bench.timing import Timing, median_interval

__all__ = ["Rounds", "flush_bytes", "median_is_known", "on_cpu", "on_cuda"]

Call = Callable[[], Any]
Round = tuple[float, ...]  # the seconds of each call

_RELATIVE_ERROR = 0.01  # of what is asked for; when it is this small, more runs tell nothing new
_RUNS = (10, 10_000)  # at least, unless the budget forbids it; at most
_SHARE = 0.1  # of the budget goes to the warm-up, and again at least to the timed calls
_CUDA_QUEUE = 500  # calls in flight, well below the depth of a stream
_CUDA_EVENT_RESOLUTION_S = 0.5e-6  # CUDA's documentation of cudaEventElapsedTime
_MIN_FLUSH_BYTES = 64 * 2**20
_AMD_FLUSH_BYTES = 512 * 2**20  # the driver reports the L2, not the Infinity Cache behind it


@dataclasses.dataclass(frozen=True)
class Rounds:
    """What was timed: one row a round, one column a call."""

    rows: Sequence[Round]
    device: str
    method: str
    resolution_s: float
    clock_hz: float | None = None
    note: str = ""

    def timing(self, call: int, inputs: str, cold: bool) -> Timing:
        """The timing of one call; `inputs` says on what it was timed."""
        return Timing.of(
            [row[call] for row in self.rows],
            self.device,
            f"{self.method}, {inputs}",
            resolution_s=self.resolution_s,
            cold=cold,
            clock_hz=self.clock_hz,
            note=self.note,
        )


def median_is_known(samples: Sequence[float]) -> bool:
    """Whether the median is known to 1 %, by half its 95 % interval."""
    if len(samples) < _RUNS[0]:
        return False
    low, high = median_interval(samples)
    return (high - low) / 2 <= _RELATIVE_ERROR * statistics.median(samples)


def on_cpu(
    calls: Sequence[Call], budget_s: float, known: Callable[[list[Round]], bool], least: int = 1
) -> Rounds:
    """Time by the wall clock.

    Args:
        calls: What to time, in alternation.
        budget_s: About how long to go on, in seconds, for all calls together.
        known: Whether these rounds are enough.
        least: Rounds to time even beyond the budget.
    """
    clock = time.perf_counter_ns
    orders = _orders(len(calls))

    def batch(runs: int) -> list[Round]:
        rows = []
        for order in itertools.islice(orders, runs):
            row = [0.0] * len(calls)
            for index in order:
                call = calls[index]
                before = clock()
                call()
                row[index] = (clock() - before) * 1e-9
            rows.append(tuple(row))
        return rows

    _warm_up(calls, budget_s)
    rows = _repeat(batch, budget_s, known, least)
    tick_s = statistics.median(-clock() + clock() for _ in range(101)) * 1e-9  # nothing, timed
    return Rounds(rows, "cpu", "wall clock of one call", tick_s)


def on_cuda(
    calls: Sequence[Call],
    device: Any,
    budget_s: float,
    known: Callable[[list[Round]], bool],
    least: int = 1,
) -> Rounds:
    """Time by events in the stream, on one GPU of NVIDIA or AMD. Arguments as for `on_cpu`."""
    import torch

    orders = _orders(len(calls))

    def batch(runs: int) -> list[Round]:
        # Queued together, so that the host runs ahead and the flush hides the launch.
        rows = []
        for order in itertools.islice(orders, max(1, min(runs, _CUDA_QUEUE // len(calls)))):
            row: list[Any] = [None] * len(calls)
            for index in order:
                start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                flush.zero_()
                start.record()
                calls[index]()
                stop.record()
                row[index] = start, stop
            rows.append(row)
        seen.read()
        torch.cuda.synchronize()
        return [tuple(a.elapsed_time(b) * 1e-3 for a, b in row) for row in rows]

    def synchronised(call: Call) -> Call:
        def run() -> None:
            call()
            torch.cuda.synchronize()

        return run

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    with torch.cuda.device(device), nvml.watching(uuid) as seen:
        flush = torch.empty(flush_bytes(device), dtype=torch.int8, device=device)
        waited = [synchronised(call) for call in calls]
        for call in waited:
            call()  # compiles; the warm-up proper is for the clocks
        _warm_up(waited, budget_s)
        rows = _repeat(batch, budget_s, known, least)
        name = f"cuda: {torch.cuda.get_device_name(device)}"
    method = "CUDA events around one call, L2 flushed before it"
    clock_hz = max(seen.clocks_hz, default=None)
    return Rounds(rows, name, method, _CUDA_EVENT_RESOLUTION_S, clock_hz, seen.note)


def flush_bytes(device: Any) -> int:
    """How much to write to displace what a GPU's caches hold."""
    import torch

    if torch.version.hip:
        return _AMD_FLUSH_BYTES
    return max(2 * torch.cuda.get_device_properties(device).L2_cache_size, _MIN_FLUSH_BYTES)


def _orders(calls: int) -> itertools.cycle:
    return itertools.cycle((range(calls), range(calls)[::-1]))


def _warm_up(calls: Sequence[Call], budget_s: float) -> None:
    began = time.perf_counter()
    for call in calls:
        call()
    while time.perf_counter() - began < _SHARE * budget_s:
        for call in calls:
            call()


def _repeat(
    batch: Callable[[int], list[Round]],
    budget_s: float,
    known: Callable[[list[Round]], bool],
    least: int,
) -> list[Round]:
    """Run batches, each as long as all before it, until enough is known or time is up."""
    began = time.perf_counter()
    rows = batch(1)
    while len(rows) < _RUNS[1]:
        spent_s = time.perf_counter() - began
        if spent_s >= _SHARE * budget_s and known(rows):
            break
        affordable = max(int((budget_s - spent_s) / spent_s * len(rows)), least - len(rows))
        if affordable < 1:
            break
        rows += batch(min(len(rows), affordable, _RUNS[1] - len(rows)))
    return rows
