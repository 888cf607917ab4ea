"""Stages as processes that crash and hang, and what each stage keeps as it goes."""

import dataclasses
import json
import sys
import time
from pathlib import Path

import pytest
import torch

from gpu_utils import recordings
from gpu_utils._dev.gpu import __main__ as gpu
from gpu_utils._dev.gpu import report as gpu_report
from gpu_utils._dev.gpu import stages as gpu_stages
from gpu_utils.course import units
from gpu_utils.course.verdict import RungVerdict, TaskVerdict
from gpu_utils.recordings import Case
from tests.unit.gpu_run.recorded import a_recording

STAGE = """
import json, os, sys, time
from pathlib import Path
path = Path(sys.argv[2], f"stage-{sys.argv[1]}.json")
path.write_text(json.dumps({"state": "running", "why": "", "data": {"first": 1}}))
print("said by the stage", flush=True)
"""


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """Run a stage whose program is STAGE and what is given."""

    def run(then, limit_s=20.0):
        program = tmp_path / "program.py"
        program.write_text(STAGE + then)
        monkeypatch.setattr(
            gpu, "_command", lambda name, folder, s: [sys.executable, str(program), name, folder, s]
        )
        return gpu.run_stage("rungs", tmp_path, limit_s)

    return run


def test_a_stage_that_ends_well(stage, tmp_path):
    found = stage('path.write_text(json.dumps({"state": "done", "why": "", "data": {"all": 2}}))')
    assert (found.state, found.why, found.data) == ("done", "", {"all": 2})
    assert "said by the stage" in (tmp_path / "log.txt").read_text()


def test_a_crash_keeps_what_there_was(stage):
    found = stage("import ctypes; ctypes.string_at(0)")
    assert (found.state, found.why) == ("crashed", "the process was ended by SIGSEGV")
    assert found.data == {"first": 1}


def test_an_exit_keeps_what_there_was(stage):
    found = stage("sys.exit(3)")
    assert (found.state, found.data) == ("crashed", {"first": 1})
    assert found.why == "the process ended with exit code 3: see log.txt"


def test_a_hang_is_ended_with_all_that_it_started(stage, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_GOODBYE_S", 0.2)
    began = time.monotonic()
    found = stage(
        "import signal, subprocess; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n",
        limit_s=2.0,
    )
    assert time.monotonic() - began < 20
    assert (found.state, found.data) == ("timed out", {"first": 1})
    assert found.why == "still at work after 2 s; what it had is kept"
    until = time.monotonic() + 10  # a killed process takes a moment to go
    while is_running(int((tmp_path / "child").read_text())):
        assert time.monotonic() < until


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stage_that_is_interrupted_may_put_things_in_order(stage, tmp_path):
    found = stage(
        "try:\n    time.sleep(60)\n"
        f"finally:\n    Path({str(tmp_path / 'order')!r}).write_text('put')\n",
        limit_s=2.0,
    )
    assert found.state == "timed out"
    assert (tmp_path / "order").read_text() == "put"


def test_a_real_stage_without_a_gpu_fails_and_says_what_it_needs(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here: tests/gpu runs the stages")
    found = gpu.run_stage("machine", tmp_path, 60.0)
    assert found.state == "failed"
    assert "NoGPUError: a recording needs an NVIDIA or AMD GPU" in found.why


def test_the_fingerprint_is_kept_before_the_ceilings_are_measured(run, tmp_path, monkeypatch):
    def hangs(run, budget_s):
        raise KeyboardInterrupt

    bare = dataclasses.replace(run, ceilings=None)
    monkeypatch.setattr(recordings, "begin", lambda command: bare)
    monkeypatch.setattr(recordings, "with_ceilings", hangs)
    saved = []
    with pytest.raises(KeyboardInterrupt):
        gpu_stages.machine(saved.append, tmp_path, 60.0)
    assert recordings.run_of(json.dumps(saved[-1]["run"]), "it") == bare
    stage = gpu_report.Stage("machine", "timed out", "", 1.0, saved[-1])
    assert "its ceilings were not measured" in gpu_report.report([stage])


def test_a_stage_says_that_something_is_missing(tmp_path, monkeypatch):
    def missing(save, folder, limit_s):
        save({"half": 1})
        raise gpu_stages.NotAvailable("there is no ncu")

    monkeypatch.setitem(gpu_stages.STAGES, "counters", missing)
    assert gpu_stages.main(["counters", str(tmp_path), "10"]) == 0
    kept = json.loads(gpu_stages.partial(tmp_path, "counters").read_text())
    assert kept == {"state": "not available", "why": "there is no ncu", "data": {"half": 1}}


# On the CPU, taken for a GPU.


def test_the_stage_of_the_peers_keeps_each_case_as_it_ends(run, tmp_path, monkeypatch):
    unit = units.find("lab00")[0]
    monkeypatch.setattr(gpu_stages.units, "units", lambda: (unit,))

    def first(x):
        return x

    def second(x):
        return x

    listed = [Case(fn, lambda device: (1,), first) for fn in (first, second)]
    monkeypatch.setattr("gpu_utils.course.cases.cases", lambda unit: listed)

    def record(case, unit, run):
        if case.name == "second":
            raise recordings.WrongResultError("second is wrong on this GPU\nat length")
        return a_recording(run, case.name)

    def with_peers(recording, case, peers, arguments):
        assert set(peers) == {"torch.compile"}
        raise AssertionError("the rest of this stage is lost")

    monkeypatch.setattr(recordings, "record", record)
    monkeypatch.setattr(recordings, "with_peers", with_peers)
    monkeypatch.setattr(recordings, "compiled_peer", lambda case: case.reference)
    begun = {"data": {"run": json.loads(recordings.dump(run, []))}}
    gpu_stages.partial(tmp_path, "machine").write_text(json.dumps(begun))
    saved = []
    with pytest.raises(AssertionError, match="is lost"):
        gpu_stages.peers(saved.append, tmp_path, 60.0)
    assert saved[-1]["failed"] == {
        "lab00 second, case 2": "WrongResultError: second is wrong on this GPU"
    }
    (kept,) = recordings.parse(json.dumps(saved[-1]["document"]), "it")
    assert kept == a_recording(run, "first")


def test_a_compiler_that_takes_too_long_is_stopped():
    with pytest.raises(TimeoutError, match=r"still at work after 0\.05 s"), gpu_stages._alarm(0.05):
        time.sleep(20)


def test_the_stage_of_the_rungs_keeps_each_lab_as_it_ends(tmp_path, monkeypatch):
    def judge(unit, tasks, sides):
        assert sides == ["solutions"]
        if unit.name == "lab01":
            raise KeyboardInterrupt
        passed = (RungVerdict("fast", "passed", evidence=("≈ 0.99x clone MEASURED",)),)
        return [TaskVerdict(unit.name, "solutions", "a", "copy", passed)]

    monkeypatch.setattr(sys.modules["gpu_utils.course.check"], "judge", judge)
    saved = []
    with pytest.raises(KeyboardInterrupt):
        gpu_stages.rungs(saved.append, tmp_path, 60.0)
    assert [task["unit"] for task in saved[-1]["tasks"]] == ["lab00"]
