"""`make matrix`: what is installed where, and what the table says. Nothing is installed here."""

import sys

import pytest

from gpu_utils._dev import install
from gpu_utils._dev.matrix import __main__ as program
from gpu_utils._dev.matrix import environments, report
from gpu_utils._dev.matrix.environments import CANARY, MATRIX, Needs
from gpu_utils._dev.matrix.report import Cell, Difference
from gpu_utils._dev.suite import Outcome

CPU = install.TorchChoice("cpu", "torch==2.13.0+cpu", None, "")
AWAY = install.TorchChoice("cpu", "torch==2.13.0+cpu", "an-index", "")
PYPROJECT = """
[project]
dependencies = ["torch==2.13.0", "numpy>=2.4", "pytest>=9.2", "jupyterlab>=4.6"]

[project.optional-dependencies]
others = ["kernels==1.3"]
"""
NEEDS = Needs(["numpy>=2.4", "pytest>=9.2"], ["kernels==1.3"])


@pytest.fixture
def pyproject(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(PYPROJECT, "utf-8")
    return path


def test_the_matrix_holds_the_default_and_every_version_that_is_promised():
    assert [each.triton for each in MATRIX] == ["3.6.0", "3.7.1", "3.8.0", "3.9.0"]
    assert len({each.name for each in (*MATRIX, CANARY)}) == 5
    listed = (program.ROOT / "pyproject.toml").read_text("utf-8")
    assert "triton==3.7.1" in listed
    assert all(f"torch=={each.torch}" in listed for each in MATRIX)


def test_what_the_tests_need_is_worded_once(pyproject):
    assert environments.requirements(pyproject) == NEEDS


def test_triton_comes_last_and_alone():
    first, last = environments.steps(MATRIX[0], AWAY, NEEDS)
    assert first == [
        "install",
        "--upgrade",
        "torch==2.13.0+cpu",
        *NEEDS.tools,
        *NEEDS.others,
        "--extra-index-url",
        "an-index",
    ]
    assert last == ["install", "--upgrade", "--no-deps", "triton==3.6.0"]
    first, last = environments.steps(CANARY, CPU, NEEDS)
    assert "--extra-index-url" not in first
    assert last[-1] == "triton"


def test_the_newest_is_a_release_and_ten_comes_after_nine():
    assert environments.newest(["2.9.1", "2.10.0", "2.10.1rc1", "2.8.0+cpu"]) == "2.10.0"
    with pytest.raises(install.Refusal, match="no torch"):
        environments.newest([])


@pytest.fixture
def pip(monkeypatch):
    """What would be made and installed, instead of doing so."""
    calls = []

    def make_venv(folder, base, stale):
        calls.append("venv")
        folder.mkdir(exist_ok=True)

    monkeypatch.setattr(install, "has_pip", lambda python: python.parents[1].exists())
    monkeypatch.setattr(install, "make_venv", make_venv)
    monkeypatch.setattr(
        install, "torch_versions", lambda python, extra: ["2.14.0+cpu", "2.13.0+cpu"]
    )
    monkeypatch.setattr(environments, "_pip", lambda python, arguments: calls.append(arguments[-1]))
    return calls


def test_an_environment_is_made_once(tmp_path, pyproject, pip):
    folder = tmp_path / "triton-3.9.0"
    python = environments.prepare(MATRIX[3], folder, pyproject)
    assert python == folder / "bin" / "python"
    assert pip == ["venv", "kernels==1.3", "triton==3.9.0"]
    environments.prepare(MATRIX[3], folder, pyproject)
    assert len(pip) == 3
    pyproject.write_text(PYPROJECT.replace("numpy>=2.4", "numpy>=2.5"), "utf-8")
    environments.prepare(MATRIX[3], folder, pyproject)
    assert pip[3:] == ["kernels==1.3", "triton==3.9.0"]  # in the same environment


def test_the_canary_is_brought_up_to_date_each_time(tmp_path, pyproject, pip, monkeypatch):
    asked = []
    monkeypatch.setattr(environments, "_pip", lambda python, arguments: asked.append(arguments))
    for _ in range(2):
        environments.prepare(CANARY, tmp_path / "canary", pyproject)
    assert [each[-1] for each in asked] == ["kernels==1.3", "triton"] * 2
    assert asked[0][2] == "torch"  # not a number, which a constraint of pip's may forbid


def test_pip_that_fails_says_what_to_do():
    wanted = install.Refusal
    with pytest.raises(wanted, match="failed"):
        environments._pip(sys.executable, ["install", "--no-index", "no-such-package-at-all"])


HERE = "tests/unit/traffic"
OUTCOMES = [
    Outcome(f"{HERE}/test_a.py::one", "passed"),
    Outcome(f"{HERE}/test_a.py::two", "failed", "it ended"),
    Outcome(f"{HERE}/test_b.py::three[x]", "failed"),
    Outcome(f"{HERE}/test_b.py::four", "skipped", "why"),
]
GONE = Difference(("3.9.0",), "it is gone", (f"{HERE}/test_b.py::three",))


def test_a_known_failure_is_counted_apart_and_only_where_it_is_known():
    assert report.cell("3.9.0", OUTCOMES, [GONE]) == Cell(1, 2, 1, known=1)
    assert report.cell("3.8.0", OUTCOMES, [GONE]) == Cell(1, 2, 1, known=0)
    assert report.unexplained("3.9.0", OUTCOMES, [GONE]) == [
        f"3.9.0: {HERE}/test_a.py::two failed it ended"
    ]
    assert len(report.unexplained("3.8.0", OUTCOMES, [GONE])) == 2


def test_a_difference_that_went_away_is_news():
    passes = [Outcome(f"{HERE}/test_b.py::three[x]", "passed")]
    (line,) = report.unexplained("3.9.0", passes, [GONE])
    assert "passes, though known.toml says that it fails" in line


def test_a_difference_without_tests_explains_no_failure():
    assert not Difference(("3.9.0",), "handled").explains("3.9.0", "any test")


def test_what_does_not_run_says_why():
    more = [*OUTCOMES, Outcome("five", "skipped", "why"), Outcome("six", "skipped", "no torch")]
    assert report.skipped("3.9.0", more) == [
        "3.9.0: 2 skipped: why",
        "3.9.0: 1 skipped: no torch",
    ]


def test_the_table_has_each_environment_folder_and_difference():
    cells = {"triton 3.9.0": {HERE: Cell(1, 2, 1, 1), "tests/unit/card": Cell(0, 0, 0, 0)}}
    lines = report.table(cells, [GONE, Difference(("3.6.0",), "other")])
    assert lines == [
        "triton 3.9.0",
        "  tests/unit/traffic  1 passed, 1 skipped, 1 known, 1 failed",
        "  tests/unit/card     no test",
        "",
        "known differences:",
        f"  3.9.0: it is gone (fails {HERE}/test_b.py::three)",
        "  3.6.0: other (handled)",
    ]


def test_what_is_known_names_versions_and_tests_that_exist():
    numbers = {each.triton for each in MATRIX}
    for each in report.known():
        assert set(each.triton) <= numbers
        assert each.what
        for test in each.tests:
            assert (program.ROOT / test.partition("::")[0]).exists()


def test_the_program_ends_badly_only_for_news(monkeypatch, capsys):
    monkeypatch.setattr(program, "prepare", lambda wanted, folder, pyproject: wanted)
    monkeypatch.setattr(program, "versions", lambda wanted: {"triton": wanted.triton or "4.0.0"})
    monkeypatch.setattr(program, "run", lambda wanted, folder: [OUTCOMES[0], OUTCOMES[3]])
    assert program.main(["tests/a"]) == 0
    printed = capsys.readouterr().out
    assert "3.8.0: 1 skipped: why\n" in printed
    assert all(f"triton {each.triton}\n" in printed for each in MATRIX)
    monkeypatch.setattr(program, "run", lambda wanted, folder: OUTCOMES[1:2])
    assert program.main(["--only", "3.8.0"]) == 1
    assert program.main(["--canary"]) == 1
    printed = capsys.readouterr().out
    assert "triton 4.0.0" in printed
    assert "triton 3.9.0\n" not in printed


def test_what_pip_refuses_is_one_line(monkeypatch, capsys):
    def refuse(*_):
        raise install.Refusal("there is no network")

    monkeypatch.setattr(program, "prepare", refuse)
    assert program.main(["--canary"]) == 1
    assert capsys.readouterr().err == "matrix: there is no network\n"


def test_the_usual_tests_exist_or_are_left_out():
    assert any((program.ROOT / path).exists() for path in program.TESTS)
