"""The validation tests of lab01: what `ridge check lab01` runs.

PYTEST_DONT_REWRITE: learners read these messages, and pytest would add its own lines to them.
"""

import math
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gpu_utils import bench, roofline, specs, traffic
from gpu_utils.course import rungs
from gpu_utils.course.answers import called, own_work, refused, returned, shown, written
from gpu_utils.course.ladder import rung
from gpu_utils.quantities import Label, Quantity
from gpu_utils.recordings import Case
from gpu_utils.roofline import Bound, OpCost
from gpu_utils.specs import GPUSpec

# For pure functions "safe" means: what makes no sense is refused by name, nothing is invented.

# (a) what an operation costs

TYPICAL = {
    "elementwise_cost": (1000, 2, 1, 4),
    "softmax_cost": (2, 1000, 4),
    "matmul_cost": (3, 5, 7, 2),
    "mlp_cost": (1, 10, 40, 2),
}
# function, arguments, FLOP, bytes, and how they were worked out by hand
COSTS_BY_HAND = (
    ("elementwise_cost", (1000, 2, 1, 4), 1000, 12_000, "1000 sums; 3 x 1000 numbers of 4 bytes"),
    ("elementwise_cost", (1000, 1, 0, 2), 0, 4000, "a copy: no FLOP; 2 x 1000 numbers of 2 bytes"),
    ("elementwise_cost", (7, 0, 0, 4), 0, 28, "a fill: nothing read, 7 numbers written"),
    ("elementwise_cost", (97, 3, 2, 4), 194, 1552, "x * y + z: 2 x 97; 4 x 97 numbers"),
    ("softmax_cost", (2, 1000, 4), 10_000, 16_000, "5 x 2000; 2000 numbers in and 2000 out"),
    ("softmax_cost", (1, 1, 2), 5, 4, "5; one number in and one out"),
    ("matmul_cost", (3, 5, 7, 2), 210, 142, "3 x 5 x 7 products and as many sums; "
     "3 x 7 + 7 x 5 + 3 x 5 = 71 numbers of 2 bytes"),
    ("matmul_cost", (1, 1, 1, 4), 2, 12, "one of each; three numbers"),
    ("matmul_cost", (1, 97, 64, 1), 12_416, 6369, "2 x 64 x 97; 64 + 64 x 97 + 97 bytes"),
    ("mlp_cost", (1, 10, 40, 2), 1640, 1640, "2 products of 2 x 400, and 40 activations; "
     "2 weights of 400 numbers, 10 in, 10 out, 2 bytes each"),
    ("mlp_cost", (3, 5, 7, 4), 441, 400, "2 x 2 x 3 x 35 + 3 x 7; (2 x 35 + 2 x 15) x 4 bytes"),
    ("mlp_cost", (2, 4, 8, 0.5), 272, 40, "256 + 16; 64 + 16 numbers of half a byte"),
)  # fmt: skip
# function -> its sizes, in the order of its arguments
SIZES = {
    "elementwise_cost": ("elements", None, None, "bytes_per_element"),
    "softmax_cost": ("rows", "columns", "bytes_per_element"),
    "matmul_cost": ("m", "n", "k", "bytes_per_element"),
    "mlp_cost": ("batch", "d_model", "d_hidden", "bytes_per_element"),
}
DTYPES = {4: "fp32", 2: "bf16", 1: "fp8", 0.5: "fp4"}


def agree(fn: Callable, args: tuple, flops: float, nbytes: float, how: str) -> None:
    found = returned(fn, OpCost, *args)
    assert (float(found.flops), float(found.bytes)) == (flops, nbytes), (
        f"{called(fn, *args)} must be {flops:,} FLOP and {nbytes:,} bytes, and came as "
        f"{found.flops:,} and {found.bytes:,}: {how}"
    )


@rung("a", "runs")
def test_costs_run(lab, evidence):
    written(lab, TYPICAL, OpCost)
    evidence(f"{', '.join(TYPICAL)} return an OpCost")


@rung("a", "safe")
def test_costs_refuse_what_is_no_size(lab, evidence):
    for name, sizes in SIZES.items():
        for position, size in enumerate(sizes):
            for bad in (0, -3) if size else ():
                args = list(TYPICAL[name])
                args[position] = bad
                refused(getattr(lab, name), tuple(args), (ValueError,), size)
    evidence("sizes of 0 and below are refused by name")


def eager_mlp(x: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    return torch.relu(x @ up) @ down


def eager_cases(size: Callable[[], int], dtype: torch.dtype) -> list[tuple]:
    """(name, arguments of the cost function, eager operation, its tensors, kept on chip)."""
    nbytes = dtype.itemsize
    m, n, k, rows, columns = (size() for _ in range(5))

    def tensor(*shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=dtype)

    # The hidden layer [m, n] is written by a product, read and written by relu, read again.
    hidden = 4 * m * n * nbytes
    return [
        ("elementwise_cost", (m, 2, 1, nbytes), torch.add, (tensor(m), tensor(m)), 0),
        ("softmax_cost", (rows, columns, nbytes), torch.softmax, (tensor(rows, columns), -1), 0),
        ("matmul_cost", (m, n, k, nbytes), torch.matmul, (tensor(m, k), tensor(k, n)), 0),
        ("mlp_cost", (m, k, n, nbytes), eager_mlp, (tensor(m, k), tensor(k, n), tensor(n, k)),
         hidden),
    ]  # fmt: skip


def same_bytes(lab: Any, case: tuple) -> None:
    """The function's bytes are those that eager torch moves, without what can stay on the chip."""
    name, sizes, op, tensors, hidden = case
    cost, moved = getattr(lab, name)(*sizes), traffic.count(op, *tensors)
    ops = "; ".join(
        f"{op.name} reads {op.read_bytes:,} and writes {op.written_bytes:,}"
        for op in moved.eager_ops
    )
    kept = f", less {hidden:,} of the hidden layer, which can stay on the chip" if hidden else ""
    expected = moved.eager_bytes - hidden
    assert cost.bytes == expected, (
        f"{called(getattr(lab, name), *sizes)} says {cost.bytes:,} bytes; "
        f"COUNTED are {expected:,}: {ops}{kept}"
    )


def same_flops(lab: Any, case: tuple) -> None:
    """torch's counter sees products of matrices and nothing else, so no activation either."""
    name, sizes, op, tensors, _ = case
    fn = getattr(lab, name)
    beside = sizes[0] * sizes[2] if name == "mlp_cost" else 0
    with FlopCounterMode(display=False) as counter:
        op(*tensors)
    counted = counter.get_total_flops()
    assert fn(*sizes).flops == counted + beside, (
        f"{called(fn, *sizes)} says {fn(*sizes).flops:,} FLOP; torch's FlopCounterMode counts "
        f"{counted:,} in the products, and there are {beside:,} activations"
    )


@rung("a", "correct")
def test_costs_are_right(lab, reference, evidence):
    for name, args, flops, nbytes, how in COSTS_BY_HAND:
        agree(getattr(lab, name), args, flops, nbytes, how)
    for name, args in TYPICAL.items():
        own_work(getattr(lab, name), reference.path, roofline, *args)
    source = random.Random(1)

    def size() -> int:
        return source.choice((1, 2, 31, 64, 97, 128, source.randrange(1, 200)))

    cases = [case for _ in range(4) for dtype in (torch.float32, torch.bfloat16)
             for case in eager_cases(size, dtype)]  # fmt: skip
    for case in cases:
        same_bytes(lab, case)
    for case in cases:
        if case[0] in ("matmul_cost", "mlp_cost"):
            same_flops(lab, case)
    for nbytes, dtype in DTYPES.items():
        a, b, c = (source.randrange(1, 40_000) for _ in range(3))
        for name, sizes in (("softmax_cost", (a, b)), ("matmul_cost", (a, b, c)),
                            ("mlp_cost", (a, b, c))):  # fmt: skip
            ours = getattr(roofline, name)(*sizes, dtype=dtype)
            how = f"so says gpu_utils.roofline.{name}"
            agree(getattr(lab, name), (*sizes, nbytes), ours.flops, ours.bytes, how)
    evidence("FLOP as torch's FlopCounterMode counts them, bytes as eager operations move them")
    evidence("the counter leaves out what is no matrix product; a hidden layer need not move")


# (b) intensity

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
# Whole blocks first, so that a message about the tail is about the tail; then a prime below a
# block, primes and one past several blocks of any likely size, and a single element.
LENGTHS = (4096, 97, 4099, 16_385, 1)
PRODUCTION = 2**24
# A prime: a loop that the compiler unrolled 4 or 8 times cannot pass for a chain of 37.
CHAIN = 37
# Instructions that multiply and add float32, and how many of each pair of operations they do.
FUSED = {"FFMA": 1, "FFMA2": 2, "v_fma_f32": 1, "v_fmac_f32": 1, "v_pk_fma_f32": 2}


def values(n: int) -> torch.Tensor:
    """[n] float32 normal deviates."""
    return torch.randn(n, generator=torch.Generator().manual_seed(n))


def specials(n: int) -> torch.Tensor:
    """`values` that begin with NaN, both infinities and both zeros."""
    x = values(n)
    front = torch.tensor([float("nan"), float("inf"), -float("inf"), 0.0, -0.0])
    x[: front.numel()] = front[:n]
    return x


@rung("b", "runs")
def test_intensity_runs(lab, evidence):
    x = values(4096)
    evidence(rungs.runs(lab.intensity, x, 4, 0.5, 1.0, like=x))


@rung("b", "safe")
def test_intensity_is_safe(lab, evidence):
    for n in LENGTHS:
        rungs.safe(lab.intensity, values(n), 3, 0.5, 1.0)
    evidence(f"lengths {', '.join(map(str, sorted(LENGTHS)))}: inside the tensors, all written")


@rung("b", "correct")
def test_intensity_is_close(lab, reference, evidence):
    short = ((1, 2.0, -0.5), (2, -0.5, 0.25), (5, 0.9, 0.1), (3, 0.0, 3.0), (0, 2.0, 5.0))
    long = ((16, 1.1, -0.3), (64, 1.0, 0.0), (200, 0.999, 0.01))
    for chains, lengths in ((short, LENGTHS), (long, (97, 1025))):
        for k, a, b in chains:
            for n in lengths:
                rungs.close(lab.intensity, reference.intensity_reference, values(n), k, a, b)
    rungs.close(lab.intensity, reference.intensity_reference, specials(97), 3, 0.9, 0.1)
    evidence("chains of 0 to 200 steps; NaN and infinities pass through")


@rung("b", "lean")
def test_intensity_is_lean(lab, evidence):
    for k in (0, 1, 7, 32):
        for n in LENGTHS:
            moved = rungs.lean(
                lab.intensity, values(n), k, 0.9, 0.1, loads={"x": 1}, stores={"out": 1}
            )
    evidence(f"{moved.kernel_bytes / n:g} bytes an element COUNTED, whatever k is")


@rung("b", "lean")
def test_intensity_calculates_what_it_should(lab, evidence):
    n = 2**16  # a multiple of every likely block: lanes that a mask cuts off are counted too
    for k in (1, 24):
        flops = traffic.count(lab.intensity, values(n), k, 0.9, 0.1).flops
        assert flops == 2 * k * n, (
            f"intensity with k = {k} does {flops / n:g} FLOP an element, COUNTED; {k} "
            f"multiply-adds are {2 * k}. The kernel is a yardstick of arithmetic: it must do all "
            "of the steps, and nothing besides"
        )
    evidence("2 k FLOP an element COUNTED: k / 4 FLOP/byte")


@rung("b", "native")
def test_intensity_keeps_its_arithmetic(lab, reference, evidence):
    # With a = 1 and b = 0 a compiler that knows the two has nothing left to do; with a and b at
    # run time it must do all of it. By hand for sm_90: a block of 1024 over 4 warps of 32 threads
    # is 8 elements a thread, so the code holds 37 x 8 = 296 FFMA. gfx942 has 64 threads a warp:
    # 4 elements, 37 x 4 = 148, two in each of 74 v_pk_fma_f32. The count is exact: no step of a
    # floating-point chain can be left out, none is done twice, and a loop that is still a loop
    # holds no multiple of 37. The elements are read off the loads of the same code, so any
    # block size will do; code in two versions, with a mask and without, loads twice as many and
    # may share one chain, so they need only be a multiple.
    large = (values(PRODUCTION), 3, 0.9, 0.1)
    rungs.at_size(lab.intensity, reference.intensity_reference, *large, elementwise=True)
    x = torch.empty(PRODUCTION, device="meta")
    small = (torch.ones(4099), CHAIN, 1.0, 0.0)
    built = rungs.compiled(lab.intensity, x, CHAIN, 1.0, 0.0, targets=TARGETS, checked=small)
    rungs.wide(built)
    for target, artifacts in built.items():
        loaded = sum(bits // 32 * count for a in artifacts for bits, count in a.load_widths.items())
        fused = sum(a.count(name) * each for a in artifacts for name, each in FUSED.items())
        whole = fused and fused % CHAIN == 0 and loaded % (fused // CHAIN) == 0
        assert whole, (
            f"{target}: the code loads {loaded} elements a thread, and for each it holds "
            f"{fused / loaded:.3g} fused multiply-adds; k = {CHAIN} asks for {CHAIN}. "
            f"{_arithmetic(artifacts)}. {_why(lab.intensity, fused)}"
        )
        steps = Quantity(fused, "fused multiply-adds", Label.COMPILED)
        evidence(f"{target}: {steps.text} for {Quantity(loaded, 'elements', Label.COMPILED)}")


def _arithmetic(artifacts: list) -> str:
    found = [
        f"{count} {name}"
        for artifact in artifacts
        for name, count in artifact.instructions.items()
        if re.match(r"[DF](ADD|MUL|FMA)|v_(pk_)?(add|mul|fmac?)_f\d", name)
    ]
    return f"Its arithmetic: {', '.join(found) or 'none'} COMPILED"


def _why(fn: Callable, fused: int) -> str:
    if fused:
        return (
            "Is there still a loop? With k as a tl.constexpr, tl.static_range writes the whole "
            "chain into the code"
        )
    counted = traffic.count(fn, values(2**16), CHAIN, 1.0, 0.0).flops / 2**16
    return (
        f"COUNTED for the same a = 1 and b = 0 are {counted:g} FLOP an element: the interpreter "
        "does what the source says, and the compiler deletes what it knows to change nothing. "
        "Pass a and b to the kernel as plain arguments, whatever their values, keep the chain in "
        "float32, and leave the fusing of products and sums on"
    )


@rung("b", "fast")
def test_intensity_reaches_the_memory_roof(lab, evidence):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    x = torch.randn(4 * PRODUCTION, device="cuda")

    def intensity(x):
        return lab.intensity(x, 4, 0.999, 0.001)  # 1 FLOP/byte

    evidence(rungs.fast(intensity, torch.clone, x, share=0.9, compulsory_bytes=2 * x.nbytes))


@rung("b", "fast")
def test_intensity_reaches_the_roof_of_the_plain_cores(lab, evidence):
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    k = 512  # 128 FLOP/byte, above every part's ridge for fp32
    try:
        spec = specs.get(torch.cuda.get_device_name())
        peak = spec.peak("fp32")
    except LookupError as error:
        evidence(f"its roof is not known: {error}")
        return
    x = torch.randn(PRODUCTION, device="cuda")
    cost = OpCost(2 * k * x.numel(), 2 * x.nbytes)
    timed = bench.measure(lab.intensity, x, k, 0.999, 0.001)
    rate = cost.flops / bench.believable(timed, cost, spec, "fp32").median_s
    assert rate >= 0.6 * peak, (
        f"with k = {k} it does {rate / peak:.0%} of the plain cores' {peak / 1e12:.3g} TFLOP/s; "
        "60 % is asked for. How many independent chains does a thread have?"
    )
    evidence(f"{Quantity(rate, 'FLOP/s', Label.MEASURED)} with k = {k}")


# (c) bound

PARTS = ("h100-sxm5-80gb", "mi300x", "rtx-4090", "l4")
# Per second:  H100 3.35e12 B, 66.9e12 fp32, 989.4e12 bf16    ridges  20.0  295
#              MI300X 5.3e12 B, 163.4e12 fp32, 1307.4e12 bf16          30.8  247
#              RTX 4090 1.008e12 B, 82.6e12 fp32, 165.2e12 bf16        81.9  164
#              L4 0.3e12 B, 30.3e12 fp32, 121e12 bf16                 101    403
M, C = "memory", "compute"
# name -> cost, dtype, time in seconds and limiter on each of PARTS; worked by hand
BOUNDS_BY_HAND = {
    # 1e9 numbers copied: 8e9 B / 3.35e12 = 2.388e-3, / 5.3e12, / 1.008e12, / 0.3e12
    "copy": (OpCost(0, 8e9), "fp32",
             ((2.388e-3, M), (1.509e-3, M), (7.937e-3, M), (2.667e-2, M))),
    # rows of 10,000 x 10,000: 5e8 FLOP, 8e8 B, 0.625 FLOP/byte, below all four ridges
    "softmax": (OpCost(5e8, 8e8), "fp32",
                ((2.388e-4, M), (1.509e-4, M), (7.937e-4, M), (2.667e-3, M))),
    # (b) with k = 100 on 1e8 numbers: 2e10 FLOP, 8e8 B, 25 FLOP/byte, above the H100's 20.0 only:
    # 2e10 / 66.9e12 = 2.990e-4 against 2.388e-4
    "intensity": (OpCost(2e10, 8e8), "fp32",
                  ((2.990e-4, C), (1.509e-4, M), (7.937e-4, M), (2.667e-3, M))),
    # 3000 x 3000 x 3000: 5.4e10 FLOP, 5.4e7 B, 1000 FLOP/byte, above all: 5.4e10 / 989.4e12
    "matmul": (OpCost(5.4e10, 5.4e7), "bf16",
               ((5.458e-5, C), (4.130e-5, C), (3.269e-4, C), (4.463e-4, C))),
    # one row times 10,000 x 10,000: 2e8 FLOP, 2.0004e8 B, 1 FLOP/byte: 2.0004e8 / 3.35e12
    "matmul of one row": (OpCost(2e8, 2.0004e8), "bf16",
                          ((5.971e-5, M), (3.774e-5, M), (1.985e-4, M), (6.668e-4, M))),
    # an MLP of 1000 x 4000 at batch 200: 3.2008e9 FLOP, 1.68e7 B, 190.5 FLOP/byte, above the
    # RTX 4090's 164 only: 3.2008e9 / 165.2e12 = 1.938e-5 against 1.68e7 / 1.008e12 = 1.667e-5
    "MLP": (OpCost(3.2008e9, 1.68e7), "bf16",
            ((5.015e-6, M), (3.170e-6, M), (1.938e-5, C), (5.600e-5, M))),
}  # fmt: skip
LAPTOP = GPUSpec(id="mine", name="this laptop", memory_bandwidth_bytes_per_s=15e9)
MUTE = GPUSpec(id="mute", name="a part without a data sheet", peak_flops_per_s={"fp32": 1e12})
# Ridge at exactly 4 FLOP/byte; both figures are powers of two, so that the times are equal.
EVEN = GPUSpec(id="even", name="an even part", memory_bandwidth_bytes_per_s=2.0**30,
               peak_flops_per_s={"fp32": 2.0**32, "bf16": 2.0**36})  # fmt: skip


@rung("c", "runs")
def test_bound_runs(lab, evidence):
    found = returned(lab.bound, Bound, OpCost(2e10, 8e8), specs.get("h100"), "fp32")
    evidence(f"an H100 and 25 FLOP/byte in fp32: {found}")


@rung("c", "safe")
def test_bound_refuses_unknown_figures(lab, evidence):
    unknown = (
        (MUTE, "fp32", "bandwidth"),  # it has no bandwidth
        (LAPTOP, "fp32", "fp32"),  # it has no peaks at all
        (specs.get("h100"), "fp4", "fp4"),  # it has no such mode
    )
    for spec, dtype, figure in unknown:
        args = (OpCost(2e10, 8e8), spec, dtype)
        refused(lab.bound, args, (LookupError, ValueError), figure)
        refused(lab.bound, args, (LookupError, ValueError), spec.name, spec.id)
    for cost in (OpCost(0, 1024), OpCost(1024, 0)):
        returned(lab.bound, Bound, cost, EVEN, "fp32")
    evidence("an unknown bandwidth, an unknown peak and a mode that a part lacks: refused by name")


def same_bound(fn: Callable, cost: OpCost, spec: GPUSpec, dtype: str, time_s: float,
               limiter: str, why: str) -> Bound:  # fmt: skip
    found = returned(fn, Bound, cost, spec, dtype)
    # Figures worked by hand have four digits.
    agrees = math.isclose(found.time_s, time_s, rel_tol=3e-4) and found.limiter == limiter
    assert agrees, (
        f"{why} on {spec.name}: {limiter}, {time_s:.4g} s; bound says {found.limiter}, "
        f"{found.time_s:.4g} s (memory {found.memory_time_s:.4g}, "
        f"compute {found.compute_time_s:.4g})"
    )
    return found


@rung("c", "correct")
def test_bound_is_right(lab, reference, evidence):
    for name, (cost, dtype, expected) in BOUNDS_BY_HAND.items():
        for part, (time_s, limiter) in zip(PARTS, expected, strict=True):
            why = f"{name}, {cost.flops:g} FLOP and {cost.bytes:g} bytes in {dtype},"
            same_bound(lab.bound, cost, specs.get(part), dtype, time_s, limiter, why)
    # 4096 FLOP for 1024 bytes: 4096 / 2^32 = 1024 / 2^30 = 2^-20 s
    same_bound(lab.bound, OpCost(4096, 1024), EVEN, "fp32", 2.0**-20, M, "equal times")
    own_work(lab.bound, reference.path, roofline, OpCost(1, 1), EVEN, "fp32")
    source = random.Random(2)
    for _ in range(50):
        spec = specs.get(source.choice(specs.names()))
        cost = OpCost(10 ** source.uniform(3, 15), 10 ** source.uniform(3, 12))
        # A V100 has no bf16.
        dtype = source.choice([d for d in ("fp32", "bf16") if d in spec.peak_flops_per_s])
        ours = roofline.bound(cost, spec, dtype)
        found = same_bound(
            lab.bound, cost, spec, dtype, ours.time_s, ours.limiter, f"{shown(cost)} in {dtype},"
        )
        for field in ("memory_time_s", "compute_time_s"):
            came, expected = getattr(found, field), getattr(ours, field)
            assert math.isclose(came, expected, rel_tol=1e-9), (
                f"{field} of {shown(cost)} on {spec.name} is {expected:.4g}; bound says {came:.4g}"
            )
    evidence("6 operations on 4 parts; 25 FLOP/byte are too many for one of them, 190 for another")


# (d) how close it came

# A machine that reads 20 GB/s, copies 16 GB/s (bytes in and out) and does 400 GFLOP/s.
BEST = (20e9, 16e9, 400e9)
# what -> time_s, flops, read_bytes, written_bytes, limiter, share; worked by hand
REACHED_BY_HAND = {
    # 1e9 float32 summed: 4e9 B / 20e9 = 0.2 s
    "a sum": (0.25, 1e9, 4e9, 0, M, 0.8),
    # (4e9 + 4e9) B / 16e9 = 0.5 s
    "a copy": (0.625, 0, 4e9, 4e9, M, 0.8),
    # the sum of two: 4e9 pairs with what is written, 8e9 / 16e9 = 0.5; 4e9 / 20e9 = 0.2
    "an addition": (1.0, 1e9, 8e9, 4e9, M, 0.7),
    # 4e9 / 16e9 = 0.25 s
    "a fill": (0.5, 0, 0, 4e9, M, 0.5),
    # 2000 cubed in float32: 1.6e10 FLOP / 400e9 = 0.04 s; the bytes need 0.0028
    "a matmul": (0.05, 1.6e10, 3.2e7, 1.6e7, C, 0.8),
    # one row of it: 8e6 FLOP, 2e-5 s; weights 1.6e7 B / 20e9 = 8e-4 s, 8000 B in and out beside
    "a matmul of one row": (1.6e-3, 8e6, 1.6e7 + 8000, 8000, M, 0.500625),
    # noise: 0.2 / 0.191 = 1.0471
    "a lucky sum": (0.191, 1e9, 4e9, 0, M, 1.047120),
}
# 1.5 times the read roof, 2 times the compute roof, 1.06 times the copy roof
BEATEN = ((0.2 / 1.5, 1e9, 4e9, 0, 150), (0.02, 1.6e10, 3.2e7, 1.6e7, 200),
          (0.5 / 1.06, 0, 4e9, 4e9, 106))  # fmt: skip
CAUSES = (("cache",), ("dead", "removed", "deleted", "compiler"), ("count",))


@rung("d", "runs")
def test_reached_runs(lab, evidence):
    found = returned(lab.reached, lab.Reached, 0.5, 0, 4e9, 4e9, lab.Ceilings(*BEST))
    evidence(f"8 GB copied in 0.5 s, where 16 GB/s is the best: {found}")


@rung("d", "safe")
def test_reached_refuses_what_is_no_measurement(lab, evidence):
    good = (0.25, 1e9, 4e9, 0)
    for time_s in (0.0, -1.0, math.nan):
        args = (time_s, *good[1:], lab.Ceilings(*BEST))
        refused(lab.reached, args, (ValueError,), "time_s")
    for position, field in enumerate(("read_bytes_per_s", "copy_bytes_per_s", "flops_per_s")):
        for bad in (0.0, -1.0):
            ceilings = lab.Ceilings(*(bad if i == position else v for i, v in enumerate(BEST)))
            refused(lab.reached, (*good, ceilings), (ValueError,), field)
    evidence("a time or a ceiling of 0 and below is refused by name")


@rung("d", "correct")
def test_reached_is_right(lab, reference, evidence):
    ceilings = lab.Ceilings(*BEST)
    own_work(lab.reached, reference.path, roofline, 0.2, 1e9, 4e9, 0, ceilings)
    for name, (*args, limiter, share) in REACHED_BY_HAND.items():
        try:
            found = lab.reached(*args, ceilings)
        except lab.ImplausibleError as error:
            raise AssertionError(f"{name} in {args[0]} s reaches {share:.1%}, within the 5 % that "
                                 f"noise may add, and is refused: {error}") from None  # fmt: skip
        assert (found.limiter, round(found.share, 5)) == (limiter, round(share, 5)), (
            f"{name} in {args[0]} s ({args[1]:g} FLOP, {args[2]:g} bytes read, {args[3]:g} "
            f"written) reaches {share:.4f} of the {limiter} roof; reached says {found}"
        )
    for *args, percent in BEATEN:
        told = _refusal(lab, args, ceilings)
        missing = [words[0] for words in CAUSES if not any(word in told for word in words)]
        assert not missing, f"name all three causes; {missing[0]} is missing in: {told}"
        assert str(percent) in told, f"say by how much: {percent} % is missing in: {told}"
    evidence("reads and copies under roofs of their own; 4.7 % above is noise, 6 % is refused")


def _refusal(lab: Any, args: list, ceilings: Any) -> str:
    try:
        found = lab.reached(*args, ceilings)
    except lab.ImplausibleError as error:
        return str(error).lower()
    raise AssertionError(
        f"{called(lab.reached, *args)} beats its roof by more than 5 % and must raise "
        f"ImplausibleError; it returned {found}"
    )


# What `make gpu` measures


def gpu_cases(lab):
    """(b) below every part's ridge and above it: 1 and 128 FLOP/byte."""

    def case(k: int) -> Case:
        def arguments(device: str) -> tuple:
            return torch.randn(4 * PRODUCTION, device=device), k, 0.999, 0.001

        return Case(
            *(lab.intensity, arguments, lab.intensity_reference),
            loads={"x": 1},
            stores={"out": 1},
            flops=2 * k * 4 * PRODUCTION,
        )

    return [case(4), case(512)]
