"""Forked children, and what becomes of them and of what they start."""

import os
import resource
import signal
import time

import pytest

from gpu_utils import _children
from tests.unit.processes import is_dead


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fail():
    raise ValueError("why")


@pytest.mark.parametrize(
    ("body", "code"),
    [(lambda: "an answer", 0), (fail, 1), (lambda: os._exit(7), 7), (os.abort, -signal.SIGABRT)],
)
def test_the_status_tells_whether_it_returned(body, code, capfd):
    assert status(_children.fork(body)) == code
    assert ("ValueError: why" in capfd.readouterr().err) == (body is fail)


def test_a_child_leads_a_group_and_dumps_no_core():
    def body():
        assert os.getpgrp() == os.getpid()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)

    assert status(_children.fork(body)) == 0


def test_kill_takes_along_what_the_child_started(tmp_path):
    def body():
        grandchild = os.fork()
        if not grandchild:
            time.sleep(60)
        (tmp_path / "new").write_text(str(grandchild))
        os.rename(tmp_path / "new", tmp_path / "pid")
        time.sleep(60)

    pid = _children.fork(body)
    while not (tmp_path / "pid").exists():
        time.sleep(0.01)
    _children.kill(pid)
    assert status(pid) == -signal.SIGKILL
    assert is_dead(int((tmp_path / "pid").read_text()))


def test_kill_spares_the_dead():
    pid = _children.fork(lambda: None)
    time.sleep(0.1)
    _children.kill(pid)
    assert status(pid) == 0


def test_a_child_ends_with_its_parent(tmp_path):
    def parent():
        child = _children.fork(lambda: time.sleep(60))
        (tmp_path / "pid").write_text(str(child))

    assert status(_children.fork(parent)) == 0
    assert is_dead(int((tmp_path / "pid").read_text()))
