"""What a comparison of two callables says."""

import dataclasses
import statistics
from collections.abc import Sequence

from gpu_utils.bench.timing import Timing, median_interval
from gpu_utils.quantities import Label, Quantity

__all__ = ["Comparison"]


@dataclasses.dataclass(frozen=True, repr=False)
class Comparison:
    """How many times as fast the first of two callables is as the second.

    Args:
        ratio: The median of time of b / time of a over all pairs; above 1, a is faster.
        low, high: The 95 % interval of that median.
        runs: How many pairs were timed.
        a, b: Each one's own timing.
        names: What to call the two.
    """

    ratio: float
    low: float
    high: float
    runs: int
    a: Timing
    b: Timing
    names: tuple[str, str] = ("a", "b")

    @classmethod
    def of(
        cls, pairs: Sequence[tuple[float, ...]], a: Timing, b: Timing, names: tuple[str, str]
    ) -> "Comparison":
        """Compare by pairs (time of a, time of b), at least six."""
        ratios = quotients(pairs)
        low, high = median_interval(ratios)
        return cls(statistics.median(ratios), low, high, len(ratios), a, b, names)

    @property
    def settled(self) -> bool:
        """Whether 1 is outside the interval: which of the two is faster is then known."""
        return not self.low <= 1 <= self.high

    def __str__(self) -> str:
        ratio = Quantity(self.ratio, "x", Label.MEASURED)
        low, high = (Quantity(end, "x", Label.MEASURED).text for end in (self.low, self.high))
        first, second = self.names
        said = f"{first} runs at {ratio} the speed of {second} (95 %: {low} to {high})"
        doubt = "" if self.settled else ", which does not tell which is faster"
        unsteadier = max(self.a, self.b, key=lambda timing: timing.spread)
        return "; ".join(filter(None, (f"{said}{doubt}", unsteadier.swing, self.a.note)))

    def __repr__(self) -> str:
        return f"Comparison({self})"  # no raw digits, as in a Timing


def quotients(pairs: Sequence[tuple[float, ...]]) -> list[float]:
    """Time of b / time of a, pair by pair; a time of nothing is one that the timer missed."""
    return [b / a if a else float("inf") if b else 1.0 for a, b in pairs]
