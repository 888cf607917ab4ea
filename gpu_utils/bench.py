"""The speed lens: time a callable on the device that its tensors are on.

A time is one call's: the median of many, with the 20th and 80th percentile beside it. What cannot
be timed honestly is refused: a Triton kernel on CPU tensors is interpreted, and its time would say
nothing about a GPU.
"""

import contextlib
import dataclasses
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gpu_utils.quantities import Label, Quantity

__all__ = ["InterpretedKernelError", "Timing", "measure"]

_RELATIVE_ERROR = 0.01  # of the median; when it is this small, more runs tell nothing new
_RUNS = (10, 10_000)  # at least, unless the budget forbids it; at most
_SHARE = 0.1  # of the budget goes to the warm-up, and again at least to the timed calls
_CUDA_QUEUE = 500  # calls in flight, well below the depth of a stream
_CUDA_EVENT_RESOLUTION_S = 0.5e-6  # CUDA's documentation of cudaEventElapsedTime
_MIN_FLUSH_BYTES = 64 * 2**20
_AMD_FLUSH_BYTES = 512 * 2**20  # the driver reports the L2, not the Infinity Cache behind it


class InterpretedKernelError(RuntimeError):
    """A Triton kernel was to be timed where it can only be interpreted."""


@dataclasses.dataclass(frozen=True, repr=False)
class Timing:
    """How long one call takes.

    Args:
        median_s: The median of all timed calls, in seconds.
        p20_s: A fifth of the calls were faster.
        p80_s: A fifth were slower.
        runs: How many calls were timed.
        device: "cpu", or "cuda" and the name of the GPU.
        method: How it was timed.
        resolution_s: The shortest time that the timer tells from none.
    """

    median_s: float
    p20_s: float
    p80_s: float
    runs: int
    device: str
    method: str
    resolution_s: float = 0.0

    @property
    def resolved(self) -> bool:
        """Whether one tick of the timer is at most a tenth of the median."""
        return self.median_s >= 10 * self.resolution_s and self.median_s > 0

    @property
    def spread(self) -> float:
        """(p80 - p20) / median. Above 0.2 the machine's clocks or its load are swinging."""
        return (self.p80_s - self.p20_s) / self.median_s if self.median_s else math.nan

    def per_second(self, amount: float) -> float | None:
        """The rate at which `amount` (bytes, FLOPs, ...) is done in a call, or None.

        None, which prints as "unknown", where the timer does not resolve the call: a rate from
        such a time is noise.

        >>> Timing(0.5, 0.4, 0.6, 9, "cpu", "by hand").per_second(3e9)
        6000000000.0
        >>> Timing(80e-9, 80e-9, 90e-9, 9, "cpu", "by hand", resolution_s=50e-9).per_second(12)
        """
        return amount / self.median_s if self.resolved else None

    def __str__(self) -> str:
        low, high = (Quantity(s, "s", Label.MEASURED).text for s in (self.p20_s, self.p80_s))
        said = f"{Quantity(self.median_s, 's', Label.MEASURED)} (p20 {low}, p80 {high})"
        if self.resolved:
            return f"{said} on {self.device}"
        tick = Quantity(self.resolution_s, "s", Label.MEASURED).text
        return f"{said} on {self.device}: too short for a timer that resolves {tick}; no rate"

    def __repr__(self) -> str:
        return f"Timing({self})"  # no raw digits: they would differ in every saved notebook


def measure(fn: Callable[..., Any], /, *args: Any, budget_s: float = 1.0, **kwargs: Any) -> Timing:
    """Time `fn(*args, **kwargs)` on the device that its tensors are on.

    On a CPU: wall clock of each call, with warm caches. On CUDA: events around each call, with the
    L2 flushed before it by writing more than it holds. Calls are repeated until the median is known
    to 1 % or the budget is used, after a warm-up; one call is timed at least.

    Args:
        fn: The callable. It is called many times, so it must not use up its arguments.
        budget_s: About how long to go on, in seconds. Everything else goes to `fn`.

    Returns:
        The time of one call.

    Raises:
        InterpretedKernelError: `fn` launches a Triton kernel on CPU tensors.
        TypeError: `fn` cannot be called.
        ValueError: The tensors are on a device that is neither CPU nor CUDA.
    """
    if not callable(fn):
        raise TypeError(
            f"bench.measure times a callable, got {type(fn).__name__}; pass the function and its "
            "arguments, measure(softmax, x), and not its result, measure(softmax(x))"
        )
    tensors = list(_tensors((args, kwargs)))
    if not any(tensor.device.type == "cuda" for tensor in tensors):
        tensors += _first_call(fn, args, kwargs)

    def call() -> Any:
        return fn(*args, **kwargs)

    device = _device(tensors)
    return _measure_cuda(call, device, budget_s) if device else _measure_cpu(call, budget_s)


def _first_call(fn: Callable[..., Any], args: tuple, kwargs: dict) -> list[Any]:
    """Call once with Triton's launches caught; the tensors that came to light.

    Raises:
        InterpretedKernelError: A launch was given CPU tensors.
    """
    if os.environ.get("TRITON_INTERPRET", "0").lower() not in ("", "0", "false", "off"):
        raise InterpretedKernelError(
            "TRITON_INTERPRET is set, so every Triton kernel in this process is interpreted and "
            "its time says nothing about a GPU: unset it and start Python again"
        )
    found: list[Any] = []
    refused: list[InterpretedKernelError] = []

    def watch(launch: Any) -> None:
        tensors = list(_tensors(launch.arguments))
        found.extend(tensors)
        if any(tensor.device.type == "cpu" for tensor in tensors):
            refused.append(_interpreted(launch.name))
            raise refused[0]

    # Raised again here, in case `fn` caught what `watch` raised.
    with contextlib.suppress(InterpretedKernelError), _launches_caught(watch):
        found.extend(_tensors(fn(*args, **kwargs)))
    if refused:
        raise refused[0]
    return found


@contextlib.contextmanager
def _launches_caught(watch: Callable[[Any], None]) -> Iterator[None]:
    try:
        from gpu_utils._triton.launches import intercept
    except ImportError:  # no Triton on this system, so nothing can launch a kernel
        yield
        return
    with intercept(watch):
        yield


def _interpreted(kernel: str) -> InterpretedKernelError:
    return InterpretedKernelError(
        f"{kernel} is a Triton kernel on CPU tensors: it is only interpreted, and its time says "
        "nothing about a GPU; use traffic.count and codegen.compile, or pass CUDA tensors"
    )


def _tensors(tree: Any) -> Iterator[Any]:
    """The tensors in nested containers. None exist before somebody has imported torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, torch.nn.Module):
        yield from tree.parameters()
    elif isinstance(tree, dict):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _tensors(item)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        yield from _tensors(list(vars(tree).values()))  # Triton's TensorDescriptor is one


def _device(tensors: Iterable[Any]) -> Any:
    """The CUDA device that the tensors are on; None is the CPU."""
    devices = {tensor.device for tensor in tensors}
    other = {device.type for device in devices} - {"cpu", "cuda"}
    if other:
        raise ValueError(
            f"bench.measure times CPU and CUDA tensors, got {', '.join(sorted(other))}; a meta "
            "tensor holds no data, and other devices need a clock of their own"
        )
    cuda = [device for device in devices if device.type == "cuda"]
    if len(cuda) > 1:
        names = ", ".join(sorted(str(device) for device in cuda))
        raise ValueError(f"bench.measure times one GPU, got tensors on {names}")
    return cuda[0] if cuda else None


def _measure_cpu(call: Callable[[], Any], budget_s: float) -> Timing:
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


def _measure_cuda(call: Callable[[], Any], device: Any, budget_s: float) -> Timing:
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
        samples += batch(min(len(samples), affordable))
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
