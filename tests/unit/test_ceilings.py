"""This machine's ceilings. No test asserts how fast anything is, only what is made of it."""

import doctest
import importlib
import json
import math
import sys

import pytest

from gpu_utils import bench, roofline

module = importlib.import_module("gpu_utils.bench.ceilings")  # the package has the function there

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
    }
    return bench.Ceilings(**fields | changes)


def python(code: str, limit_s: float = 20) -> str:
    return module._last_line_of([sys.executable, "-c", code], limit_s)


def test_the_examples():
    assert doctest.testmod(module).failed == 0


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
        by_hand(flops_per_s={"bf16": rate})


def test_the_sweep_has_a_ceiling():
    with pytest.raises(ValueError, match="in 'fp16', expected a dtype with a ceiling: fp32, bf16"):
        by_hand(sweep_dtype="fp16")


def test_a_point_below_its_bound_changes_nothing():
    assert module._raised(20e9, 800e9, "bf16", [POINT]) == (20e9, 800e9, "")  # 16 GB/s, 16 GFLOP/s


def test_a_point_that_beats_its_bound_raises_the_ceiling_and_says_so():
    fast = bench.SweepPoint(batch=256, time_s=1e-3, flops=1e9, bytes=30e6)
    read, peak, said = module._raised(20e9, 800e9, "bf16", [POINT, fast])
    assert (read, peak) == (pytest.approx(30e9), pytest.approx(1e12))
    assert "the read ceiling from 20.0 GB/s to 30.0 GB/s and " in said
    assert "the bf16 ceiling from 800 GFLOP/s to 1.00 TFLOP/s" in said


def test_within_five_percent_it_is_raised_without_a_word():
    read, peak, said = module._raised(15.5e9, 800e9, "bf16", [POINT])
    assert (read, peak, said) == (pytest.approx(16e9), 800e9, "")


def test_spread_and_when_it_is_said():
    assert module._spread([1.0, 1.0, 1.0, 1.0, 9.0]) == 0  # one outlier is not a swing
    assert module._spread([1.0, 2.0, 2.0, 2.0, 3.0, 3.0]) == pytest.approx(0.5)
    assert module._swing(0.2) == ""
    assert "differ by 50.0 %" in module._swing(0.5)


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
    found, doubt = module._array_bytes(cache, free)
    assert found == size
    assert ("last-level cache" in doubt) is doubted


def test_too_little_memory_is_refused():
    with pytest.raises(MemoryError, match=r"1\.00 MB of memory is free, expected at least 134 MB"):
        module._array_bytes(None, 1_000_000)


@pytest.mark.parametrize("budget_s", [0, -1, 601, math.nan, math.inf])
def test_budget_out_of_range(budget_s):
    with pytest.raises(ValueError, match="from 1 to 600"):
        bench.ceilings(budget_s)


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
        module._last_line_of([str(tmp_path / "none")], 1)


@pytest.mark.parametrize("line", ["", "hello", "[]", "{}", "NaN"])
def test_a_child_that_talks_nonsense(line, monkeypatch):
    monkeypatch.setattr(module, "_last_line_of", lambda command, limit_s: line)
    with pytest.raises(bench.CeilingsError, match="expected one line of JSON"):
        bench.ceilings()


def test_a_small_run(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    found = bench.ceilings(budget_s=3)
    assert found.device.startswith("cpu: ")
    assert found.spread >= 0
    assert "fp32" in found.flops_per_s
    batches = [point.batch for point in found.sweep]
    assert batches == [4**power for power in range(len(batches))] != []
    width = math.isqrt(round(found.sweep[0].flops) // 2)
    assert width in (1024, 2048, 4096)
    peak = found.flops_per_s[found.sweep_dtype]
    for point in found.sweep:
        assert point.time_s > 0
        assert point.flops == 2 * point.batch * width * width
        bound = max(point.bytes / found.read_bytes_per_s, point.flops / peak)
        assert point.time_s >= bound * (1 - 1e-9)
