"""Run something in a forked child with a time and a memory limit, and hear its last words.

The child sends JSON lines through a pipe. A child that ends without saying "done" has crashed,
whatever its exit code says: a lab that calls `os._exit(0)` does not pass.
"""

import contextlib
import ctypes
import dataclasses
import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
_POLL_S = 0.05
_PRINT_LIMIT_BYTES = 64 * 10**6  # of any one file the child writes, captured prints included


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a worker ended: "done", "crashed" or "timed out", with a sentence for people."""

    how: str
    sentence: str = ""


def _resident_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):  # it just ended
        return 0


def _read(line: bytes) -> dict | None:
    """A message; None for what this module did not write."""
    with contextlib.suppress(ValueError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    return None


def _ending(status: int) -> Ending:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        what = {signal.SIGSEGV: "a segmentation fault", signal.SIGABRT: "an abort"}
        name = what.get(number, signal.Signals(number).name)  # type: ignore[call-overload]
        return Ending("crashed", f"the process died of {name}")
    code = os.waitstatus_to_exitcode(status)
    return Ending(
        "crashed",
        f"the process ended by itself with exit code {code} before the check was over; "
        "does the file call sys.exit or os._exit?",
    )


def _child(
    body: Callable[[Callable[[dict], None]], None], pipe: int, memory_limit_bytes: int
) -> None:
    """Never returns: the child leaves by `os._exit`, past the parent's exit handlers."""
    code = 1
    try:
        # A child whose parent is interrupted or killed must not run on.
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        os.setsid()  # its own process group, so that its children can be ended with it
        limit = _resident_bytes(os.getpid()) + memory_limit_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_PRINT_LIMIT_BYTES, _PRINT_LIMIT_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.disable()  # a crash is told by its signal; the dump would be of pytest
        if (torch := sys.modules.get("torch")) is not None:
            # The parent's OpenMP threads did not survive the fork; waiting for them is for ever.
            torch.set_num_threads(1)

        def send(message: dict[str, Any]) -> None:
            data = json.dumps(message).encode() + b"\n"
            while data:
                data = data[os.write(pipe, data) :]

        try:
            body(send)
            send({"done": True})
            code = 0
        except BaseException as error:  # KeyboardInterrupt and SystemExit too
            send({"raised": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(code)


def run(
    body: Callable[[Callable[[dict], None]], None],
    *,
    time_limit_s: float,
    memory_limit_bytes: int,
) -> Iterator[dict | Ending]:
    """Yield the messages that `body(send)` sends from its child; the last item is an `Ending`.

    Args:
        body: runs in the child with a function that sends one JSON-able dict.
        time_limit_s: wall-clock seconds, after which the child and its children are killed.
        memory_limit_bytes: what the child may hold beyond what it started with.
    """
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns that a child of a threaded process may deadlock; this one runs
        # its own code on one thread and is killed at the deadline.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(read_end)
        _child(body, write_end, memory_limit_bytes)
    os.close(write_end)
    os.set_blocking(read_end, False)
    start_bytes = _resident_bytes(pid)
    group = pid
    deadline = time.monotonic() + time_limit_s
    pending, done, raised, ending = b"", False, "", None
    try:
        while ending is None:
            select.select([read_end], [], [], _POLL_S)
            exited, status = os.waitpid(pid, os.WNOHANG)
            if exited:
                ending = _ending(status)
                pid = 0
            elif time.monotonic() > deadline:
                ending = Ending("timed out", f"still running after {time_limit_s:g} s")
            elif _resident_bytes(pid) - start_bytes > memory_limit_bytes:
                limit = f"{memory_limit_bytes / 1e9:g} GB"
                ending = Ending("crashed", f"it took more than {limit} of memory")
            # What was sent before the end counts, so the pipe is emptied after the look.
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(read_end, 1 << 16):
                    pending += chunk
            *lines, pending = pending.split(b"\n")
            for line in lines:
                message = _read(line)
                if message is None:
                    ending = Ending("crashed", "it wrote into the checker's own pipe")
                    break
                if "done" in message:
                    done = True
                elif "raised" in message:
                    raised = f"it was ended by {message['raised']}"
                else:
                    yield message
        if done:
            ending = Ending("done")
        elif raised:
            ending = Ending("crashed", raised)
        yield ending
    finally:
        os.close(read_end)
        # Whatever it started goes with it, also when it ended by itself.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
