"""Run something in a forked child with a time and a memory limit, and hear its last words.

The child sends JSON lines through a pipe. Each begins with a word that only this module knows:
what a lab file writes into the pipe is no message. A child that ends without saying "done" has
crashed, whatever its exit code says: a lab that calls `os._exit(0)` does not pass.
"""

import contextlib
import dataclasses
import json
import os
import resource
import secrets
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from gpu_utils import _children
from gpu_utils.course import keeper

Send = Callable[[dict[str, Any]], None]

_PRINT_LIMIT_BYTES = 64 * 10**6  # of any one file the child writes, captured prints included
_PIPE_LIMIT_BYTES = 64 * 10**6  # of all messages
_KEEPER_SLACK_S = 30.0  # for ending what is left below the keeper


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a worker ended: "done", "crashed" or "timed out", with a sentence for people."""

    how: str
    sentence: str = ""


def _live(
    body: Callable[[Send], None], pipe: int, word: bytes, memory_limit_bytes: int
) -> NoReturn:
    """Be the worker: leave by `os._exit`, past the parent's exit handlers."""
    code = 1
    try:
        # A worker whose keeper is killed must not run on.
        _children.die_with_parent(signal.SIGKILL, os.getppid())
        os.setsid()  # an interrupt in the terminal goes to the checker alone
        limit = keeper.resident_bytes(os.getpid()) + memory_limit_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_PRINT_LIMIT_BYTES, _PRINT_LIMIT_BYTES))
        if (torch := sys.modules.get("torch")) is not None:
            # The parent's OpenMP threads did not survive the fork; waiting for them is for ever.
            torch.set_num_threads(1)

        def send(message: dict[str, Any]) -> None:
            data = word + json.dumps(message).encode() + b"\n"
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


def _start(
    body: Callable[[Send], None], word: bytes, time_limit_s: float, memory_limit_bytes: int
) -> tuple[int, int, int]:
    """Fork the keeper, which forks the worker; the keeper's pid, and both their pipes to read."""
    messages, from_worker = os.pipe()
    report, from_keeper = os.pipe()

    def work() -> NoReturn:
        for pipe in (messages, report, from_keeper):  # not the worker's
            os.close(pipe)
        _live(body, from_worker, word, memory_limit_bytes)

    def watch() -> None:
        try:
            how = keeper.keep(
                work, time_limit_s=time_limit_s, memory_limit_bytes=memory_limit_bytes
            )
        except OSError as error:  # no process or no memory left, for one
            how = f"gave up: {error}"
        os.write(from_keeper, how.encode())

    pid = _children.fork(watch)
    os.close(from_worker)
    os.close(from_keeper)
    os.set_blocking(messages, False)
    return pid, messages, report


def _ending(how: str, time_limit_s: float, memory_limit_bytes: int) -> Ending:
    """What a keeper's report means, for a worker that did not say how it ended."""
    if how == "time":
        return Ending("timed out", f"still running after {time_limit_s:g} s")
    if how == "memory":
        return Ending("crashed", f"it took more than {memory_limit_bytes / 1e9:g} GB of memory")
    if how.startswith("gave up"):
        return Ending("crashed", f"the process that watches over the check {how}")
    if not how.startswith("exit "):
        return Ending("crashed", "the process that watches over the check was killed")
    status = int(how.removeprefix("exit "))
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


class _Inbox:
    """The messages of one worker, as they come in."""

    def __init__(self, pipe: int, word: bytes) -> None:
        self.pipe, self.word = pipe, word
        self.closed = self.done = False
        self.raised = ""
        self._pending, self._received = b"", 0

    def read(self) -> Iterator[dict]:
        """What has come; `ValueError` for what the worker's own `send` did not write."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.pipe, 1 << 16):
                self._received += len(chunk)
                if self._received > _PIPE_LIMIT_BYTES:
                    raise ValueError("a flood")
                *lines, self._pending = (self._pending + chunk).split(b"\n")
                for line in lines:
                    if not line.startswith(self.word):
                        raise ValueError("not a message")
                    message = json.loads(line.removeprefix(self.word))
                    self.done = self.done or "done" in message
                    self.raised = message.get("raised", self.raised)
                    if not ("done" in message or "raised" in message):
                        yield message
            self.closed = True


def run(
    body: Callable[[Send], None],
    *,
    time_limit_s: float,
    memory_limit_bytes: int,
) -> Iterator[dict | Ending]:
    """Yield the messages that `body(send)` sends from its child; the last item is an `Ending`.

    Whatever the child started has ended by then, too.

    Args:
        body: runs in the child with a function that sends one JSON-able dict.
        time_limit_s: wall-clock seconds, after which the child and its children are killed.
        memory_limit_bytes: what they may hold together beyond what the child started with.
    """
    word = f"{secrets.token_hex(16)} ".encode()
    pid, messages, report = _start(body, word, time_limit_s, memory_limit_bytes)
    inbox = _Inbox(messages, word)
    give_up = time.monotonic() + time_limit_s + _KEEPER_SLACK_S
    how: str | None = None
    try:
        with selectors.DefaultSelector() as ready:
            for pipe in (messages, report):
                ready.register(pipe, selectors.EVENT_READ)
            while how is None:
                come = {key.fd for key, _ in ready.select(max(0, give_up - time.monotonic()))}
                if report in come or not come:
                    how = os.read(report, 1000).decode() if come else ""
                # After the report: nobody is left to write, so this is all there is.
                yield from inbox.read()
                if inbox.closed and messages in come:
                    ready.unregister(messages)
        if inbox.done:
            yield Ending("done")
        elif inbox.raised:
            yield Ending("crashed", f"it was ended by {inbox.raised}")
        else:
            yield _ending(how, time_limit_s, memory_limit_bytes)
    except ValueError:
        yield Ending("crashed", "it wrote into the checker's own pipe")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)  # the keeper ends all below it first
        os.close(messages)
        os.close(report)  # nobody listens any more, so that nobody waits for being heard
        os.waitpid(pid, 0)
