"""`make test`: what it judges, what it counts, and what nbval may not compare."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_utils._dev import suite
from gpu_utils._dev.suite import Outcome

SANITIZE = suite.ROOT / "tests" / "nbval_sanitize.cfg"


def git(root, *arguments):
    """Run git there, whatever repository the tests themselves run in."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    subprocess.run(["git", *arguments], cwd=root, env=environment, check=True, capture_output=True)


def write(root, files):
    """Write files given as {path: text}."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def tree(root):
    """Read files back as {path: text}."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_text() for path in files}


COURSE = {
    ".gitignore": ".venv/\n",
    "gpu_utils/traffic.py": "committed",
    "labs/lab00_x.py": "starter",
    "notebooks/00_x.ipynb": "lesson",
    "solutions/lab00_x.py": "solution",
}


@pytest.fixture
def repository(tmp_path):
    """Return a repository in which the small course is staged."""
    root = tmp_path / "course"
    write(root, COURSE)
    git(root, "init", "-q")
    git(root, "add", ".")
    return root


def judged(root):
    """Return what is judged of a course, and the sentence about it."""
    copy = root.parent / "copy"
    sentence = suite.judged_copy(root, copy)
    return tree(copy), sentence


def test_an_untouched_course_is_judged_whole(repository):
    assert judged(repository)[0] == COURSE


def test_a_learners_edits_are_not_judged_but_an_instruments_are(repository):
    write(repository, {"labs/lab00_x.py": "half solved", "notebooks/00_x.ipynb": "re-run"})
    write(repository, {"labs/lab00_scratch.py": "new", "gpu_utils/traffic.py": "edited"})
    files, sentence = judged(repository)
    assert files == {**COURSE, "gpu_utils/traffic.py": "edited"}
    assert "2 edited and 1 new files there are not judged" in sentence
    # The learner's work itself stays as it was.
    assert (repository / "labs" / "lab00_x.py").read_text() == "half solved"


def test_staged_edits_of_a_maintainer_are_judged(repository):
    write(repository, {"labs/lab00_x.py": "better starter"})
    git(repository, "add", "labs")
    assert judged(repository)[0]["labs/lab00_x.py"] == "better starter"


def test_a_deleted_lab_is_judged_as_staged_and_a_deleted_instrument_is_gone(repository):
    (repository / "labs" / "lab00_x.py").unlink()
    (repository / "gpu_utils" / "traffic.py").unlink()
    files, _ = judged(repository)
    assert files["labs/lab00_x.py"] == "starter"
    assert "gpu_utils/traffic.py" not in files


def test_new_files_are_judged_and_ignored_ones_are_not(repository):
    write(repository, {"gpu_utils/new.py": "new", "a b/é.txt": "new", ".venv/bin/python": "x"})
    files, _ = judged(repository)
    assert files == {**COURSE, "gpu_utils/new.py": "new", "a b/é.txt": "new"}


def test_without_git_the_folder_is_judged_as_it_is(tmp_path):
    root = tmp_path / "course"
    write(root, {**COURSE, "labs/lab00_x.py": "half solved"})
    write(root, {".venv/bin/python": "x", "labs/__pycache__/x.pyc": "x", ".mypy_cache/x": "x"})
    files, sentence = judged(root)
    assert files == {**COURSE, "labs/lab00_x.py": "half solved"}
    assert "no repository" in sentence


def test_a_course_unpacked_inside_another_repository_is_judged_as_it_is(tmp_path):
    git(tmp_path, "init", "-q")
    root = tmp_path / "course"
    write(root, COURSE)
    files, sentence = judged(root)
    assert files == COURSE
    assert "no repository" in sentence


def test_before_the_first_git_add_the_folder_is_judged_as_it_is(tmp_path):
    root = tmp_path / "course"
    write(root, COURSE)
    git(root, "init", "-q")
    assert judged(root)[0] == COURSE


# The environment of the tests.


def test_a_users_settings_do_not_reach_the_tests(monkeypatch, tmp_path):
    users = {"TRITON_INTERPRET": "1", "PYTEST_ADDOPTS": "-x", "MPLBACKEND": "agg", "HOME": "/h"}
    for name, value in {**users, "RIDGE_PROGRESS_DIR": "/class/board"}.items():
        monkeypatch.setenv(name, value)
    environment = suite.environment_of(tmp_path / "course", tmp_path)
    assert not {"TRITON_INTERPRET", "PYTEST_ADDOPTS", "MPLBACKEND"} & set(environment)
    assert environment["HOME"] == "/h"
    assert environment["PYTHONPATH"] == str(tmp_path / "course")
    for name in ("RIDGE_PROGRESS_DIR", "RIDGE_CACHE_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        assert Path(environment[name]).is_relative_to(tmp_path)


# Counting.


def run(root, *arguments, tests, unit=None):
    """Run tests given as source in a course of their own and return the outcomes by test name."""
    write(root, {"pytest.ini": "[pytest]\n", "tests/test_it.py": "import os, pytest\n" + tests})
    environment = {**os.environ, "PYTHONPATH": str(suite.ROOT)}
    environment |= {suite.UNIT: unit} if unit else {}
    quiet = ("-q", "-p", "no:nbval", "-p", "no:cacheprovider", *arguments)
    return suite.run_pytest(root, quiet, environment, root / "events.jsonl")


def states(outcomes):
    return {outcome.name.rpartition("::")[2]: outcome.state for outcome in outcomes}


def test_each_way_to_end_is_counted_once(tmp_path):
    tests = """
@pytest.fixture
def breaks_before():
    raise RuntimeError
@pytest.fixture
def breaks_after():
    yield
    raise RuntimeError
def test_passes(): pass
def test_fails(): assert 0
def test_errs(breaks_before): pass
def test_errs_after(breaks_after): pass
def test_skips(): pytest.skip("no GPU here")
@pytest.mark.xfail(reason="known")
def test_xfails(): assert 0
"""
    outcomes = run(tmp_path, tests=tests)
    assert states(outcomes) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_errs": "failed",
        "test_errs_after": "failed",
        "test_skips": "skipped",
        "test_xfails": "skipped",
    }
    lines = suite.summary(outcomes)
    assert lines[-1] == "1 passed, 3 failed, 2 skipped"
    assert "skipped: no GPU here (tests/test_it.py::test_skips)" in lines
    assert "skipped: expected to fail: known (tests/test_it.py::test_xfails)" in lines


def test_a_test_that_kills_the_process_failed_and_those_before_it_count(tmp_path):
    tests = "def test_a(): pass\ndef test_b(): os._exit(0)\ndef test_c(): pass\n"
    outcomes = run(tmp_path, tests=tests)
    assert states(outcomes) == {"test_a": "passed", "test_b": "failed"}
    assert "the test process died here" in suite.summary(outcomes)[0]


def test_a_file_that_cannot_be_imported_failed(tmp_path):
    write(tmp_path, {"tests/test_other.py": "def test_fine(): pass\n"})
    outcomes = run(tmp_path, "--continue-on-collection-errors", tests="import nothing_like_it\n")
    assert states(outcomes) == {"tests/test_it.py": "failed", "test_fine": "passed"}


@pytest.mark.parametrize("tests", ["", "def test_a(): pytest.skip('no')\n"])
def test_nothing_run_is_a_failure(tmp_path, tests):
    outcomes = run(tmp_path, tests=tests)
    assert outcomes[-1].state == "failed"
    assert "no test ran" in outcomes[-1].reason


def test_a_pytest_that_stops_for_another_reason_is_a_failure(tmp_path):
    outcomes = run(tmp_path, "--no-such-option", tests="def test_a(): pass\n")
    assert [outcome.state for outcome in outcomes] == ["failed"]


def test_one_unit_runs_alone(tmp_path):
    names = ["lab04", "labs/lab04_x.py", "04_x.ipynb", "lab14", "lab040", "104_x", "lab05"]
    tests = f"@pytest.mark.parametrize('name', {names})\ndef test(name): pass\n"
    outcomes = run(tmp_path, tests=tests, unit="04")
    assert [outcome.name.partition("[")[2].rstrip("]") for outcome in outcomes] == names[:3]


def test_an_unknown_unit_lists_the_known_ones(tmp_path):
    write(tmp_path, {"labs/lab00_x.py": "", "notebooks/03_y.ipynb": ""})
    assert [suite._checked_unit(tmp_path, text) for text in ("0", "lab00", "03")] == [
        *("00", "00", "03")
    ]
    with pytest.raises(SystemExit, match="no unit 7; there are: 00, 03"):
        suite._checked_unit(tmp_path, "7")


def test_no_folder_of_tests_is_left_out(tmp_path):
    write(tmp_path, {f"tests/{part}/test_x.py": "" for part in ("unit", "browser", "new")})
    write(tmp_path, {"labs/x": "", "notebooks/x": "", "tests/labs/wrong/x.py": ""})
    found = suite._paths(tmp_path, [])
    assert found == [
        *("tests/unit", "tests/labs", "notebooks", "labs", "tests/browser", "tests/new")
    ]
    assert suite._paths(tmp_path, ["-x", "tests/unit/test_x.py::test_a"]) == []


def test_the_count_is_the_last_line_and_alone():
    outcomes = [Outcome("a", "passed"), Outcome("b", "skipped", "x"), Outcome("c", "skipped", "x")]
    assert suite.summary(outcomes) == ["skipped: x (b and 1 more)", "1 passed, 0 failed, 2 skipped"]


def test_a_process_that_dies_in_a_teardown_fails_the_test_it_was_in():
    events = [["a", "started", ""], ["a", "passed", ""], ["b", "started", ""], ["b", "passed", ""]]
    outcomes = suite.read_outcomes(map(json.dumps, events))
    assert [outcome.state for outcome in outcomes] == ["passed", "failed"]


def test_a_test_that_never_reports_failed():
    events = [["a", "started", ""], ["b", "started", ""], ["b", "passed", ""]]
    outcomes = suite.read_outcomes(map(json.dumps, [*events, ["session", "ended", ""]]))
    assert {outcome.name: outcome.state for outcome in outcomes} == {"a": "failed", "b": "passed"}


# What nbval does not compare.


def sanitized(text):
    """Apply the rules as nbval does: pairs of lines, in order, re.sub each."""
    rules = re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITIZE.read_text("ascii"), re.MULTILINE)
    assert len(rules) == 5
    for regex, replace in rules:
        text = re.sub(regex, replace, text)
    return text


@pytest.mark.parametrize(
    ("saved", "now"),
    [
        ("time ≈ 1.23 ms, fast", "time ≈ 980 µs, fast"),
        ("| ≈ 1.23 ms |", "|   ≈ 12.3 ms |"),
        ("≈ 3.35 TB/s", "≈ 900 GB/s"),
        ("≈ 93.1 %", "≈ 7 %"),
        ("≈ 1.2e-05 s", "≈ nan"),
        ("≈ 61.9 TFLOP/s of it", "≈ 988 GFLOP/s of it"),
        ('<span class="measured" title="p50">1 ms</span>', '<span class="measured">x</span>'),
        ("registers ⟨40⟩, spills 0", "registers ⟨38⟩, spills 0"),
        ('<span class="compiled">40</span>', '<span class="compiled">41</span>'),
    ],
)
def test_marked_values_may_vary(saved, now):
    assert sanitized(saved) == sanitized(now) != saved


@pytest.mark.parametrize(
    ("saved", "now"),
    [
        ("moved 12 bytes", "moved 16 bytes"),
        ("≈ 1.23 ms and 12 bytes", "≈ 1.23 ms and 16 bytes"),
        ("≈ 1.23 ms slower", "≈ 1.23 ms faster"),
        ('<span class="counted">12</span>', '<span class="counted">16</span>'),
        ("≈ 1 ms\n12", "≈ 1 ms\n16"),
    ],
)
def test_what_is_not_marked_is_compared(saved, now):
    assert sanitized(saved) != sanitized(now)


def test_the_rules_hold_in_nbval_itself():
    # nbval reads the file with the locale's encoding and finds the pairs by its own expression.
    code = (
        "import sys; from nbval.plugin import get_sanitize_patterns as rules; "
        "print(len(rules(open(sys.argv[1]).read())))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-W", "ignore", "-c", code, str(SANITIZE)]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert answer.stdout.strip() == "5", answer.stderr
