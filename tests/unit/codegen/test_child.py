"""Children that return, abort, hang, raise or leave; the parent must not notice otherwise."""

import atexit
import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time
import warnings

import pytest

from gpu_utils.codegen import child
from tests.unit.processes import children, is_dead


def run(*works, limit_s=20.0, **kwargs):
    return child.run_all(works, limit_s=limit_s, **kwargs)


@pytest.fixture(autouse=True)
def _no_children_left():
    before = children()  # what other tests of this process left standing by
    yield
    assert children() <= before


def test_values_come_back_in_order():
    slow = lambda: time.sleep(0.2) or "slow"  # noqa: E731
    assert [e.value for e in run(slow, lambda: "fast", lambda: "x" * 10**6)] == [
        "slow",
        "fast",
        "x" * 10**6,
    ]


def test_works_run_at_the_same_time(tmp_path):
    def meet(mine: str, other: str) -> str:
        (tmp_path / mine).touch()
        while not (tmp_path / other).exists():  # for ever, if the other waits for its turn
            time.sleep(0.01)
        return "met"

    endings = run(lambda: meet("a", "b"), lambda: meet("b", "a"), workers=2)
    assert [ending.value for ending in endings] == ["met", "met"]


def test_an_abort_is_a_signal(capfd):
    def abort():
        os.write(2, b"LLVM ERROR: last words\n")
        os.abort()

    (ending,) = run(abort)
    assert (ending.value, ending.signal) == (None, signal.SIGABRT)
    assert "last words" in ending.log
    assert capfd.readouterr() == ("", "")


def test_the_parents_fault_handler_is_silent():
    # pytest and Jupyter enable it on a descriptor of their own, where an abort would print.
    assert faulthandler.is_enabled()
    assert run(lambda: str(faulthandler.is_enabled()))[0].value == "False"


def test_a_hang_meets_the_limit_together_with_what_it_started(tmp_path):
    def hang():
        grandchild = os.fork()
        if grandchild == 0:
            time.sleep(60)
        (tmp_path / "pid").write_text(str(grandchild))
        time.sleep(60)

    started = time.monotonic()
    (ending,) = run(hang, limit_s=0.5)
    assert ending.timed_out
    assert ending.value is None
    assert time.monotonic() - started < 10
    assert is_dead(int((tmp_path / "pid").read_text()))


def test_what_a_crashed_child_started_is_ended(tmp_path):
    def crash():
        grandchild = os.fork()
        if grandchild == 0:
            os.closerange(3, 100)  # as a tool that it runs does
            time.sleep(60)
        (tmp_path / "pid").write_text(str(grandchild))
        os.abort()

    assert run(crash)[0].signal == signal.SIGABRT
    assert is_dead(int((tmp_path / "pid").read_text()))


def test_an_exception_leaves_its_traceback():
    def wrong():
        raise KeyError("why")

    (ending,) = run(wrong)
    assert (ending.value, ending.signal, ending.timed_out) == (None, 0, False)
    assert "KeyError: 'why'" in ending.log


def test_sys_exit_is_not_an_answer():
    (ending,) = run(lambda: sys.exit(0))
    assert ending.value is None


def test_exit_handlers_do_not_run_and_output_is_not_repeated(tmp_path, capfd):
    left = tmp_path / "ran"
    handler = left.touch
    atexit.register(handler)
    try:
        print("buffered by the parent", end="")
        run(lambda: print("from the child") or "done")
    finally:
        atexit.unregister(handler)
    assert not left.exists()
    assert capfd.readouterr().out == "buffered by the parent"


def test_a_fork_beside_threads_does_not_warn():
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run(lambda: "quiet")[0].value == "quiet"
    finally:
        release.set()
        thread.join()


def test_temporary_files_of_a_crash_are_removed():
    def litter():
        with tempfile.NamedTemporaryFile(delete=False) as file:
            os.write(2, file.name.encode())
        os.abort()

    (ending,) = run(litter)
    assert ending.log.startswith("/")
    assert not os.path.exists(ending.log.split("\n")[0])


def test_an_interrupted_parent_takes_its_children_along(monkeypatch):
    def interrupt(child, timed_out):
        raise KeyboardInterrupt

    # The first child ends, and what happens then is interrupted while the second runs.
    bury = child._bury
    monkeypatch.setattr(child, "_bury", lambda *args: bury(*args) and interrupt(*args))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(lambda: "first", lambda: time.sleep(60) or "second", workers=2)
    assert time.monotonic() - started < 10
