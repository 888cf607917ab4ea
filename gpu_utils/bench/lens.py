"""Time a callable, or two in alternation, on the device that their tensors are on."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from gpu_utils.bench import clocks, host, lock, rotation
from gpu_utils.bench.comparison import Comparison, quotients
from gpu_utils.bench.device import device_of, identity
from gpu_utils.bench.timing import Timing

__all__ = ["compare", "measure"]

_LEAST_PAIRS = 6  # fewer have no 95 % interval


def measure(
    fn: Callable[..., Any],
    /,
    *args: Any,
    budget_s: float = 1.0,
    rotate: bool | None = None,
    **kwargs: Any,
) -> Timing:
    """Time `fn(*args, **kwargs)` on the device that its tensors are on.

    On a CPU: wall clock of each call. On CUDA: events around each call, with the L2 flushed before
    it by writing more than it holds. Calls are repeated until the median is known to 1 % or the
    budget is used, after a warm-up; one call is timed at least. One timing at a time runs on a
    device, over all processes and users of the machine.

    With rotation each call gets another copy of the tensors among its arguments, as `rotation`
    says; copies take at most an eighth of the free memory. `method` tells what was done.

    Args:
        fn: The callable. It is called many times, so it must not use up its arguments.
        budget_s: About how long to go on, in seconds. Everything else goes to `fn`.
        rotate: Whether inputs rotate. By default they do on CUDA, where a result kept from the
            last call is then of no use, and not on a CPU, where it is for work that is limited by
            memory: the inputs are then out of the caches, as the L2 flush puts them on CUDA.

    Returns:
        The time of one call.

    Raises:
        InterpretedKernelError: `fn` launches a Triton kernel on CPU tensors.
        TimingLockTimeout: Others timed on the device for too long.
        TypeError: `fn` cannot be called.
        ValueError: The tensors are on a device that is neither CPU nor CUDA.
    """
    device = device_of([fn], args, kwargs)
    with lock.held(identity(device)):
        inputs = _inputs(device, args, kwargs, rotate)
        calls = rotation.calls([fn], inputs)
        rounds = _rounds(calls, device, budget_s, _first_is_known)
    return rounds.timing(0, inputs.said, _is_cold(device, inputs))


def compare(
    a: Callable[..., Any],
    b: Callable[..., Any],
    /,
    *args: Any,
    budget_s: float = 2.0,
    rotate: bool | None = None,
    **kwargs: Any,
) -> Comparison:
    """How many times as fast `a` is as `b` on the same arguments, with a 95 % interval.

    The two are timed in alternation, a b, b a, a b, ..., each call as `measure` times it. What
    slows the machine for a while slows both calls of a pair, and what drifts adds to each as often
    first as second. The ratio is the median of time of b / time of a over the pairs, its interval
    lies between two of these quotients (`timing.median_interval`). Pairs are repeated until the
    interval is known to 1 % or the budget is used; six are timed at least.

    Args:
        a, b: The callables.
        budget_s: About how long to go on, in seconds, for both together.
        rotate: As for `measure`; no two calls in a row get the same copy.

    Raises:
        What `measure` raises, for either.

    Source: T. Hoefler, R. Belli, Scientific Benchmarking of Parallel Computing Systems, SC 2015
    (intervals of medians, between order statistics); T. Kalibera, R. Jones, Rigorous Benchmarking
    in Reasonable Time, ISMM 2013 (report a ratio with its interval).

    >>> def many():
    ...     return sum(range(3000))
    >>> def few():
    ...     return sum(range(30))
    >>> found = compare(few, many, budget_s=0.02)
    >>> found.low <= found.ratio <= found.high, found.ratio > 1
    (True, True)
    """
    device = device_of([a, b], args, kwargs)
    with lock.held(identity(device)):
        inputs = _inputs(device, args, kwargs, rotate)
        calls = rotation.calls([a, b], inputs)
        rounds = _rounds(calls, device, budget_s, _ratio_is_known, least=_LEAST_PAIRS)
    said = f"in alternation with another, {inputs.said}"
    first, second = (rounds.timing(index, said, _is_cold(device, inputs)) for index in range(2))
    return Comparison.of(rounds.rows, first, second, (_name(a), _name(b)))


def _name(fn: Callable[..., Any]) -> str:
    return getattr(fn, "__name__", type(fn).__name__)


def _inputs(device: Any, args: tuple, kwargs: dict, rotate: bool | None) -> rotation.Rotation:
    if not (device is not None if rotate is None else rotate):
        said = "inputs the same each time" if device else "caches warm"
        return rotation.still(args, kwargs, said)
    if device is None:
        cache = host.cache_bytes() or host.ASSUMED_CACHE_BYTES
        free = host.free_bytes() or host.ASSUMED_FREE_BYTES
    else:
        import torch

        cache = torch.cuda.get_device_properties(device).L2_cache_size
        free, _ = torch.cuda.mem_get_info(device)
    inputs = rotation.rotated(args, kwargs, cache_bytes=cache, free_bytes=free)
    if device or inputs.beyond_cache:
        return inputs
    return dataclasses.replace(inputs, said=f"{inputs.said}, which the caches may hold")


def _is_cold(device: Any, inputs: rotation.Rotation) -> bool:
    return device is not None or inputs.beyond_cache


def _rounds(
    calls: Sequence[Callable[[], Any]],
    device: Any,
    budget_s: float,
    known: Callable[[list[tuple[float, ...]]], bool],
    least: int = 1,
) -> clocks.Rounds:
    if device is None:
        return clocks.on_cpu(calls, budget_s, known, least)
    return clocks.on_cuda(calls, device, budget_s, known, least)


def _first_is_known(rows: list[tuple[float, ...]]) -> bool:
    return clocks.median_is_known([row[0] for row in rows])


def _ratio_is_known(rows: list[tuple[float, ...]]) -> bool:
    return clocks.median_is_known(quotients(rows))
