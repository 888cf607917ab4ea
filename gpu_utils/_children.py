"""Fork a child that ends with its parent and takes along whatever it started.

What a child does, and how it answers, is up to the caller: `fork` holds what every child needs
that runs code which may crash, hang or never return.
"""

import contextlib
import ctypes
import faulthandler
import os
import resource
import signal
import traceback
import warnings
from collections.abc import Callable

__all__ = ["die_with_parent", "fork", "kill"]

_PR_SET_PDEATHSIG = 1  # of Linux: the signal that comes when the parent dies


def die_with_parent(number: int, parent: int) -> None:
    """Ask for the signal `number` at the death of `parent`, which forked this process."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it died before it was asked for
        os._exit(1)


def _detach(parent: int) -> None:
    """Give the child a process group of its own, and the fate of its parent."""
    os.setsid()  # an interrupt goes to the parent alone, and `kill` reaches grandchildren
    die_with_parent(signal.SIGKILL, parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # a crash is told by its signal; the dump would be of the parent


def fork(body: Callable[[], object]) -> int:
    """Run `body` in a forked child, and return the child's number to the parent.

    The child leaves with status 0 when `body` returns and 1 when it raises, past the parent's
    exit handlers. It is killed when the thread that forked it ends.
    """
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads, which may hold locks. Every user sets a
        # time limit, which also ends a child that waits for a lock that nobody holds.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _detach(parent)
        body()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def kill(pid: int) -> None:
    """Kill a child and all that it started; a child that was waited for must not be named."""
    with contextlib.suppress(ProcessLookupError):  # it has not become a group's leader yet
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
