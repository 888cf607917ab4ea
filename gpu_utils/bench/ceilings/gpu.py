"""A GPU's ceilings: sums, fills, copies and matrix products, by the clock that times everything."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from gpu_utils.bench import clocks, nvml
from gpu_utils.bench.ceilings.result import Ceilings, CeilingsError
from gpu_utils.bench.timing import Timing
from gpu_utils.quantities import text

__all__ = ["fingerprint", "measured"]

Call = Callable[[], Any]
Rate = Callable[[Call, float, float], float]  # of a call, what it does, and its share of the budget

_ARRAY_BYTES = 2**30
_SMALLEST_ARRAY_BYTES = 2**26
_SIDES = (2048, 4096, 8192)
_SHARES = {"memory": 0.1, "matmul": 0.04}  # of the budget, for one measurement
_FEW_RUNS = 5  # a larger product is tried while the budget is likely to pay for so many runs
# The compute capability from which the matrix units take a type. Older parts calculate fp32 as
# ever when asked for tf32, and bf16 without matrix units.
_SINCE = {"tf32": (8, 0), "bf16": (8, 0), "fp16": (7, 0), "fp8": (8, 9)}


def fingerprint(index: int) -> dict[str, str]:
    """What a GPU's ceilings depend on. What cannot be read here is "unknown"."""
    import torch

    properties = torch.cuda.get_device_properties(index)
    return {
        "name": torch.cuda.get_device_name(index),
        "uuid": str(properties.uuid),
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda or torch.version.hip),
        **nvml.limits(str(properties.uuid)),
    }


def measured(index: int, budget_s: float) -> Ceilings:
    """What a GPU reaches. Rates are by the median time, inputs are random numbers.

    read: a sum over up to 1 GiB. write: filling it. copy: one array onto another. A matrix
    product is the best of up to three square sizes; fp8 is e4m3 with one scale a matrix, into
    bf16, with fast accumulation.
    """
    import torch

    device = torch.device("cuda", index)
    timings: list[Timing] = []

    def rate(call: Call, amount: float, share: float) -> float:
        timed = _timed(call, device, share * budget_s)
        timings.append(timed)
        return amount / timed.median_s

    with torch.cuda.device(device):
        read, write, copy = _memory(torch, device, _SHARES["memory"], rate)
        flops, left_out = {}, []
        for dtype in _dtypes(torch, device):
            try:
                flops[dtype] = _product(torch, dtype, device, budget_s, rate)
            except (RuntimeError, ValueError) as error:  # torch has no such product here
                left_out.append(f"{dtype} is left out: {str(error).strip().splitlines()[0]}")
    return Ceilings(
        read_bytes_per_s=read,
        copy_bytes_per_s=copy,
        flops_per_s=flops,
        sweep_dtype=max(flops, key=lambda dtype: flops[dtype], default=""),
        sweep=(),
        device=timings[0].device,
        spread=max(timed.spread for timed in timings),
        note=" ".join(_notes(timings, left_out)),
        write_bytes_per_s=write,
    )


def _memory(torch: Any, device: Any, share: float, rate: Rate) -> tuple[float, float, float]:
    """Bytes/s of reading, writing and copying."""
    size = _array_bytes(torch, device)
    source, target = (torch.randn(size // 4, device=device) for _ in range(2))
    return (
        rate(source.sum, size, share),
        rate(lambda: target.fill_(1.0), size, share),
        rate(lambda: target.copy_(source), 2 * size, share),
    )


def _timed(call: Call, device: Any, budget_s: float) -> Timing:
    def known(rows: list[tuple[float, ...]]) -> bool:
        return clocks.median_is_known([row[0] for row in rows])

    return clocks.on_cuda([call], device, budget_s, known).timing(0, "inputs the same", True)


def _array_bytes(torch: Any, device: Any) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    size = min(_ARRAY_BYTES, free // 8) // 4096 * 4096
    if size < _SMALLEST_ARRAY_BYTES:
        raise CeilingsError(
            f"{text(free, 'B')} of the GPU's memory is free, expected at least "
            f"{text(8 * _SMALLEST_ARRAY_BYTES, 'B')}: end other programs on it and try again"
        )
    return size


def _dtypes(torch: Any, device: Any) -> list[str]:
    """Those that the device's matrix units take, and fp32 on the plain cores."""
    if torch.version.hip:  # its capability numbers are not NVIDIA's, and its fp8 may be another
        return ["fp32", "bf16", "fp16"]
    capability = torch.cuda.get_device_capability(device)
    found = ["fp32", *(dtype for dtype, since in _SINCE.items() if capability >= since)]
    lacking = set() if hasattr(torch.nn.functional, "scaled_mm") else {"fp8"}
    return [dtype for dtype in found if dtype not in lacking]


def _product(
    torch: Any,
    dtype: str,
    device: Any,
    budget_s: float,
    rate: Rate,
) -> float:
    """The most FLOP/s of a square product, over growing sizes while time and memory allow."""
    share = _SHARES["matmul"]
    best = 0.0
    with _precision(torch, dtype):
        for side in _SIDES:
            flops = 2.0 * side**3
            if best and flops / best * _FEW_RUNS > share * budget_s:
                break
            if 3 * 4 * side**2 > torch.cuda.mem_get_info(device)[0] // 2:
                break
            best = max(best, rate(_square(torch, dtype, side, device), flops, share))
    return best


def _square(torch: Any, dtype: str, side: int, device: Any) -> Call:
    a, b = (torch.randn(side, side, device=device) for _ in range(2))
    if dtype == "fp8":
        return _square_fp8(torch, a, b)
    element = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype, torch.float32)
    a, b = a.to(element), b.to(element)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _square_fp8(torch: Any, a: Any, b: Any) -> Call:
    functional = torch.nn.functional
    whole = functional.ScalingType.TensorWise
    one = torch.ones((), device=a.device)
    # The second matrix by columns, as the matrix units take it.
    a, b = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
    return lambda: functional.scaled_mm(
        a, b, one, whole, one, whole, output_dtype=torch.bfloat16, use_fast_accum=True
    )


@contextlib.contextmanager
def _precision(torch: Any, dtype: str) -> Iterator[None]:
    """Whether products of float32 may be calculated in tf32, while this lasts."""
    setting = torch.backends.cuda.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "tf32" if dtype == "tf32" else "ieee"
    try:
        yield
    finally:
        setting.fp32_precision = before


def _notes(timings: list[Timing], left_out: list[str]) -> Iterator[str]:
    swing = max(timings, key=lambda timed: timed.spread).swing
    if swing:
        yield f"In one measurement {swing}."
    slowed = dict.fromkeys(timed.note for timed in timings if "slowed" in timed.note)
    yield from (f"{note}." for note in slowed)
    yield from (f"{said}." for said in left_out)
