"""Counting with bounds checks, over Triton's stock interpreter: times and their ratio."""

import time
from collections.abc import Iterator

from gpu_utils._dev.bench.rows import Row, row
from gpu_utils._dev.bench.stock import stock

__all__ = ["counting"]

_SECTION = "counting"


def counting(small: bool = False, runs: int = 9, budget_s: float = 8.0) -> Iterator[Row]:
    """Three rows a kernel: our time, the stock interpreter's, and the ratio pair by pair.

    The stock side checks no bounds and counts nothing. The two take turns, so that both see the
    same weather: in a pair they follow each other at once, and every second begins with the other.

    Args:
        small: small cases, for a test.
        runs: pairs at most.
        budget_s: about how long a kernel may take; three pairs at least.
    """
    from gpu_utils import traffic
    from gpu_utils._dev.bench import kernels

    def ours(name: str) -> float:
        case = cases[name]
        inputs = case.inputs()
        began = time.perf_counter()
        counted = traffic.count(case.launch, *inputs)
        seconds = time.perf_counter() - began
        kernels.check(case, inputs, counted.result)
        return seconds

    cases = kernels.SMALL if small else kernels.CASES
    with stock(*["--small"] if small else []) as theirs:
        for name in cases:
            pairs: list[tuple[float, float]] = []
            ours(name), theirs(name)  # imports at first use, and warm caches
            began = time.perf_counter()
            while len(pairs) < min(runs, 3) or (
                len(pairs) < runs and time.perf_counter() - began < budget_s
            ):
                if len(pairs) % 2:
                    second, first = theirs(name), ours(name)
                else:
                    first, second = ours(name), theirs(name)
                pairs.append((first, second))
            yield row(_SECTION, f"{name}, counted", "s", [mine for mine, _ in pairs])
            yield row(_SECTION, f"{name}, stock interpreter", "s", [stocks for _, stocks in pairs])
            ratios = [mine / stocks for mine, stocks in pairs]
            yield row(_SECTION, f"{name}, counted over stock", "x", ratios)
