"""This machine's own roofline: what its memory and its matrix products reach, measured.

The measuring is done in a child process (`python -m gpu_utils.bench.ceilings`), because the C
library reads its malloc settings once, before Python starts. Without them each large tensor is
mapped afresh, and what is timed is page faults.

A ceiling found this way is a lower bound: something else may run faster than what was tried. The
sweep is checked against it, and where a product beats its bound the ceiling is raised to what was
seen, so that no point of a `Ceilings` lies above its own roof; `note` says so beyond 5 %. It is
raised and not refused since the machine did just that, over data that was rotated through memory;
where the arrays may have been in a cache, `note` says that too.
"""

import contextlib
import dataclasses
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.specs import GPUSpec

__all__ = ["Ceilings", "CeilingsError", "SweepPoint", "ceilings"]

# 32 GiB: no tensor is mapped on its own, and freed memory is kept, with its pages.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "34359738368", "MALLOC_TRIM_THRESHOLD_": "34359738368"}
_GRACE_S = 60.0  # on top of twice the budget: importing torch from a cold disk is slow
_SWING = 0.2  # a spread above this is said in the note
_SLACK = 0.05  # a ceiling raised by more than this is said in the note
_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
_LARGEST_ARRAY, _SMALLEST_ARRAY = 256 * 2**20, 16 * 2**20
_ASSUMED_CACHE, _ASSUMED_FREE = 32 * 2**20, 2**30  # where the system does not say
_SQUARE, _SMALL_SQUARE = 1024, 256
_TOO_SLOW_S = 2.0  # for one product: the dtype is emulated here, and says nothing
_WIDTHS = (4096, 2048, 1024)
_BATCHES = tuple(4**power for power in range(7))
_RUNS = (4, 100)  # at least and at most


class CeilingsError(RuntimeError):
    """The machine could not be measured."""


@dataclasses.dataclass(frozen=True)
class SweepPoint:
    """One product [M, K] @ [K, N] of the sweep.

    Args:
        batch: M, the rows that share one read of the weights.
        time_s: The best of several runs.
        flops: 2 * M * N * K.
        bytes: Each matrix once: (M*K + K*N + M*N) times the bytes of an element.
    """

    batch: int
    time_s: float
    flops: float
    bytes: float


@dataclasses.dataclass(frozen=True, repr=False)
class Ceilings:
    """What this machine's CPU reaches. Every figure is MEASURED.

    Args:
        read_bytes_per_s: A sum over an array.
        copy_bytes_per_s: A copy, bytes in plus bytes out.
        flops_per_s: A square matrix product, by dtype: "fp32", "bf16", "fp16". A dtype that is
            too slow to time here is left out.
        sweep_dtype: The dtype with the most FLOP/s, whose matrix product is native here.
        sweep: Products with the same width and a growing batch.
        device: What was measured.
        spread: The largest (p80 - p20) / median among the repeats of one measurement.
        note: What to know beside the numbers; empty if nothing.
    """

    read_bytes_per_s: float
    copy_bytes_per_s: float
    flops_per_s: Mapping[str, float] = dataclasses.field(hash=False)
    sweep_dtype: str
    sweep: tuple[SweepPoint, ...]
    device: str
    spread: float
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "flops_per_s", types.MappingProxyType(dict(self.flops_per_s)))
        rates = (self.read_bytes_per_s, self.copy_bytes_per_s, *self.flops_per_s.values())
        if not all(0 < rate < math.inf for rate in rates):
            raise ValueError(f"each ceiling must be positive and finite, got {rates}")
        if self.sweep_dtype not in self.flops_per_s:
            raise ValueError(
                f"the sweep is in {self.sweep_dtype!r}, expected a dtype with a ceiling: "
                f"{', '.join(self.flops_per_s) or 'none'}"
            )

    def as_spec(self, name: str = "this machine") -> GPUSpec:
        """The same figures as a part, to set beside others in `roofline`.

        The bandwidth is that of a copy, as most kernels read and write. It has no sources: print
        its figures as MEASURED. What only reads, as the first points of the sweep nearly do, is
        bound by `read_bytes_per_s`, which may be higher.

        >>> mine = Ceilings(20e9, 15e9, {"fp32": 3e11}, "fp32", (), "by hand", 0.0)
        >>> mine.as_spec().memory_bandwidth_bytes_per_s, mine.as_spec().peak("fp32")
        (15000000000.0, 300000000000.0)
        """
        return GPUSpec(
            id="-".join(name.lower().split()),
            name=name,
            peak_flops_per_s=self.flops_per_s,
            memory_bandwidth_bytes_per_s=self.copy_bytes_per_s,
        )

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["flops_per_s"] = dict(self.flops_per_s)
        fields["sweep"] = [dataclasses.asdict(point) for point in self.sweep]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, line: str) -> "Ceilings":
        """Read what `to_json` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"sweep": tuple(SweepPoint(**point) for point in fields["sweep"])})

    def __repr__(self) -> str:
        """One ceiling a line, and the note; no raw digits, which would differ in every notebook."""
        rates = (
            ("read", self.read_bytes_per_s, "B/s"),
            ("copy", self.copy_bytes_per_s, "B/s"),
            *((dtype, rate, "FLOP/s") for dtype, rate in self.flops_per_s.items()),
        )
        said = [f"{name:<6}{Quantity(rate, unit, Label.MEASURED)}" for name, rate, unit in rates]
        return "\n".join([*said, *textwrap.wrap(self.note, 88)])


def ceilings(budget_s: float = 15) -> Ceilings:
    """Measure this machine's roofline, on its CPU even where there is a GPU.

    Args:
        budget_s: About how long it may take in all, in seconds, 1 to 600. Where importing torch
            takes more than half of it, it takes longer.

    Raises:
        CeilingsError: The child process died, took far too long or printed something else.
        ValueError: The budget is out of range.
    """
    if not 1 <= budget_s <= 600:
        raise ValueError(f"budget_s must be from 1 to 600 seconds, got {budget_s}; try 15")
    # -P: a torch.py in the working directory is not ours. The warning would be that this module
    # was imported by its package before it was run, which is so and harmless.
    quiet = ("-P", "-W", "ignore::RuntimeWarning:runpy")
    command = [sys.executable, *quiet, "-m", "gpu_utils.bench.ceilings", str(float(budget_s))]
    line = _last_line_of(command, limit_s=2 * budget_s + _GRACE_S)
    try:
        return Ceilings.from_json(line)
    except (ValueError, TypeError, KeyError) as error:
        raise CeilingsError(
            f"expected one line of JSON from the measuring process, got {line[:200]!r} ({error}); "
            f"to see all it says: {' '.join(command)}"
        ) from error


def _last_line_of(command: Sequence[str], limit_s: float) -> str:
    """Run a child with the malloc settings; the last line that it prints."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | _MALLOC | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise CeilingsError(
            f"the measuring process was ended after {text(limit_s, 's')}: the machine is busy, or "
            "short of memory and swapping; close other programs and try again"
        ) from None
    except OSError as error:
        raise CeilingsError(f"the measuring process could not be started: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise CeilingsError(
            f"the measuring process {_ending(done.returncode)}; its last words: {last}"
        )
    return (done.stdout.strip().splitlines() or [""])[-1]


def _ending(code: int) -> str:
    if code > 0:
        return f"failed with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = {
        "SIGKILL": ", most often because memory ran out: close other programs and try again",
        "SIGILL": ": this build of torch uses instructions that this CPU lacks",
    }
    return f"was ended by {name}{cause.get(name, '')}"


# From here on: what the child does.


def _measure(budget_s: float) -> Ceilings:
    began = time.perf_counter()
    import torch

    size, doubt = _array_bytes(_cache_bytes(), _free_bytes())
    imported_s = time.perf_counter() - began
    left_s = max(budget_s - imported_s, budget_s / 2)
    until = time.perf_counter() + left_s
    spreads: list[float] = []

    def best(call: Callable[[], Any], share: float, least: int = _RUNS[0]) -> float:
        samples = _samples(call, share * left_s, least)
        spreads.append(_spread(samples))
        return min(samples)

    read = size / best(_reading(torch, size), 0.12)
    copy = 2 * size / best(_copying(torch, size), 0.12)
    flops = {}
    for dtype in _TORCH_NAMES:
        small_s = min(_samples(_square(torch, dtype, _SMALL_SQUARE), 0.0))
        expected_s = small_s * (_SQUARE / _SMALL_SQUARE) ** 3
        if expected_s > _TOO_SLOW_S and dtype != "fp32":
            continue
        least = 1 if expected_s * _RUNS[0] > _TOO_SLOW_S else _RUNS[0]
        flops[dtype] = 2 * _SQUARE**3 / best(_square(torch, dtype, _SQUARE), 0.08, least)

    native = max(flops, key=lambda dtype: flops[dtype])
    sweep = tuple(_sweep(torch, native, flops[native], size, until, best))
    read, flops[native], beaten = _raised(read, flops[native], native, sweep)
    spread = max(spreads)
    return Ceilings(
        read_bytes_per_s=read,
        copy_bytes_per_s=copy,
        flops_per_s=flops,
        sweep_dtype=native,
        sweep=sweep,
        device=_device(torch),
        spread=spread,
        note=" ".join(filter(None, (_swing(spread), beaten, doubt))),
    )


def _samples(call: Callable[[], Any], budget_s: float, least: int = _RUNS[0]) -> list[float]:
    """Times of a call, after one that is not counted, for the budget or the fewest runs."""
    call()
    samples: list[float] = []
    until = time.perf_counter() + budget_s
    while len(samples) < least or (time.perf_counter() < until and len(samples) < _RUNS[1]):
        before = time.perf_counter()
        call()
        samples.append(time.perf_counter() - before)
    return samples


def _spread(samples: Sequence[float]) -> float:
    """(p80 - p20) / median, as `Timing.spread`."""
    ordered = sorted(samples)
    p20, p80 = (ordered[round(share * (len(ordered) - 1))] for share in (0.2, 0.8))
    return (p80 - p20) / statistics.median(ordered)


def _reading(torch: Any, size: int) -> Callable[[], Any]:
    source = torch.ones(size // 4)  # not zeros: they might share one page
    return lambda: source.sum()


def _copying(torch: Any, size: int) -> Callable[[], Any]:
    source, target = (torch.ones(size // 4) for _ in range(2))
    return lambda: target.copy_(source)


def _square(torch: Any, dtype: str, side: int) -> Callable[[], Any]:
    a, b, out = (torch.randn(side, side).to(getattr(torch, _TORCH_NAMES[dtype])) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def _sweep(
    torch: Any,
    dtype: str,
    peak: float,
    size: int,
    until: float,
    best: Callable[[Callable[[], Any], float], float],
) -> Iterator[SweepPoint]:
    width = _width(peak, until - time.perf_counter(), _BYTES[dtype], size)
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
        if time.perf_counter() + 4 * last_s * (_RUNS[0] + 1) > until and last_s:
            return
        x = torch.randn(batch, width).to(element)
        out = torch.empty(batch, width, dtype=element)
        last_s = best(product(x, out), 0.05)
        moved = (2 * batch * width + width * width) * _BYTES[dtype]
        yield SweepPoint(batch, last_s, 2 * batch * width * width, moved)


def _width(peak: float, left_s: float, element_bytes: int, size: int) -> int:
    """The widest weights that leave time for a batch of 256, and two of which fit in `size`."""
    for width in _WIDTHS:
        slow = 2 * 256 * width**2 / peak * (_RUNS[0] + 1) > left_s / 4
        if not slow and 2 * width**2 * element_bytes <= size:
            return width
    return _WIDTHS[-1]


def _raised(
    read: float, peak: float, dtype: str, sweep: Sequence[SweepPoint]
) -> tuple[float, float, str]:
    """Both ceilings, no lower than any point of the sweep needs, and a sentence if one rose much.

    A point is too fast for a ceiling if bytes / read rate, or flops / peak, exceeds its time.
    """
    said = []
    seen_read = max([read, *(point.bytes / point.time_s for point in sweep)])
    seen_peak = max([peak, *(point.flops / point.time_s for point in sweep)])
    for name, before, after, unit in (
        ("read", read, seen_read, "B/s"),
        (dtype, peak, seen_peak, "FLOP/s"),
    ):
        if after > before * (1 + _SLACK):
            said.append(f"the {name} ceiling from {text(before, unit)} to {text(after, unit)}")
    if not said:
        return seen_read, seen_peak, ""
    return (
        seen_read,
        seen_peak,
        f"The sweep beat its bound, which raised {' and '.join(said)}: the first measurement met "
        "load or a slower clock, or a shape that suits this CPU less.",
    )


def _swing(spread: float) -> str:
    if spread <= _SWING:
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
    reported = cache or _ASSUMED_CACHE
    allowed = min(_LARGEST_ARRAY, (free or _ASSUMED_FREE) // 8)
    size = min(max(4 * reported, 64 * 2**20), allowed) // 64 * 64
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


def _cache_bytes() -> int | None:
    """The largest cache that Linux reports for the first core."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            digits = path.read_text("ascii").strip()
            factor = {"K": 2**10, "M": 2**20, "G": 2**30}[digits[-1]]
            sizes.append(int(digits[:-1]) * factor)
    return max(sizes, default=None)


def _free_bytes() -> int | None:
    """Memory that is free by Linux's account, and by the container's limit if there is one."""
    free = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(max(limit - used, 1))
    return min(free, default=None)


def _device(torch: Any) -> str:
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    said = f"cpu: {name}, {text(torch.get_num_threads())} threads"
    return f"{said} (its GPU was not measured)" if torch.cuda.is_available() else said


if __name__ == "__main__":
    try:
        print(_measure(float(sys.argv[1]) if len(sys.argv) > 1 else 15.0).to_json())
    except (MemoryError, RuntimeError) as reason:
        sys.exit(f"{type(reason).__name__}: {reason}".splitlines()[0])
