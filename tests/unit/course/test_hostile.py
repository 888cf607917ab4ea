"""Whatever a lab file does, a check says what is wrong, in time, and nothing is lost."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from gpu_utils.course import progress, units
from gpu_utils.course.check import check, judge
from tests.unit.course.labfiles import GOOD_KERNEL, judge_files, judge_paths

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
    "40 GB": (
        "import torch\ndef copy(x):\n    return torch.ones(10**10)\n",
        "failed", "runs", "you tried to allocate 40000000000 bytes", ":3",
    ),
    "40 GB of bytes": (
        "def copy(x):\n    return bytearray(40 * 10**9)\n", "failed", "runs", "MemoryError", ":2",
    ),
    "a gigabyte of print": (
        "def copy(x):\n    for _ in range(1000): print('x' * 10**6)\n",
        "failed", "runs", "64 MB", ":2",
    ),
    "an option no compiler takes": (
        GOOD_KERNEL.replace("BLOCK_SIZE=1024)", "BLOCK_SIZE=1024, num_ctas=3)")
        + "copy = good_copy\n", "failed", "native", "num_ctas > 1 requires", "",
    ),
    "a kernel no compiler takes": (
        GOOD_KERNEL.replace("    mask = offs < n", "    mask = offs < n\n    print([1, 'a', offs])")
        + "copy = good_copy\n", "failed", "native", "copy_kernel", "",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """All hostile files in one run, each a side of its own: name -> TaskVerdict."""
    texts = {name: text for name, (text, *_) in HOSTILE.items()}
    return judge_files(tmp_path_factory.mktemp("hostile"), texts, time_limit_s=8)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gets_a_verdict_that_teaches(verdicts, name):
    _, state, rung, words, where = HOSTILE[name]
    verdict = verdicts[name]
    stop = verdict.stopped_at
    told = "\n".join(verdict.lines())
    assert (stop.state, stop.rung) == (state, rung), told
    assert words in stop.message, told
    assert where in stop.where, told


def running(command):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line == command]


# What a correct file does besides, which costs it nothing and leaves nothing behind.
STRANGE = {
    "threads that never end": (
        "import threading\n"
        "def copy(x):\n"
        "    for _ in range(4): threading.Thread(target=threading.Event().wait).start()\n"
        "    return good_copy(x)\n"
    ),
    # Each is forked twice, so that its parent is gone, and has left the session and the group.
    "fifty orphans": (
        "for _ in range(50):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            os.execvp('sleep', ['sleep', '27.1828'])\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "copy = good_copy\n"
    ),
    "a file that removes itself": "copy = good_copy\nos.remove(__file__)\n",
    "a file that is saved meanwhile": "copy = good_copy\nopen(__file__, 'w').close()\n",
    "a temporary folder": "import tempfile\nprint(tempfile.mkdtemp())\ncopy = good_copy\n",
}


def test_strange_things_that_are_no_mistake(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # so that TMPDIR is asked again
    found = judge_files(tmp_path, {name: GOOD_KERNEL + text for name, text in STRANGE.items()})
    assert {name: verdict.state for name, verdict in found.items()} == dict.fromkeys(
        STRANGE, "passed"
    ), "\n".join(line for verdict in found.values() for line in verdict.lines())
    assert running("sleep 27.1828") == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_name_in_any_script_will_do_and_a_missing_file_is_named(tmp_path):
    names = {
        "good": ("labor für Zoë 複製 ✓.py", GOOD_KERNEL + "copy = good_copy\n"),
        "wrong": ("Лаба 1.py", "def copy(x):\n    return 1 / 0\n"),
        "gone": ("gone.py", None),
    }
    for name, text in names.values():
        if text is not None:
            (tmp_path / name).write_text(text, "utf-8")
    found = judge_paths({key: tmp_path / name for key, (name, _) in names.items()})
    assert found["good"].state == "passed"
    assert found["wrong"].stopped_at.where.endswith("Лаба 1.py:2 in copy")
    assert found["gone"].stopped_at.rung == "runs"
    assert "gone.py" in found["gone"].stopped_at.message


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
    assert running("sleep 31.4159") == []


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


def test_each_task_can_have_sides_of_its_own():
    unit, tasks = units.find("lab00")
    sides = {"a": ["labs"], "b": ["solutions", "labs"]}
    found = [(v.side, v.task, v.state) for v in judge(unit, tasks[:2], sides)]
    assert found == [
        ("labs", "a", "not started"),
        ("labs", "b", "not started"),
        ("solutions", "b", "passed"),
    ]
