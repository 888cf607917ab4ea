"""The speed lens. No test asserts how long anything takes, only what is said of it."""

import doctest
import functools
import itertools
import math
import sys
import time
import types

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import bench
from gpu_utils.bench import clocks, comparison, device, lens, plausible, rotation, timing

BRIEF_S = 0.01


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy(x):
    out = torch.empty_like(x)
    copy_kernel[(triton.cdiv(x.numel(), 256),)](x, out, x.numel(), BLOCK_SIZE=256)
    return out


@pytest.mark.parametrize("module", [bench, comparison, lens, plausible, rotation, timing])
def test_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


def test_a_cpu_time_is_an_ordered_triple_of_many_runs():
    timed = bench.measure(torch.softmax, torch.randn(64, 64), budget_s=BRIEF_S, dim=1)
    assert 0 < timed.p20_s <= timed.median_s <= timed.p80_s
    assert timed.runs >= 1
    assert timed.device == "cpu"
    assert "wall clock" in timed.method


def test_everything_but_the_budget_goes_to_the_callable():
    seen = []
    bench.measure(lambda *args, **kw: seen.append((args, kw)), 1, fn=2, device="cpu", budget_s=0)
    assert seen
    assert all(call == ((1,), {"fn": 2, "device": "cpu"}) for call in seen)


def test_a_slow_call_is_timed_once_after_a_warm_up():
    calls = []

    def slow():
        calls.append(1)
        time.sleep(0.02)

    timed = bench.measure(slow, budget_s=0.01)
    # One that looks for kernels, one that warms up, one that counts.
    assert (timed.runs, len(calls)) == (1, 3)
    assert timed.median_s > 0.01


def test_what_the_timer_cannot_resolve_gives_no_rate():
    short = bench.Timing(150e-9, 140e-9, 160e-9, 9, "cpu", "by hand", resolution_s=50e-9)
    assert not short.resolved
    assert short.per_second(12) is None
    assert "too short for a timer that resolves ≈ 50.0 ns; no rate" in str(short)
    # Ten ticks are enough.
    longer = bench.Timing(500e-9, 500e-9, 500e-9, 9, "cpu", "by hand", resolution_s=50e-9)
    assert longer.per_second(12) == pytest.approx(24e6)
    assert not bench.Timing(0, 0, 0, 9, "cpu", "by hand").resolved


def test_a_measured_time_knows_its_timer():
    assert bench.measure(lambda: None, budget_s=BRIEF_S).resolution_s > 0


def test_a_timing_prints_no_raw_digits():
    timed = bench.Timing(0.00123456, 0.00120001, 0.00130001, 57, "cpu", "by hand")
    assert str(timed) == "≈ 1.23 ms MEASURED (p20 ≈ 1.20 ms, p80 ≈ 1.30 ms) on cpu"
    assert repr(timed) == f"Timing({timed})"
    assert timed.spread == pytest.approx(0.081, abs=0.001)  # 0.1 ms / 1.23 ms


def test_a_kernel_on_cpu_tensors_is_refused():
    with pytest.raises(bench.InterpretedKernelError, match="copy_kernel is a Triton kernel on CPU"):
        bench.measure(copy, torch.ones(8), budget_s=BRIEF_S)


def test_a_kernel_is_refused_even_if_the_callable_hides_the_error():
    def sly(x):
        try:
            return copy(x)
        except Exception:
            return x

    with pytest.raises(bench.InterpretedKernelError, match="only interpreted"):
        bench.measure(sly, torch.ones(8), budget_s=BRIEF_S)


def test_a_kernel_on_captured_tensors_is_refused():
    x = torch.ones(8)
    with pytest.raises(bench.InterpretedKernelError, match="copy_kernel"):
        bench.measure(lambda: copy(x), budget_s=BRIEF_S)


def test_launches_are_caught_during_the_first_call_only():
    with pytest.raises(bench.InterpretedKernelError):
        bench.measure(copy, torch.ones(8), budget_s=BRIEF_S)
    with pytest.raises(RuntimeError) as failure:  # Triton's own word: there is no GPU driver
        copy(torch.ones(8))
    assert not isinstance(failure.value, bench.InterpretedKernelError)


def test_tritons_interpreter_mode_is_refused(monkeypatch):
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(bench.InterpretedKernelError, match="unset it"):
        bench.measure(sum, [1], budget_s=BRIEF_S)


def test_it_works_where_triton_is_missing(monkeypatch):
    monkeypatch.setattr(device.importlib.util, "find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.startswith("gpu_utils._triton")]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it would fail
    assert bench.measure(sorted, [2, 1], budget_s=BRIEF_S).runs


def test_errors_of_the_callable_reach_the_caller():
    with pytest.raises(ZeroDivisionError):
        bench.measure(lambda: 1 / 0, budget_s=BRIEF_S)


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match=r"measure\(softmax, x\), and not its result"):
        bench.measure(torch.ones(3))
    with pytest.raises(ValueError, match="got meta"):
        bench.measure(torch.neg, torch.ones(3, device="meta"), budget_s=BRIEF_S)


def test_tensors_are_found_in_containers():
    ones = [torch.ones(1) for _ in range(4)]
    tree = {"a": ones[0], "b": [ones[1], (ones[2], 3)], "c": torch.nn.Linear(1, 1, bias=False)}
    found = list(device._tensors(tree))
    assert [found[i] is ones[i] for i in range(3)] == [True] * 3
    assert len(found) == 4


@pytest.mark.parametrize(
    ("samples", "known"),
    [
        ([1.0] * 9, False),  # too few, however steady
        ([1.0] * 10, True),
        # 100 runs: ranks 50 - 9.8 and 51 + 9.8 are 40 and 61. From 1 to 2 they are 21 % apart.
        ([1 + i / 100 for i in range(100)], False),
        # Outliers beyond those ranks do not matter to a median.
        ([1.0] * 80 + [50.0] * 20, True),
    ],
)
def test_when_a_median_is_known(samples, known):
    assert clocks.median_is_known(samples) is known


def test_runs_double_until_the_budget_is_used(monkeypatch):
    now = itertools.count()  # a clock that is read once a batch and ticks each time
    monkeypatch.setattr(clocks, "time", types.SimpleNamespace(perf_counter=lambda: next(now)))
    sizes = []

    def batch(runs):
        sizes.append(runs)
        return [(1.0,)] * runs

    clocks._repeat(batch, 6, known=lambda rows: False, least=1)
    # Doubled while 6 ticks can pay it: 4 ticks made 8 runs, so the 2 left pay 4; 5 made 12, 1 left.
    assert sizes == [1, 1, 2, 4, 4, 2]


@pytest.mark.parametrize(
    ("l2_bytes", "hip", "flushed_bytes"),
    # Twice an H100's L2; at least 64 MiB; AMD's Infinity Cache lies behind the L2, unreported.
    [(50 * 2**20, None, 100 * 2**20), (4 * 2**20, None, 2**26), (4 * 2**20, "6.2", 2**29)],
)
def test_the_cuda_clock_flushes_before_each_call_and_times_the_call_alone(
    monkeypatch, cuda, l2_bytes, hip, flushed_bytes
):
    cuda.properties.L2_cache_size = l2_bytes
    monkeypatch.setattr(torch.version, "hip", hip)
    monkeypatch.setattr(torch, "empty", cuda.empty)

    rounds = clocks.on_cuda([cuda.call], "cuda:0", BRIEF_S, lens._first_is_known)
    timed = rounds.timing(0, "by hand", True)

    assert cuda.sizes == [flushed_bytes]
    assert timed.median_s == timed.p20_s == timed.p80_s == pytest.approx(2e-3)
    assert timed.device == "cuda: NVIDIA H100 80GB HBM3"
    assert timed.method == "CUDA events around one call, L2 flushed before it, by hand"
    assert timed.note == ""
    queued = [entry for entry in cuda.log if entry != "synchronize"]
    first = queued.index("flush")
    assert queued[:first] == ["call"] * first  # warm-up, not timed
    assert queued[first:] == ["flush", "event", "call", "event"] * timed.runs
    assert cuda.log[-1] == "synchronize"


def test_two_calls_alternate_on_cuda_and_each_is_flushed_for(monkeypatch, cuda):
    monkeypatch.setattr(torch, "empty", cuda.empty)
    calls = [functools.partial(cuda.call, "a", 2.0), functools.partial(cuda.call, "b", 3.0)]
    rounds = clocks.on_cuda(calls, "cuda:0", BRIEF_S, lens._ratio_is_known, least=6)
    assert len(rounds.rows) >= 6
    assert all(row == (pytest.approx(2e-3), pytest.approx(3e-3)) for row in rounds.rows)
    timed = [e for e in cuda.log if e not in ("synchronize", "event")]
    timed = timed[timed.index("flush") :]
    # Every call behind a flush; a b, then b a, and so on.
    assert timed[0::2] == ["flush"] * (2 * len(rounds.rows))
    assert timed[1:9:2] == ["a", "b", "b", "a"]


def test_rounds_go_on_past_the_budget_until_there_are_the_fewest():
    def batch(runs):
        time.sleep(0.002)
        return [(1.0,)] * runs

    assert len(clocks._repeat(batch, 1e-9, known=lambda rows: False, least=6)) == 6
    assert len(clocks._repeat(batch, 1e-9, known=lambda rows: False, least=1)) == 1


@pytest.mark.parametrize("runs", [6, 7, 10, 21, 26, 31, 75, 104, 500, 1000])
def test_the_interval_holds_the_median_in_95_percent(runs):
    # Of independent samples as many lie below the true median as a fair coin shows heads. The
    # interval from rank j to rank k holds it if at least j and fewer than k do.
    low, high = timing.median_interval(range(1, runs + 1))
    held = sum(math.comb(runs, below) for below in range(low, high))
    assert held / 2**runs >= 0.95


def test_five_samples_have_no_such_interval():
    with pytest.raises(ValueError, match="at least six samples, got 5"):
        timing.median_interval([1.0] * 5)


def test_a_swing_is_said_beside_the_number():
    steady = bench.Timing(1.0, 0.9, 1.09, 9, "cpu", "by hand")  # 0.19 / 1.0
    swinging = bench.Timing(1.0, 0.9, 1.15, 9, "cpu", "by hand")  # 0.25 / 1.0
    assert "swinging" not in str(steady)
    assert str(swinging).endswith(
        "on cpu; the times differ by ≈ 25.0 %: the clocks or the load are swinging"
    )
    # Ticks of the timer are no swing.
    coarse = bench.Timing(1e-7, 0.5e-7, 1.5e-7, 9, "cpu", "by hand", resolution_s=5e-8)
    assert "swinging" not in str(coarse)


def test_a_note_is_said_beside_the_number():
    timed = bench.Timing(
        1.0, 1.0, 1.0, 9, "cuda: A", "by hand", note="SM clock ≈ 1.98 GHz MEASURED"
    )
    assert str(timed).endswith("on cuda: A; SM clock ≈ 1.98 GHz MEASURED")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_kernel_on_a_gpu():
    x = torch.ones(2**24, device="cuda")
    for fn, args in ((copy, (x,)), (lambda: copy(x), ())):
        timed = bench.measure(fn, *args, budget_s=0.2)
        assert timed.device.startswith("cuda: ")
        assert timed.resolved
        assert timed.per_second(8 * 2**24) < 20e12  # no part's memory is this fast
