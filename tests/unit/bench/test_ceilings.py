"""This machine's ceilings. No test asserts how fast anything is, only what is made of it."""

import doctest
import itertools
import json
import math
import sys
import types

import pytest

from gpu_utils import bench, roofline
from gpu_utils.bench.ceilings import child, cpu, judge, result

POINT = bench.SweepPoint(batch=1, time_s=2e-3, flops=32e6, bytes=32e6)


def by_hand(**changes) -> bench.Ceilings:
    fields = {
        "read_bytes_per_s": 20e9,
        "copy_bytes_per_s": 16e9,
        "flops_per_s": {"fp32": 200e9, "bf16": 800e9},
        "sweep_dtype": "bf16",
        "sweep": (POINT,),
        "device": "cpu: by hand",
        "spread": 0.1,
        "note": "a “note”",
        "write_bytes_per_s": 12e9,
    }
    return bench.Ceilings(**fields | changes)


def python(code: str, limit_s: float = 20) -> str:
    return cpu._last_line_of([sys.executable, "-c", code], limit_s)


def test_the_examples():
    assert doctest.testmod(result).failed == 0


def test_json_there_and_back():
    line = by_hand().to_json()
    assert "\n" not in line
    assert json.loads(line)["sweep"] == [{"batch": 1, "time_s": 2e-3, "flops": 32e6, "bytes": 32e6}]
    assert bench.Ceilings.from_json(line) == by_hand()


def test_as_a_spec():
    spec = by_hand().as_spec("My laptop")
    assert (spec.id, spec.name) == ("my-laptop", "My laptop")
    assert spec.memory_bandwidth_bytes_per_s == 16e9
    assert dict(spec.peak_flops_per_s) == {"fp32": 200e9, "bf16": 800e9}
    assert not spec.sources
    assert roofline.ridge_point(spec, "bf16") == 50
    assert roofline.bound(roofline.OpCost(80e9, 32e9), spec, "fp32").time_s == 2


def test_it_prints_marked_numbers_and_cannot_be_changed():
    assert repr(by_hand(note="The clock swung.")).splitlines() == [
        "read  ≈ 20.0 GB/s MEASURED",
        "write ≈ 12.0 GB/s MEASURED",
        "copy  ≈ 16.0 GB/s MEASURED",
        "fp32  ≈ 200 GFLOP/s MEASURED",
        "bf16  ≈ 800 GFLOP/s MEASURED",
        "The clock swung.",
    ]
    with pytest.raises(TypeError):
        by_hand().flops_per_s["fp32"] = 1
    assert hash(by_hand()) == hash(by_hand())


@pytest.mark.parametrize("rate", [0, -1.0, math.inf, math.nan])
def test_a_ceiling_is_a_positive_number(rate):
    with pytest.raises(ValueError, match="positive and finite"):
        by_hand(read_bytes_per_s=rate)
    with pytest.raises(ValueError, match="positive and finite"):
        by_hand(write_bytes_per_s=rate)
    with pytest.raises(ValueError, match="positive and finite"):
        by_hand(flops_per_s={"bf16": rate})


def test_the_sweep_has_a_ceiling():
    with pytest.raises(ValueError, match="in 'fp16', expected a dtype with a ceiling: fp32, bf16"):
        by_hand(sweep_dtype="fp16")


class Machine:
    """A clock, and things that take what they are told to take."""

    def __init__(self, monkeypatch):
        self.now_s = 0.0
        clock = types.SimpleNamespace(perf_counter=lambda: self.now_s)
        monkeypatch.setattr(judge, "time", clock)

    def taking(self, *seconds):
        """A call that takes each of these times in turn, and the last for ever."""
        times = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def call():
            self.now_s += next(times)

        return call

    def limit(self, name, rate, amount, *later, spread=0.01):
        """A ceiling that was measured at `rate`, and whose call takes `later` from now on."""
        unit = "B/s" if name == "read" else "FLOP/s"
        time_s = amount / rate
        return judge.Limit(name, unit, amount, self.taking(*(later or (time_s,))), time_s, spread)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


# POINT reads 16 GB/s and does 16 GFLOP/s.


def test_a_point_below_its_bound_changes_nothing(machine):
    read, peak = machine.limit("read", 20e9, 1e9), machine.limit("bf16", 800e9, 2e9)
    judging = judge.Judge(read, peak)
    assert judging.judged(POINT, machine.taking(9.0), 0.0) is POINT
    assert (read.rate, peak.rate) == (pytest.approx(20e9), pytest.approx(800e9))
    assert machine.now_s == 0  # nothing was measured again
    assert list(judging.said()) == []


def test_a_slow_moment_of_the_ceiling_is_measured_again(machine):
    # Read at 10 GB/s at first, at 20 now: POINT's 16 GB/s are below that.
    read = machine.limit("read", 10e9, 1e9, 0.05)
    judging = judge.Judge(read, machine.limit("bf16", 800e9, 2e9))
    kept = judging.judged(POINT, machine.taking(2e-3), 0.0)
    assert kept.time_s == pytest.approx(2e-3)
    assert read.rate == pytest.approx(20e9)
    [said] = judging.said()
    assert "raised the read ceiling from 10.0 GB/s to 20.0 GB/s: " in said


def test_a_fast_moment_of_the_point_is_measured_again(machine):
    read = machine.limit("read", 15e9, 1e9)
    judging = judge.Judge(read, machine.limit("bf16", 800e9, 2e9))
    kept = judging.judged(POINT, machine.taking(3e-3), 0.0)  # 32 MB in 3 ms: 10.7 GB/s
    assert kept.time_s == pytest.approx(3e-3)
    assert read.rate == pytest.approx(15e9)


@pytest.mark.parametrize(
    ("rate", "spread", "kept", "said"),
    [
        # 16 GB/s are 3.2 % more: within 5 %, raised without a word.
        (15.5e9, 0.0, True, ""),
        # 60 % more, and repeats differ by 70 %.
        (10e9, 0.7, True, "raised the read ceiling from 10.0 GB/s to 16.0 GB/s"),
        # 60 % more, and repeats differ by 10 %.
        (10e9, 0.1, False, "The product at batch 1 is refused: it would read 16.0 GB/s, more than "
         "the 10.0 GB/s of the read ceiling and the 10.0 % by which repeats differ. Most likely a "
         "cache held part of its weights"),
    ],
)  # fmt: skip
def test_bytes_that_beat_their_ceiling(machine, rate, spread, kept, said):
    read = machine.limit("read", rate, 1e9)
    judging = judge.Judge(read, machine.limit("bf16", 800e9, 2e9))
    found = judging.judged(POINT, machine.taking(2e-3), spread)
    assert (found is not None) is kept
    assert read.rate == pytest.approx(16e9 if kept else rate)
    assert said in " ".join(judging.said())
    assert bool(said) is bool(list(judging.said()))


def test_the_ceilings_own_spread_counts_too(machine):
    read = machine.limit("read", 10e9, 1e9, spread=0.7)
    judging = judge.Judge(read, machine.limit("bf16", 800e9, 2e9))
    assert judging.judged(POINT, machine.taking(2e-3), 0.0)


def test_the_cause_depends_on_what_is_known_of_the_cache(machine):
    for doubt, cause in (("", "larger than is reported."), ("doubt", "not well beyond it.")):
        read, peak = machine.limit("read", 10e9, 1e9), machine.limit("bf16", 800e9, 2e9)
        judging = judge.Judge(read, peak, doubt)
        assert judging.judged(POINT, machine.taking(2e-3), 0.0) is None
        assert " ".join(judging.said()).endswith(cause)


def test_flops_that_beat_their_ceiling_raise_it_and_it_is_said(machine):
    fast = bench.SweepPoint(batch=256, time_s=1e-3, flops=1e9, bytes=1e6)  # 1 TFLOP/s, 1 GB/s
    peak = machine.limit("bf16", 800e9, 2e9)
    judging = judge.Judge(machine.limit("read", 20e9, 1e9), peak)
    assert judging.judged(fast, machine.taking(1e-3), 0.0)
    assert peak.rate == pytest.approx(1e12)
    [said] = judging.said()
    assert "raised the bf16 ceiling from 800 GFLOP/s to 1.00 TFLOP/s: " in said


def test_spread_and_when_it_is_said():
    assert judge.spread_of([1.0, 1.0, 1.0, 1.0, 9.0]) == 0  # one outlier is not a swing
    assert judge.spread_of([1.0, 2.0, 2.0, 2.0, 3.0, 3.0]) == pytest.approx(0.5)
    assert child._swing(0.2) == ""
    assert "differ by 50.0 %" in child._swing(0.5)


@pytest.mark.parametrize(
    ("cache", "free", "size", "doubted"),
    [
        (8 * 2**20, 2**34, 64 * 2**20, False),
        (32 * 2**20, 2**34, 128 * 2**20, False),
        (96 * 2**20, 2**34, 256 * 2**20, False),  # the cap
        (480 * 2**20, 2**34, 256 * 2**20, True),
        (32 * 2**20, 2**28, 32 * 2**20, True),  # an eighth of what is free
        (None, None, 128 * 2**20, False),
    ],
)
def test_how_large_an_array(cache, free, size, doubted):
    found, doubt = child._array_bytes(cache, free)
    assert found == size
    assert ("last-level cache" in doubt) is doubted


def test_too_little_memory_is_refused():
    with pytest.raises(MemoryError, match=r"1\.00 MB of memory is free, expected at least 134 MB"):
        child._array_bytes(None, 1_000_000)


@pytest.mark.parametrize("budget_s", [0, -1, 601, math.nan, math.inf])
def test_budget_out_of_range(budget_s):
    with pytest.raises(ValueError, match="from 1 to 600"):
        bench.ceilings(budget_s)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "mps", "cuda0", ""])
def test_a_device_of_another_kind(device):
    with pytest.raises(ValueError, match="'cpu', 'cuda' or 'cuda:1', got "):
        bench.ceilings(device=device)


def test_the_child_has_the_malloc_settings_and_no_input():
    code = "import os, sys; print(os.environ['MALLOC_{}_THRESHOLD_'], repr(sys.stdin.read()))"
    for name in ("MMAP", "TRIM"):
        assert python(code.replace("{}", name)) == "34359738368 ''"


def test_a_child_that_fails_leaves_its_last_words():
    with pytest.raises(bench.CeilingsError, match="exit code 1; its last words: no room"):
        python("import sys; sys.exit('no room')")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_child_that_is_killed():
    with pytest.raises(bench.CeilingsError, match="SIGKILL, most often because memory ran out"):
        python("import os; os.kill(os.getpid(), 9)")


def test_a_child_that_hangs():
    with pytest.raises(bench.CeilingsError, match=r"ended after 200 ms: the machine is busy"):
        python("import time; time.sleep(60)", limit_s=0.2)


def test_a_child_that_cannot_start(tmp_path):
    with pytest.raises(bench.CeilingsError, match="could not be started"):
        cpu._last_line_of([str(tmp_path / "none")], 1)


@pytest.mark.parametrize("line", ["", "hello", "[]", "{}", "NaN"])
def test_a_child_that_talks_nonsense(line, monkeypatch):
    monkeypatch.setattr(cpu, "_last_line_of", lambda command, limit_s: line)
    with pytest.raises(bench.CeilingsError, match="expected one line of JSON"):
        bench.ceilings()


def test_a_small_run(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    found = bench.ceilings(budget_s=3)
    assert found.write_bytes_per_s > 0
    assert found.device.startswith("cpu: ")
    assert found.spread >= 0
    assert "fp32" in found.flops_per_s
    batches = [point.batch for point in found.sweep]
    # One may have been refused, and the note then says so.
    refused = found.note.count("is refused")
    assert set(batches) <= {4**power for power in range(len(batches) + refused)}
    assert len(batches) + refused >= 3  # batches 1, 4 and 16, whatever the load
    width = math.isqrt(round(found.sweep[0].flops) // (2 * batches[0]))
    assert width in (1024, 2048, 4096)
    peak = found.flops_per_s[found.sweep_dtype]
    for point in found.sweep:
        assert point.time_s > 0
        assert point.flops == 2 * point.batch * width * width
        bound = max(point.bytes / found.read_bytes_per_s, point.flops / peak)
        assert point.time_s >= bound * (1 - 1e-9)
