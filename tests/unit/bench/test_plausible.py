"""What beats the roofline is refused, with what most likely happened."""

import dataclasses

import pytest

from gpu_utils import bench, specs
from gpu_utils.roofline import OpCost

# 3.35e12 B/s, 989.4e12 bf16 FLOP/s, an L2 of 50 MiB (52.4 MB), boost clock unused below
H100 = specs.get("h100 sxm")
HERE = specs.GPUSpec(
    id="here", name="this machine", peak_flops_per_s={"fp32": 2.5e11},
    memory_bandwidth_bytes_per_s=1.5e10,
)  # fmt: skip


def timing(seconds: float, device="cuda: NVIDIA H100 80GB HBM3", **fields) -> bench.Timing:
    fields = {"resolution_s": 0.5e-6, "cold": True} | fields
    return bench.Timing(seconds, seconds, seconds, 100, device, "by hand", **fields)


def believed(timed: bench.Timing, *args, **kwargs) -> bool:
    try:
        return bench.believable(timed, *args, **kwargs) is timed
    except bench.ImplausibleTimingError:
        return False


def refusal(timed: bench.Timing, *args, **kwargs) -> str:
    with pytest.raises(bench.ImplausibleTimingError) as error:
        bench.believable(timed, *args, **kwargs)
    return str(error.value)


def test_the_l2_may_keep_what_was_written():
    assert H100.l2_bytes == 50 * 2**20
    # 1 GB read, 1 GB written: 2e9 - 52.4e6 bytes over 3.355e12 B/s (half a unit of the last digit
    # more than 3.35e12) are 580.5 µs; less one tick of 0.5 µs.
    cost = OpCost(0, 2e9)
    assert believed(timing(580.1e-6), cost, H100, written_bytes=1e9)
    assert not believed(timing(579.9e-6), cost, H100, written_bytes=1e9)
    # All read: 2e9 / 3.355e12 = 596.1 µs.
    assert believed(timing(595.7e-6), cost, H100, written_bytes=0)
    assert not believed(timing(595.5e-6), cost, H100, written_bytes=0)
    # Not told how many: all may be written, and 52.4 MB of them be in the L2.
    assert believed(timing(580.1e-6), cost, H100)
    assert not believed(timing(579.9e-6), cost, H100)


def test_what_the_l2_holds_whole_cannot_be_judged_if_it_may_be_written():
    assert believed(timing(2e-6), OpCost(0, 50e6), H100)
    # Read, 50e6 / 3.355e12 = 14.9 µs.
    assert not believed(timing(14.3e-6), OpCost(0, 50e6), H100, written_bytes=0)


def test_an_unknown_l2_may_hold_all_that_is_written():
    unknown = dataclasses.replace(H100, l2_bytes=None)
    assert believed(timing(1e-6), OpCost(0, 2e9), unknown)
    assert not believed(timing(290e-6), OpCost(0, 2e9), unknown, written_bytes=1e9)  # 298.1 µs


def test_an_amd_part_has_a_cache_behind_its_l2():
    # 5.3e12 B/s, so at most 5.35e12; eight L2s of 4 MiB, and 256 MiB behind them: 301,989,888 B.
    mi300x = specs.get("mi300x")
    timed = timing(317.0e-6, device="cuda: AMD Instinct MI300X")
    # 2e9 - 301,989,888 B over 5.35e12 B/s: 317.38 µs, less one tick.
    assert believed(timed, OpCost(0, 2e9), mi300x)
    assert not believed(dataclasses.replace(timed, median_s=316.8e-6), OpCost(0, 2e9), mi300x)
    unknown = dataclasses.replace(mi300x, memory_side_cache_bytes=None)
    assert believed(dataclasses.replace(timed, median_s=1e-6), OpCost(0, 2e9), unknown)


def test_arithmetic_is_held_against_the_peak_of_its_dtype():
    cost = OpCost(989.4e9, 1e6)
    # 989.4e9 / 989.45e12 = 999.95 µs
    assert believed(timing(999.5e-6), cost, H100, "bf16")
    assert not believed(timing(999.4e-6), cost, H100, "bf16")
    assert believed(timing(999.4e-6), cost, H100)  # bytes alone


def test_a_clock_above_the_boost_clock_is_allowed_for():
    assert H100.boost_clock_hz is not None
    cost = OpCost(989.4e9, 1e6)
    # A tenth faster than the sheet, at a clock that is a tenth higher: 999.95 / 1.1 = 909.05 µs.
    fast = timing(908.6e-6, clock_hz=1.1 * H100.boost_clock_hz)
    assert believed(fast, cost, H100, "bf16")
    assert not believed(dataclasses.replace(fast, median_s=908.5e-6), cost, H100, "bf16")
    slow = dataclasses.replace(fast, clock_hz=0.9 * H100.boost_clock_hz)
    assert not believed(slow, cost, H100, "bf16")


def test_nothing_done_in_no_time():
    said = refusal(timing(0.0, device="cpu", cold=False), OpCost(0, 1e9), HERE)
    assert said.startswith("it took ≈ 0 s MEASURED, and this machine needs at least 64.5 ms")


def test_the_cause_is_the_likeliest_for_what_was_done():
    warm = timing(10e-3, device="cpu", cold=False)
    said = refusal(warm, OpCost(0, 3e8), HERE)  # 20 ms at 1.5e10; 19.4 at 1.55e10
    assert said.startswith(
        "it took ≈ 10.0 ms MEASURED, and this machine needs at least 19.4 ms MODELLED for 300 MB, "
        "with every allowance made. Most likely its inputs were still in a cache: "
    )
    assert "rotate=True" in said
    assert "work on another stream" in said

    cold = refusal(timing(100e-6), OpCost(0, 2e9), H100)
    assert "Most likely fewer bytes move than were counted" in cold
    assert "still in a cache" not in cold

    cost = OpCost(989.4e9, 1e6)
    assert "Most likely the clock ran above" in refusal(timing(950e-6), cost, H100, "bf16")
    assert "Most likely it calculates in a faster type than bf16" in refusal(
        timing(100e-6), cost, H100, "bf16"
    )


def test_an_unknown_figure_is_said():
    with pytest.raises(specs.UnknownFigureError, match="memory_bandwidth"):
        bench.believable(timing(1.0), OpCost(0, 1), specs.GPUSpec(id="a", name="A"))
