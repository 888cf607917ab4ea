"""Costs and bounds against arithmetic done by hand."""

import doctest
import math

import pytest

from gpu_utils import roofline, specs
from gpu_utils.roofline import OpCost


def test_the_docstrings_run():
    assert doctest.testmod(roofline).failed == 0


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
    ],
)
def test_costs(cost, flops, moved):
    assert (cost.flops, cost.bytes) == (flops, moved)


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
