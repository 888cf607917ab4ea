"""The first line: what limits a kernel, and by how much."""

import dataclasses

import pytest
import torch

from gpu_utils import specs, traffic
from gpu_utils.card import needs
from tests.unit.card.kernels import (
    Reader,
    X,
    again,
    bare,
    double,
    double_reference,
    lines,
    matmul,
    power,
    relu,
)


def test_no_flop_is_no_intensity():
    assert (
        lines(bare(relu, X))[0]
        == "relu: limited by memory: 0 FLOP COUNTED, nothing but bytes to move"
    )


def test_special_functions_are_named():
    assert lines(bare(power, X))[0] == (
        "power: limited by memory: 0 FLOP COUNTED, and 4.10 k special functions that no bound knows"
    )


def test_the_l2_can_be_the_limit():
    # 4096 floats are read 16 times and written once: 17 * 16,384 B from the L2 at 7219e9 B/s, of
    # which 2 * 16,384 B come from memory at 2039e9 B/s: 38.6 ns and 16.1 ns.
    page = bare(again, X, parts=["a100", "h100"])
    assert lines(page)[0] == (
        "again: limited by L2: programs ask it for 279 kB MODELLED, which takes 2.40x as long as "
        "what limits it next on A100 SXM4 80GB"
    )
    seen = Reader(page)
    assert any("4px double #0072B2" in style for key, style in seen.attributes if key == "style")
    assert "A100 SXM4 80GB16.1 ns38.6 ns" in seen.text
    assert page.bounds[1].bound.limiter == "memory"  # the bandwidth of an H100's L2 is unknown
    assert "No L1 is in it" in seen.text


def test_what_dram_is_slower_at_is_not_the_l2s_limit():
    # An eighth of each sector is used: 4,096 B are compulsory, 0.77 ns from DRAM at 5.3e12 B/s, and
    # 32,768 B go through an MI300X's L2, 0.95 ns at 34.4e12 B/s. But DRAM moves them too: 6.2 ns.
    moved = traffic.Dram(16_384, 16_384, 0, 0, 1024, {}, (), traffic=None)
    least = needs.Needs(nbytes=4096, flops={"fp32": 0}, elements=None)
    part = needs.bound(specs.get("mi300x"), least, moved)
    assert (part.bound.limiter, part.bound.l2_time_s) == ("memory", None)


def test_a_part_of_two_devices_is_one_of_them():
    # An MI250X has 2 * 1638.4e9 B/s; a kernel runs on one die: 32,768 B / 1638.4e9 = 20 ns.
    [part] = bare(double, X, parts=["mi250x"]).bounds
    assert part.bound.memory_time_s == pytest.approx(20e-9)


def test_a_matrix_product_is_held_against_the_matrix_units():
    # 2 * 64^3 FLOP on 3 * 64 * 64 * 2 B are 21.3 FLOP/byte; the bf16 ridge is 989.4 / 3.35 = 295.
    a = torch.ones((64, 64), dtype=torch.bfloat16)
    page = bare(matmul, a, a.clone(), reference=torch.matmul)
    part = page.bounds[0]
    assert (part.dtype, part.intensity) == ("bf16", pytest.approx(64 / 3))
    assert lines(page)[0] == (
        "matmul: limited by memory: 21.3 FLOP/byte COUNTED, 13.8x below the bf16 ridge of "
        "295 FLOP/byte MODELLED on H100 SXM5 80GB"
    )


def test_above_the_ridge_arithmetic_is_the_limit():
    least = needs.Needs(nbytes=1000, flops={"fp32": 500, "bf16": 590_700}, elements=None)
    part = needs.bound(specs.get("h100 sxm"), least)
    page = dataclasses.replace(bare(double, X), bounds=(part,))
    assert lines(page)[0] == (
        "double: limited by arithmetic: 591 FLOP/byte COUNTED, 2.00x above the bf16 ridge of "
        "295 FLOP/byte MODELLED on H100 SXM5 80GB"
    )


def test_an_unknown_peak_is_shown():
    page = bare(double, X.double(), reference=double_reference)
    assert lines(page)[0] == (
        "double: what limits it is unknown: peak_flops_per_s['fp64'] of NVIDIA H100 SXM5 80GB "
        "(h100-sxm5-80gb) is unknown"
    )
    assert page.check.state == "agrees"
    assert "unknown" in Reader(page).text


def test_no_part_asked_for():
    assert "no part was asked for" in lines(bare(double, X, parts=()))[0]
