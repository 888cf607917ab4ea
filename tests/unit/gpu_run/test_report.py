"""The report of `make gpu`, its numbers worked out by hand."""

import dataclasses

import pytest

from gpu_utils._dev.gpu import report as gpu_report
from tests.unit.gpu_run.ncu_table import COUNT
from tests.unit.gpu_run.recorded import a_recording


def test_the_counters_join_the_recording_of_their_case(stages):
    copy, axpby = gpu_report.recorded(stages)
    assert copy.counters == {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 2.2e8}
    assert copy.unknown == {}
    assert axpby.counters is None
    assert axpby.unknown == {"counters": "not read in this run"}


def test_without_counters_the_reason_stands_in_the_recording(stages):
    stages[2] = gpu_report.Stage("counters", "not available", "there is no ncu", 1.0, {})
    assert {r.unknown["counters"] for r in gpu_report.recorded(stages)} == {"there is no ncu"}


def test_the_report(stages):
    said = gpu_report.report(stages)
    for line in (
        "machine   done, ≈ 20.0 s",
        "machine: NVIDIA H100 80GB HBM3, 2026-11-24, torch unknown, triton unknown",
        "rungs: 1 of 1 tasks passed",
        "    fast     passed: ≈ 0.99x clone MEASURED",
        f"{'lab00 copy 1':<34}268 MB    ≈ 268 MB    1.00x    268 MB    "
        "≈ 220 MB     0.820x   agrees",
        # By hand: 6e8 B / 3e12 B/s = 200 µs, 1e9 / 5e13 = 20 µs; the time is 200 µs.
        "lab00 copy 1: ≈ 200 µs, 100 % of the measured roof",
        "    torch                         ≈ 300 µs    1.50x (95 %: 1.40x to 1.60x)",
    ):
        assert line in said.splitlines(), f"{line!r} is not in\n{said}"
    assert not gpu_report.failed(stages)


@pytest.mark.parametrize(
    "worse",
    [
        lambda stages: stages.append(gpu_report.Stage("x", "timed out", "", 1.0, {})),
        lambda stages: stages.append(gpu_report.Stage("x", "not run", "", 1.0, {})),
        lambda stages: stages[1].data["tasks"][0].update(state="failed"),
        lambda stages: stages[2].data["cases"][0].update(state="differs"),
        lambda stages: stages[3].data["failed"].update(copy="WrongResultError"),
    ],
)
def test_a_failure_is_no_success(stages, worse):
    worse(stages)
    assert gpu_report.failed(stages)


def test_no_ncu_is_no_failure(stages):
    stages[2] = gpu_report.Stage("counters", "not available", "there is no ncu", 1.0, {})
    assert not gpu_report.failed(stages)


@pytest.mark.parametrize("lost", range(4))
def test_each_stage_can_be_lost(stages, lost):
    name = stages[lost].name
    stages[lost] = gpu_report.Stage(name, "crashed", "the process was ended by SIGSEGV", 1.0, {})
    assert f"{name:<10}crashed, ≈ 1.00 s: the process was ended by SIGSEGV" in (
        gpu_report.report(stages).splitlines()
    )
    assert gpu_report.failed(stages)


def test_the_share_of_the_roof_is_unknown_without_its_figures(run):
    whole = a_recording(run)
    assert gpu_report.share_of_roof(whole) == pytest.approx(1.0)
    for missing in (
        dataclasses.replace(whole, load_bytes=None),
        dataclasses.replace(whole, dtype="fp8"),
        dataclasses.replace(whole, run=dataclasses.replace(run, ceilings=None)),
    ):
        assert gpu_report.share_of_roof(missing) is None
    # A sum reads 3e8 bytes and writes none, at the read's 4e12 B/s: 75 µs of 200.
    sum_ = dataclasses.replace(whole, store_bytes=0, flops=None)
    assert gpu_report.share_of_roof(sum_) == pytest.approx(0.375)
