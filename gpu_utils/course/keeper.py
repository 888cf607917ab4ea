"""Keep watch over one process and all that it starts; afterwards none of them is left.

A keeper stands between a checker and the process that runs a learner's file. It is the reaper of
every process below it, also of those that left their session and lost their parent, so it can end
them all. It ends them when the process ends, at the time limit, when they hold too much memory
together, or when the checker goes away.
"""

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from gpu_utils import _children

_PR_SET_CHILD_SUBREAPER = 36  # orphans below this process become its children
_LOOK_EVERY_S = 0.05
_GIVE_UP_AFTER_S = 10.0  # a process that survives SIGKILL that long waits inside the kernel
_WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


def resident_bytes(pid: int) -> int:
    """Bytes of memory that a process holds, those that it shares included; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _own_bytes(pid: int) -> int:
    """The same, with what several processes share divided among them; slow."""
    with contextlib.suppress(OSError, StopIteration), open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    return 0


def _below(root: int) -> Iterator[int]:
    """The processes that descend from `root`."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                # The command's name stands in parentheses and may hold anything.
                parent = int(file.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    todo = list(children.get(root, ()))
    while todo:
        pid = todo.pop()
        yield pid
        todo += children.get(pid, ())


def _end_all() -> None:
    """Kill everything below this process, and wait until it is gone."""
    until = time.monotonic() + _GIVE_UP_AFTER_S
    while time.monotonic() < until:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not reaped:
            for pid in _below(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)


def _hold_too_much(root: int, limit_bytes: int) -> bool:
    """Whether `root` and all below it hold more; what they have in common counts once."""
    pids = [root, *_below(root)]
    if sum(map(resident_bytes, pids)) <= limit_bytes:
        return False
    return sum(map(_own_bytes, pids)) > limit_bytes


def keep(
    work: Callable[[], NoReturn],
    *,
    time_limit_s: float,
    memory_limit_bytes: int,
) -> str:
    """Run `work` in a child of this process until it ends or meets a limit; then end all below.

    This process is a child itself, from `_children.fork`, and ends below it when its parent dies.

    Args:
        work: what the child does; it leaves by `os._exit`.
        time_limit_s: seconds that the child may take.
        memory_limit_bytes: what it and its descendants may hold beyond what it starts with.

    Returns:
        "time", "memory", "parent", or "exit N" with N as `os.waitpid` gives it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _children.die_with_parent(signal.SIGTERM, os.getppid())  # to end all below first
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    deadline = time.monotonic() + time_limit_s
    limit_bytes = resident_bytes(os.getpid()) + memory_limit_bytes
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        work()
    try:
        while True:
            told = signal.sigtimedwait(_WATCHED, _LOOK_EVERY_S)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return f"exit {status}"
            if told is not None and told.si_signo != signal.SIGCHLD:
                return "parent"
            if time.monotonic() > deadline:
                return "time"
            if _hold_too_much(child, limit_bytes):
                return "memory"
    finally:
        _end_all()
