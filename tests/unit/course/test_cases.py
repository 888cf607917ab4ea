"""What is measured on a GPU comes from each lab's own tests."""

import datetime

import pytest
import torch
from typer.testing import CliRunner

from gpu_utils import cli, codegen, recordings
from gpu_utils.course import cases, units
from gpu_utils.parity import Fingerprint

KERNEL_UNITS = [unit for unit in units.units() if any(task.kernel for task in unit.tasks)]


def test_there_are_units_with_kernels():
    assert KERNEL_UNITS


@pytest.mark.parametrize("unit", KERNEL_UNITS, ids=lambda unit: unit.name)
def test_every_kernel_task_has_a_case_that_launches(unit):
    found = cases.cases(unit)
    tasks = [task for task in unit.tasks if task.kernel]
    # Tasks may share a launcher; then they differ in what they hand it.
    assert len({(case.name, str(case.arguments("meta"))) for case in found}) >= len(tasks)
    for case in found:
        arguments = case.arguments("meta")
        assert codegen.capture(case.function, *arguments), case.name
        like = case.reference(*arguments)
        requested = case.requested_bytes(arguments, like)
        # Four L2 sizes of the largest cache among the parts, so that a stream cannot hide in it.
        assert requested is None or sum(requested) >= 4 * 126 * 2**20, case.name


def test_the_copy_of_lab00_moves_what_it_should():
    copy = next(case for case in cases.cases(units.find("lab00")[0]) if case.name == "copy")
    (x,) = copy.arguments("meta")
    # 2^26 numbers of 4 bytes, read once and written once.
    assert copy.requested_bytes((x,), torch.empty_like(x)) == (268_435_456, 268_435_456)


def test_gpu_cases_must_be_cases(monkeypatch):
    unit = units.find("lab00")[0]
    tests = type("Tests", (), {"gpu_cases": staticmethod(lambda lab: ["copy"])})
    monkeypatch.setattr(cases.Lab, "module", lambda self: tests)
    with pytest.raises(TypeError, match=r"gpu_cases in test_lab00.* must return .*Case, got str"):
        cases.cases(unit)


def test_a_lab_without_cases_has_nothing_to_record(monkeypatch):
    monkeypatch.setattr(cases.Lab, "module", lambda self: object())
    assert cases.cases(units.find("lab00")[0]) == ()
    with pytest.raises(ValueError, match="lab00 has nothing to record: its tests have no"):
        cases.record("lab00")


def test_recording_a_lab_writes_its_file(monkeypatch, tmp_path, recording_run):
    monkeypatch.setattr(recordings, "begin", lambda command: recording_run)
    monkeypatch.setattr(recordings, "with_ceilings", lambda run: run)
    made = []
    monkeypatch.setattr(recordings, "record", lambda case, unit, run: made.append(case.name))
    monkeypatch.setattr(recordings, "dump", lambda run, found: f"{len(found)} recordings")
    path, found = cases.record("lab00", tmp_path / "new")
    assert path.name == "2026-11-24-nvidia-l4-lab00.json"
    assert path.read_text() == "3 recordings"
    assert made == ["copy", "axpby", "copy_wide"]
    assert len(found) == 3


def test_ridge_record_without_a_gpu_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(cli.app, ["record", "lab00"])
    assert done.exit_code == 2
    assert done.output.startswith("ridge: a recording needs an NVIDIA or AMD GPU")


def test_ridge_record_says_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(cases, "record", lambda what, to: (to / f"{what}.json", ("copy: 1 ms",)))
    done = CliRunner().invoke(cli.app, ["record", "lab00", "--to", str(tmp_path)])
    assert done.exit_code == 0
    assert done.output.splitlines() == ["copy: 1 ms", f"kept in {tmp_path}/lab00.json"]


@pytest.fixture
def recording_run():
    here = Fingerprint({"gpu.name": "NVIDIA L4"}, {})
    return recordings.Run(datetime.date(2026, 11, 24), "ridge record lab00", here)
