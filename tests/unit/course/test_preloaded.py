"""A warm check judges as a cold one does, notices what changed, and leaves nothing behind."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from gpu_utils.course import preloaded, standby, units
from gpu_utils.course.check import check, judge

STUB = "def copy(x):\n    raise NotImplementedError\n"
CRASH = "import os\ndef copy(x):\n    os.abort()\n"
WRONG = "def copy(x):\n    return x\n"
# Says which process it is, and goes on for ever.
FOREVER = """
import os, pathlib
def copy(x):
    pathlib.Path({begun!r}).write_text(str(os.getpid()))
    while True: pass
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "lab.py"


@pytest.fixture(autouse=True)
def _progress(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGE_PROGRESS_DIR", str(tmp_path / "progress"))


@pytest.fixture
def course_copy(tmp_path, monkeypatch):
    """The course with its own gpu_utils, as the current folder."""
    copy = tmp_path / "course"
    for folder in ("labs", "solutions", "tests/labs", "gpu_utils"):
        shutil.copytree(
            units.root() / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(units.root() / "pyproject.toml", copy)
    monkeypatch.chdir(copy)
    return copy


def verdict(side):
    unit = units.find("lab00")[0]
    return judge(unit, [unit.task("a")], [str(side)], time_limit_s=60)[0]


def kept() -> int:
    """The process that stands by."""
    assert preloaded._kept is not None
    return preloaded._kept[1]._process.pid


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition, limit_s=20.0) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_warm_verdict_is_the_cold_one(file):
    solution = units.find("lab00")[0].solution_file.read_text("utf-8")
    texts = (STUB, WRONG, CRASH, "def copy(x) return x\n", solution)
    verdict("labs")
    process, warm = kept(), []
    for text in texts:  # the same file each time: what is judged is what it holds now
        file.write_text(text, "utf-8")
        warm.append(verdict(file))
    assert kept() == process
    assert [each.state for each in warm] == ["not started", "failed", "crashed", "failed", "passed"]
    for text, each in ((WRONG, warm[1]), (solution, warm[4])):
        file.write_text(text, "utf-8")
        preloaded.close()
        assert verdict(file) == each
        assert kept() != process


def test_each_check_draws_random_numbers_of_its_own(file):
    file.write_text(
        "import numpy\ndef copy(x):\n    assert 0, str(numpy.random.random())\n", "utf-8"
    )
    first, second = verdict(file), verdict(file)
    assert first.stopped_at.message.startswith("0.")
    assert first.stopped_at.message != second.stopped_at.message


def test_an_edited_test_or_instrument_counts_at_once(course_copy):
    assert verdict("labs").state == "not started"
    process = kept()
    tests = course_copy / "tests" / "labs" / "test_lab00_four_lenses.py"
    tests.write_text(tests.read_text("utf-8").replace("values(4096,", "values(1024,"), "utf-8")
    assert "(1024,)" in verdict("solutions").rungs[0].evidence[0]
    assert kept() == process  # tests are read in every check
    rungs = course_copy / "gpu_utils" / "course" / "rungs.py"
    rungs.write_text(rungs.read_text("utf-8").replace(" ran in ", " went in "), "utf-8")
    assert " went in " in verdict("solutions").rungs[0].evidence[0]
    assert kept() != process


def test_another_environment_or_a_death_makes_another_process(monkeypatch):
    verdict("labs")
    first = kept()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert verdict("labs").state == "not started"
    second = kept()
    assert second != first
    assert not is_alive(first)
    os.kill(second, signal.SIGKILL)
    assert verdict("labs").state == "not started"
    assert kept() != second


def test_what_cannot_be_imported_is_told(monkeypatch, tmp_path):
    preloaded.close()
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho ModuleNotFoundError: no torch\nexit 1\n", "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(preloaded.sys, "executable", str(python))
    found = verdict("labs")
    assert found.state == "crashed"
    assert (
        found.stopped_at.message
        == "the process in which checks run has ended:\nModuleNotFoundError: no torch"
    )
    assert preloaded._kept is None


def test_a_file_that_kills_it_gets_a_verdict(file):
    verdict("labs")
    process = kept()
    file.write_text(f"import os\ndef copy(x):\n    os.kill({process}, 9)\n    while True: pass\n")
    found = verdict(file)
    assert found.state == "crashed"
    assert "the process in which checks run has ended" in found.stopped_at.message
    assert verdict("labs").state == "not started"


def test_a_check_that_takes_too_long_as_a_whole_is_ended(monkeypatch):
    verdict("labs")
    process = kept()
    found = preloaded.run_pytest([], root=units.root(), extra={}, seconds=-1)
    assert found == "the check as a whole was still running after -1 s"
    assert not is_alive(process)


def test_an_interrupt_leaves_nothing_running(file, tmp_path):
    begun = tmp_path / "begun"
    file.write_text(FOREVER.format(begun=str(begun)), "utf-8")
    verdict("labs")
    process = kept()

    def interrupt():
        until(lambda: begun.exists() and begun.read_text())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        check("lab00:a", side=str(file))
    thread.join()
    worker = int(begun.read_text())
    assert not is_alive(process)
    assert until(lambda: not is_alive(worker))
    assert verdict("labs").state == "not started"  # and the next check is none the worse


def test_the_end_of_a_kernel_leaves_nothing_running(file, tmp_path):
    begun, pid = tmp_path / "begun", tmp_path / "pid"
    file.write_text(FOREVER.format(begun=str(begun)), "utf-8")
    code = f"""
import pathlib, threading, time
from gpu_utils.course import check, preloaded
def tell():
    while preloaded._kept is None:
        time.sleep(0.01)
    pathlib.Path({str(pid)!r}).write_text(str(preloaded._kept[1]._process.pid))
threading.Thread(target=tell).start()
check("lab00:a", side={str(file)!r})
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=units.root()) as kernel:
        assert until(lambda: all(f.exists() and f.read_text() for f in (begun, pid)), 60)
        left = [int(file.read_text()) for file in (begun, pid)]
        assert all(map(is_alive, left))
        kernel.kill()
    assert until(lambda: not any(map(is_alive, left)))


def test_it_does_not_stand_by_for_ever(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"[1]\n[2]\n")
        asked = standby._requests(theirs, os.getppid())
        assert [next(asked), next(asked)] == [[1], [2]]
        monkeypatch.setattr(standby, "IDLE_S", 0)
        assert list(asked) == []


def test_a_request_comes_in_pieces_and_ends_with_the_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def ask():
            for piece in (b'[{"log": "a', b'bc"}]\n'):
                ours.sendall(piece)
                time.sleep(0.05)
            ours.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=ask)
        thread.start()
        assert list(standby._requests(theirs, os.getppid())) == [[{"log": "abc"}]]
        thread.join()


def test_what_is_preloaded_holds_no_lab_and_no_ladder():
    # pytest warns of a plugin that it cannot rewrite any more, and a lab must be read anew.
    code = (
        "import sys; from gpu_utils.course import standby; standby._preload(); "
        "print([m for m in sys.modules if 'lab0' in m or m.endswith('ladder')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=units.root(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def listeners(identity: str) -> list[int]:
    """The processes that answer terminals for `identity`."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid,args"], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(row[0]) for row in rows if row[-1] == identity and "--listen" in row]


def test_terminals_share_one_that_is_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    root, environment = units.root(), dict(os.environ)
    first, second = f"one{os.getpid()}", f"two{os.getpid()}"
    for _ in range(2):
        preloaded._shared(root, environment, first).close()
    (pid,) = listeners(first)
    preloaded._shared(root, environment, second).close()
    assert until(lambda: not is_alive(pid))  # it was out of date
    (pid,) = listeners(second)
    assert (tmp_path / "ridgepoint").stat().st_mode & 0o077 == 0
    preloaded.dismiss(root)
    assert until(lambda: not is_alive(pid))
    preloaded.dismiss(root)  # nobody is there, and that is no mistake


def test_a_check_in_a_terminal_judges_and_leaves_one_process(file, tmp_path):
    file.write_text(STUB, "utf-8")
    environment = {**os.environ, "RIDGE_STANDBY": "on", "XDG_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "gpu_utils.cli", "check", "lab00:a", "--side", str(file)]
    said = [
        subprocess.run(command, env=environment, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert "not started" in said[0]
    end = "from gpu_utils.course import preloaded, units; preloaded.dismiss(units.root())"
    subprocess.run([sys.executable, "-c", end], env=environment, check=True)
