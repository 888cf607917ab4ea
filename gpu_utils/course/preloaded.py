"""Run pytest in a process that has imported everything already, and keep it for the next time.

A notebook's process (`standby`) belongs to its kernel: it ends with it, on an interrupt, and when
nobody has asked for twenty minutes. The commands of a terminal live for one check each, so they
share one that outlives them by as long; `RIDGE_STANDBY=off` does without. Another one takes its
place as soon as anything differs that it has imported or inherited: a file of gpu_utils, another
torch or Triton, the environment.
"""

import atexit
import contextlib
import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["close", "dismiss", "run_pytest"]

_PACKAGE = Path(__file__).resolve().parents[1]
_FOREIGN = ("torch", "triton", "numpy", "sympy", "pytest")
# With TRITON_INTERPRET set, @triton.jit would not make kernels that can be caught.
_NOT_INHERITED = ("TRITON_INTERPRET", "PYTEST_ADDOPTS")
_SHELLS_OWN = ("_", "SHLVL", "PWD", "OLDPWD", "COLUMNS", "LINES")  # and no matter to a check
# Tensors of production size in pages of 2 MB: asking for memory takes as long as using it.
_LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_PATIENCE_S = 10.0  # with a process that was told to end


class _Gone(Exception):
    """The process ended, with what was asked begun or not; the text is what it said."""


class _Standby:
    """A process that stands by, and the socket to it."""

    def __init__(self, channel: socket.socket) -> None:
        self.owner = os.getpid()
        self._channel = channel
        self._is_ready = self.has_begun = False

    def run(self, runs: Sequence[Mapping[str, Any]], deadline: float) -> None:
        """Have it run pytest, and wait.

        Raises:
            TimeoutError: it was not done by then.
            _Gone: it ended first; `has_begun` tells whether in the midst of it.
        """
        self.has_begun = False
        if not self._is_ready:
            self._hear(deadline)
            self._is_ready = True
        with contextlib.suppress(BrokenPipeError):  # told by the silence that follows
            self._channel.sendall(json.dumps(runs).encode() + b"\n")
        self._hear(deadline)
        self.has_begun = True
        self._hear(deadline)

    def _hear(self, deadline: float) -> None:
        """Wait for the next sign, one byte."""
        self._channel.settimeout(max(1e-3, deadline - time.monotonic()))
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            heard = self._channel.recv(1)
        if not heard:
            raise _Gone(self._last_words())

    def _last_words(self) -> str:
        return "it was ended"

    def close(self) -> None:
        """Ask no more: whatever it runs for this process is ended."""
        self._channel.close()


class _Own(_Standby):
    """One that belongs to this process."""

    def __init__(self, root: Path, environment: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _start([str(theirs.fileno())], theirs, root, environment, self._said)
        super().__init__(ours)

    def _last_words(self) -> str:
        code = self._process.wait(_PATIENCE_S)
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()
        return said or f"it ended with exit code {code}"

    def close(self) -> None:
        """End it, and all that it runs."""
        super().close()
        if not self._is_ready:  # still importing, so it would not notice yet; nothing runs in it
            self._process.kill()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()


def _start(
    arguments: Sequence[str],
    passed: socket.socket,
    root: Path,
    environment: Mapping[str, str],
    said: Any,
) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "gpu_utils.course.standby", *arguments],
        cwd=root,
        env=environment,
        pass_fds=[passed.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # an interrupt of the one who asks is not for it
    )


def _shared(root: Path, environment: Mapping[str, str], identity: str) -> _Standby:
    """The one that this user's terminals share in this course, started if there is none.

    Raises:
        OSError: there can be none, as on a disk that is full.
    """
    place = _meeting_place(root)
    for _ in range(2):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as channel:
            channel.connect(str(place))
            channel.sendall(identity.encode() + b"\n")
            if channel.recv(1, socket.MSG_PEEK):  # it says that it is ready; else it was outdated
                return _Standby(channel.dup())
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen()
            arguments = ["--listen", str(listener.fileno()), identity]
            _start(arguments, listener, root, environment, subprocess.DEVNULL).wait(_PATIENCE_S)
    raise OSError("the process that stands by does not answer")


def dismiss(root: Path) -> None:
    """End the process that terminals share, if there is one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(_meeting_place(root)))
        channel.sendall(b"nothing that you know\n")  # so it takes itself to be out of date
        channel.recv(1)


def _meeting_place(root: Path) -> Path:
    """A socket's name in a folder that is this user's alone."""
    chosen = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(chosen or Path.home() / ".cache") / "ridgepoint"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{_digest(root)}.sock"  # a socket's name has 107 characters at most


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


_lock = threading.Lock()  # one check at a time in a process
_kept: tuple[Any, _Standby] | None = None


def run_pytest(
    runs: Sequence[Mapping[str, Any]], *, root: Path, extra: Mapping[str, str], seconds: float
) -> str:
    """Run pytest with each of several lists of arguments, about as many at once as there are cores.

    Args:
        runs: of each, its "arguments" and the file to which its output goes, "log".
        root: the folder in which it runs.
        extra: environment variables beside this process's own.
        seconds: after which all are killed.

    Returns:
        What went wrong as a whole; "" if each run came to its end, good or bad.
    """
    deadline = time.monotonic() + seconds
    with _lock:
        try:
            kept_before = _kept
            standby = _current(root, extra)
            try:
                standby.run(runs, deadline)
            except _Gone:
                if _kept is not kept_before or standby.has_begun:
                    raise
                close()  # it was idle for too long, or killed meanwhile
                _current(root, extra).run(runs, deadline)
        except TimeoutError:
            close()
            return f"the check as a whole was still running after {seconds:g} s"
        except _Gone as error:
            close()
            return f"the process in which checks run has ended:\n{_tail(str(error))}"
        except BaseException:  # an interrupt of the notebook must not leave a check behind
            close()
            raise
    return ""


def close() -> None:
    """End the process that stands by, if there is one."""
    global _kept
    kept, _kept = _kept, None
    if kept is not None and kept[1].owner == os.getpid():  # a fork's copy is not its own
        kept[1].close()


def _current(root: Path, extra: Mapping[str, str]) -> _Standby:
    """The process that stands by; another one if what it has imported is out of date."""
    global _kept
    inherited = {k: v for k, v in os.environ.items() if k not in _NOT_INHERITED}
    environment = {**_LARGE_PAGES, **inherited, **extra}
    identity = (os.getpid(), root, environment, _versions(root))
    if _kept is None or _kept[0] != identity:
        close()
        _kept = identity, _begun(root, environment)
    return _kept[1]


def _begun(root: Path, environment: Mapping[str, str]) -> _Standby:
    wanted = os.environ.get("RIDGE_STANDBY") or ("on" if _is_terminal() else "off")
    if wanted == "on":
        told = {name: value for name, value in environment.items() if name not in _SHELLS_OWN}
        with contextlib.suppress(OSError):  # then this process has one of its own
            return _shared(root, environment, _digest(sorted(told.items()), _versions(root)))
    return _Own(root, environment)


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and "ipykernel" not in sys.modules


def _versions(root: Path) -> tuple:
    """What changes when a file is written anew: the course's own, and others' packages."""
    package = root / "gpu_utils" if (root / "gpu_utils").is_dir() else _PACKAGE
    ours = [
        Path(folder, name)
        for folder, _, names in os.walk(package)
        if not folder.endswith("__pycache__")
        for name in names
    ]
    specs = [importlib.util.find_spec(name) for name in _FOREIGN]  # imports none of them
    theirs = [Path(spec.origin) for spec in specs if spec is not None and spec.origin]
    return tuple(_stamp(path) for path in sorted([*ours, *theirs]))


def _stamp(path: Path) -> tuple:
    with contextlib.suppress(FileNotFoundError):  # a link that leads nowhere, as editors leave
        status = path.stat()
        return str(path), status.st_mtime_ns, status.st_size, status.st_ino
    return (str(path),)


def _tail(text: str) -> str:
    return "\n".join(text.splitlines()[-15:])


atexit.register(close)
