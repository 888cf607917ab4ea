"""What a measurement says."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from gpu_utils.quantities import Label, Quantity

__all__ = ["SWING", "Timing", "median_interval"]

SWING = 0.2  # a spread above this is said beside the number


@dataclasses.dataclass(frozen=True, repr=False)
class Timing:
    """How long one call takes.

    Args:
        median_s: The median of all timed calls, in seconds.
        p20_s: A fifth of the calls were faster.
        p80_s: A fifth were slower.
        runs: How many calls were timed.
        device: "cpu", or "cuda" and the name of the GPU.
        method: How it was timed, and on which inputs.
        resolution_s: The shortest time that the timer tells from none.
        cold: Whether the inputs were out of the caches when a call began.
        clock_hz: The highest SM clock that was read during the run; None if none was.
        note: What to know beside the number; empty if nothing.
    """

    median_s: float
    p20_s: float
    p80_s: float
    runs: int
    device: str
    method: str
    resolution_s: float = 0.0
    cold: bool = False
    clock_hz: float | None = None
    note: str = ""

    @classmethod
    def of(cls, samples: Sequence[float], device: str, method: str, **fields: object) -> "Timing":
        """The timing of some calls, from the time of each in seconds.

        >>> Timing.of([4.0, 1.0, 2.0, 3.0, 9.0], "cpu", "by hand").p80_s
        4.0
        """
        ordered = sorted(samples)
        p20, p80 = (ordered[round(share * (len(ordered) - 1))] for share in (0.2, 0.8))
        median = statistics.median(ordered)
        return cls(median, p20, p80, len(ordered), device, method, **fields)  # type: ignore[arg-type]

    @property
    def resolved(self) -> bool:
        """Whether one tick of the timer is at most a tenth of the median."""
        return self.median_s >= 10 * self.resolution_s and self.median_s > 0

    @property
    def spread(self) -> float:
        """(p80 - p20) / median. Above 0.2 the machine's clocks or its load are swinging."""
        return (self.p80_s - self.p20_s) / self.median_s if self.median_s else math.nan

    @property
    def swing(self) -> str:
        """What is said of a spread above 0.2; empty below.

        >>> Timing(0.5, 0.4, 0.6, 9, "cpu", "by hand").swing
        'the times differ by ≈ 40.0 %: the clocks or the load are swinging'
        """
        if not (self.resolved and self.spread > SWING):
            return ""
        spread = Quantity(self.spread, "%", Label.MEASURED).text
        return f"the times differ by {spread}: the clocks or the load are swinging"

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
        said = f"{said} on {self.device}"
        if not self.resolved:
            tick = Quantity(self.resolution_s, "s", Label.MEASURED).text
            said = f"{said}: too short for a timer that resolves {tick}; no rate"
        return "; ".join(filter(None, (said, self.swing, self.note)))

    def __repr__(self) -> str:
        return f"Timing({self})"  # no raw digits: they would differ in every saved notebook


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval for the median, between two of the samples.

    Of n sorted samples those of rank n/2 - 0.98 sqrt(n) and 1 + n/2 + 0.98 sqrt(n), both rounded
    away from the middle. How times are distributed does not matter; that they do not depend on
    each other does. Fewer than six samples have no such interval: all five of five lie on one side
    of the median in 2 of 32 cases.

    Raises:
        ValueError: There are fewer than six samples.

    Source: J.-Y. Le Boudec, Performance Evaluation of Computer and Communication Systems (2010),
    chapter 2 and appendix A.

    >>> median_interval([1, 2, 3, 4, 5, 6])
    (1, 6)
    >>> median_interval(range(1, 101))  # 50 - 9.8 and 51 + 9.8
    (40, 61)
    """
    runs = len(samples)
    if runs < 6:
        raise ValueError(f"a 95 % interval of a median needs at least six samples, got {runs}")
    ordered = sorted(samples)
    reach = 0.98 * math.sqrt(runs)
    low = max(1, math.floor(runs / 2 - reach))
    high = min(runs, math.ceil(1 + runs / 2 + reach))
    return ordered[low - 1], ordered[high - 1]
