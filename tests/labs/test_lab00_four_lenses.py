"""The validation tests of lab00: what `ridge check lab00` runs."""

import random

import pytest
import torch

from gpu_utils.course import rungs
from gpu_utils.course.ladder import rung
from gpu_utils.recordings import Case

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
# Whole blocks first, so that a message about the tail is about the tail; then a prime below a
# block, primes and one past several blocks of any likely size, and a single element.
LENGTHS = (4096, 97, 4099, 16_385, 2048, 1)
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
PRODUCTION = 2**24
SCALES = ((2.0, -0.5), (0.1, 0.7), (1.0, 1.0), (0.0, 3.0))  # of axpby
_DRAWN = 65_537  # a prime: no block's length divides it


def values(n: int, dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """[n] of `dtype`: normal deviates, or integers over the dtype's whole range.

    Drawing takes longer than all else that is done with 2^24 of them, so long tensors repeat.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + n)
    if n > 16 * _DRAWN:
        return values(_DRAWN, dtype, seed).repeat(-(-n // _DRAWN))[:n]
    if dtype.is_floating_point:
        return torch.randn(n, generator=generator).to(dtype)
    info = torch.iinfo(dtype)
    return torch.randint(info.min, info.max, (n,), generator=generator, dtype=dtype)


def specials(n: int, dtype: torch.dtype) -> torch.Tensor:
    """`values` that begin with NaN, both infinities and both zeros."""
    x = values(n, dtype)
    if dtype.is_floating_point:
        front = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0])
        x[: front.numel()] = front[:n].to(dtype)
    return x


def surprises() -> list[int]:
    """Lengths nobody can write an answer for: new ones in each check."""
    draw = random.SystemRandom()
    # The last is more than any grid or program number that happens to be small can cover.
    return [draw.randint(2, 20_000), 1024 * draw.randint(1, 20), draw.randint(2**18, 2**18 + 5000)]


def on_gpu() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    return "cuda"


def copies(name: str) -> pytest.MarkDecorator:
    """(a) and (c) promise the same values and the same traffic: one test climbs for both."""
    pairs = (("a", "copy"), ("c", "copy_wide"))
    return pytest.mark.parametrize(
        "function", [pytest.param(function, marks=rung(task, name)) for task, function in pairs]
    )


@copies("runs")
def test_copy_runs(lab, evidence, function):
    x = values(4096, torch.float32)
    evidence(rungs.runs(getattr(lab, function), x, like=x))


@copies("safe")
def test_copy_is_safe(lab, evidence, function):
    for n in LENGTHS:
        rungs.safe(getattr(lab, function), values(n, torch.float32))
    evidence(f"lengths {', '.join(map(str, sorted(LENGTHS)))}: inside the tensors, all written")


@copies("correct")
def test_copy_is_equal(lab, evidence, function):
    fn = getattr(lab, function)
    for dtype in (*FLOATS, torch.float64, torch.int8, torch.int32, torch.int64):
        for n in (*LENGTHS, 5):
            x = specials(n, dtype)
            rungs.equal(fn, x, x)
    for n in surprises():
        x = values(n, torch.float32)
        rungs.safe(fn, x)
        rungs.equal(fn, x, x)
    rungs.fresh(fn, torch.clone, values(4099, torch.float32))
    evidence("seven dtypes, NaN and infinities among the values: equal bit for bit")


@copies("lean")
def test_copy_is_lean(lab, evidence, function):
    fn = getattr(lab, function)
    for n in LENGTHS:
        moved = rungs.lean(fn, values(n, torch.float32), loads={"x": 1}, stores={"out": 1})
    evidence(f"{moved.kernel_bytes / n:g} bytes an element COUNTED: x once, the output once")


@rung("a", "native")
def test_copy_is_wide(lab, evidence):
    rungs.at_size(lab.copy, torch.clone, values(PRODUCTION, torch.float32), elementwise=True)
    x, small = torch.empty(PRODUCTION, device="meta"), [values(4099, torch.float32)]
    built = rungs.compiled(lab.copy, x, targets=TARGETS, checked=small)
    for line in rungs.wide(built, only=True):
        evidence(line)


@rung("c", "native")
def test_copy_wide_is_wide_at_any_length(lab, evidence):
    small = [values(4099, torch.float32)]
    for n in (PRODUCTION // 16 + 1, PRODUCTION + 3):
        rungs.at_size(lab.copy_wide, torch.clone, values(n, torch.float32), elementwise=True)
    for n in (PRODUCTION + 1, PRODUCTION + 3):
        x = torch.empty(n, device="meta")
        lines = rungs.wide(rungs.compiled(lab.copy_wide, x, targets=TARGETS, checked=small))
    for line in lines:
        evidence(line)


@copies("fast")
def test_copy_is_fast(lab, evidence, function):
    odd = 3 if function == "copy_wide" else 0  # where only wide loads at any length help
    x = torch.randn(4 * PRODUCTION + odd, device=on_gpu())
    copy = getattr(lab, function)
    evidence(rungs.fast(copy, torch.clone, x, share=0.9, compulsory_bytes=2 * x.nbytes))


def pair(n: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    return values(n, dtype, seed=1), values(n, dtype, seed=2)


@rung("b", "runs")
def test_axpby_runs(lab, evidence):
    x, y = pair(4096, torch.float32)
    evidence(rungs.runs(lab.axpby, 2.0, x, -0.5, y, like=x))


@rung("b", "safe")
def test_axpby_is_safe(lab, evidence):
    for n in LENGTHS:
        x, y = pair(n, torch.float32)
        rungs.safe(lab.axpby, 2.0, x, -0.5, y)
    evidence(f"lengths {', '.join(map(str, sorted(LENGTHS)))}: inside the tensors, all written")


@rung("b", "correct")
def test_axpby_is_close(lab, reference, evidence):
    for dtype in FLOATS:
        # Every length, and with one that has whole blocks and a tail every pair of factors.
        drawn = zip(LENGTHS, random.SystemRandom().choices(SCALES, k=len(LENGTHS)), strict=True)
        for n, (a, b) in (*drawn, *((4099, scales) for scales in SCALES)):
            x, y = pair(n, dtype)
            rungs.close(lab.axpby, reference.axpby_reference, a, x, b, y)
    for n in surprises():
        x, y = pair(n, torch.float32)
        rungs.safe(lab.axpby, 1.5, x, -2.5, y)
        rungs.close(lab.axpby, reference.axpby_reference, 1.5, x, -2.5, y)
    x, y = pair(4099, torch.float32)
    rungs.fresh(lab.axpby, reference.axpby_reference, 0.5, x, 2.0, y)
    x, y = specials(97, torch.float32), values(97, torch.float32)
    for a, b in ((2.0, 0.5), (0.0, 1.0), (1.0, 0.0), (1.0, -1.0)):  # 0 times NaN is NaN
        rungs.close(lab.axpby, reference.axpby_reference, a, x, b, y)
        rungs.close(lab.axpby, reference.axpby_reference, b, y, a, x)
        rungs.close(lab.axpby, reference.axpby_reference, a, x, b, x)
    evidence("float32, float16, bfloat16; NaN and infinities pass through")


@rung("b", "lean")
def test_axpby_is_lean(lab, evidence):
    for n in LENGTHS:
        moved = rungs.lean(
            lab.axpby,
            *(2.0, values(n, torch.float32, seed=1), -0.5, values(n, torch.float32, seed=2)),
            loads={"x": 1, "y": 1},
            stores={"out": 1},
        )
    evidence(f"{moved.kernel_bytes / n:g} bytes an element COUNTED: x, y and the output once each")


@rung("b", "native")
def test_axpby_is_wide(lab, reference, evidence):
    x, y = pair(PRODUCTION, torch.float32)
    rungs.at_size(lab.axpby, reference.axpby_reference, 2.0, x, -0.5, y, elementwise=True)
    x, y = (torch.empty(PRODUCTION, device="meta") for _ in range(2))
    small = (2.0, values(4099, torch.float32), -0.5, values(4099, torch.float32))
    built = rungs.compiled(lab.axpby, 2.0, x, -0.5, y, targets=TARGETS, checked=small)
    for line in rungs.wide(built, only=True):
        evidence(line)


@rung("b", "fast")
def test_axpby_is_fast(lab, evidence):
    def copied(x, y):
        return torch.cat((x, y[: x.numel() // 2]))

    device = on_gpu()
    x, y = (torch.randn(4 * PRODUCTION, device=device) for _ in range(2))

    def axpby(x, y):
        return lab.axpby(2.0, x, -0.5, y)

    # 1.5 elements read and written per element of x: the bytes of axpby, at the rate of a copy.
    evidence(rungs.fast(axpby, copied, x, y, share=0.9, compulsory_bytes=3 * x.nbytes))


def gpu_cases(lab):
    """What `make gpu` measures: 2^26 numbers fill the L2 of every part at least four times."""

    def one(odd):
        return lambda device: (torch.randn(4 * PRODUCTION + odd, device=device),)

    def two(device):
        x, y = (torch.randn(4 * PRODUCTION, device=device) for _ in range(2))
        return 2.0, x, -0.5, y

    def two_passes(a, x, b, y):
        return torch.add(b * y, x, alpha=a)

    copied = {"loads": {"x": 1}, "stores": {"out": 1}, "flops": 0}
    return [
        Case(lab.copy, one(odd=0), lab.copy_reference, **copied),
        Case(
            *(lab.axpby, two, lab.axpby_reference),
            peers={"torch.add(b * y, x, alpha=a)": two_passes},
            loads={"x": 1, "y": 1},
            stores={"out": 1},
            flops=3 * 4 * PRODUCTION,
        ),
        Case(lab.copy_wide, one(odd=3), lab.copy_reference, **copied),
    ]
