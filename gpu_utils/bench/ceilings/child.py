"""What the measuring process does: `python -m gpu_utils.bench.ceilings.child 15`."""

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from gpu_utils.bench import host
from gpu_utils.bench.ceilings.judge import LEAST_RUNS, Judge, Limit, samples_of, spread_of
from gpu_utils.bench.ceilings.result import Ceilings, SweepPoint
from gpu_utils.bench.timing import SWING
from gpu_utils.quantities import text

_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_LARGEST_ARRAY, _SMALLEST_ARRAY = 256 * 2**20, 16 * 2**20
_SQUARE, _SMALL_SQUARE = 1024, 256
_SHARE = 0.08  # of the time, for the product of one dtype
_WIDTHS = (4096, 2048, 1024)
_BATCHES = tuple(4**power for power in range(7))
_SMALL_BATCH = 16  # up to here a product costs little more than its weights, even out of time


def _measure(budget_s: float) -> Ceilings:
    began = time.perf_counter()
    import torch

    size, doubt = _array_bytes(host.cache_bytes(), host.free_bytes())
    imported_s = time.perf_counter() - began
    left_s = max(budget_s - imported_s, budget_s / 2)
    until = time.perf_counter() + left_s
    spreads: list[float] = []

    def limit(
        name: str, amount: float, call: Callable[[], Any], share: float, least: int = LEAST_RUNS
    ) -> Limit:
        samples = samples_of(call, share * left_s, least)
        spreads.append(spread_of(samples))
        unit = "FLOP/s" if name in _TORCH_NAMES else "B/s"
        return Limit(name, unit, amount, call, min(samples), spreads[-1])

    products = {}
    for dtype in _TORCH_NAMES:
        small_s = min(samples_of(_square(torch, dtype, _SMALL_SQUARE), 0.0))
        expected_s = small_s * (_SQUARE / _SMALL_SQUARE) ** 3
        # One call is not counted, and one must be: more than its share, and the dtype is emulated.
        if 2 * expected_s > _SHARE * left_s and dtype != "fp32":
            continue
        least = 1 if expected_s * LEAST_RUNS > _SHARE * left_s else LEAST_RUNS
        call = _square(torch, dtype, _SQUARE)
        products[dtype] = limit(dtype, 2 * _SQUARE**3, call, _SHARE, least)

    native = max(products, key=lambda dtype: products[dtype].rate)
    width = _width(products[native].rate, 0.6 * (until - time.perf_counter()), _BYTES[native], size)
    stretch = width * width * _BYTES[native]
    readers = (reader(torch, size, stretch) for reader in (_summing, _times_a_vector))
    read = max((limit("read", stretch, call, 0.07) for call in readers), key=lambda one: one.rate)
    write = limit("write", size, _filling(torch, size), 0.08).rate
    copy = limit("copy", 2 * size, _copying(torch, size), 0.1).rate
    judge = Judge(read, products[native], doubt)
    sweep = []
    for point, call, spread in _sweep(torch, native, width, size, until, 0.05 * left_s):
        spreads.append(spread)
        kept = judge.judged(point, call, spread)
        sweep += [kept] if kept else []
    spread = max(spreads)
    return Ceilings(
        read_bytes_per_s=read.rate,
        copy_bytes_per_s=copy,
        flops_per_s={dtype: one.rate for dtype, one in products.items()},
        sweep_dtype=native,
        sweep=tuple(sweep),
        device=_device(torch),
        spread=spread,
        note=" ".join(filter(None, (_swing(spread), *judge.said(), doubt))),
        write_bytes_per_s=write,
    )


def _summing(torch: Any, size: int, stretch: int) -> Callable[[], Any]:
    turn = _stretches(torch, size, stretch)
    return lambda: next(turn).sum()


def _times_a_vector(torch: Any, size: int, stretch: int) -> Callable[[], Any]:
    turn, vector = _stretches(torch, size, stretch), torch.ones(1024)
    out = torch.empty(stretch // 4096)
    return lambda: torch.mv(next(turn).view(-1, 1024), vector, out=out)


def _stretches(torch: Any, size: int, stretch: int) -> Iterator[Any]:
    """The stretches of an array in turn, each as long as the weights that the sweep reads.

    A long read meets more of what else runs on the machine than a short one, and the best of
    several is then no fair ceiling for the short.
    """
    source = torch.ones(size // 4)  # not zeros: they might share one page
    whole = [part for part in source.split(stretch // 4) if len(part) == stretch // 4]
    return itertools.cycle(whole)


def _filling(torch: Any, size: int) -> Callable[[], Any]:
    target = torch.ones(size // 4)
    return lambda: target.fill_(2.0)


def _copying(torch: Any, size: int) -> Callable[[], Any]:
    source, target = (torch.ones(size // 4) for _ in range(2))
    return lambda: target.copy_(source)


def _square(torch: Any, dtype: str, side: int) -> Callable[[], Any]:
    a, b, out = (torch.randn(side, side).to(getattr(torch, _TORCH_NAMES[dtype])) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def _sweep(
    torch: Any, dtype: str, width: int, size: int, until: float, budget_s: float
) -> Iterator[tuple[SweepPoint, Callable[[], Any], float]]:
    """Each point of the sweep, what measures it, and how much its repeats differed.

    Args:
        width: Of the weights, [width, width] in `dtype`.
        size: At least so many bytes of weights are used in turn.
        until: When to stop, on `time.perf_counter`.
        budget_s: How long to repeat one point.
    """
    element = getattr(torch, _TORCH_NAMES[dtype])
    # As many weights as fill an array: by the time one comes round again, others displaced it.
    copies = max(2, math.ceil(size / (width * width * _BYTES[dtype])))
    first = torch.randn(width, width).to(element)
    weights = [first, *(first.clone() for _ in range(copies - 1))]
    turn = 0

    def product(x: Any, out: Any) -> Callable[[], Any]:
        def call() -> None:
            nonlocal turn
            turn += 1  # on from the last batch, so that none begins with a warm matrix
            torch.mm(x, weights[turn % copies], out=out)

        return call

    last_s = 0.0
    for batch in _BATCHES:
        # The next batch is four times the last: at worst it takes four times as long.
        if batch > _SMALL_BATCH and time.perf_counter() + 4 * last_s * (LEAST_RUNS + 1) > until:
            return
        x = torch.randn(batch, width).to(element)
        call = product(x, torch.empty(batch, width, dtype=element))
        samples = samples_of(call, budget_s)
        last_s = min(samples)
        moved = (2 * batch * width + width * width) * _BYTES[dtype]
        point = SweepPoint(batch, last_s, 2 * batch * width * width, moved)
        yield point, call, spread_of(samples)


def _width(peak: float, left_s: float, element_bytes: int, size: int) -> int:
    """The widest weights that leave time for a batch of 256, and two of which fit in `size`."""
    for width in _WIDTHS:
        slow = 2 * 256 * width**2 / peak * (LEAST_RUNS + 1) > left_s / 4
        if not slow and 2 * width**2 * element_bytes <= size:
            return width
    return _WIDTHS[-1]


def _swing(spread: float) -> str:
    if spread <= SWING:
        return ""
    return (
        f"Repeats of one measurement differ by {text(spread, '%')}: this machine's clocks or its "
        "load are swinging, so compare rates within one run only."
    )


def _array_bytes(cache: int | None, free: int | None) -> tuple[int, str]:
    """How large an array to read: four last-level caches, as memory and the cap allow.

    Returns:
        The size, and a sentence if it is not beyond the cache.
    """
    reported = cache or host.ASSUMED_CACHE_BYTES
    allowed = min(_LARGEST_ARRAY, (free or host.ASSUMED_FREE_BYTES) // 8)
    size = min(max(4 * reported, 64 * 2**20), allowed) // 4096 * 4096
    if size < _SMALLEST_ARRAY:
        raise MemoryError(
            f"{text(free or 0, 'B')} of memory is free, expected at least "
            f"{text(8 * _SMALLEST_ARRAY, 'B')}: close other programs and try again"
        )
    if size >= 2 * reported:
        return size, ""
    return size, (
        f"The arrays ({text(size, 'iB')}) are not well beyond the last-level cache that the system "
        f"reports ({text(reported, 'iB')}), so the byte rates may be partly a cache's."
    )


def _device(torch: Any) -> str:
    said = f"cpu: {host.processor()}, {text(torch.get_num_threads())} threads"
    return f"{said} (its GPU was not measured)" if torch.cuda.is_available() else said


if __name__ == "__main__":
    try:
        print(_measure(float(sys.argv[1]) if len(sys.argv) > 1 else 15.0).to_json())
    except (MemoryError, RuntimeError) as reason:
        sys.exit(f"{type(reason).__name__}: {reason}".splitlines()[0])
