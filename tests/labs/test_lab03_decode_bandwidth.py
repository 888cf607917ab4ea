"""The validation tests of lab03: what `ridge check lab03` runs.

PYTEST_DONT_REWRITE: learners read these messages, and pytest would add its own lines to them.
"""

import dataclasses
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gpu_utils import roofline, specs
from gpu_utils.course import rungs
from gpu_utils.course.answers import called, own_work, refused, returned, written
from gpu_utils.course.ladder import rung
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.specs import GPUSpec, MLPerfResult

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
# Whole blocks first, so that a message about a tail is about a tail; then one block of rows and
# several of columns, primes, several of both, one row, one column, one element.
SHAPES = ((64, 2048), (8, 4096), (97, 331), (61, 4099), (1, 5003), (67, 1), (1, 1))
HALVES = (torch.float16, torch.bfloat16)
PRODUCTION = (8192, 8192)
# For the L2 model, which moves whole sectors of 32 bytes: rows and results that fill sectors.
ALIGNED = (128, 4096)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def apart(w: torch.Tensor) -> torch.Tensor:
    """The same matrix as a part of a wider one: its rows lie apart, and do not begin it."""
    wide = torch.zeros(w.shape[0] + 1, w.shape[1] + 9, dtype=w.dtype)
    wide[1:, 5:-4] = w
    return wide[1:, 5:-4]


def halves(m: int, k: int, dtype: torch.dtype = torch.float16, seed: int = 0) -> torch.Tensor:
    return torch.randn(m, k, generator=generator(seed * 1_000_003 + m * 7919 + k)).to(dtype)


def vector(k: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.randn(k, generator=generator(k + 17)).to(dtype)


def weights(m: int, k: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 over its whole range, and a scale for each row: none like another."""
    made = generator(seed * 1_000_003 + m * 7919 + k)
    w = torch.randint(-128, 128, (m, k), generator=made, dtype=torch.int8)
    scale = (0.5 + torch.rand(m, generator=made)) / 100
    return w, scale


def cancelling(k: int, of: Callable[[int], torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix and a vector whose products cancel, but for those of the last 16 columns.

    Sums on the way are large and results small, so that it shows what the sums were rounded to.
    The halves have an odd length, so that no lane of any block meets its own opposite.
    """
    half = (k - 16) // 2 - 1 + ((k - 16) // 2) % 2
    w, x, rest = of(half), vector(half), k - 2 * half
    return torch.cat([w, -w, of(rest)], 1), torch.cat([x, x, vector(rest)])


def surprises() -> list[tuple[int, int]]:
    """Shapes nobody can write an answer for: new ones in each check."""
    draw = random.SystemRandom()
    return [
        (draw.randint(2, 90), draw.randint(2, 3000)),
        (draw.randint(260, 300), draw.randint(20, 60)),  # more programs than a small number
        (draw.randint(2, 5), draw.randint(9000, 9999)),  # more columns than a fixed block
    ]


def told(shapes: Any) -> str:
    return ", ".join(f"{m} x {k}" for m, k in shapes)


# The kernels of (a), (b) and (c): what each is called with, given the shape of its matrix.


@dataclasses.dataclass(frozen=True)
class Task:
    name: str
    make: Callable[..., tuple]  # (m, k, dtype) -> arguments, the matrix first
    result: Callable[[tuple], torch.Tensor]  # what the result is like
    stored: dict[str, int]  # besides the matrix: loaded as often as this, or not gated
    bytes_per_weight: int

    @property
    def reference(self) -> str:
        return f"{self.name}_reference"


def _row_sum_args(m: int, k: int, dtype: torch.dtype) -> tuple:
    # All of one sign: float32 has room to spare, and a sum kept in halves shows.
    return (halves(m, k, dtype).abs() + 0.5,)


def _gemv_args(m: int, k: int, dtype: torch.dtype) -> tuple:
    return halves(m, k, dtype), vector(k, dtype)


def _w8a16_args(m: int, k: int, dtype: torch.dtype) -> tuple:
    return (*weights(m, k), vector(k, dtype))


TASKS = {
    "a": Task("row_sum", _row_sum_args, lambda args: torch.empty(args[0].shape[0]), {}, 2),
    "b": Task("gemv", _gemv_args, lambda args: args[1].new_empty(args[0].shape[0]), {}, 2),
    "c": Task(
        "gemv_w8a16", _w8a16_args, lambda args: args[2].new_empty(args[0].shape[0]), {"scale": 1}, 1
    ),
}


def kernels(name: str, only: str = "abc") -> pytest.MarkDecorator:
    """The three promise alike: one test climbs for all."""
    return pytest.mark.parametrize(
        "task", [pytest.param(TASKS[t], marks=rung(t, name), id=TASKS[t].name) for t in only]
    )


@kernels("runs")
def test_it_runs(lab, evidence, task):
    args = task.make(64, 2048, torch.float16)
    evidence(rungs.runs(getattr(lab, task.name), *args, like=task.result(args)))


@kernels("safe")
def test_it_is_safe(lab, evidence, task):
    fn = getattr(lab, task.name)
    for m, k in SHAPES:
        args = task.make(m, k, torch.float16)
        rungs.safe(fn, *args)
        rungs.safe(fn, apart(args[0]), *args[1:])
    evidence(
        f"{told(SHAPES)}, whole and as part of a wider matrix: inside the tensors, all written"
    )


@kernels("safe")
def test_it_refuses_what_it_does_not_promise(lab, evidence, task):
    fn = getattr(lab, task.name)
    w, *others = task.make(64, 64, torch.float16)
    long = [torch.cat([other, other]) for other in others]
    for args in ((w.t(), *others), (w[0], *others), *((w, *long),) * bool(others)):
        try:
            fn(*args)
        except ValueError:
            continue
        shapes = told_shapes(args)
        raise AssertionError(
            f"{task.name} must refuse {shapes} with a ValueError, and returned: call check_layout "
            "first, as the starter does"
        )
    evidence("a transposed matrix and vectors of another length are refused")


def told_shapes(args: tuple) -> str:
    return ", ".join(f"{tuple(arg.shape)} with strides {arg.stride()}" for arg in args)


@kernels("correct")
def test_it_is_close(lab, reference, evidence, task):
    fn, expected = getattr(lab, task.name), getattr(reference, task.reference)
    for dtype in HALVES:
        for m, k in SHAPES:
            args = task.make(m, k, dtype)
            rungs.close(fn, expected, *args)
    for m, k in surprises():
        w, *others = task.make(m, k, torch.float16)
        rungs.safe(fn, w, *others)
        rungs.close(fn, expected, apart(w), *others)
    rungs.fresh(fn, expected, *task.make(61, 1031, torch.float16))
    evidence("float16 and bfloat16, whole and as part of a wider matrix, answered anew each time")


@rung("a", "correct")
def test_row_sum_passes_on_what_is_not_finite(lab, reference, evidence):
    rungs.close(lab.row_sum, reference.row_sum_reference, unusual(halves(7, 331)))
    # 300 times 600 is 180,000, beyond the largest half.
    rungs.close(lab.row_sum, reference.row_sum_reference, torch.full((5, 300), 600.0).half())
    evidence("NaN and infinities pass through; a sum may be larger than any half")


def unusual(w: torch.Tensor) -> torch.Tensor:
    """A NaN, infinities and infinities of both signs, each in a row of its own."""
    for row, values in enumerate(((math.nan,), (math.inf,), (-math.inf,), (math.inf, -math.inf))):
        w[row, 3 : 3 + len(values)] = torch.tensor(values).to(w.dtype)
    return w


@rung("b", "correct")
def test_gemv_keeps_its_sums_in_float32(lab, reference, evidence):
    for k in (2048, 4099):
        w, x = cancelling(k, lambda n: 8 * halves(17, n))
        rungs.close(lab.gemv, reference.gemv_reference, w, x)
    evidence("large sums that cancel leave what float32 leaves")


@rung("b", "correct")
def test_gemv_passes_on_what_is_not_finite(lab, reference, evidence):
    w, x = unusual(halves(7, 331)), vector(331)
    rungs.close(lab.gemv, reference.gemv_reference, w, x)
    x[5] = math.inf
    rungs.close(lab.gemv, reference.gemv_reference, halves(7, 331).fill_(0.0), x)  # 0 * inf: NaN
    # 300 x 600 x 1 is beyond the largest half: an infinity, and 0 where it cancels.
    w, x = torch.full((2, 300), 600.0).half(), torch.ones(300).half()
    w[1, ::2] = -600.0
    rungs.close(lab.gemv, reference.gemv_reference, w, x)
    evidence("NaN and infinities pass through")


@rung("c", "correct")
def test_w8a16_keeps_its_sums_in_float32(lab, reference, evidence):
    for k in (2048, 4099):
        w, x = cancelling(k, lambda n: weights(17, n)[0].clamp(-127))
        scale = weights(17, k)[1]
        rungs.close(lab.gemv_w8a16, reference.gemv_w8a16_reference, w, scale, x)
    # 127 x 1031 is 130,937, beyond the largest half; times 0.001 it is 131.
    w, x = torch.full((3, 1031), 127, dtype=torch.int8), torch.ones(1031).half()
    w[1], w[2, ::2] = -128, -128
    scale = torch.tensor([0.001, 0.0001, 0.5])
    rungs.close(lab.gemv_w8a16, reference.gemv_w8a16_reference, w, scale, x)
    evidence("a sum may be larger than any half before its scale makes it small")


@rung("c", "correct")
def test_w8a16_passes_on_what_is_not_finite(lab, reference, evidence):
    w, scale = weights(7, 331)
    scale[0], scale[1], scale[2], scale[3] = 0.0, math.nan, math.inf, -1.0
    x = vector(331)
    rungs.close(lab.gemv_w8a16, reference.gemv_w8a16_reference, w, scale, x)
    x[5], w[4, 5], w[5, 5], w[6, 5] = math.inf, 0, 1, -1
    rungs.close(lab.gemv_w8a16, reference.gemv_w8a16_reference, w, scale, x)
    evidence("a scale of 0, below 0, NaN; 0 times infinity is NaN")


@kernels("lean")
def test_it_moves_each_weight_once(lab, evidence, task):
    fn = getattr(lab, task.name)
    for m, k in SHAPES:
        w, *others = task.make(m, k, torch.float16)
        vectors = {"x": None} if others else {}
        names = {"row_sum": "w", "gemv": "w", "gemv_w8a16": "w_int8"}
        loads = {names[task.name]: 1, **task.stored, **vectors}
        moved = rungs.lean(fn, apart(w), *others, loads=loads, stores={"out": 1})
    evidence(f"{task.bytes_per_weight} byte{'s' * (task.bytes_per_weight > 1)} a weight COUNTED")


@kernels("lean", only="bc")
def test_the_vector_comes_from_the_l2(lab, evidence, task):
    # A part with 16 programs at a time and 256 KiB of L2: the vector fits, the matrix does not.
    args = task.make(*ALIGNED, torch.float16)
    found = rungs.through_l2(
        getattr(lab, task.name), *args, spec=specs.get("h100"), programs_in_flight=16,
        l2_bytes=2**18, at_most=1.02,
    )  # fmt: skip
    x = found.traffic.by_tensor["x"]
    often = Quantity(x.load_bytes / x.nbytes, "x", Label.COUNTED)
    read = Quantity(found.by_tensor["x"].read_bytes / x.nbytes, "x", Label.MODELLED)
    evidence(f"x is asked for {often}, and read from DRAM {read}")
    half = 2 * math.prod(ALIGNED)
    evidence(f"{text(found.read_bytes / half, '%')} of what the same weights take in fp16")


@kernels("native")
def test_it_loads_weights_wide(lab, evidence, task):
    like = [torch.empty_like(arg[:1, :1] if arg.dim() == 2 else arg[:1]) for arg in
            task.make(8, 8, torch.float16)]  # fmt: skip
    m, k = PRODUCTION
    sizes = {"row_sum": [(m, k)], "gemv": [(m, k), (k,)], "gemv_w8a16": [(m, k), (m,), (k,)]}
    big = [
        torch.empty(size, dtype=one.dtype, device="meta")
        for one, size in zip(like, sizes[task.name], strict=True)
    ]
    checked = task.make(61, 4099, torch.float16)
    built = rungs.compiled(getattr(lab, task.name), *big, targets=TARGETS, checked=checked)
    for target, artifacts in built.items():
        widths = artifacts[0].load_widths
        assert widths.get(128) and min(widths) >= 32, (
            f"{target}: the loads of {artifacts[0].kernel} are {_listed(widths)} bits wide; the "
            "weights can come 128 bits at a time, and nothing in fewer than 32. Do the elements of "
            "a row lie side by side in a block, and does each thread own 128 bits of them?"
        )
        wide = Quantity(widths[128], "loads of 128 bits", Label.COMPILED)
        evidence(f"{target}: {wide}")


def _listed(widths: dict[int, int]) -> str:
    return ", ".join(f"{bits}" for bits in sorted(widths)) or "no"


def reads(w: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
    """Torch's own sum of the same bytes as float32: a read and nothing else."""
    return w.view(torch.float32).sum()


@kernels("fast")
def test_it_is_as_fast_as_a_read(lab, evidence, task):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    m, k = PRODUCTION
    args = [arg.cuda() for arg in task.make(m, k, torch.float16)]
    evidence(rungs.fast(getattr(lab, task.name), reads, *args, share=0.75))
