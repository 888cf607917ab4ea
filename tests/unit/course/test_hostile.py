"""Whatever a lab file does, a check says what is wrong, in time, and nothing is lost."""

import json
import subprocess
from pathlib import Path

import pytest

from gpu_utils.course import progress, units
from gpu_utils.course.check import check, judge

GOOD_KERNEL = """
import os, sys, time, torch, triton, triton.language as tl

@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)

def good_copy(x):
    out = torch.empty_like(x)
    copy_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), BLOCK_SIZE=1024)
    return out
"""

# What the file does -> the state, the rung, and words that the message must hold.
HOSTILE = {
    "syntax error": ("def copy(x)\n    return x\n", "failed", "runs", "SyntaxError", ":1"),
    "missing function": ("x = 1\n", "failed", "runs", "has no copy", ""),
    "error at import": ("import nothing_of_the_kind\n", "failed", "runs", "nothing_of_the", ":1"),
    "endless loop": ("def copy(x):\n    while True: pass\n", "timed out", "runs", "still runn", ""),
    "endless loop at import": ("while True: pass\n", "timed out", "runs", "still running", ""),
    "os._exit(0)": (
        "import os\ndef copy(x):\n    os._exit(0)\n", "crashed", "runs", "exit code 0", "",
    ),
    "os._exit(0) at import": ("import os; os._exit(0)\n", "crashed", "runs", "exit code 0", ""),
    "sys.exit(0)": ("import sys\ndef copy(x):\n    sys.exit(0)\n", "failed", "runs", "Exit", ":3"),
    "pytest.skip": (
        "import pytest\ndef copy(x):\n    pytest.skip('cheat')\n", "failed", "runs", "cheat", ":3",
    ),
    "keyboard interrupt": (
        "def copy(x):\n    raise KeyboardInterrupt\n",
        "crashed",
        "runs",
        "KeyboardInterrupt",
        "",
    ),
    "segmentation fault": (
        "import ctypes\ndef copy(x):\n    ctypes.string_at(0)\n", "crashed", "runs", "segmenta", "",
    ),
    "wrong shape": (
        GOOD_KERNEL + "def copy(x): return good_copy(x)[:-1]\n", "failed", "runs", "shape", "",
    ),
    "wrong dtype": (
        GOOD_KERNEL + "def copy(x): return good_copy(x.double())\n",
        "failed", "runs", "float32", "",
    ),
    "not a tensor": (GOOD_KERNEL + "def copy(x): return 3\n", "failed", "runs", "int", ""),
    "NaN": (
        GOOD_KERNEL.replace("tl.load(x_ptr + offs, mask=mask)", "float('nan') + 0 * offs")
        + "copy = good_copy\n", "failed", "correct", "nan", "",
    ),
    "a write to the input": (
        GOOD_KERNEL.replace("    tl.st", "    tl.store(x_ptr + offs, 0.0, mask=mask)\n    tl.st")
        + "copy = good_copy\n", "failed", "safe", "wrote into its input", "",
    ),
    "a load out of bounds": (
        GOOD_KERNEL.replace("tl.load(x_ptr + offs, mask=mask)", "tl.load(x_ptr + offs + 1)")
        + "copy = good_copy\n", "failed", "safe", "load outside x", "",
    ),
    "a store out of bounds": (
        GOOD_KERNEL.replace("out_ptr + offs,", "out_ptr + offs - 4,")
        + "copy = good_copy\n", "failed", "safe", "store outside out", "",
    ),
    "eager torch": ("def copy(x):\n    return x + 0\n", "failed", "runs", "aten.add", ""),
    "a kernel no compiler takes": (
        GOOD_KERNEL.replace("    mask = offs < n", "    mask = offs < n\n    print([1, 'a', offs])")
        + "copy = good_copy\n", "failed", "native", "copy_kernel", "",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """All hostile files in one run, each a side of its own: name -> TaskVerdict."""
    folder = tmp_path_factory.mktemp("hostile")
    unit = units.find("lab00")[0]
    paths = {}
    for number, (name, (text, *_)) in enumerate(HOSTILE.items()):
        paths[name] = folder / f"file{number}.py"
        paths[name].write_text(text, "utf-8")
    sides = [str(path) for path in paths.values()]
    found = {v.side: v for v in judge(unit, [unit.task("a")], sides, time_limit_s=8)}
    return {name: found[str(path)] for name, path in paths.items()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_verdict_that_teaches(verdicts, name):
    _, state, rung, words, where = HOSTILE[name]
    verdict = verdicts[name]
    stop = verdict.stopped_at
    told = "\n".join(verdict.lines())
    assert (stop.state, stop.rung) == (state, rung), told
    assert words in stop.message, told
    assert where in stop.where, told


def test_a_red_task_does_not_hide_the_next(tmp_path):
    path = tmp_path / "half.py"
    solution = units.find("lab00")[0].solution_file.read_text("utf-8")
    path.write_text(solution.replace("def copy(x", "def copy(x, why_not"), "utf-8")
    unit, tasks = units.find("lab00")
    states = {v.task: v.state for v in judge(unit, tasks, [str(path)])}
    assert states == {"a": "failed", "b": "passed", "c": "passed"}


def test_a_check_is_one_line_of_progress_and_a_crash_is_one_too(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGE_PROGRESS_DIR", str(tmp_path / "progress"))
    monkeypatch.setenv("RIDGE_NAME", "Ada Lovelace/..")
    path = tmp_path / "lab.py"
    for text in ("import os; os._exit(0)\n", "def copy(x):\n    raise NotImplementedError\n"):
        path.write_text(text, "utf-8")
        check("lab00:a", side=str(path))
    (file,) = (tmp_path / "progress").iterdir()
    assert file.name == "Ada_Lovelace_...jsonl"
    records = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [record["tasks"][0]["state"] for record in records] == ["crashed", "not started"]
    assert all(record["version"] == 1 for record in records)
    with file.open("a") as out:  # a torn line costs itself only
        out.write('{"version": 1, "ta')
    assert len(progress.read()) == 2


def test_nothing_is_left_running(tmp_path):
    path = tmp_path / "sleepers.py"
    path.write_text(
        "import subprocess\n"
        "def copy(x):\n"
        "    subprocess.Popen(['sleep', '31.4159'])\n"
        "    while True: pass\n",
        "utf-8",
    )
    verdict = check("lab00:a", side=str(path), time_limit_s=3)
    assert verdict.tasks[0].state == "timed out"
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "sleep 31.4159" not in listed.stdout


def test_unknown_names_list_the_known_ones():
    with pytest.raises(units.UnknownName, match="The labs are lab00"):
        check("lab99")
    with pytest.raises(units.UnknownName, match="lab00:a, lab00:b, lab00:c"):
        check("lab00:z")
    with pytest.raises(FileNotFoundError, match="no file"):
        check("lab00", side="nowhere.py")


def test_the_lab_files_are_left_as_they_were():
    unit = units.find("lab00")[0]
    before = {path: path.read_bytes() for path in Path(unit.lab_file.parent).glob("*.py")}
    judge(unit, unit.tasks, ["labs"])
    assert before == {path: path.read_bytes() for path in before}
