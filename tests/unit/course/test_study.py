"""The card of a lab's kernel is made in a worker: what the file does cannot hurt the notebook."""

import dataclasses
import datetime
import importlib
from pathlib import Path

import pytest
import torch

from gpu_utils import codegen, course, recordings
from gpu_utils.bench import Timing
from gpu_utils.card import Card
from gpu_utils.course import cases, server, units
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings import Launched, Recording, Run, described

study = importlib.import_module("gpu_utils.course.study")  # `course.study` is the function


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A course whose lab file is to be written; returns its path."""
    (tmp_path / "tests" / "labs").mkdir(parents=True)
    (tmp_path / "labs").mkdir()
    toml = units.root() / "labs" / "lab00_four_lenses.toml"
    (tmp_path / "labs" / toml.name).write_bytes(toml.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "labs" / "lab00_four_lenses.py"


def test_a_solution_has_a_card(lab):
    solution = Path(__file__).parents[3] / "solutions" / lab.name
    lab.write_bytes(solution.read_bytes())
    x = torch.arange(4096.0)
    page = course.study("lab00", "copy", x, reference=torch.clone)
    assert isinstance(page, Card)
    assert "8 B/element" in repr(page)


@pytest.fixture
def recorded(monkeypatch):
    """What lab00's solution copies on a GPU, recorded as it is now; returns the recordings."""
    unit, _ = units.find("lab00")
    case = next(case for case in cases.cases(unit) if case.name == "copy")
    arguments = case.arguments("meta")
    launches = codegen.capture(case.function, *arguments)
    here = Fingerprint({"gpu.name": "NVIDIA H100 80GB HBM3"}, {})
    n = arguments[0].numel()
    found = [
        Recording(
            unit="lab00",
            function="copy",
            arguments={key: described(value) for key, value in case.named(arguments).items()},
            launches=tuple(map(Launched.of, launches)),
            timing=Timing(200e-6, 199e-6, 201e-6, 900, "cuda: NVIDIA H100 80GB HBM3", "events"),
            peers={},
            load_bytes=4.0 * n,
            store_bytes=4.0 * n,
            flops=0,
            dtype="fp32",
            counters=None,
            under_load=Fingerprint({}, {}),
            unknown={},
            run=Run(datetime.date(2026, 11, 24), "make gpu", here),
        )
    ]
    monkeypatch.setattr(recordings, "find", lambda function, unit: tuple(found))
    return found


@pytest.mark.usefixtures("recorded")
def test_the_solutions_recorded_run_is_shown_beside_a_kernel(monkeypatch):
    monkeypatch.chdir(units.root() / "solutions")
    page = course.study("lab00", "copy", torch.arange(4096.0), targets=())
    # 2^26 floats read and written, 536.9 MB at 3.35e12 B/s: 160.3 us of 200.
    assert repr(page).endswith(
        "no GPU here; the solution of lab00 took 200 µs RECORDED on NVIDIA H100 80GB HBM3, "
        "2026-11-24, for float32 (67108864,): 80.1 % of what H100 SXM5 80GB allows, "
        "160 µs MODELLED"
    )


def test_a_solution_that_has_changed_makes_its_recording_stale(recorded):
    unit, _ = units.find("lab00")
    [launch] = recorded[0].launches
    recorded[0] = dataclasses.replace(
        recorded[0], launches=(dataclasses.replace(launch, source="another"),)
    )
    [run] = study._recorded(unit, "copy")
    assert run.changes == ("the source of copy_kernel has changed",)
    recorded[0] = dataclasses.replace(recorded[0], arguments={"x": 1})
    [run] = study._recorded(unit, "copy")
    assert run.changes == ("the solution is no longer measured with these arguments",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def copy(x):\n    raise NotImplementedError\n", "copy is not written"),
        ("import os\ndef copy(x):\n    os._exit(0)\n", "exit code 0"),
        ("def copy(x):\n    return y\n", "NameError"),
        ("def kopy(x):\n    return x\n", "has no copy"),
    ],
)
def test_without_a_card_there_is_a_reason(lab, text, words):
    lab.write_text(text, "utf-8")
    assert words in repr(course.study("lab00", "copy", torch.ones(4)))


def test_ridge_lab_serves_on_this_machine_only(monkeypatch):
    called = []
    monkeypatch.setattr(server.os, "execv", lambda *arguments: called.append(arguments))
    monkeypatch.setattr(server, "trust", lambda root: None)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "")
    monkeypatch.chdir(units.root())
    server.start(["--no-browser"])
    [(_, command)] = called
    assert "--ServerApp.ip=127.0.0.1" in command
    assert command[-1] == "--no-browser"
    assert server.os.environ["PATH"].endswith(":/usr/bin")
