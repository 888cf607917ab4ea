"""Run work in forked children, so that a compiler that aborts or hangs costs a message only.

A fork keeps everything that Python has imported and the tensors that the launch refers to,
so a child starts in milliseconds; a fresh interpreter would first import torch for seconds.
"""

import dataclasses
import gc
import os
import selectors
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from gpu_utils import _children

__all__ = ["Ending", "run_all"]


@dataclasses.dataclass(frozen=True)
class Ending:
    """How one child ended.

    `value` is what its work returned, None if it did not return. Then `signal` says what
    killed it (0 if nothing did), `timed_out` whether that was the time limit, and `log` holds
    what it wrote to stderr.
    """

    value: str | None
    signal: int = 0
    timed_out: bool = False
    log: str = ""


@dataclasses.dataclass(frozen=True)
class _Child:
    index: int
    pid: int
    folder: Path
    deadline: float


def _live(work: Callable[[], str], folder: Path) -> None:
    """Be the child: cut what ties it to its parent's terminal, and leave the value in `folder`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    gc.disable()  # finalizers of the parent's objects must not run here
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    tempfile.tempdir = str(folder)  # the parent removes what an aborted compiler leaves
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for source, stream in ((null, 0), (null, 1), (log, 2)):
        os.dup2(source, stream)
    # In Jupyter these two are sockets to the front end.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    (folder / "value").write_text(work())


def _start(
    index: int, work: Callable[[], str], scratch: Path, limit_s: float
) -> tuple[int, _Child]:
    """Fork; return a descriptor that becomes readable when the child has ended, and the child."""
    folder = scratch / str(index)
    folder.mkdir()
    reader, writer = os.pipe()  # held open by the child alone, so it reads as ended at its death
    try:
        pid = _children.fork(lambda: _live(work, folder))
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    return reader, _Child(index, pid, folder, time.monotonic() + limit_s)


def _bury(child: _Child, timed_out: bool) -> Ending:
    _children.kill(child.pid)  # for what it started: it may have ended before its ptxas did
    _, status = os.waitpid(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    log = child.folder / "log"
    said = log.read_text(errors="replace") if log.exists() else ""
    value = (child.folder / "value").read_text() if code == 0 else None
    return Ending(value, signal=max(0, -code), timed_out=timed_out and code != 0, log=said)


def run_all(
    works: Sequence[Callable[[], str]], *, limit_s: float, workers: int | None = None
) -> list[Ending]:
    """Run each of `works` in a child of its own, a few at a time.

    Args:
        works: functions without arguments that return text.
        limit_s: seconds that each may take.
        workers: how many run at once; the cores this process may use by default.

    Returns:
        How each ended, in the order given. No child is left, whatever happens here.
    """
    workers = workers or len(os.sched_getaffinity(0))
    todo = list(enumerate(works))[::-1]
    endings: dict[int, Ending] = {}
    with (
        tempfile.TemporaryDirectory(prefix="ridgepoint-") as scratch,
        selectors.DefaultSelector() as running,
    ):
        try:
            while todo or running.get_map():
                while todo and len(running.get_map()) < workers:
                    reader, child = _start(*todo.pop(), Path(scratch), limit_s)
                    running.register(reader, selectors.EVENT_READ, child)
                first = min(key.data.deadline for key in running.get_map().values())
                ended = {key.fd for key, _ in running.select(max(0, first - time.monotonic()))}
                for key in list(running.get_map().values()):
                    child, late = key.data, time.monotonic() >= key.data.deadline
                    if key.fd in ended or late:
                        running.unregister(key.fd)
                        os.close(key.fd)
                        endings[child.index] = _bury(child, key.fd not in ended)
        finally:
            for key in list(running.get_map().values()):
                _children.kill(key.data.pid)
                os.close(key.fd)
                os.waitpid(key.data.pid, 0)
    return [endings[index] for index in range(len(works))]
