"""What a measurement says."""

import dataclasses
import math

from gpu_utils.quantities import Label, Quantity

__all__ = ["Timing"]


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
