"""Costs and bounds against arithmetic done by hand."""

import dataclasses
import doctest
import importlib
import inspect
import itertools
import math

import pytest

from gpu_utils import roofline, specs
from gpu_utils.roofline import OpCost

DATA = ("BYTES_PER_ELEMENT", "LLMS")
ROOMS = ("attention", "bounds", "cost", "decode", "layers", "rowwise")


@pytest.mark.parametrize("name", ["", *(f".{room}" for room in ROOMS)])
def test_the_docstrings_run(name):
    ran = doctest.testmod(importlib.import_module(f"gpu_utils.roofline{name}"))
    assert ran.failed == 0
    assert ran.attempted > 0


def test_the_package_offers_what_its_rooms_do():
    for room in ROOMS:
        module = importlib.import_module(f"gpu_utils.roofline.{room}")
        shared = {"USABLE", "bytes_per_element", "check_sizes"}  # among the rooms
        assert set(module.__all__) - shared <= set(roofline.__all__)
    assert all(
        inspect.getdoc(getattr(roofline, name)) for name in roofline.__all__ if name not in DATA
    )


@pytest.mark.parametrize(
    ("cost", "flops", "moved"),
    [
        # 4099 float32: read and written, 8 bytes each.
        (roofline.copy_cost(4099), 0, 8 * 4099),
        # 12 bytes and 3 FLOPs (two products, one sum) an element.
        (roofline.axpby_cost(2**24), 3 * 2**24, 12 * 2**24),
        (roofline.axpby_cost(97, "bf16"), 3 * 97, 6 * 97),
        # k = 8 fused multiply-adds on what is loaded once and stored once: 16 FLOPs, 8 bytes.
        (roofline.elementwise_cost(1000, flops_per_element=16), 16_000, 8_000),
        # x, residual in; both outputs out.
        (roofline.elementwise_cost(10, inputs=2, outputs=2, dtype="fp16"), 10, 80),
        # Two numbers to a byte.
        (roofline.elementwise_cost(10, dtype="fp4"), 10, 10),
        # 5 FLOPs, 8 bytes an element, and a row of one is not special.
        (roofline.softmax_cost(64, 16384), 5 * 2**20, 8 * 2**20),
        (roofline.softmax_cost(7, 1), 35, 56),
        # 2*2*3*4 = 48 FLOPs; (2*4 + 4*3 + 2*3) * 2 bytes = 52.
        (roofline.matmul_cost(2, 3, 4), 48, 52),
        # 8192 cubed in bf16: 2 * 2^39 FLOPs, 3 * 2^26 elements of 2 bytes.
        (roofline.matmul_cost(8192, 8192, 8192), 2**40, 3 * 2**27),
        # B=2, D=3, H=5: 4*30 + 10 FLOPs; weights 30 and activations 12 elements of 2 bytes.
        (roofline.mlp_cost(2, 3, 5), 130, 84),
        # The same, gated: 6*30 + 2*10 FLOPs; weights 45.
        (roofline.mlp_cost(2, 3, 5, gated=True), 200, 114),
        # 3 x 5 elements, 4 FLOPs each; 30 in and out and 5 weights of 2 bytes.
        (roofline.rmsnorm_cost(3, 5), 60, 70),
        (roofline.rmsnorm_cost(1, 1, "fp32"), 4, 12),
        # x and residual in, both results out: 60 and 5 weights.
        (roofline.add_rmsnorm_cost(3, 5), 75, 130),
        # T=2, D=3, H=5, E=4, A=1, two matrices: router 2*2*3*4 = 48; per token 4*15 + 5 and 2*3 to
        # weight: 2*71 = 142. Router 12, 2 experts of 30, activations 12: 84 elements of 2 bytes.
        (roofline.moe_cost(2, 3, 5, experts=4, active=1, touched=2, gated=False), 190, 168),
        # Gated, A=2 and all 4 read: per token and expert 6*15 + 10 + 6 = 106: 48 + 4*106.
        # 12 + 4*45 + 12 = 204 elements.
        (roofline.moe_cost(2, 3, 5, experts=4, active=2, touched=4), 472, 408),
        # One expert is a gated MLP with a router of one column: 2*6 + 2*6 FLOPs and 3 weights more.
        (roofline.moe_cost(2, 3, 5, experts=1, active=1), 200 + 12 + 12, 114 + 6),
    ],
)
def test_costs(cost, flops, moved):
    assert (cost.flops, cost.bytes) == (flops, moved)


@pytest.mark.parametrize(
    ("cost", "flops", "moved"),
    [
        # B=1, H=2, Nq=3, Nk=4, D=5: 12 scores a head, 4*2*12*5 FLOPs; q and o 60, k and v 80
        # elements of 2 bytes.
        (roofline.attention_cost(1, 2, 3, 4, 5), 480, 280),
        (roofline.attention_cost(7, 2, 3, 4, 5), 7 * 480, 7 * 280),
        # Causal, bottom right: 2 + 3 + 4 = 9 of the 12; the bytes stay.
        (roofline.attention_cost(1, 2, 3, 4, 5, causal=True), 360, 280),
        # One head of k and v for two of q: 60 + 40 elements.
        (roofline.attention_cost(1, 2, 3, 4, 5, kv_heads=1), 480, 200),
        # Six rows' logarithms in float32.
        (roofline.attention_cost(1, 2, 3, 4, 5, lse=True), 480, 280 + 24),
        (roofline.attention_cost(1, 2, 3, 4, 5, "fp32"), 480, 560),
        # 5/2 of the FLOPs; q, o, do, dq 120 and k, v, dk, dv 160 elements; six logarithms.
        (roofline.attention_backward_cost(1, 2, 3, 4, 5), 1200, 560 + 24),
        (roofline.attention_backward_cost(1, 2, 3, 4, 5, causal=True), 900, 584),
        (roofline.attention_backward_cost(1, 2, 3, 4, 5, kv_heads=1), 1200, 400 + 24),
        # H=4, Hkv=2, caches of 3 and 7, D=5: 4*4*5*10 FLOPs; k and v 2*2*5*10 = 200, q and o
        # 2*2*4*5 = 80 elements of 2 bytes.
        (roofline.decode_attention_cost(2, 4, 10, 5, kv_heads=2), 800, 560),
        (roofline.decode_attention_cost(1, 1, 1, 1), 4, 8),
    ],
)
def test_costs_of_attention(cost, flops, moved):
    assert (cost.flops, cost.bytes) == (flops, moved)


@pytest.mark.parametrize(("queries", "keys"), list(itertools.product((1, 2, 5, 7), repeat=2)))
def test_causal_pairs_are_those_that_the_mask_leaves(queries, keys):
    seen = sum(k <= q + keys - queries for q in range(queries) for k in range(keys))
    assert roofline.attention_pairs(queries, keys, causal=True) == seen
    assert roofline.attention_pairs(queries, keys) == queries * keys


def test_decoding_is_attention_with_one_query():
    one = roofline.attention_cost(3, 8, 1, 100, 64, kv_heads=2)
    assert roofline.decode_attention_cost(3, 8, 300, 64, kv_heads=2) == one
    # One query at the bottom right sees all.
    assert roofline.attention_cost(3, 8, 1, 100, 64, kv_heads=2, causal=True) == one


def test_a_prompt_calculates_and_a_step_loads():
    # 4096 tokens of 32 heads, 8 of keys: 4*32*128*4096*4097/2 FLOPs causal over 2*2*128*4096*40
    # bytes is 1639; a step has 4.
    h100 = specs.get("h100")
    prompt = roofline.attention_cost(1, 32, 4096, 4096, 128, kv_heads=8, causal=True)
    step = roofline.decode_attention_cost(1, 32, 4096, 128, kv_heads=8)
    assert round(prompt.intensity) == 1639
    assert round(step.intensity) == 4
    assert roofline.bound(prompt, h100, "bf16").limiter == "compute"
    assert roofline.bound(step, h100, "bf16").limiter == "memory"


@pytest.mark.parametrize(
    ("tokens", "experts", "active", "touched"),
    [
        (1, 8, 2, 2),
        (1000, 8, 2, 8),
        (5, 4, 4, 4),
        (3, 2, 1, 1.75),  # of 8 ways to choose, 2 touch one expert and 6 both: (2 + 12) / 8
        # Two tokens, two of four each: they share 0, 1 or 2 with odds 1, 4, 1: (4 + 12 + 2) / 6.
        (2, 4, 2, 3),
    ],
)
def test_experts_touched(tokens, experts, active, touched):
    assert roofline.experts_touched(tokens, experts, active) == pytest.approx(touched)


def test_intensity():
    assert roofline.axpby_cost(5).intensity == 0.25
    assert roofline.softmax_cost(3, 1000).intensity == 0.625
    assert roofline.copy_cost(1).intensity == 0
    # n/3 FLOP/byte for a square matmul in 16 bits: 2n^3 / (3 n^2 * 2).
    assert roofline.matmul_cost(768, 768, 768).intensity == 256
    assert OpCost(1, 0).intensity == math.inf
    assert math.isnan(OpCost(0, 0).intensity)


def test_costs_add_up():
    # An elementwise pass after a matmul, not fused.
    total = roofline.matmul_cost(2, 3, 4) + roofline.elementwise_cost(6, dtype="bf16")
    assert (total.flops, total.bytes) == (48 + 6, 52 + 24)


@pytest.mark.parametrize(
    ("part", "dtype", "flop_per_byte"),
    [
        ("h100", "bf16", 295),  # 989.4 / 3.35 = 295.3
        ("h100", "fp8", 591),  # 1978.9 / 3.35 = 590.7
        ("h200", "bf16", 206),  # 989 / 4.8 = 206.0
        ("a100", "bf16", 153),  # 312 / 2.039 = 153.0
        ("b200", "bf16", 292),  # 2250 / 7.7 = 292.2
        ("b200", "fp4", 1169),  # 9000 / 7.7 = 1168.8
        ("l4", "bf16", 403),  # 121 / 0.3 = 403.3
        ("mi300x", "bf16", 247),  # 1307.4 / 5.3 = 246.7
        # 165.2 / 1.008 = 163.9; 328 would be the fp16-accumulate rate, 655 that and sparsity.
        ("rtx 4090", "fp16", 164),
        ("rtx 4090", "fp32", 82),  # 82.6 / 1.008 = 81.9
    ],
)
def test_ridge_points(part, dtype, flop_per_byte):
    assert round(roofline.ridge_point(specs.get(part), dtype)) == flop_per_byte


def test_attainable_is_the_lower_of_two_roofs():
    h100 = specs.get("h100")
    assert roofline.attainable_flops_per_s(0, h100, "bf16") == 0
    assert roofline.attainable_flops_per_s(0.25, h100, "fp32") == 0.25 * 3.35e12
    assert roofline.attainable_flops_per_s(math.inf, h100, "bf16") == 989.4e12
    ridge = roofline.ridge_point(h100, "bf16")
    assert roofline.attainable_flops_per_s(ridge, h100, "bf16") == pytest.approx(989.4e12)
    for wrong in (-1, math.nan):
        with pytest.raises(ValueError, match="FLOP/byte"):
            roofline.attainable_flops_per_s(wrong, h100, "bf16")


def test_a_copy_is_bound_by_memory():
    # 2^24 float32 in and out: 134,217,728 bytes / 3.35e12 = 40.06 us, and nothing to calculate.
    found = roofline.bound(roofline.copy_cost(2**24), specs.get("h100"), "fp32")
    assert found.limiter == "memory"
    assert found.time_s == found.memory_time_s == pytest.approx(40.06e-6, rel=1e-3)
    assert found.compute_time_s == 0


def test_a_large_matmul_is_bound_by_arithmetic():
    # 2^40 FLOPs / 989.4e12 = 1.1113 ms; 402,653,184 bytes / 3.35e12 = 0.1202 ms.
    found = roofline.bound(roofline.matmul_cost(8192, 8192, 8192), specs.get("h100"), "bf16")
    assert found.limiter == "compute"
    assert found.time_s == found.compute_time_s == pytest.approx(1.1113e-3, rel=1e-3)
    assert found.memory_time_s == pytest.approx(0.1202e-3, rel=1e-3)
    assert str(found) == "1.11 ms MODELLED, compute-bound (memory 120 µs, compute 1.11 ms)"


def test_requests_may_bind_where_memory_does_not():
    # 4096 cubed in bf16, tiles of 128 x 128: A and B are requested 32 times, 2 * 32 * 2^25 = 2^31
    # bytes, and 2^25 written; / 7219e9 = 302 us. Memory moves 3 * 2^25 bytes in 49.4 us, and the
    # A100 calculates 2^37 FLOPs in 440.5 us.
    a100, cost = specs.get("a100"), roofline.matmul_cost(4096, 4096, 4096)
    found = roofline.bound(cost, a100, "bf16", l2_bytes=2**31 + 2**25)
    assert found.l2_time_s == pytest.approx(302e-6, rel=1e-3)
    assert found.memory_time_s == pytest.approx(49.4e-6, rel=1e-3)
    assert found.limiter == "compute"
    assert found.time_s == found.compute_time_s == pytest.approx(440.5e-6, rel=1e-3)
    # Tiles of 64 x 64 request twice as much.
    small = roofline.bound(cost, a100, "bf16", l2_bytes=2**32 + 2**25)
    assert small.limiter == "L2"
    assert small.time_s == small.l2_time_s == pytest.approx(599.6e-6, rel=1e-3)
    assert str(small) == "600 µs MODELLED, L2-bound (memory 49.4 µs, L2 600 µs, compute 441 µs)"
    # Without requests nothing is said of the L2.
    assert roofline.bound(cost, a100, "bf16").l2_time_s is None
    assert "L2" not in str(roofline.bound(cost, a100, "bf16"))


def test_an_l2_of_unknown_bandwidth_is_named():
    cost, h100 = roofline.copy_cost(1000), specs.get("h100")
    with pytest.raises(specs.UnknownFigureError, match="l2_bandwidth_bytes_per_s of NVIDIA H100"):
        roofline.bound(cost, h100, "fp32", l2_bytes=8000)
    # One that was measured fills the gap.
    known = dataclasses.replace(h100, l2_bandwidth_bytes_per_s=5.5e12)
    assert roofline.bound(cost, known, "fp32", l2_bytes=55).l2_time_s == pytest.approx(1e-11)
    for wrong in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="l2_bytes must be finite and not negative"):
            roofline.bound(cost, known, "fp32", l2_bytes=wrong)


def test_equal_times_are_memory_bound():
    even = specs.GPUSpec(
        id="even",
        name="even",
        peak_flops_per_s={"fp32": 1e12},
        memory_bandwidth_bytes_per_s=1e12,
        l2_bandwidth_bytes_per_s=1e12,
    )
    assert roofline.bound(OpCost(8, 8), even, "fp32", l2_bytes=8).limiter == "memory"


def test_the_same_layer_changes_sides_with_batch_and_machine():
    def limiter(batch, part):
        return roofline.bound(
            roofline.mlp_cost(batch, 4096, 16384), specs.get(part), "bf16"
        ).limiter

    # Its intensity is B*H / (H + B): 1 at 1, 198 at 200, 482 at 496. The ridges are 164 (RTX 4090),
    # 247 (MI300X) and 295 (H100).
    with_bf16 = [part for part in specs.names() if "bf16" in specs.get(part).peak_flops_per_s]
    assert {limiter(1, part) for part in with_bf16} == {"memory"}
    assert limiter(200, "rtx 4090") == "compute"
    assert limiter(200, "mi300x") == limiter(200, "h100") == "memory"
    assert limiter(496, "mi300x") == limiter(496, "h100") == "compute"


def test_a_machine_of_ones_own():
    laptop = specs.GPUSpec(
        id="laptop",
        name="this laptop",
        peak_flops_per_s={"fp32": 200e9},
        memory_bandwidth_bytes_per_s=20e9,
    )
    assert roofline.ridge_point(laptop, "fp32") == 10
    with pytest.raises(specs.UnknownFigureError, match="'bf16'"):
        roofline.bound(roofline.copy_cost(1), laptop, "bf16")
    with pytest.raises(specs.UnknownFigureError, match="memory_bandwidth_bytes_per_s"):
        roofline.bound(roofline.copy_cost(1), specs.GPUSpec(id="x", name="x"), "fp32")


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="unknown dtype 'float32': expected one of fp32, tf32"):
        roofline.copy_cost(1, "float32")
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        roofline.matmul_cost(1, 1, 0)
    for wrong in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="not negative"):
            OpCost(wrong, 1)
    with pytest.raises(ValueError, match="heads must be a multiple of kv_heads, got 8 and 3"):
        roofline.attention_cost(1, 8, 4, 4, 64, kv_heads=3)
    with pytest.raises(ValueError, match="kv_heads must be at least 1, got 0"):
        roofline.decode_attention_cost(1, 8, 4, 64, kv_heads=0)
    with pytest.raises(ValueError, match="queries must be at least 1, got 0"):
        roofline.attention_backward_cost(1, 8, 0, 4, 64)
    with pytest.raises(ValueError, match="active must be at most experts, got 9 of 8"):
        roofline.moe_cost(1, 8, 8, experts=8, active=9)
    for wrong in (1, 7):  # fewer than one token needs, and more than three tokens can
        with pytest.raises(ValueError, match=r"touched must be from 2 \(active\) to 6 .* got"):
            roofline.moe_cost(3, 8, 8, experts=8, active=2, touched=wrong)
