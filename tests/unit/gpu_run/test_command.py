"""The command `make gpu`, as far as it goes without a GPU."""

import json
import subprocess
import sys

import pytest
import torch

from gpu_utils import recordings
from gpu_utils._dev.gpu import __main__ as gpu
from gpu_utils.course import units

ROOT = units.root()


def test_the_command_writes_everything_and_stops_at_its_budget(
    stages, tmp_path, monkeypatch, capsys
):
    known = {stage.name: stage for stage in stages}
    monkeypatch.setattr(gpu, "_why_no_gpu", lambda: "")
    given = {}

    def run_stage(name, folder, limit_s):
        given[name] = limit_s
        return known[name]

    monkeypatch.setattr(gpu, "run_stage", run_stage)
    assert gpu.main(["--minutes", "10", "--out", str(tmp_path / "out")]) == 0
    # Shares of 600 s: 15 %, 40 %, 25 %, and all that is left.
    assert given == {
        "machine": 90.0, "rungs": 240.0, "counters": 150.0, "peers": pytest.approx(600, abs=5)
    }  # fmt: skip
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "log.txt",
        "report.txt",
        "results.json",
        "2026-11-24-nvidia-h100-80gb-hbm3.json",
    }
    assert len(recordings.load(tmp_path / "out" / "none")) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [stage["state"] for stage in results["stages"]] == ["done"] * 4
    assert "rungs: 1 of 1 tasks passed" in capsys.readouterr().out

    assert gpu.main(["--minutes", "0.1", "--out", str(tmp_path / "short")]) == 1
    results = json.loads((tmp_path / "short" / "results.json").read_text())
    assert {stage["why"] for stage in results["stages"]} == {"the budget was used up"}


def test_one_stage_alone(stages, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_why_no_gpu", lambda: "")
    monkeypatch.setattr(gpu, "run_stage", lambda name, folder, limit_s: stages[1])
    assert gpu.main(["--only", "rungs", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [stage["name"] for stage in results["stages"]] == ["rungs"]


BLOCKED = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
ABSENT = {"jupyterlab", "ipywidgets", "IPython", "ipykernel", "rich", "typer", "nbval", "nbformat",
          "nbclient", "pynvml", "matplotlib", "playwright", "yaml"}  # fmt: skip


def test_it_needs_torch_triton_and_pytest_alone():
    code = BLOCKED.format(absent=ABSENT) + (
        "from gpu_utils._dev.gpu import __main__, profiled\n"
        "import gpu_utils.course.check, gpu_utils.course.ladder, gpu_utils.course.rungs\n"
        "from gpu_utils.course import cases, units\n"
        "print(sum(len(cases.cases(unit)) for unit in units.units()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5


def test_without_a_gpu_the_command_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    assert gpu.main([]) == 2
    said = capsys.readouterr().err
    assert "make gpu needs a GPU that torch can use, and there is none here: torch 2." in said
    assert "Nothing is installed." in said
    assert not (tmp_path / "out").exists()


def test_without_torch_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu._why_no_gpu().startswith("torch cannot be imported")


def test_make_gpu_installs_nothing():
    done = subprocess.run(
        ["make", "-n", "gpu", "PYTHON=python3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-3:] == ["python3", "-m", "gpu_utils._dev.gpu"]
    assert "install" not in done.stdout
