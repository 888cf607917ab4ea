"""One timing at a time on a device, over processes, threads and users."""

import contextlib
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings

import pytest

from gpu_utils import bench
from gpu_utils.bench import lock

HOLD = """
import sys, time
from gpu_utils.bench import lock
with lock.held(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
TAKE_TURNS = """
import os, sys, time
from gpu_utils.bench import lock
place = sys.argv[1]
for _ in range(20):
    with lock.held("cpu"):
        mine = os.open(place, os.O_CREAT | os.O_EXCL)  # fails if the other is inside
        time.sleep(0.001)
        os.close(mine)
        os.unlink(place)
"""


@pytest.fixture(autouse=True)
def _no_locks_yet(monkeypatch):
    monkeypatch.setattr(lock, "_locks", {})
    monkeypatch.setattr(lock, "_warned", set())


@contextlib.contextmanager
def holder(device="cpu", **options):
    """Another process that holds a device until this is left."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )
    with child:
        assert child.stdout.readline() == "held\n"
        yield child
        child.stdin.close()


def test_two_processes_are_never_inside_at_once(tmp_path):
    command = [sys.executable, "-c", TAKE_TURNS, str(tmp_path / "inside")]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]


def test_who_waits_in_vain_is_told_for_whom(capsys):
    with holder() as child:
        with pytest.raises(bench.TimingLockTimeout) as error, lock.held("cpu", limit_s=0.1):
            pytest.fail("two held it")
        assert "after 100 ms cpu was still held by" in str(error.value)
        assert f"process {child.pid} of " in str(error.value)
        assert f"({sys.executable} -c" in str(error.value)
    assert "waiting up to 100 ms for cpu, " in capsys.readouterr().err
    with lock.held("cpu", limit_s=5):
        pass


def test_other_devices_are_not_waited_for():
    with holder("cuda-0123"), lock.held("cpu", limit_s=0.1):
        pass


def test_a_killed_holder_holds_nothing():
    with holder() as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
        with lock.held("cpu", limit_s=5):
            pass
        assert not list(lock.directory().glob("*.holder"))


def test_whoever_holds_it_may_take_it_again():
    with lock.held("cpu"):
        with lock.held("cpu", limit_s=0.1):
            pass
        said = json.loads((lock.directory() / "cpu.holder").read_text())
        assert said["pid"] == os.getpid()  # still held
    assert not (lock.directory() / "cpu.holder").exists()


def test_another_thread_waits():
    inside = []

    def other():
        with lock.held("cpu"):
            inside.append("other")

    with lock.held("cpu"):
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.1)
        inside.append("first")
    thread.join()
    assert inside == ["first", "other"]


def test_an_error_releases():
    with pytest.raises(ZeroDivisionError), lock.held("cpu"):
        _ = 1 / 0
    with holder():
        pass


def test_everybody_can_write_whatever_the_umask():
    before = os.umask(0o077)
    try:
        with lock.held("cpu"):
            pass
    finally:
        os.umask(before)
    folder = lock.directory()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777  # no sticky bit, see the module
    assert stat.S_IMODE((folder / "cpu.lock").stat().st_mode) == 0o666
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # nothing left aside


@pytest.fixture
def sticky():
    """A directory of everybody's, as /tmp is; pytest's own is closed to other users."""
    with tempfile.TemporaryDirectory(dir=lock._temporary()) as folder:
        os.chmod(folder, 0o1777)
        yield pathlib.Path(folder)


def as_nobody(do, *args):
    """What `do` returns in a fork that is another user; the modules are loaded already."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.write(writer, repr(do(*args)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


def took(limit_s):
    lock._locks.clear()  # the parent's
    with warnings.catch_warnings(action="error"):
        try:
            with lock.held("cpu", limit_s):
                return "took it"
        except bench.TimingLockTimeout as error:
            return str(error)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be another user")
def test_another_user_takes_turns_with_this_one(sticky, monkeypatch):
    monkeypatch.setenv("RIDGE_LOCK_DIR", str(sticky / "locks"))
    with lock.held("cpu"):
        assert f"process {os.getpid()} of " in as_nobody(took, 0.1)
    assert as_nobody(took, 5) == "'took it'"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can be another user")
def test_this_user_opens_what_another_made(sticky, monkeypatch):
    monkeypatch.setenv("RIDGE_LOCK_DIR", str(sticky / "locks"))
    assert as_nobody(took, 5) == "'took it'"
    assert (sticky / "locks" / "cpu.lock").stat().st_uid == 65534
    assert took(5) == "took it"


@pytest.mark.parametrize("above", ["a file", "nothing"])
def test_without_a_directory_one_warning_and_on(tmp_path, monkeypatch, above):
    if above == "a file":
        (tmp_path / "above").write_text("")
    monkeypatch.setenv("RIDGE_LOCK_DIR", str(tmp_path / "above" / "locks"))
    with pytest.warns(UserWarning, match="set RIDGE_LOCK_DIR") as said:
        assert bench.measure(sorted, [2, 1], budget_s=0).runs == 1
    assert len(said) == 1
    with warnings.catch_warnings(action="error"):
        assert bench.measure(sorted, [2, 1], budget_s=0).runs == 1


def test_a_directory_that_cannot_be_written(monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    lock.directory().chmod(0o555)
    monkeypatch.setattr(os, "open", refuse)  # root may write anywhere
    with pytest.warns(UserWarning, match="Permission denied"), lock.held("cpu"):
        pass


def test_the_default_is_one_place_for_all(monkeypatch, tmp_path):
    monkeypatch.delenv("RIDGE_LOCK_DIR")
    places = []
    for own in ("ada", "grace"):
        monkeypatch.setenv("TMPDIR", str(tmp_path / own))
        places.append(lock._temporary())
    assert places[0] == places[1]


def test_timings_hold_the_device():
    seen = []

    def spy():
        seen.append((lock.directory() / "cpu.holder").exists())

    bench.measure(spy, budget_s=0)
    bench.compare(spy, spy, budget_s=0)
    # The first call of each looks for kernels, before anything is timed.
    assert seen[:3] == [False, True, True]
    assert seen[3:5] == [False, False]
    assert all(seen[5:])
