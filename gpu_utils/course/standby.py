"""A process that stands by with all that a check imports; each check is a fork of it.

Importing torch, Triton and pytest takes longer than most checks. A notebook that checks again and
again pays for it once: the first check starts this process, and it lives as long as the notebook's
kernel. Nothing of a lab or of its tests is in it, so a fork judges exactly as a fresh start does:
it reads the lab file, the tests and pytest's settings as they are then.

    python -m gpu_utils.course.standby DESCRIPTOR
    python -m gpu_utils.course.standby --listen DESCRIPTOR IDENTITY

DESCRIPTOR is a socket to the process that asks. With --listen it is one at which processes ask, one
after another: those of a terminal, which live for one check each. Who asks there first says what it
expects to find imported, and if that is not IDENTITY, this process is out of date and ends.

A line comes with the pytest runs that are wanted;
a byte goes back when this process is ready, when the runs have begun, and when they are done. When
the socket closes, whatever still runs is killed.
"""

import contextlib
import functools
import gc
import importlib
import json
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gpu_utils import _children

__all__ = ["IDLE_S", "PRELOADED", "main"]

# What every check needs, torch's meta tensors (sympy) and the late parts of the lenses included.
# pytest rewrites the ladder's assertions when it loads it, so the ladder is not among these.
PRELOADED = (
    *("torch", "triton", "sympy", "numpy", "pytest", "_pytest.assertion.rewrite"),
    *("gpu_utils.course.rungs", "gpu_utils.codegen.disassemble", "gpu_utils.card"),
    *("gpu_utils._triton.compiler", "gpu_utils._triton.interpreter"),
)
IDLE_S = 20 * 60.0  # a kernel that was left open need not hold the memory for ever
_LOOK_EVERY_S = 0.01  # whether a run has ended
_LOOK_FOR_PARENT_EVERY_S = 5.0
_HELLO_S = 5.0  # for saying what is expected


def _preload() -> None:
    for name in PRELOADED:
        importlib.import_module(name)
    # The course's own modules may be kept as bytecode; a check leaves no traces in the folders.
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    gc.collect()
    gc.freeze()  # forks share these objects as long as no collection touches them


def _requests(channel: socket.socket, parent: int) -> Iterator[list[dict[str, Any]]]:
    """Yield what is asked for, until nobody asks any more or the parent is another."""
    pending, asked = b"", time.monotonic()
    while os.getppid() == parent and time.monotonic() - asked < IDLE_S:
        if not select.select([channel], [], [], _LOOK_FOR_PARENT_EVERY_S)[0]:
            continue
        received = channel.recv(1 << 16)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            yield json.loads(line)
        asked = time.monotonic()


def _be_pytest(run: dict[str, Any], channel: socket.socket) -> None:
    """In a fork: be one run, as `python -m pytest` would with everything imported already."""
    channel.close()  # a lab file must not answer in its checker's name
    log = os.open(run["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    import numpy
    import pytest

    numpy.random.seed()  # the one generator that a fork does not seed anew
    os.environ.update(run["environment"])
    tempfile.tempdir = None  # to be looked up there
    sys.argv = ["pytest", *run["arguments"]]
    pytest.main(run["arguments"])
    sys.stdout.flush()


def _run_all(runs: Sequence[dict[str, Any]], workers: int, channel: socket.socket) -> bool:
    """Run them, so many at once; False, and none is left, if nobody waits for them any more."""
    todo, running = list(runs)[::-1], set[int]()
    try:
        while todo or running:
            while todo and len(running) < workers:
                body = functools.partial(_be_pytest, todo.pop(), channel)
                running.add(_children.fork(body))
            if select.select([channel], [], [], _LOOK_EVERY_S)[0]:
                return False  # the one who asked is gone: it says nothing while it waits
            running -= {pid for pid in running if os.waitpid(pid, os.WNOHANG)[0]}
    finally:
        for pid in running:
            _children.kill(pid)
            os.waitpid(pid, 0)
    return True


def _answer(channel: socket.socket, parent: int) -> None:
    """Do what one process asks for, until it asks no more."""
    channel.sendall(b"r")  # ready
    for request in _requests(channel, parent):
        channel.sendall(b"b")  # begun
        # One more than there are cores: the last one would have them all to itself.
        if not _run_all(request, len(os.sched_getaffinity(0)) + 1, channel):
            return
        channel.sendall(b"d")  # done


def _listen(listener: socket.socket, identity: str) -> None:
    """Answer one process after another, until nobody has asked for long."""
    listener.settimeout(IDLE_S)
    with contextlib.suppress(TimeoutError):
        while True:
            channel, _ = listener.accept()
            with channel, contextlib.suppress(ConnectionError):
                channel.settimeout(_HELLO_S)
                if channel.recv(1 << 10).decode().strip() != identity:
                    return
                channel.settimeout(None)
                _answer(channel, os.getppid())


def main(arguments: Sequence[str]) -> int:
    """Stand by."""
    parent = os.getppid()
    if arguments[0] == "--listen":
        listener = socket.socket(fileno=int(arguments[1]))
        if os.fork():
            return 0  # the one that listens is nobody's child: it outlives who started it
        _preload()
        _listen(listener, arguments[2])
        return 0
    channel = socket.socket(fileno=int(arguments[0]))
    _preload()
    _answer(channel, parent)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # nothing is left to be done, and torch would take a while over it
