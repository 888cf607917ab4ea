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
from gpu_utils.quantities import Label, Quantity
from gpu_utils.recordings import Case
from gpu_utils.specs import GPUSpec, MLPerfResult

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
# Whole blocks first, so that a message about a tail is about a tail; then one block of rows and
# several of columns, primes, several of both, one row, one column, one element.
SHAPES = ((16, 2048), (4, 4096), (97, 331), (13, 4099), (1, 5003), (67, 1), (1, 1))
PRODUCTION = (8192, 8192)
# For the L2 model, which moves whole sectors of 32 bytes: rows and results that fill sectors.
ALIGNED = (256, 4096)


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
    """A matrix and a vector whose products cancel, but for those of the last 16 columns or so.

    Rows are a, b and -(a + b) times the same third of a vector: large on the way and small in the
    end, so that it shows what products and sums were rounded to. The thirds have an odd length,
    so that no lane of any block meets its own opposite.
    """
    third = (k - 16) // 3 - 1 + ((k - 16) // 3) % 2
    a, b, x, rest = of(third), of(third).flip(1), vector(third), k - 3 * third
    return torch.cat([a, b, -(a + b), of(rest)], 1), torch.cat([x, x, x, vector(rest)])


def surprises() -> list[tuple[int, int]]:
    """Shapes nobody can write an answer for: new ones in each check."""
    draw = random.SystemRandom()
    return [
        (draw.randint(2, 40), draw.randint(2, 3000)),
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
    args = task.make(16, 2048, torch.float16)
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
    for dtype, shapes in ((torch.float16, SHAPES), (torch.bfloat16, SHAPES[:4:3])):
        for m, k in shapes:
            args = task.make(m, k, dtype)
            rungs.close(fn, expected, *args)
    for m, k in surprises():
        w, *others = task.make(m, k, torch.float16)
        rungs.safe(fn, w, *others)
        rungs.close(fn, expected, apart(w), *others)
    rungs.fresh(fn, expected, *task.make(13, 1031, torch.float16))
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
        # Multiples of 1/8 below 256 / 8: their sums are halves, too.
        w, x = cancelling(k, lambda n: (16 * halves(17, n)).round() / 8)
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
        w, x = cancelling(k, lambda n: weights(17, n)[0] // 2)
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
    scale[0], scale[1], scale[2] = 0.0, math.nan, -1.0
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
        vectors = {"x": rungs.AtMost(math.inf)} if others else {}  # out of the L2, see below
        names = {"row_sum": "w", "gemv": "w", "gemv_w8a16": "w_int8"}
        loads = {names[task.name]: 1, **task.stored, **vectors}
        rungs.lean(fn, apart(w), *others, loads=loads, stores={"out": 1})
    evidence(f"{task.bytes_per_weight} byte{'s' * (task.bytes_per_weight > 1)} a weight COUNTED")


@kernels("lean", only="bc")
def test_the_vector_comes_from_the_l2(lab, evidence, task):
    # A part with 16 programs at a time and 512 KiB of L2: the vector fits, the matrix does not.
    args = task.make(*ALIGNED, torch.float16)
    found = rungs.lean_dram(
        getattr(lab, task.name), *args, spec=specs.get("h100"), programs_in_flight=16,
        l2_bytes=2**19, at_most=1.02,
    )  # fmt: skip
    x = found.traffic.by_tensor["x"]
    often = Quantity(x.load_bytes / x.nbytes, "x", Label.COUNTED)
    read = Quantity(found.by_tensor["x"].read_bytes / x.nbytes, "x", Label.MODELLED)
    evidence(f"x is asked for {often}, and read from DRAM {read}")
    if task.bytes_per_weight == 1:
        share = Quantity(found.read_bytes / (2 * math.prod(ALIGNED)), "%", Label.MODELLED)
        evidence(f"{share} of the bytes of the same weights in fp16")


@kernels("native")
def test_it_loads_weights_wide(lab, reference, evidence, task):
    fn, expected = getattr(lab, task.name), getattr(reference, task.reference)
    real = task.make(*PRODUCTION, torch.float16)
    rungs.at_size(fn, expected, *real)
    big = [torch.empty_like(arg, device="meta") for arg in real]
    checked = task.make(13, 4099, torch.float16)
    built = rungs.compiled(fn, *big, targets=TARGETS, checked=checked)
    for target, artifacts in built.items():
        widths = artifacts[0].load_widths
        only_wide = 128 in widths and min(widths) >= 32
        assert only_wide, (
            f"{target}: the loads of {artifacts[0].kernel} are {_listed(widths)} bits wide; the "
            "weights can come 128 bits at a time, and nothing in fewer than 32. Do the elements of "
            "a row lie side by side in a block, and does each thread own 128 bits of them?"
        )
        evidence(f"{target}: loads of 128 bits: {Quantity(widths[128], '', Label.COMPILED)}")


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
    moved = sum(arg.nbytes for arg in args)
    evidence(rungs.fast(getattr(lab, task.name), reads, *args, share=0.75, compulsory_bytes=moved))


def gpu_cases(lab):
    """What `make gpu` measures: 2^29 weights, at least four times the L2 of every part."""
    m, k = 2**16, 8192

    def wide(device: str) -> torch.Tensor:
        return torch.randn(m, k, dtype=torch.float16, device=device)

    def narrow(device: str) -> torch.Tensor:
        return torch.randint(-128, 128, (m, k), dtype=torch.int8, device=device)

    def x(device: str) -> torch.Tensor:
        return torch.randn(k, dtype=torch.float16, device=device)

    def case(name: str, flops: int, arguments: Callable[[str], tuple], **loads: float) -> Case:
        return Case(
            *(getattr(lab, name), arguments, getattr(lab, f"{name}_reference")),
            peers={"a sum of the same bytes": reads},
            loads=loads,
            stores={"out": 1},
            flops=flops,
        )

    return [
        case("row_sum", m * k, lambda device: (wide(device),), w=1),
        case("gemv", 2 * m * k, lambda device: (wide(device), x(device)), w=1),
        case(
            "gemv_w8a16",
            2 * m * k,
            lambda device: (narrow(device), torch.rand(m, device=device), x(device)),
            w_int8=1,
            scale=1,
        ),
    ]


# (d) decode_tokens_per_s. For pure functions "safe" means: what makes no sense is refused by name.

# layers, heads, kv_heads, head_dim, embedding, shared, expert parameters, experts, active
MODELS = {
    "dense": (32, 32, 32, 128, 0, 10**9, 6 * 10**9),  # 7e9; 262,144 numbers a cached token
    "grouped": (32, 32, 8, 128, 0, 10**9, 6 * 10**9),  # 7e9; 65,536
    "mixture": (32, 32, 8, 128, 2 * 10**8, 10**9, 5 * 10**9, 8, 2),  # 41.2e9; 11e9 for a token
    "large": (100, 128, 8, 125, 5 * 10**9, 25 * 10**9, 375 * 10**9),  # 405e9; 200,000
}
# Memory, usable of it, bandwidth, peaks: H100 80 GB, 72, 3.35e12, bf16 989.4e12, fp8 1978.9e12;
# MI300X 192, 172.8, 5.3e12, bf16 1307.4e12, fp8 2614.9e12; RTX 4090 24, 21.6, 1.008e12;
# B200 180, 162, 7.7e12, fp4 9000e12.
# model, part, batch, context, dtype, GPUs, tokens/s; worked by hand
DECODED_BY_HAND = (
    # 14e9 B / 3.35e12 = 4.1791 ms; cache 262,144 x 2 x 1000 = 0.52429e9 B: 0.15650 ms
    ("dense", "h100", 1, 1000, "bf16", 1, 230.65),
    # a quarter of the cache: 0.039126 ms
    ("grouped", "h100", 1, 1000, "bf16", 1, 237.07),
    # (14e9 + 0.131072e9) / 1.008e12 = 14.0189 ms
    ("grouped", "rtx-4090", 1, 1000, "bf16", 1, 71.332),
    # half of everything
    ("grouped", "rtx-4090", 1, 1000, "fp8", 1, 142.66),
    # the same 4.1791 ms; 64 caches are 8.3886e9 B: 2.5041 ms; 64 / 6.6832 ms
    ("grouped", "h100", 64, 1000, "bf16", 1, 9576.3),
    # 14e9 + 67.109e9 B are more than 72e9, so two: 2 x 7e9 x 512 FLOP / 1978.8e12 = 3.6224 ms,
    # above the 2.0896 of the bytes; caches 67.109e9 / 6.7e12 = 10.0162 ms
    ("grouped", "h100", 512, 1000, "bf16", 2, 37_540),
    # one MI300X holds the 81.1e9: 7.168e12 / 1307.4e12 = 5.4826 ms; 67.109e9 / 5.3e12 = 12.6620 ms
    ("grouped", "mi300x", 512, 1000, "bf16", 1, 28_218),
    # context of one token: 2 x 7e9 x 1024 / 1978.9e12 = 7.2444 ms; 1024 x 65,536 B: 0.020032 ms
    ("grouped", "h100", 1024, 1, "fp8", 1, 140_960),
    # weights 82.4e9 B: two H100; 11e9 x 2 B / 6.7e12 = 3.28358 ms; cache 0.131072e9: 0.019563 ms
    ("mixture", "h100", 1, 1000, "bf16", 2, 302.74),
    # and one MI300X: 22e9 / 5.3e12 = 4.15094 ms, 0.024731 ms: fewer a second, from half as many
    ("mixture", "mi300x", 1, 1000, "bf16", 1, 239.48),
    # 8 (1 - 0.75^4) = 5.46875 experts: 28.34375e9 x 2 / 5.3e12 = 10.6958 ms; 4 x 0.024731 ms
    ("mixture", "mi300x", 4, 1000, "bf16", 1, 370.55),
    # nearly all of them, 8 (1 - 0.75^64): 41e9 B / 3.35e12 = 12.2388 ms; 64 x 0.065536e9: 1.2520
    ("mixture", "h100", 64, 1000, "fp8", 1, 4744.0),
    # 202.5e9 B are more than 162e9: two B200; 400e9 x 0.5 / 15.4e12 = 12.9870 ms; 2e9 B: 0.12987
    ("large", "b200", 1, 20_000, "fp4", 2, 76.237),
    # 405e9 B: 2, 4 and then 8 H100, since six are no power of two; 400e9 / 26.8e12 = 14.9254 ms;
    # cache 0.2e9: 0.0074627 ms
    ("large", "h100", 1, 1000, "fp8", 8, 66.966),
    # 405e9 <= 4 x 172.8e9: 400e9 / 21.2e12 = 18.8679 ms; 0.0094340 ms
    ("large", "mi300x", 1, 1000, "fp8", 4, 52.974),
    # a context of 1,000,000: 0.2e12 + 0.405e12 B: 16 H100; 400e9 / 53.6e12 = 7.4627; 3.7313 ms
    ("large", "h100", 1, 1_000_000, "fp8", 16, 89.333),
)
MUTE = GPUSpec(id="mute", name="a part without a data sheet")
NO_MEMORY = GPUSpec(
    id="cards", name="a card of unknown size", memory_bandwidth_bytes_per_s=1e12,
    peak_flops_per_s={"bf16": 1e14},
)  # fmt: skip


@rung("d", "runs")
def test_decode_runs(lab, reference, evidence):
    args = (reference.Model(*MODELS["grouped"]), specs.get("h100"), 1, 1000, "bf16")
    written(lab, {"gpus_needed": args, "decode_tokens_per_s": args}, object)
    returned(lab.gpus_needed, int, *args)
    returned(lab.decode_tokens_per_s, float, *args)
    evidence(f"7e9 parameters on an H100: {lab.decode_tokens_per_s(*args):.4g} tokens/s at most")


@rung("d", "safe")
def test_decode_refuses_what_makes_no_sense(lab, reference, evidence):
    model, h100 = reference.Model(*MODELS["grouped"]), specs.get("h100")
    for name in ("gpus_needed", "decode_tokens_per_s"):
        fn = getattr(lab, name)
        refused(fn, (model, h100, 0, 1000, "bf16"), (ValueError,), "batch")
        refused(fn, (model, h100, -1, 1000, "bf16"), (ValueError,), "batch")
        refused(fn, (model, h100, 1, 0, "bf16"), (ValueError,), "context")
        for spec in (MUTE, NO_MEMORY):
            refused(fn, (model, spec, 1, 1, "bf16"), (LookupError,), "memory_bytes")
    # An H100 has no fp4, though fp4 weights would fit.
    refused(lab.decode_tokens_per_s, (model, h100, 1, 1, "fp4"), (LookupError,), "fp4")
    evidence("sizes below 1 and figures that nobody knows are refused by name")


@rung("d", "correct")
def test_decode_is_right(lab, reference, evidence):
    for name, part, batch, context, dtype, gpus, rate in DECODED_BY_HAND:
        model, spec = reference.Model(*MODELS[name]), specs.get(part)
        case = f"{name} in {dtype} on {spec.name}, batch {batch}, context {context}"
        found = lab.gpus_needed(model, spec, batch, context, dtype)
        assert found == gpus, f"{case}: {gpus} GPUs; gpus_needed says {found}"
        came = lab.decode_tokens_per_s(model, spec, batch, context, dtype)
        # Figures worked by hand have five digits.
        assert math.isclose(came, rate, rel_tol=1e-4), (
            f"{case}: {rate:.5g} tokens/s; decode_tokens_per_s says {came:.5g}"
        )
    example = (reference.Model(*MODELS["mixture"]), specs.get("h100"), 3, 100, "fp8")
    for fn in (lab.gpus_needed, lab.decode_tokens_per_s):
        own_work(fn, reference.path, roofline, *example)
    draw = random.Random(3)
    for _ in range(60):
        same_decode(lab, reference, draw)
    evidence("dense models and mixtures, 16, 8 and 4 bits; capacity, caches, both limits")


def same_decode(lab: Any, reference: Any, draw: random.Random) -> None:
    experts = draw.choice((1, 1, 4, 16, 128))
    active = draw.randint(1, min(experts, 8))
    kv_heads = draw.choice((1, 4, 8))
    shape = (draw.randint(1, 99), kv_heads * draw.choice((1, 4, 8)), kv_heads, 64)
    sizes = [int(10 ** draw.uniform(7, 10.5)) for _ in range(3)]
    model = reference.Model(*shape, *sizes, experts, active)
    spec = specs.get(draw.choice(("h100", "mi300x", "b200", "h200", "mi325x", "l40s")))
    batch, context = draw.choice((1, 2, 17, 256, 4000)), draw.choice((1, 300, 8192))
    dtype = draw.choice(("bf16", "fp8"))
    ours = roofline.decode_step(
        roofline.LLM("drawn", **dataclasses.asdict(model)), spec, batch, context, dtype
    )
    args = (model, spec, batch, context, dtype)
    found = lab.gpus_needed(*args), lab.decode_tokens_per_s(*args)
    same = found[0] == ours.gpus and math.isclose(found[1], ours.tokens_per_s, rel_tol=1e-9)
    assert same, (
        f"{called(lab.decode_tokens_per_s, *args)} is {ours.tokens_per_s:.5g} tokens/s on "
        f"{ours.gpus} GPUs; your functions say {found[1]:.5g} on {found[0]}"
    )


# (e) the claim on trial


def row(part: str, dtype: str, rate: float, gpus: int = 8, **other: Any) -> MLPerfResult:
    """An invented row: `rate` tokens/s for each GPU."""
    fields = {"round": "v5.1", "model": "a", "scenario": "offline", **other}
    return MLPerfResult(
        **fields, part=specs.get(part).id, gpus=gpus, tokens_per_s=rate * gpus, dtype=dtype,
        dtype_from="listed", software=None, submitter="nobody", location="invented",
        source=specs.mlperf()[0].source,
    )  # fmt: skip


# H100 80 GB, 3.35e12 B/s, fp8 1978.9e12; H200 141 GB, 4.8e12, 1979e12; B200 180 GB, 7.7e12, fp4
# 9000e12; MI325X 256 GB, 6e12, fp8 2614.9e12.
FIGURES_BY_HAND = (
    ("bandwidth", "h100", "fp8", 3.35e12),
    ("bandwidth", "b200", "fp4", 7.7e12),
    ("bandwidth per weight byte", "h200", "bf16", 2.4e12),
    ("bandwidth per weight byte", "h200", "fp8", 4.8e12),
    ("bandwidth per weight byte", "b200", "fp4", 15.4e12),
    ("FLOP/s", "h100", "fp8", 1978.9e12),
    ("FLOP/s", "b200", "fp4", 9000e12),
    ("FLOP/s", "b200", "bf16", 2250e12),
    ("capacity", "mi325x", "fp8", 256e9),
)
# predictor -> error of each of the two, of both, and of the wide one in the other order
# 1.2 times faster from H100 to H200, both fp8:
#   bandwidth 4.8/3.35 = 1.43284; 1.43284/1.2 = 1.19403       capacity 1.7625/1.2 = 1.46875
#   FLOP/s 1979/1978.9 = 1.00005; 1.2/1.00005 = 1.19994
# 3 times faster from H200 fp8 to B200 fp4:
#   bandwidth 1.60417: 3/1.60417 = 1.87013    per weight byte 3.20833: 1.06944
#   FLOP/s 4.54775: 1.51592                   capacity 1.27660: 2.35
# both: exp sqrt((ln a)^2 / 2 + (ln b)^2 / 2)
ERRORS_BY_HAND = {
    # logs 0.17734, 0.62601; root of (0.031449 + 0.39189) / 2 = 0.46007
    "bandwidth": (1.19403, 1.87013, 1.58419),
    # 0.17734, 0.067138; (0.031449 + 0.0045075) / 2 -> 0.13408
    "bandwidth per weight byte": (1.19403, 1.06944, 1.14349),
    # 0.18227, 0.41602; (0.033222 + 0.17307) / 2 -> 0.32117
    "FLOP/s": (1.19994, 1.51592, 1.37873),
    # 0.38441, 0.85442; (0.14777 + 0.73003) / 2 -> 0.66249
    "capacity": (1.46875, 2.35, 1.93962),
}


@rung("e", "runs")
def test_trial_runs(lab, evidence):
    one, other = row("h100", "fp8", 100), row("h200", "fp8", 120)
    cases = {
        "figure": (("bandwidth", one), float),
        "pairs": (([one, other],), list),
        "typical_error": (([(one, other)], "bandwidth"), float),
    }
    written(lab, {name: args for name, (args, _) in cases.items()}, object)
    for name, (args, kind) in cases.items():
        returned(getattr(lab, name), kind, *args)
    evidence("figure and typical_error return a float, pairs a list")


@rung("e", "safe")
def test_trial_refuses_what_has_no_verdict(lab, evidence):
    refused(lab.figure, ("clock", row("h100", "fp8", 1)), (ValueError,), "clock")
    refused(lab.figure, ("FLOP/s", row("h100", "fp4", 1)), (LookupError,), "fp4")
    refused(lab.typical_error, ([], "bandwidth"), (ValueError,), "empty", "no pairs", "nothing")
    assert lab.pairs([]) == [], "pairs([]) is an empty list"
    alone = [row("h100", "fp8", 1)]
    assert lab.pairs(alone) == [], f"one row makes no pair; pairs says {lab.pairs(alone)}"
    evidence("an unknown predictor, an unknown peak and an empty selection are refused")


@rung("e", "correct")
def test_figures_are_right(lab, evidence):
    for predictor, part, dtype, expected in FIGURES_BY_HAND:
        found = lab.figure(predictor, row(part, dtype, 1))
        assert math.isclose(found, expected), (
            f"{predictor} of {specs.get(part).name} in {dtype} is {expected:.5g}; figure says "
            f"{found:.5g}"
        )
    evidence("nine figures of four parts in three precisions")


@rung("e", "correct")
def test_pairs_are_comparable(lab, evidence):
    rows = [
        row("h100", "fp8", 1), row("h200", "fp8", 1), row("b200", "fp4", 1),
        row("h100", "fp8", 1, round="v6.0"), row("h200", "fp8", 1, model="b"),
        row("b200", "fp4", 1, scenario="server"), row("h200", "fp8", 1, scenario="server"),
        row("mi300x", "fp8", 1, round="v6.0", model="b"),
    ]  # fmt: skip
    # The first three make 3, the two of "server" 1; nothing else is alike.
    expected = [(0, 1), (0, 2), (1, 2), (5, 6)]
    found = lab.pairs(rows)
    seen = sorted(tuple(sorted((_place(rows, a), _place(rows, b)))) for a, b in found)
    assert seen == expected, (
        f"of rows 0 to 7, comparable are {expected}, each once: same round, model and scenario. "
        f"pairs says {seen}"
    )
    evidence("never two rounds, models or scenarios; each pair once, and no row with itself")


def _place(rows: list, wanted: Any) -> int:
    return next(place for place, one in enumerate(rows) if one is wanted)


@rung("e", "correct")
def test_errors_are_right(lab, reference, evidence):
    # Of systems of 4, 8 and 32 GPUs.
    near = row("h100", "fp8", 100, gpus=4), row("h200", "fp8", 120)
    far = row("h200", "fp8", 100), row("b200", "fp4", 300, gpus=32)
    for predictor, (first, second, both) in ERRORS_BY_HAND.items():
        for compared, expected in (
            ([near], first), ([near[::-1]], first), ([far], second), ([near, far], both),
            ([far[::-1], near], both),
        ):  # fmt: skip
            found = lab.typical_error(compared, predictor)
            assert math.isclose(found, expected, rel_tol=3e-5), (
                f"{_compared(compared)}: the typical error of {predictor} is {expected:.5f}; "
                f"typical_error says {found:.5f}"
            )
    own_work(lab.typical_error, reference.path, roofline, [near, far], "bandwidth")
    rows = specs.mlperf()
    compared = lab.pairs(rows)
    theirs = reference.pairs(rows)
    assert len(compared) == len(theirs), (
        f"{len(theirs)} pairs of published rows, not {len(compared)}"
    )
    for predictor in reference.PREDICTORS:
        ours = reference.typical_error(theirs, predictor)
        found = lab.typical_error(compared, predictor)
        assert math.isclose(found, ours, rel_tol=1e-9), f"{predictor}: {ours:.5f}, not {found:.5f}"
        evidence(
            f"{len(compared)} pairs of published rows: {predictor} is typically off by {found:.2f}x"
        )


def _compared(compared: list) -> str:
    return " and ".join(
        f"{a.part} {a.tokens_per_s_per_gpu:g} against {b.part} {b.tokens_per_s_per_gpu:g} tokens/s "
        "a GPU"
        for a, b in compared
    )
