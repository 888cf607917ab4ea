"""One timing at a time on each device, over all processes and users of a machine.

Each device has a lock file, and whoever times holds an `flock` on it, which the kernel drops when
the holder dies, however it dies. The directory of these files is `$RIDGE_LOCK_DIR`, else
`ridgepoint-locks` in the machine's temporary directory. Containers that share a GPU share no
temporary directory: there the variable must name a directory that all of them mount.

Everybody may write the directory, and it is not sticky: in a sticky one Linux refuses to open
another user's file with O_CREAT (fs.protected_regular), and `filelock` refuses the file even if it
opens, since its owner may delete it under the holder.
"""

import contextlib
import getpass
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_utils.quantities import text

__all__ = ["LIMIT_S", "TimingLockTimeout", "held"]

# Below a lab task's own limit of 60 s, so that a check that waits in vain can say for whom.
LIMIT_S = 45.0
_PATIENCE_S = 1.0  # a wait that is shorter is not worth a message
_EVERYBODY = 0o777

# One for each file: `filelock` counts how often one object is taken, thread by thread.
_locks: dict[Path, Any] = {}
_warned: set[str] = set()


class TimingLockTimeout(TimeoutError):
    """Somebody else timed on the device for longer than was to be waited."""


@contextlib.contextmanager
def held(device: str, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Hold a device for timing, after waiting until nobody else does.

    The thread that holds it may take it again. Where no lock file can be written, a warning says
    so once and the timing goes on without one.

    Args:
        device: "cpu", or what tells a GPU from all others whoever asks: its UUID.
        limit_s: How long to wait at most, in seconds.

    Raises:
        TimingLockTimeout: It was held for longer; the message says by whom.
    """
    lock = _acquired(device, limit_s)
    try:
        yield
    finally:
        if lock is not None:
            if _depth(lock) == 1:
                _sign_off(lock)
            lock.release()


def _acquired(device: str, limit_s: float) -> Any:
    """The lock, taken; None where there can be none."""
    import filelock  # 50 ms, which a course that never times need not pay

    try:
        path = directory() / f"{re.sub(r'[^A-Za-z0-9._-]', '-', device)}.lock"
        lock = _locks.setdefault(path, filelock.FileLock(path, mode=0o666))
        _wait(lock, device, limit_s)
    except filelock.Timeout:
        raise TimingLockTimeout(
            f"nothing was timed: after {text(limit_s, 's')} {device} was still held by "
            f"{_holder(path)}. Two timings at once would disturb each other; try again later, or "
            "end that process"
        ) from None
    except OSError as error:
        _warn_once(
            "timings are not kept apart from those of other processes: no lock file can be "
            f"written ({error.strerror or error}); set RIDGE_LOCK_DIR to a directory that all "
            "users can write"
        )
        return None
    if _depth(lock) == 1:
        _sign(lock)
    return lock


def _wait(lock: Any, device: str, limit_s: float) -> None:
    import filelock

    began = time.monotonic()
    with contextlib.suppress(filelock.Timeout):
        lock.acquire(timeout=min(_PATIENCE_S, limit_s))
        return
    left_s = limit_s - (time.monotonic() - began)
    print(
        f"waiting up to {text(limit_s, 's')} for {device}, on which one timing runs at a time: it "
        f"is held by {_holder(Path(lock.lock_file))}",
        file=sys.stderr,
        flush=True,
    )
    lock.acquire(timeout=max(left_s, 0))


def _depth(lock: Any) -> int:
    """How often this thread has taken the lock."""
    return lock.lock_counter


def directory() -> Path:
    """The directory of the lock files, which all users can write; it is made where missing.

    Not where $TMPDIR points, which may be one user's own.
    """
    chosen = os.environ.get("RIDGE_LOCK_DIR")
    path = Path(chosen) if chosen else _temporary() / "ridgepoint-locks"
    if path.is_dir():
        return path
    # Made aside and renamed, so that nobody meets it before everybody may write it.
    fresh = Path(tempfile.mkdtemp(prefix=".ridgepoint-", dir=path.parent))
    fresh.chmod(_EVERYBODY)  # the umask does not apply to chmod
    try:
        fresh.rename(path)
    except OSError:
        fresh.rmdir()
        if not path.is_dir():  # else another process was first
            raise
    return path


def _temporary() -> Path:
    shared = Path("/tmp")
    return shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


# The holder's card is a file of its own: some releases of `filelock` empty the lock file whenever
# somebody tries it.


def _card(path: Path) -> Path:
    return path.with_suffix(".holder")


def _sign(lock: Any) -> None:
    card = _card(Path(lock.lock_file))
    said = {"pid": os.getpid(), "user": _user(), "command": " ".join(sys.orig_argv)[:200]}
    with contextlib.suppress(OSError):  # the lock holds without it; who waits learns less
        with tempfile.NamedTemporaryFile("w", dir=card.parent, delete=False) as file:
            file.write(json.dumps(said | {"since": time.time()}))
        os.chmod(file.name, 0o644)
        os.replace(file.name, card)


def _sign_off(lock: Any) -> None:
    with contextlib.suppress(OSError):
        _card(Path(lock.lock_file)).unlink()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"user {os.getuid()}"


def _holder(path: Path) -> str:
    try:
        said = json.loads(_card(path).read_text("utf-8"))
        since_s = max(time.time() - said["since"], 0)
        return (
            f"process {said['pid']} of {said['user']} since {text(since_s, 's')} "
            f"({said['command']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process, which left no name"


def _warn_once(message: str) -> None:
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, stacklevel=6)
