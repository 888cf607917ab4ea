"""The validation tests of lab04: what `ridge check lab04` runs."""

import dataclasses
import functools
import random

import pytest
import torch
import triton

from gpu_utils import codegen, specs, traffic
from gpu_utils.course import rungs
from gpu_utils.course.answers import refused, returned
from gpu_utils.course.ladder import rung
from gpu_utils.recordings import Case

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")
SIX = ("sm_80", "sm_89", "sm_90", "sm_100", "sm_120", "gfx942")
# (M, N, K). Whole blocks of `small` first, so that a message about the tail is about the tail; one
# of each, primes, one row, one column, a K below a block, sizes one past a block, several blocks.
WHOLE = (128, 128, 64)
SIZES = (WHOLE, (97, 131, 61), (1, 1, 1), (1, 257, 100), (67, 1, 33), (65, 129, 3), (150, 64, 129))
# An H100 made small: 16 programs at once, 4 MiB of L2.
SCALED = dataclasses.replace(specs.get("h100"), sm_count=16, l2_bytes=4 * 2**20)
BIG = 4096


def small(lab, **changes):
    """Blocks that need few programs and steps for small sizes."""
    config = {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32, "num_warps": 4, "num_stages": 2}
    return lab.Config(**{**config, **changes})


def numbers(*shape, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(sum(shape) + 1_000_003 * seed)
    return torch.randn(shape, generator=generator).to(dtype)


def pair(M, N, K, dtype=torch.float32):
    return numbers(M, K, dtype=dtype, seed=1), numbers(K, N, dtype=dtype, seed=2)


def meta(*shape, dtype=torch.bfloat16):
    return torch.empty(shape, dtype=dtype, device="meta")


def surprises(lab):
    """Sizes and configs nobody can write an answer for: new ones in each check."""
    draw = random.SystemRandom()
    for _ in range(2):
        sizes = [draw.randint(2, 200) for _ in range(3)]
        block_m, block_n, block_k = (draw.choice((32, 64, 128)) for _ in range(3))
        yield sizes, small(lab, BLOCK_M=block_m, BLOCK_N=block_n, BLOCK_K=block_k)


def strided():
    """Views that are not contiguous: transposed, sliced, one row repeated."""
    M, N, K = 70, 90, 50
    a, b = pair(M, N, K)
    return (
        (numbers(K, M).t(), b),
        (a, numbers(N, K).t()),
        (numbers(K, M).t(), numbers(N, K).t()),
        (numbers(2 * M, K + 3)[::2, 1 : K + 1], numbers(K, 3 * N)[:, ::3]),
        (a[:1].expand(M, K), b[:, :1].expand(K, N)),
    )


def specials():
    """NaN and infinities, each in a row or a column of its own."""
    a, b = pair(70, 65, 40)
    a[3, 5], a[69, 39], b[7, 11], b[39, 64] = (float(x) for x in ("nan", "inf", "-inf", "nan"))
    a[10, :], b[:, 20] = 0.0, 0.0  # 0 times infinity is NaN
    return a, b


def long_sum(dtype):
    """A large first product, then 2047 small ones, which a narrow accumulator would drop.

    The first is 64 * 64 = 4096. A step along k adds 32 products of 1 / 32 (float16) or 1 / 8
    (bfloat16), 1 or 4 in all: less than half a unit in the last place at 4096, 2 and 16. The sum
    is 4096 + 64 - 1/32 or 4096 + 256 - 1/8.
    """
    a, b = torch.full((16, 2048), 0.25), torch.full((2048, 16), 0.125)
    if dtype == torch.bfloat16:
        a, b = 2 * a, 2 * b
    a[:, 0], b[0, :] = 64.0, 64.0
    return a.to(dtype), b.to(dtype)


def cancelling(dtype):
    """Two halves of K whose sums are some 400 and cancel; what is left is below 20.

    A half that is rounded to the dtype of a is wrong by up to 2^-11 (float16) or 2^-8 (bfloat16) of
    400, 0.2 or 1.6: far more than what is left may be off, 2^-11 or 2^-8 of 20, a few times.
    """
    a, b = 8 * numbers(32, 32, seed=4), 8 * numbers(32, 32, seed=5)
    a, b = torch.cat((a, -a), 1), torch.cat((b, b))
    a[:, 0] += numbers(32, seed=6) / 4
    return a.to(dtype), b.to(dtype)


def blocks(launch):
    """BLOCK_M, BLOCK_N and BLOCK_K, as the kernel gets them."""
    names = ("BLOCK_M", "BLOCK_N", "BLOCK_K")
    missing = [name for name in names if name not in launch.arguments]
    assert not missing, f"{launch.name} has no {missing[0]}: take it as a tl.constexpr"
    return [launch.arguments[name] for name in names]


def requests(launch, a, b):
    """How often a tiled product asks for its operands: once for each tile along the other."""
    block_m, block_n, _ = blocks(launch)
    across, down = triton.cdiv(b.shape[1], block_n), triton.cdiv(a.shape[0], block_m)
    return {"a": rungs.AtMost(across), "b": rungs.AtMost(down)}, across * down


def has_programs(launch, wanted, why):
    assert launch.programs == wanted, (
        f"{launch.name} was launched with {launch.programs} programs; {why} are {wanted}"
    )


def lean_product(fn, a, b, *rest, config, **more):
    """The requests of a tiled product, as many programs as tiles, the config obeyed."""
    launch = rungs.one_launch(fn, a, b, *rest)
    rungs.obeys(launch, config)
    loads, tiles = requests(launch, a, b)
    has_programs(launch, tiles, "its tiles")
    moved = rungs.lean(fn, a, b, *rest, loads=loads | more, stores={"out": 1})
    multiplies_once(fn, moved, launch, a, b)
    return moved


def multiplies_once(fn, moved, launch, a, b, more_steps=0):
    """The FLOP of the product on the tensor cores, and no more than whole tiles have."""
    _, tiles = requests(launch, a, b)
    block_m, block_n, block_k = blocks(launch)
    steps = triton.cdiv(a.shape[1], block_k) + more_steps
    least = 2 * a.shape[0] * a.shape[1] * b.shape[1]
    rungs.multiplies(fn, moved, least, 2 * tiles * steps * block_m * block_n * block_k)


def intensity(lab, config=None, K=1024):
    """FLOP of 1024 x 1024 x K in bfloat16 for each byte that is loaded, by addresses alone."""
    a, b = meta(1024, K), meta(K, 1024)
    moved = traffic.count(lab.matmul, a, b, None, None, config, addresses_only=True)
    return 2 * 1024**2 * K / moved.load_bytes


def native(lab, *rest, targets, checked):
    """The tensor-core instruction of each target, and asynchronous copies where they exist."""
    a, b = meta(BIG, BIG), meta(BIG, BIG)
    built = rungs.compiled(lab.matmul, a, b, *rest, targets=targets, checked=checked)
    return [line for found in built.values() for line in rungs.on_tensor_cores(found[0])]


def on_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU here: speed is measured where there is one")
    return "cuda"


def large(device, M=8192, N=8192, K=8192):
    a, b = (torch.randn(shape, device=device, dtype=torch.bfloat16) for shape in ((M, K), (K, N)))
    return a, b


def for_device(lab, device):
    """The config for the GPU that is there, or for an H100 where none is."""
    target = "sm_90"
    if device == "cuda" and torch.version.hip:
        target = torch.cuda.get_device_properties(0).gcnArchName.partition(":")[0]
    elif device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        target = f"sm_{major}{minor}"
    return lab.config_for(target) if target in SIX else lab.Config()


# (a) a tiled product


@rung("a", "runs")
def test_product_runs(lab, evidence):
    a, b = pair(*WHOLE)
    evidence(rungs.runs(lab.matmul, a, b, like=torch.empty(WHOLE[:2])))


@rung("a", "safe")
def test_product_is_safe(lab, evidence):
    for sizes in SIZES:
        rungs.safe(lab.matmul, *pair(*sizes), None, None, small(lab))
    for a, b in strided():
        rungs.safe(lab.matmul, a, b, None, None, small(lab))
    rungs.safe(lab.matmul, *pair(130, 120, 70))  # and the default blocks
    evidence(f"{len(SIZES)} sizes and {len(strided())} sets of strides: inside the tensors")


@rung("a", "safe")
def test_what_is_not_promised_is_refused(lab):
    a, b = pair(4, 5, 6)
    for args, name in (
        ((a, numbers(7, 5)), "K"),
        ((a, numbers(6)), "b"),
        ((a[:0], b), "M"),
        ((a[:, :0], b[:0]), "K"),
        ((a, b[:, :0]), "N"),
        ((a.double(), b.double()), "float32"),
        ((a, b.half()), "dtype"),
        ((a, b, numbers(4)), "bias"),
        ((a, b, None, "relu"), "activation"),
        ((meta(2**16, 2**15), meta(2**15, 16)), "a"),
    ):
        refused(lab.matmul, args, (ValueError,), name)


@rung("a", "correct")
def test_product_is_close(lab, reference, evidence):
    close = functools.partial(rungs.close, lab.matmul, reference.matmul_reference)
    for sizes in SIZES:
        close(*pair(*sizes), None, None, small(lab))
    for dtype in FLOATS[1:]:
        for sizes in (WHOLE, (97, 131, 61), (1, 257, 100)):
            close(*pair(*sizes, dtype=dtype), None, None, small(lab))
    for block_m, block_n in ((32, 128), (128, 16)):
        config = small(lab, BLOCK_M=block_m, BLOCK_N=block_n)
        close(*pair(97, 131, 61), None, None, config)
    for a, b in (*strided(), specials()):
        close(a, b, None, None, small(lab))
    for dtype in FLOATS[1:]:
        close(*(x.to(dtype) for x in strided()[2]), None, None, small(lab))
        close(*long_sum(dtype), None, None, small(lab, BLOCK_M=16, BLOCK_N=16))
        close(*cancelling(dtype), None, None, small(lab, BLOCK_M=32, BLOCK_N=32))
    for sizes, config in surprises(lab):
        rungs.safe(lab.matmul, *pair(*sizes), None, None, config)
        close(*pair(*sizes), None, None, config)
    close(*pair(130, 120, 70))
    K = random.SystemRandom().randint(4000, 6000)
    close(*pair(33, 40, K), None, None, small(lab, BLOCK_K=256))
    rungs.at_size(lab.matmul, reference.matmul_reference, *pair(3000, 2500, 64))
    fresh = functools.partial(rungs.fresh, lab.matmul, reference.matmul_reference)
    fresh(*pair(70, 90, 50), None, None, small(lab))
    evidence("three dtypes, strides, NaN and infinities; sums in float32, rounded once")


@rung("a", "lean")
def test_product_is_lean(lab, evidence):
    for sizes, changes in (
        ((128, 192, 64), {}),
        ((97, 131, 61), {}),
        ((200, 33, 40), {"BLOCK_M": 32, "BLOCK_N": 16}),
        ((64, 200, 70), {"BLOCK_M": 16, "BLOCK_N": 128, "num_warps": 2, "num_stages": 3}),
    ):
        config = small(lab, **changes)
        lean_product(lab.matmul, *pair(*sizes), None, None, config, config=config)
    lean_product(lab.matmul, *pair(300, 200, 90), config=lab.Config())
    a, b = meta(BIG - 1, 64), meta(64, BIG + 1)
    launch = rungs.one_launch(lab.matmul, a, b)
    has_programs(launch, requests(launch, a, b)[1], f"the tiles of {BIG - 1} x {BIG + 1}")
    evidence("a once for each column of tiles, b for each row COUNTED; the output once")
    found = intensity(lab)
    assert found >= 60, (
        f"{found:.1f} FLOP per loaded byte at 1024 x 1024 x 1024 in bfloat16, COUNTED; 60 is "
        "asked for. A tile of BLOCK_M x BLOCK_N has BLOCK_M * BLOCK_N / (BLOCK_M + BLOCK_N)"
    )
    evidence(f"{found:.3g} FLOP per loaded byte at 1024 x 1024 x 1024 in bfloat16 COUNTED")


@rung("a", "native")
def test_product_is_native(lab, evidence):
    for line in native(lab, targets=TARGETS, checked=pair(*WHOLE)):
        evidence(line)
    a, b = (meta(BIG, BIG, dtype=torch.float32) for _ in range(2))
    config = small(lab, BLOCK_M=32, BLOCK_N=32)
    built = rungs.compiled(
        lab.matmul, a, b, None, None, config, targets=["sm_80"], checked=pair(*WHOLE)
    )
    found = built["sm_80"][0].select("HMMA")
    assert not found, (
        f"float32 became {next(iter(found))} on sm_80: factors rounded to TF32, 10 bits. Write "
        'tl.dot(x, y, acc, input_precision="ieee")'
    )


@rung("a", "fast")
def test_product_is_fast(lab, evidence):
    a, b = large(on_gpu())
    evidence(rungs.fast(lab.matmul, torch.matmul, a, b, share=0.4, compulsory_bytes=3 * a.nbytes))


# (b) grouped order


@rung("b", "runs")
def test_grouped_runs(lab, evidence):
    config = returned(lab.grouped, lab.Config, small(lab, BLOCK_M=16, BLOCK_N=16), 16)
    a, b = pair(*WHOLE)
    evidence(rungs.runs(lab.matmul, a, b, None, None, config, like=torch.empty(WHOLE[:2])))


# GROUP_M, tiles_m, tiles_n: groups that fit, a short last group, fewer rows than a group, one row,
# one column.
ORDERS = ((2, 4, 3), (3, 7, 5), (4, 6, 3), (8, 3, 5), (4, 1, 7), (3, 7, 1), (5, 11, 4))


def in_groups(lab, group, tiles_m, tiles_n):
    """A product of so many tiles of 16 x 16, the last of each row and column ragged."""
    config = small(lab, BLOCK_M=16, BLOCK_N=16, GROUP_M=group)
    return *pair(16 * tiles_m - 3, 16 * tiles_n - 5, 16), None, None, config


@rung("b", "safe")
def test_grouped_is_safe(lab, evidence):
    for order in ORDERS:
        rungs.safe(lab.matmul, *in_groups(lab, *order))
    evidence(f"{len(ORDERS)} grids, short last groups among them: inside the tensors")


@rung("b", "correct")
def test_grouped_is_close(lab, reference, evidence):
    close = functools.partial(rungs.close, lab.matmul, reference.matmul_reference)
    for order in ORDERS:
        close(*in_groups(lab, *order))
    draw = random.SystemRandom()
    for _ in range(2):
        args = in_groups(lab, draw.randint(2, 9), draw.randint(2, 9), draw.randint(2, 6))
        rungs.safe(lab.matmul, *args)
        close(*args)
    for fields, in_flight in (
        ({}, 16), ({}, 132), ({"BLOCK_N": 256}, 132), ({"BLOCK_M": 256}, 148), ({}, 1),
        ({"BLOCK_M": 32, "BLOCK_N": 256}, 304),
    ):  # fmt: skip
        few_panels(lab, lab.Config(**fields), in_flight)
    for _ in range(8):
        block_m, block_n = (draw.choice((32, 64, 128, 256)) for _ in range(2))
        few_panels(lab, lab.Config(BLOCK_M=block_m, BLOCK_N=block_n), draw.randint(20, 320))
    evidence("every tile once in every order; few panels for 1 to 304 programs in flight")


def few_panels(lab, config, in_flight):
    """The rows of a and columns of b that programs in flight read are near the fewest."""

    def read(group):
        return group * config.BLOCK_M + in_flight / group * config.BLOCK_N

    found = returned(lab.grouped, lab.Config, config, in_flight)
    same = dataclasses.replace(found, GROUP_M=config.GROUP_M) == config
    assert same, f"grouped changes GROUP_M and nothing else; it made {found} of {config}"
    assert isinstance(found.GROUP_M, int), f"GROUP_M is a whole number, got {found.GROUP_M!r}"
    assert found.GROUP_M >= 1, f"GROUP_M is 1 at least, got {found.GROUP_M}"
    least = min(map(read, range(1, in_flight + 1)))
    assert read(found.GROUP_M) <= 1.25 * least, (
        f"with GROUP_M = {found.GROUP_M} and tiles of {config.BLOCK_M} x {config.BLOCK_N}, "
        f"{in_flight} programs in flight read {read(found.GROUP_M):.0f} rows and columns; "
        f"{least:.0f} are enough"
    )


def one_group(lab):
    """All 16 rows of tiles are a group: 16 programs in flight share a panel of b, read once.

    16 x 16 tiles of 32 x 32 with K = 256: a and b are 256 KiB each, and past an L2 of 128 KiB.
    """
    config = small(lab, BLOCK_M=32, BLOCK_N=32, BLOCK_K=256, GROUP_M=16)
    spec = dataclasses.replace(SCALED, l2_bytes=128 * 1024)
    args = (meta(512, 256), meta(256, 512), None, None, config)
    moved = traffic.dram(lab.matmul, *args, spec=spec, addresses_only=True)
    often = moved.by_tensor["b"].read_bytes / args[1].nbytes
    assert often <= 1.25, (
        f"16 x 16 tiles with GROUP_M = 16: memory reads b {often:.1f} times, MODELLED. All rows "
        "are one group, whose tiles come column by column: 16 neighbours share a panel of b"
    )


@rung("b", "lean")
def test_grouped_is_lean(lab, evidence):
    config = small(lab, BLOCK_M=32, BLOCK_N=32, GROUP_M=3)
    lean_product(lab.matmul, *pair(150, 131, 61), None, None, config, config=config)
    one_group(lab)
    # A long BLOCK_K walks the addresses in fewer steps; DRAM sees the same.
    config = lab.grouped(lab.Config(BLOCK_K=256), 16)
    found = rungs.lean_dram(
        *(lab.matmul, meta(2048, 2048), meta(2048, 2048), None, None, config),
        spec=SCALED, at_most=4.0, addresses_only=True,
    )  # fmt: skip
    times = found.total_bytes / found.traffic.unique_bytes
    evidence(f"DRAM moves {times:.2f} times the distinct bytes of 2048 x 2048 x 2048 MODELLED")


@rung("b", "native")
def test_grouped_is_native(lab, evidence):
    config = lab.grouped(lab.Config(), 132)
    for line in native(lab, None, None, config, targets=("sm_90", "gfx942"), checked=pair(*WHOLE)):
        evidence(line)


@rung("b", "fast")
def test_grouped_is_fast(lab, evidence):
    a, b = large(on_gpu())
    config = lab.grouped(lab.Config(), torch.cuda.get_device_properties(0).multi_processor_count)

    def in_groups(a, b):
        return lab.matmul(a, b, None, None, config)

    def row_by_row(a, b):
        return lab.matmul(a, b, None, None, lab.Config())

    evidence(rungs.fast(in_groups, row_by_row, a, b, share=0.95, compulsory_bytes=3 * a.nbytes))


# (c) bias and GELU

ENDS = ((True, None), (False, "gelu"), (True, "gelu"))  # with a bias or not, activation


def finished(M, N, K, biased, activation, dtype=torch.float32):
    a, b = pair(M, N, K, dtype=dtype)
    bias = 3 * numbers(N, dtype=dtype, seed=3) if biased else None
    return a / K**0.5, b, bias, activation  # so that GELU is asked where it bends


@rung("c", "runs")
def test_epilogue_runs(lab, evidence):
    args = finished(*WHOLE, True, "gelu")
    evidence(rungs.runs(lab.matmul, *args, like=torch.empty(WHOLE[:2])))


@rung("c", "safe")
def test_epilogue_is_safe(lab, evidence):
    for end in ENDS:
        for sizes in ((97, 131, 61), (1, 257, 20), (67, 1, 33)):
            rungs.safe(lab.matmul, *finished(*sizes, *end), small(lab))
    a, b, _, _ = finished(40, 70, 20, False, None)
    for strange in (numbers(140)[::2], numbers(1).expand(70)):
        rungs.safe(lab.matmul, a, b, strange, "gelu", small(lab))
    evidence("bias, GELU, both; a bias of every second element: inside the tensors")


@rung("c", "correct")
def test_epilogue_is_close(lab, reference, evidence):
    close = functools.partial(rungs.close, lab.matmul, reference.matmul_reference)
    for end in ENDS:
        for dtype in FLOATS:
            close(*finished(97, 131, 61, *end, dtype=dtype), small(lab))
        close(*finished(1, 257, 20, *end), small(lab))
        close(*finished(67, 1, 33, *end), small(lab))
    a, b, bias, _ = finished(40, 70, 20, True, None)
    for strange in (numbers(140)[::2], numbers(1).expand(70)):
        close(a, b, strange, "gelu", small(lab))
    close(*finished(97, 131, 61, False, None), small(lab))  # (a) is as it was
    bias[5], bias[69] = float("inf"), float("nan")
    close(a, b, bias, "gelu", small(lab))
    for sizes, config in surprises(lab):
        rungs.safe(lab.matmul, *finished(*sizes, True, "gelu"), config)
        close(*finished(*sizes, True, "gelu"), config)
    fresh = functools.partial(rungs.fresh, lab.matmul, reference.matmul_reference)
    fresh(*finished(70, 90, 50, True, "gelu"), small(lab))
    evidence("three dtypes, with and without each; the exact GELU")


@rung("c", "lean")
def test_epilogue_is_lean(lab, evidence):
    for biased, activation in ENDS:
        args = (*finished(97, 131, 61, biased, activation), small(lab))
        down = {"bias": rungs.AtMost(triton.cdiv(97, 64))} if biased else {}
        moved = lean_product(lab.matmul, *args, config=small(lab), **down)
    evidence(f"{len(moved.launches)} kernel, no pass beside the product's COUNTED")


@rung("c", "native")
def test_epilogue_is_native(lab, evidence):
    checked = finished(*WHOLE, True, "gelu")
    lines = native(lab, meta(BIG), "gelu", targets=("sm_90", "gfx942"), checked=checked)
    for line in lines:
        evidence(line)


@rung("c", "fast")
def test_epilogue_is_fast(lab, evidence):
    a, b = large(on_gpu())
    bias = torch.randn(b.shape[1], device=a.device, dtype=a.dtype)

    def fused(a, b, bias):
        return lab.matmul(a, b, bias, "gelu", lab.Config())

    def eager(a, b, bias):
        return torch.nn.functional.gelu(torch.addmm(bias, a, b))

    evidence(rungs.fast(fused, eager, a, b, bias, share=0.4, compulsory_bytes=3 * a.nbytes))


# (d) a configuration for each target


@rung("d", "runs")
def test_configs_run(lab, evidence):
    found = {target: returned(lab.config_for, lab.Config, target) for target in SIX}
    for target, config in found.items():
        evidence(f"{target}: {config.BLOCK_M} x {config.BLOCK_N} x {config.BLOCK_K}")


@rung("d", "safe")
def test_unknown_targets_are_refused(lab, evidence):
    for target in ("sm_75", "sm_90b", ""):
        refused(lab.config_for, (target,), (ValueError,), *SIX)
    for config in configs(lab):
        rungs.safe(lab.matmul, *pair(150, 131, 97), None, None, config)
    evidence("sm_75 is refused, and the known targets are named")


def configs(lab):
    """What config_for returns, each once."""
    return list(dict.fromkeys(lab.config_for(target) for target in SIX))


@rung("d", "correct")
def test_configs_are_close(lab, reference, evidence):
    for config in configs(lab):
        for dtype in (torch.float32, torch.bfloat16):
            args = (*pair(150, 131, 97, dtype=dtype), None, None, config)
            rungs.close(lab.matmul, reference.matmul_reference, *args)
    evidence(f"{len(configs(lab))} different configs: right")


@rung("d", "lean")
def test_configs_are_lean(lab, evidence):
    cut = dataclasses.asdict
    shapes = {}  # what FLOP per byte depend on; counted once each
    for target in SIX:
        config, asked = lab.config_for(target), 85 if target in ("sm_90", "sm_100") else 60
        shape = cut(config)["BLOCK_M"], cut(config)["BLOCK_N"], cut(config)["BLOCK_K"]
        found = shapes[shape] = shapes.get(shape) or intensity(lab, config, K=256)
        assert found >= asked, (
            f"{target}: {found:.1f} FLOP per loaded byte with tiles of {shape[0]} x {shape[1]}, "
            f"COUNTED; {asked} is asked for there"
        )
    for shape, found in shapes.items():
        evidence(f"{found:.3g} FLOP per loaded byte with {shape[0]} x {shape[1]} COUNTED")


@rung("d", "native")
def test_configs_are_native(lab, evidence):
    a, b = meta(BIG, BIG), meta(BIG, BIG)
    for target in SIX:
        config = lab.config_for(target)
        args = (a, b, None, None, config)
        rungs.obeys(rungs.one_launch(lab.matmul, *args), config)
        built = rungs.compiled(lab.matmul, *args, targets=[target], checked=pair(*WHOLE))
        artifact = built[target][0]
        lines = rungs.on_tensor_cores(artifact)
        stages = 4 if target in ("sm_90", "sm_100") else 1
        assert artifact.num_stages >= stages, (
            f"{target}: {artifact.num_stages} stages; a block may have 227 KiB there, room for "
            f"{stages}, so that {stages - 1} loads are under way while one tile is multiplied"
        )
        evidence(f"{lines[0].removesuffix(' COMPILED')}, {_living(artifact)} COMPILED")


def _living(artifact):
    found = artifact.occupancy
    return f"⟨{found.blocks_per_sm} a SM, limited by {found.limiter}⟩"


@rung("d", "fast")
def test_configs_are_fast(lab, evidence):
    a, b = large(on_gpu())
    config = for_device(lab, "cuda")

    def configured(a, b):
        return lab.matmul(a, b, None, None, config)

    evidence(rungs.fast(configured, torch.matmul, a, b, share=0.6, compulsory_bytes=3 * a.nbytes))


# (e) programs that stay


def plain(a, b, *_):
    """The truth for (e) and (f), whatever comes after a and b."""
    return a @ b


@rung("e", "runs")
def test_persistent_runs(lab, evidence):
    a, b = pair(*WHOLE)
    evidence(rungs.runs(lab.matmul_persistent, a, b, like=torch.empty(WHOLE[:2])))


@rung("e", "safe")
def test_persistent_is_safe(lab, evidence):
    for sizes in SIZES:
        for num_sms in (3, 132):
            rungs.safe(lab.matmul_persistent, *pair(*sizes), num_sms, small(lab))
    for a, b in strided():
        rungs.safe(lab.matmul_persistent, a, b, 3, small(lab))
    refused(lab.matmul_persistent, pair(0, 4, 4), (ValueError,), "M")
    evidence("3 and 132 programs at most: inside the tensors, all written")


@rung("e", "correct")
def test_persistent_is_close(lab, evidence):
    close = functools.partial(rungs.close, lab.matmul_persistent, plain)
    for sizes in SIZES:
        close(*pair(*sizes), 3, small(lab))
    for dtype in FLOATS[1:]:
        close(*pair(97, 131, 61, dtype=dtype), 3, small(lab))
        close(*long_sum(dtype), 132, small(lab, BLOCK_M=16, BLOCK_N=16))
    for num_sms in (1, 2, 5, 132):
        close(*pair(150, 131, 40), num_sms, small(lab, BLOCK_M=32, BLOCK_N=32))
    for a, b in (*strided(), specials()):
        close(a, b, 2, small(lab))
    for sizes, config in surprises(lab):
        close(*pair(*sizes), random.SystemRandom().randint(1, 9), config)
    close(*pair(130, 120, 70))
    rungs.fresh(lab.matmul_persistent, plain, *pair(70, 90, 50), 3, small(lab))
    evidence("1 to 132 programs, three dtypes: right")


@rung("e", "lean")
def test_persistent_is_lean(lab, evidence):
    fn = lab.matmul_persistent
    for sizes, num_sms in (((150, 131, 61), 4), ((97, 200, 40), 7), ((64, 64, 64), 132)):
        a, b = pair(*sizes)
        config = small(lab, BLOCK_M=32)
        launch = rungs.one_launch(fn, a, b, num_sms, config)
        rungs.obeys(launch, config)
        loads, tiles = requests(launch, a, b)
        has_programs(launch, min(num_sms, tiles), f"{tiles} tiles or {num_sms} SMs, the fewer,")
        moved = rungs.lean(fn, a, b, num_sms, config, loads=loads, stores={"out": 1})
        multiplies_once(fn, moved, launch, a, b)
    launch = rungs.one_launch(fn, meta(BIG, 64), meta(64, BIG), 304)
    has_programs(launch, 304, "304 SMs, fewer than the tiles,")
    evidence("the requests of (a), with as many programs as SMs COUNTED")


@rung("e", "native")
def test_persistent_is_native(lab, evidence):
    a, b, targets = meta(BIG, BIG), meta(BIG, BIG), ("sm_80", "sm_90", "gfx942")
    built = rungs.compiled(lab.matmul_persistent, a, b, targets=targets, checked=pair(*WHOLE))
    for artifacts in built.values():
        for line in rungs.on_tensor_cores(artifacts[0]):
            evidence(line)


@rung("e", "fast")
def test_persistent_is_fast(lab, evidence):
    a, b = large(on_gpu())
    sms = torch.cuda.get_device_properties(0).multi_processor_count

    def persistent(a, b):
        return lab.matmul_persistent(a, b, sms, lab.Config())

    evidence(rungs.fast(persistent, torch.matmul, a, b, share=0.4, compulsory_bytes=3 * a.nbytes))


# (f) split-K

SPLITS = (1, 2, 3, 7)


@rung("f", "runs")
def test_split_runs(lab, evidence):
    a, b = pair(*WHOLE)
    evidence(rungs.runs(lab.matmul_split_k, a, b, 2, like=torch.empty(WHOLE[:2])))


@rung("f", "safe")
def test_split_is_safe(lab, evidence):
    for sizes in SIZES:
        for splits in (2, 5):
            rungs.safe(lab.matmul_split_k, *pair(*sizes), splits, small(lab))
    for a, b in strided():
        rungs.safe(lab.matmul_split_k, a, b, 2, small(lab))
    for splits in (0, -1, 65_536):
        refused(lab.matmul_split_k, (*pair(4, 4, 4), splits), (ValueError,), "splits")
    evidence("2 and 5 parts, more parts than steps among them: inside the tensors, all written")


@rung("f", "correct")
def test_split_is_close(lab, evidence):
    close = functools.partial(rungs.close, lab.matmul_split_k, plain)
    for splits in SPLITS:
        close(*pair(97, 131, 161), splits, small(lab))
        close(*pair(1, 257, 32), splits, small(lab))
    for dtype in FLOATS[1:]:
        close(*pair(97, 131, 161, dtype=dtype), 3, small(lab))
        close(*long_sum(dtype), 1, small(lab, BLOCK_M=16, BLOCK_N=16))
        close(*cancelling(dtype), 2, small(lab, BLOCK_M=32, BLOCK_N=32))
    for a, b in (*strided(), specials()):
        close(a, b, 2, small(lab))
    for sizes, config in surprises(lab):
        close(*pair(*sizes), random.SystemRandom().randint(1, 9), config)
    close(*pair(130, 120, 200), 3)
    rungs.fresh(lab.matmul_split_k, plain, *pair(70, 90, 150), 3, small(lab))
    evidence("1 to 9 parts, three dtypes: within the error that the dtype costs")


@rung("f", "lean")
def test_split_is_lean(lab, evidence):
    fn, (M, N, K) = lab.matmul_split_k, (97, 131, 300)
    a, b = pair(M, N, K, dtype=torch.bfloat16)
    for splits in (2, 5):
        config = small(lab)
        launches = codegen.capture(fn, a, b, splits, config)
        rungs.obeys(launches[0], config)
        loads, tiles = requests(launches[0], a, b)
        has_programs(launches[0], splits * tiles, f"{tiles} tiles in {splits} parts")
        moved = traffic.count(fn, a, b, splits, config)
        parts = [name for name in moved.by_tensor if name not in ("a", "b", "out")]
        once = dict.fromkeys(parts, 1)
        rungs.lean(fn, a, b, splits, config, loads=loads | once, stores={"out": 1} | once)
        multiplies_once(fn, moved, launches[0], a, b, more_steps=splits)
        asked = sum(moved.by_tensor[name].nbytes for name in parts)
        assert asked <= 4 * splits * M * N, (
            f"the parts are {asked} bytes; splits * M * N in float32 are {4 * splits * M * N}"
        )
        assert not moved.atomics, (
            "atomic additions come in whatever order the programs run, and float32 sums differ "
            "with the order: sum the parts in a second kernel"
        )
    a, b = meta(256, 16_384), meta(16_384, 256)
    launch = codegen.capture(fn, a, b, 100)[0]
    has_programs(launch, 100 * requests(launch, a, b)[1], "the tiles in 100 parts")
    moved = traffic.count(fn, meta(700, 64), meta(64, 500), 2, addresses_only=True)
    stored = moved.by_tensor["out"].store_bytes
    assert stored == 2 * 700 * 500, (
        f"of a result of 700 x 500, {stored // 2} of {700 * 500} elements are stored: does the "
        "second kernel's grid grow with the result?"
    )
    evidence("the parts once there and once back, in a fixed order COUNTED")


@rung("f", "native")
def test_split_is_native(lab, evidence):
    a, b = meta(256, 16_384), meta(16_384, 256)
    checked = (*pair(*WHOLE), 2)
    for target in ("sm_90", "gfx942"):
        built = rungs.compiled(lab.matmul_split_k, a, b, 32, targets=[target], checked=checked)
        main = next((x for x in built[target] if x.count("matrix")), built[target][0])
        for line in rungs.on_tensor_cores(main):
            evidence(line)


@rung("f", "fast")
def test_split_is_fast(lab, evidence):
    a, b = large(on_gpu(), 256, 256, 16_384)

    def split(a, b):
        return lab.matmul_split_k(a, b, 32, lab.Config())

    def whole(a, b):
        return lab.matmul(a, b, None, None, lab.Config())

    evidence(rungs.fast(split, whole, a, b, share=2.0, compulsory_bytes=2 * a.nbytes))


# What `make gpu` measures


def gpu_cases(lab):
    """Each task's product: 8192 x 8192 x 8192 in bfloat16, and a long K for few tiles."""

    def product(config_on):
        return lambda device: (*large(device), None, None, config_on(device))

    def in_groups(_device):
        return lab.grouped(lab.Config(), 132)

    def configured(device):
        return for_device(lab, device)

    def finished(device):
        a, b, *_, config = product(configured)(device)
        return a, b, torch.randn(b.shape[1], device=device, dtype=a.dtype), "gelu", config

    def persistent(device):
        sms = torch.cuda.get_device_properties(0).multi_processor_count if device == "cuda" else 132
        return *large(device), sms, configured(device)

    def long(device):
        return *large(device, 256, 256, 16_384), 32

    cases = (
        (lab.matmul, product(lambda _device: lab.Config()), lab.matmul_reference, 8192**3),
        (lab.matmul, product(in_groups), lab.matmul_reference, 8192**3),
        (lab.matmul, finished, lab.matmul_reference, 8192**3),
        (lab.matmul, product(configured), lab.matmul_reference, 8192**3),
        (lab.matmul_persistent, persistent, plain, 8192**3),
        (lab.matmul_split_k, long, plain, 256 * 256 * 16_384),
    )
    return [
        Case(fn, arguments, truth, flops=2 * products, dtype="bf16")
        for fn, arguments, truth, products in cases
    ]
