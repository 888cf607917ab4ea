"""Refuse a time that no machine of this kind can reach, and say what most likely happened."""

import decimal
import math
from collections.abc import Iterator

from gpu_utils.bench.timing import Timing
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.roofline import OpCost
from gpu_utils.specs import GPUSpec

__all__ = ["ImplausibleTimingError", "believable"]

_ABOVE_BOOST = 1.25  # no part's clock runs further above its data sheet's; for the message only


class ImplausibleTimingError(ValueError):
    """A measured time is shorter than the roofline allows."""


def believable(
    timing: Timing,
    cost: OpCost,
    spec: GPUSpec,
    dtype: str | None = None,
    *,
    written_bytes: float | None = None,
) -> Timing:
    """The timing, if the part can be that fast; an error with the likely cause, if not.

    It is refused if median + one tick < max(bytes / bandwidth, flops / peak). All allowances:

    - one tick of the timer, since a time is known no better;
    - half a unit in the last digit of the part's figure: 3.35 TB/s may be 3.355;
    - on a GPU, what it wrote last and still holds when the clock stops: as many of the written
      bytes as its L2 and what is behind it hold. That the inputs come from memory is taken for
      granted, since the L2 is flushed before each call; on a CPU, only rotated inputs do, and warm
      ones are what the error names first;
    - the SM clock, where it was read during the run: the peak is for the boost clock of the data
      sheet, and a part may run above it. A sheet that states some peaks at a higher clock is then
      allowed too much, and never too little.

    Args:
        timing: Of one call.
        cost: What the call must do at least. Bytes that it need not move do not belong in it.
        spec: The part that it ran on.
        dtype: Whose peak the FLOPs are held against; None looks at the bytes alone.
        written_bytes: How many of the bytes are written; None may be all of them.

    Raises:
        ImplausibleTimingError: It is too fast.
        UnknownFigureError: The part's bandwidth, or its peak for `dtype`, is unknown.

    >>> from gpu_utils import specs
    >>> timed = Timing(1e-6, 1e-6, 1e-6, 9, "cuda: NVIDIA H100 80GB HBM3", "by hand", cold=True)
    >>> believable(timed, OpCost(0, 1e9), specs.get("h100"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    gpu_utils.bench.plausible.ImplausibleTimingError: it took ≈ 1.00 µs MEASURED, and ...
    """
    memory_s = _memory_s(timing, cost, spec, written_bytes)
    compute_s = _compute_s(timing, cost, spec, dtype) if dtype and cost.flops else 0.0
    least_s = max(memory_s, compute_s)
    if timing.median_s + timing.resolution_s >= least_s:
        return timing
    memory = memory_s >= compute_s
    took = Quantity(timing.median_s, "s", Label.MEASURED)
    needs = Quantity(least_s, "s", Label.MODELLED)
    what = text(cost.bytes, "B") if memory else text(cost.flops, "FLOP")
    ratio = least_s / timing.median_s if timing.median_s else math.inf
    causes = _causes(timing, "memory" if memory else str(dtype), ratio)
    raise ImplausibleTimingError(
        f"it took {took}, and {spec.name} needs at least {needs} for {what}, with every allowance "
        f"made. Most likely {'; or '.join(causes)}"
    )


def _memory_s(timing: Timing, cost: OpCost, spec: GPUSpec, written_bytes: float | None) -> float:
    bandwidth = float(spec.require("memory_bandwidth_bytes_per_s"))
    written = cost.bytes if written_bytes is None else written_bytes
    left = min(written, _held_bytes(timing, spec))
    return (cost.bytes - left) / (bandwidth * (1 + _rounding(bandwidth)))


def _held_bytes(timing: Timing, spec: GPUSpec) -> float:
    """How much written data may still be on its way to memory when the clock stops."""
    if timing.device == "cpu":
        return 0.0  # whatever stays in its caches displaces what an earlier call left there
    # NVIDIA's parts have no cache behind the L2; of others, one that is unknown may be any size.
    behind = 0 if spec.vendor == "NVIDIA" else spec.memory_side_cache_bytes
    if spec.l2_bytes is None or behind is None:
        return math.inf
    return spec.l2_bytes + behind


def _compute_s(timing: Timing, cost: OpCost, spec: GPUSpec, dtype: str) -> float:
    peak = spec.peak(dtype)
    above = 1.0
    if timing.clock_hz and spec.boost_clock_hz:
        above = max(timing.clock_hz / spec.boost_clock_hz, 1.0)
    return cost.flops / (peak * (1 + _rounding(peak)) * above)


def _rounding(figure: float) -> float:
    """Half a unit in the last digit that a figure is given to, as a fraction of it.

    >>> round(_rounding(5.3e12), 5), round(_rounding(989.4e12), 7)  # 0.05 / 5.3, 0.05 / 989.4
    (0.00943, 5.05e-05)
    """
    exponent = decimal.Decimal(repr(figure)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return 0.5 * 10.0**exponent / figure


def _causes(timing: Timing, limiter: str, ratio: float) -> Iterator[str]:
    """What may have happened, the likeliest first; `ratio` is how many times too fast it is."""
    if limiter == "memory":
        if not timing.cold:
            yield (
                "its inputs were still in a cache: give more than the caches hold, or let "
                "rotate=True use copies in turn"
            )
        yield (
            "fewer bytes move than were counted: the count is wrong, a result was kept from an "
            "earlier call, or the compiler removed loads that nothing uses"
        )
    else:
        if timing.device != "cpu" and timing.clock_hz is None and ratio < _ABOVE_BOOST:
            yield (
                "the clock ran above the boost clock that the peak is for: with nvidia-ml-py "
                "installed it is read and allowed for"
            )
        yield (
            f"it calculates in a faster type than {limiter}, or does fewer FLOP than were counted: "
            "a result was kept from an earlier call, or the compiler removed arithmetic that "
            "changes nothing"
        )
    yield "the clock was read before the work had ended, as it is for work on another stream"
