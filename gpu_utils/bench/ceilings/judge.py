"""How points of the sweep are held against the ceilings, while both are measured.

The sweep is checked against the ceilings as it is measured. Where a product beats one, it and the
ceiling are measured again, side by side, so that a slow moment of the machine decides nothing.
What beats it still is judged by kind:

- FLOPs cannot be had by a trick: the product was calculated, so the ceiling, a lower bound by
  nature, is raised to it.
- Bytes can, by a cache. Within the spread of the repeats, or 5 %, the read ceiling is raised; a
  product that reads faster than that is refused and left out of the sweep.

So no point of a `Ceilings` lies above its own roof. `note` says what was refused, and what was
raised by more than 5 %.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

from gpu_utils.bench.ceilings.result import SweepPoint
from gpu_utils.bench.timing import Timing
from gpu_utils.quantities import text

__all__ = ["LEAST_RUNS", "Judge", "Limit", "samples_of", "spread_of"]

LEAST_RUNS = 4
_MOST_RUNS = 100
_SLACK = 0.05  # a ceiling raised by more than this is said in the note


@dataclasses.dataclass
class Limit:
    """One ceiling: what it is called, what measures it, and how fast that was so far."""

    name: str
    unit: str
    amount: float  # done by one call
    call: Callable[[], Any]
    time_s: float
    spread: float

    @property
    def rate(self) -> float:
        """What it does in a second."""
        return self.amount / self.time_s

    def measure_again(self) -> None:
        """Take the best of all runs so far and a few more."""
        samples = samples_of(self.call, 0.0)
        self.time_s = min(self.time_s, *samples)
        self.spread = max(self.spread, spread_of(samples))


class Judge:
    """Holds each point of the sweep against the ceilings of its kind.

    Args:
        read: The ceiling of bytes.
        peak: The ceiling of FLOPs.
        doubt: Why a cache may hold the arrays; empty if none does.
    """

    def __init__(self, read: Limit, peak: Limit, doubt: str = "") -> None:
        self._read, self._peak, self._doubt = read, peak, doubt
        self._first = {limit.name: limit.rate for limit in (read, peak)}
        self._refused: list[str] = []

    def judged(
        self, point: SweepPoint, call: Callable[[], Any], spread: float
    ) -> SweepPoint | None:
        """The point, under ceilings that may have risen; None if it is refused.

        Args:
            point: As it was measured.
            call: What measures it.
            spread: How much its repeats differed.
        """
        beaten = [one for one in (self._read, self._peak) if _rate(point, one) > one.rate]
        if not beaten:
            return point
        for one in beaten:
            one.measure_again()
        samples = samples_of(call, 0.0)
        point = dataclasses.replace(point, time_s=min(samples))
        allowed = max(spread, spread_of(samples), self._read.spread, _SLACK)
        if _rate(point, self._read) > self._read.rate * (1 + allowed):
            self._refuse(point, allowed)
            return None
        for one in (self._read, self._peak):
            one.time_s = min(one.time_s, one.amount / _rate(point, one))
        return point

    def _refuse(self, point: SweepPoint, allowed: float) -> None:
        why = "a cache held part of its weights" + (
            ", as the arrays are not well beyond it" if self._doubt else ", larger than is reported"
        )
        self._refused.append(
            f"The product at batch {point.batch} is refused: it would read "
            f"{text(_rate(point, self._read), 'B/s')}, more than the {text(self._read.rate, 'B/s')}"
            f" of the read ceiling and the {text(allowed, '%')} by which repeats differ. Most "
            f"likely {why}."
        )

    def said(self) -> Iterator[str]:
        """What to know of points that were refused, and of ceilings that rose."""
        yield from self._refused
        rose = [
            f"the {one.name} ceiling from {text(self._first[one.name], one.unit)} to "
            f"{text(one.rate, one.unit)}"
            for one in (self._read, self._peak)
            if one.rate > self._first[one.name] * (1 + _SLACK)
        ]
        if rose:
            yield (
                f"The sweep beat its bound, which raised {' and '.join(rose)}: the first "
                "measurement met load or a slower clock, or a shape that suits this CPU less."
            )


def _rate(point: SweepPoint, limit: Limit) -> float:
    """How fast a point does what a limit is about."""
    return (point.bytes if limit.unit == "B/s" else point.flops) / point.time_s


def samples_of(call: Callable[[], Any], budget_s: float, least: int = LEAST_RUNS) -> list[float]:
    """Times of a call, after one that is not counted, for the budget or the fewest runs."""
    call()
    samples: list[float] = []
    until = time.perf_counter() + budget_s
    while len(samples) < least or (time.perf_counter() < until and len(samples) < _MOST_RUNS):
        before = time.perf_counter()
        call()
        samples.append(time.perf_counter() - before)
    return samples


def spread_of(samples: list[float]) -> float:
    """(p80 - p20) / median, as `Timing.spread`."""
    return Timing.of(samples, "cpu", "wall clock of one call").spread
