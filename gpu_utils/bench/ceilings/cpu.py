"""The CPU's ceilings, measured in a child process.

The C library reads its malloc settings once, before Python starts. Without them each large tensor
is mapped afresh, and what is timed is page faults.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gpu_utils.bench.ceilings.result import Ceilings, CeilingsError
from gpu_utils.quantities import text

__all__ = ["measured"]

# 32 GiB: no tensor is mapped on its own, and freed memory is kept, with its pages.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "34359738368", "MALLOC_TRIM_THRESHOLD_": "34359738368"}
_GRACE_S = 60.0  # on top of twice the budget: importing torch from a cold disk is slow


def measured(budget_s: float) -> Ceilings:
    """What this machine's CPU reaches, by a child process that is done in about `budget_s`."""
    # -P: a torch.py in the working directory is not ours.
    command = [sys.executable, "-P", "-m", "gpu_utils.bench.ceilings.child", str(float(budget_s))]
    line = _last_line_of(command, limit_s=2 * budget_s + _GRACE_S)
    try:
        return Ceilings.from_json(line)
    except (ValueError, TypeError, KeyError) as error:
        raise CeilingsError(
            f"expected one line of JSON from the measuring process, got {line[:200]!r} ({error}); "
            f"to see all it says: {' '.join(command)}"
        ) from error


def _last_line_of(command: Sequence[str], limit_s: float) -> str:
    """Run a child with the malloc settings; the last line that it prints."""
    paths = [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | _MALLOC | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise CeilingsError(
            f"the measuring process was ended after {text(limit_s, 's')}: the machine is busy, or "
            "short of memory and swapping; close other programs and try again"
        ) from None
    except OSError as error:
        raise CeilingsError(f"the measuring process could not be started: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise CeilingsError(
            f"the measuring process {_ending(done.returncode)}; its last words: {last}"
        )
    return (done.stdout.strip().splitlines() or [""])[-1]


def _ending(code: int) -> str:
    if code > 0:
        return f"failed with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = {
        "SIGKILL": ", most often because memory ran out: close other programs and try again",
        "SIGILL": ": this build of torch uses instructions that this CPU lacks",
    }
    return f"was ended by {name}{cause.get(name, '')}"
