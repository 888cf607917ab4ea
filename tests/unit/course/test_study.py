"""The card of a lab's kernel is made in a worker: what the file does cannot hurt the notebook."""

from pathlib import Path

import pytest
import torch

from gpu_utils import course
from gpu_utils.card import Card
from gpu_utils.course import server, units


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
