"""The validation tests of lab02: what `ridge check lab02` runs.

PYTEST_DONT_REWRITE: learners read these messages, and pytest would add its own lines to them.
"""

import dataclasses
import importlib.util
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from gpu_utils import specs
from gpu_utils.course import rungs
from gpu_utils.course.ladder import rung
from gpu_utils.recordings import Case

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
# Whole blocks first, so that a message about a tail is about a tail; then primes, several blocks
# of any likely size, the longest row that is promised, one column, one row, one element.
SHAPES = ((4, 1024), (3, 97), (5, 4099), (2, 16_384), (7, 1), (1, 129), (1, 1))
LONG = ((2, 16_384), (2, 40_009), (3, 97), (5, 1), (1, 1))
COUNTS = (4096, 97, 4099, 1031, 1)
ALIGNED = (256, 1024)  # for the L2 model, which moves whole sectors


def generator(*seeds: int) -> torch.Generator:
    return torch.Generator().manual_seed(sum(seed * 7919**i for i, seed in enumerate(seeds)))


def matrix(
    rows: int, columns: int, dtype: torch.dtype = torch.float32, seed: int = 0, scale: float = 3.0
) -> torch.Tensor:
    return scale * torch.randn(rows, columns, generator=generator(rows, columns, seed)).to(dtype)


def apart(x: torch.Tensor, margin: int = 9) -> torch.Tensor:
    """The same matrix as a part of a wider one: its rows lie apart, and do not begin it."""
    wide = torch.full((x.shape[0] + 1, x.shape[1] + margin), 1e4).to(x.dtype)
    wide[1:, 5 : 5 + x.shape[1]] = x
    return wide[1:, 5 : 5 + x.shape[1]]


def told(shapes: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{rows} x {columns}" for rows, columns in shapes)


def surprises(columns: int) -> list[tuple[int, int]]:
    """Shapes nobody can write an answer for: new ones in each check."""
    draw = random.SystemRandom()
    return [
        (draw.randint(2, 9), draw.randint(2, columns)),
        (draw.randint(2, 5), draw.randint(columns // 2, columns)),
        (draw.randint(130, 160), draw.randint(2, 40)),  # more rows than a fixed grid may have
    ]


def on_gpu() -> str:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    return "cuda"


# What the tasks that work on rows are called with, given the shape of the matrix.


@dataclasses.dataclass(frozen=True)
class Rows:
    name: str
    shapes: tuple[tuple[int, int], ...]
    columns: int  # the most that a surprise has
    production: tuple[int, int]
    matrices: int  # among the arguments, the first of them
    stored: int  # results, all like the first argument

    @property
    def reference(self) -> str:
        return "softmax_reference" if self.name == "softmax_long" else f"{self.name}_reference"

    def arguments(self, x: torch.Tensor, *, in_wider: bool = False) -> tuple:
        """What it is called with, made around `x`, the matrices as parts of wider ones or not."""
        if self.matrices == 1:
            return (apart(x) if in_wider else x,)
        rows, columns = x.shape
        other = matrix(rows, columns, x.dtype, seed=1).to(x.device)
        weight = torch.linspace(-2, 2, columns).to(x.dtype).to(x.device)
        if in_wider:  # the rows of the second further apart than those of the first
            x, other = apart(x), apart(other, 23)
        return x, other, weight, 1e-5

    def like(self, x: torch.Tensor) -> Any:
        return x if self.stored == 1 else (x,) * self.stored


TASKS = {
    "a": Rows("softmax", SHAPES, 16_384, (2048, 4096), 1, 1),
    "b": Rows("add_rmsnorm", SHAPES, 16_384, (2048, 4096), 2, 2),
    "d": Rows("softmax_long", LONG, 20_000, (128, 128_256), 1, 1),
}


def rows(name: str, only: str = "abd") -> pytest.MarkDecorator:
    """(a), (b) and (d) promise much alike: one test climbs for all."""
    return pytest.mark.parametrize(
        "task", [pytest.param(TASKS[t], marks=rung(t, name), id=TASKS[t].name) for t in only]
    )


@rows("runs")
def test_it_runs(lab, evidence, task):
    x = matrix(4, 1024)
    evidence(rungs.runs(getattr(lab, task.name), *task.arguments(x), like=task.like(x)))


@rows("safe")
def test_it_is_safe(lab, evidence, task):
    fn = getattr(lab, task.name)
    for shape in task.shapes:
        for in_wider in (False, True):
            rungs.safe(fn, *task.arguments(matrix(*shape), in_wider=in_wider))
    evidence(f"{told(task.shapes)}, whole and as part of a wider matrix: inside, all written")


def refuses(fn: Callable, args: tuple, begins: str) -> None:
    """A ValueError whose message begins with the argument's name."""
    shapes = "; ".join(
        f"{list(a.shape)} {a.dtype} with strides {a.stride()}" for a in args if hasattr(a, "shape")
    )
    said = "nothing"
    try:
        fn(*args)
    except ValueError as error:
        said = str(error)
    assert said.startswith(begins), (
        f"{fn.__name__} must refuse {shapes} with a ValueError that names the argument; it said "
        f"{said!r}. Keep the checks that the starter begins with"
    )


@rows("safe")
def test_it_refuses_what_it_does_not_promise(lab, evidence, task):
    fn = getattr(lab, task.name)
    _, *others = task.arguments(matrix(4, 64))
    bad = [
        matrix(64, 4).t(),
        matrix(4, 64)[0],
        matrix(4, 128)[:, ::2],
        torch.empty(0, 64),
        matrix(4, 64).double(),
    ]
    for x in bad:
        refuses(fn, (x, *others), "x ")
    if task.columns <= 16_384:
        refuses(fn, task.arguments(matrix(2, 16_385)), "x has 16385 columns")
    evidence("other layouts and dtypes are refused by name")


@rung("b", "safe")
def test_add_rmsnorm_refuses_what_does_not_fit_together(lab, evidence):
    x, residual, weight, eps = TASKS["b"].arguments(matrix(4, 64))
    for args in (
        (x, residual[:3], weight, eps),
        (x, residual, weight[:63], eps),
        (x, residual.half(), weight, eps),
        (x, residual, weight.half(), eps),
    ):
        refuses(lab.add_rmsnorm, args, "x, residual and weight must")
    evidence("a residual or weight of another shape or dtype is refused")


def close_everywhere(lab: Any, reference: Any, task: Rows) -> None:
    fn, expected = getattr(lab, task.name), getattr(reference, task.reference)
    for shape in task.shapes:
        rungs.close(fn, expected, *task.arguments(matrix(*shape)))
    for dtype in (torch.float16, torch.bfloat16):
        for shape in task.shapes[:3]:
            rungs.close(fn, expected, *task.arguments(matrix(*shape, dtype)))
    rungs.fresh(fn, expected, *task.arguments(matrix(5, 1031)))
    for shape in surprises(task.columns):
        args = task.arguments(matrix(*shape), in_wider=True)
        rungs.safe(fn, *args)
        rungs.close(fn, expected, *args)


EVERYWHERE = "float32, float16, bfloat16, whole and as part of a wider matrix, anew each time"


@rows("correct", only="ad")
def test_softmax_is_close(lab, reference, evidence, task):
    def close(x: torch.Tensor) -> None:
        rungs.close(getattr(lab, task.name), reference.softmax_reference, x)

    columns = 17_021 if task.name == "softmax_long" else 4099  # several blocks, and a prime
    unusual = matrix(10, columns)
    unusual[0] = -math.inf  # NaN, as in torch
    unusual[1, : columns // 2] = -math.inf  # whole blocks of it, and then numbers
    unusual[2, columns // 2 :] = -math.inf
    unusual[3, :-1] = -math.inf  # the last alone: 1
    unusual[4, columns // 3] = math.inf
    unusual[5, -1] = math.nan
    unusual[6] = torch.linspace(-90, 90, columns)  # the maximum rises with each block
    unusual[7] = torch.linspace(1e4, -1e4, columns)  # exp(1e4) is infinite: subtract first
    unusual[8] = 0.0  # all the same
    unusual[9] -= 5e4  # the maximum is far below 0
    close(matrix(4, 1024))
    close(unusual)
    close(unusual.nan_to_num(nan=0.0, posinf=6e4, neginf=-math.inf).half())
    close(torch.tensor([[-math.inf], [math.inf], [math.nan], [7.0]]))
    if task.name == "softmax_long":
        # 70,000 times e^0 is more than float16 can count to (65,504).
        close(torch.zeros(1, 70_000).half())
    close_everywhere(lab, reference, task)
    evidence(EVERYWHERE)
    evidence("minus infinity, infinity, NaN, large numbers: as torch")


@rung("b", "correct")
def test_add_rmsnorm_is_close(lab, reference, evidence):
    def close(x: torch.Tensor, residual: torch.Tensor, eps: float) -> None:
        weight = 1 + torch.rand(x.shape[1], generator=generator(5)).to(x.dtype)
        rungs.close(lab.add_rmsnorm, reference.add_rmsnorm_reference, x, residual, weight, eps)

    x, residual = matrix(7, 1031), matrix(7, 1031, seed=1)
    for eps in (1e-6, 0.5):  # rows so small that eps decides
        close(1e-3 * x, 1e-3 * residual, eps)
    close(300 * x.half(), 3 * residual.half(), 1e-6)  # squares that float16 cannot hold
    close(x, -x, 1e-5)  # 0 everywhere
    x[0, 5], x[1, 7], x[2, 9] = math.nan, math.inf, -math.inf
    residual[3, 11], residual[1, 7] = math.nan, -math.inf
    close(x, residual, 1e-5)
    close_everywhere(lab, reference, TASKS["b"])
    evidence(EVERYWHERE)
    evidence("squares beyond float16, tiny rows, zeros, NaN and infinities: as torch")


@rows("lean", only="ad")
def test_softmax_is_lean(lab, evidence, task):
    often = {"softmax": 1, "softmax_long": rungs.AtMost(2)}[task.name]
    fn = getattr(lab, task.name)
    for shape in task.shapes:
        for x in (matrix(*shape), matrix(*shape, torch.bfloat16), apart(matrix(*shape))):
            rungs.lean(fn, x, loads={"x": often}, stores={"out": 1})
    x = matrix(2, task.columns)
    moved = rungs.lean(fn, x, loads={"x": often}, stores={"out": 1})
    asked = moved.kernel_bytes / (2 * x.nbytes)
    evidence(f"{asked:g} times the compulsory bytes COUNTED, up to {task.columns} columns")


@rung("b", "lean")
def test_add_rmsnorm_is_lean(lab, evidence):
    for shape in SHAPES:
        for in_wider in (False, True):
            rungs.lean(
                lab.add_rmsnorm,
                *TASKS["b"].arguments(matrix(*shape), in_wider=in_wider),
                loads={"x": 1, "residual": 1, "weight": rungs.AtMost(shape[0])},
                stores={"out[0]": 1, "out[1]": 1},
            )
    evidence("x, residual and both outputs once each COUNTED, weight at most once a row")


@rung("b", "lean")
def test_add_rmsnorm_is_lean_in_dram(lab, evidence):
    # An H100 scaled down with its tensors: 4 MiB pass through an L2 of 1 MiB, 16 rows at a time.
    found = rungs.lean_dram(
        lab.add_rmsnorm,
        *TASKS["b"].arguments(matrix(*ALIGNED)),
        spec=specs.get("h100"),
        l2_bytes=2**20,
        programs_in_flight=16,
        at_most=dict.fromkeys(("x", "residual", "weight", "out[0]", "out[1]"), 1.02),
    )
    read = found.by_tensor["weight"].read_bytes
    evidence(f"in DRAM {read:,} bytes of weight, once its size MODELLED")


def meta(task: Rows, shape: tuple[int, int], dtype: torch.dtype = torch.float32) -> tuple:
    return task.arguments(torch.empty(shape, dtype=dtype, device="meta"))


@rows("native")
def test_it_is_native(lab, reference, evidence, task):
    fn, small = getattr(lab, task.name), task.arguments(matrix(5, 4099))
    for target in ("sm_90", "gfx942"):
        rungs.coalesced(fn, *task.arguments(matrix(2, 4096)), target=target, at_least=0.95)
    built = rungs.compiled(fn, *meta(task, task.production), targets=TARGETS, checked=small)
    lines = rungs.wide(built)
    halves = meta(task, task.production, torch.bfloat16)
    rungs.wide(rungs.compiled(fn, *halves, targets=("sm_90",), checked=small))
    found = [built]
    if task.columns <= 16_384:  # the longest row that registers hold: without spills
        longest = meta(task, (1024, 16_384))
        found.append(rungs.compiled(fn, *longest, targets=TARGETS, checked=small))
    if lab is reference:  # a learner may spill a little, our own solution nothing
        spilled = [made for each in found for artifacts in each.values() for made in artifacts]
        assert not any(made.spill_bytes for made in spilled), spilled
    expected = getattr(reference, task.reference)
    rungs.at_size(fn, expected, *task.arguments(matrix(*task.production)))
    evidence("at least 95 % of every sector is used, on sm_90 and gfx942 MODELLED")
    for line in lines:
        evidence(line)


# (c), an array of structs.


def structs(n: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return matrix(n, 8, dtype)


@rung("c", "runs")
def test_to_arrays_runs(lab, evidence):
    evidence(rungs.runs(lab.to_arrays, structs(4096), like=torch.empty(8, 4096)))


@rung("c", "safe")
def test_to_arrays_is_safe(lab, evidence):
    for n in COUNTS:
        rungs.safe(lab.to_arrays, structs(n))
    for bad in (matrix(64, 7), matrix(8, 64).t(), matrix(64, 16)[:, :8], structs(64).double()):
        refuses(lab.to_arrays, (bad,), "structs ")
    evidence(f"{', '.join(map(str, sorted(COUNTS)))} structs: inside the tensors, all written")


@rung("c", "correct")
def test_to_arrays_is_equal(lab, reference, evidence):
    draw = random.SystemRandom()
    surprising = draw.randint(2, 9000)
    for dtype in FLOATS:
        for n in (*COUNTS, surprising):
            x = structs(n, dtype)
            x[0, :4] = torch.tensor([math.nan, math.inf, -math.inf, -0.0]).to(dtype)
            rungs.equal(lab.to_arrays, reference.to_arrays_reference(x), x)
    rungs.safe(lab.to_arrays, structs(surprising))
    rungs.fresh(lab.to_arrays, reference.to_arrays_reference, structs(1031))
    evidence("float32, float16, bfloat16, NaN and infinities among them: equal bit for bit")


@rung("c", "lean")
def test_to_arrays_is_lean(lab, evidence):
    for n in COUNTS:
        moved = rungs.lean(lab.to_arrays, structs(n), loads={"structs": 1}, stores={"out": 1})
    evidence(f"{moved.kernel_bytes / n:g} bytes a struct COUNTED: read once, written once")


@rung("c", "native")
def test_to_arrays_fills_its_sectors(lab, reference, evidence):
    lines = []
    for target in ("sm_90", "gfx942"):
        found = rungs.coalesced(lab.to_arrays, structs(4096), target=target, at_least=0.95)
        shares = " and ".join(
            f"{found.of(name, kind).efficiency:.0%} of what {kind}s touch"
            for name, kind in (("structs", "load"), ("out", "store"))
        )
        lines.append(f"{target}: {shares} MODELLED")
    x = torch.empty(2**24, 8, device="meta")
    rungs.compiled(lab.to_arrays, x, targets=TARGETS, checked=(structs(4099),))
    rungs.at_size(lab.to_arrays, reference.to_arrays_reference, structs(2**20))
    for line in lines:
        evidence(line)


# Speed. Our own solution must reach what the lesson states; a learner has more room.

SHARES = {"softmax": (0.85, 0.95), "add_rmsnorm": (0.85, 0.95), "to_arrays": (0.8, 0.95)}
SHARES["softmax_long"] = (0.6, 0.65)  # 1.5 times the bytes of a copy: two thirds of its speed


def liger(name: str) -> Callable | None:
    """Liger-Kernel's launcher, if it is installed."""
    if importlib.util.find_spec("liger_kernel") is None:
        return None
    from liger_kernel.ops import fused_add_rms_norm, softmax

    def liger_softmax(x):
        return softmax._softmax_forward(x)[0]

    def liger_add_rmsnorm(x, residual, weight, eps):
        return fused_add_rms_norm.fused_add_rms_norm_forward(
            x, residual, weight, eps, offset=0.0, casting_mode="llama"
        )[:2]

    return {"softmax": liger_softmax, "add_rmsnorm": liger_add_rmsnorm}.get(name)


def copied(*args: Any) -> list[torch.Tensor]:
    """Every matrix among the arguments read once and written once."""
    return [arg.clone() for arg in args if isinstance(arg, torch.Tensor) and arg.dim() == 2]


def is_fast(fn: Callable, ours: bool, peers: dict[str, Callable], args: tuple) -> list[str]:
    nbytes = 2 * sum(arg.nbytes for arg in args if isinstance(arg, torch.Tensor) and arg.dim() == 2)
    share = SHARES[fn.__name__][ours]
    said = [rungs.fast(fn, copied, *args, share=share, compulsory_bytes=nbytes)]
    if ours:  # at least as fast, give or take what two timings differ by
        said += [rungs.fast(fn, peer, *args, share=0.97) for peer in peers.values()]
    return said


@rows("fast")
def test_it_is_fast(lab, reference, evidence, task):
    size = (512, 131_072) if task.name == "softmax_long" else (16_384, 4096)
    device = on_gpu()
    x = matrix(*size).to(device)
    peers = {}
    if task.name != "softmax_long":
        peers["torch.compile"] = torch.compile(getattr(reference, task.reference), dynamic=False)
        peers |= {"Liger-Kernel": theirs} if (theirs := liger(task.name)) else {}
    fn = getattr(lab, task.name)
    for line in is_fast(fn, lab is reference, peers, task.arguments(x)):
        evidence(line)


@rung("c", "fast")
def test_to_arrays_is_fast(lab, reference, evidence):
    x = torch.randn(2**23, 8, device=on_gpu())
    for line in is_fast(lab.to_arrays, lab is reference, {}, (x,)):
        evidence(line)


def gpu_cases(lab):
    """What `make gpu` measures: 2^27 numbers, which fill the L2 of every part at least four times.

    `loads` are what DRAM should see: the weight comes from there once, whatever the programs ask.
    """

    def one(columns):
        return lambda device: (torch.randn(2**27 // columns, columns, device=device),)

    def three(device):
        x, residual = (torch.randn(2**14, 4096, device=device) for _ in range(2))
        return x, residual, torch.randn(4096, device=device), 1e-6

    def peers(name):
        theirs = liger(name)
        return {"Liger-Kernel": theirs} if theirs else {}

    once = {"loads": {"x": 1}, "stores": {"out": 1}}
    return [
        Case(
            *(lab.softmax, one(4096), lab.softmax_reference),
            peers=peers("softmax"),
            flops=5 * 2**27,
            **once,
        ),
        Case(
            *(lab.add_rmsnorm, three, lab.add_rmsnorm_reference),
            peers=peers("add_rmsnorm"),
            loads={"x": 1, "residual": 1, "weight": 1},
            stores={"out[0]": 1, "out[1]": 1},
            flops=5 * 2**26,
        ),
        Case(
            *(lab.to_arrays, one(8), lab.to_arrays_reference),
            loads={"structs": 1},
            stores={"out": 1},
            flops=0,
        ),
        Case(lab.softmax_long, one(2**17), lab.softmax_reference, flops=5 * 2**27),
    ]
