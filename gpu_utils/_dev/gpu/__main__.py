"""The one command for a machine with a GPU: `make gpu`.

    python3 -m gpu_utils._dev.gpu [--minutes 8] [--out FOLDER] [--only STAGE]

It installs nothing, touches no clock, and runs with the python3 that is there: torch with its
Triton, and pytest, are all it needs; ncu for the counters. Each stage is a process of its own, with
a time limit; what it has found is kept as it goes, so that neither a crash nor the end of the
budget loses what came before. In FOLDER lie afterwards

    report.txt      the table that is printed at the end
    results.json    the same as data
    log.txt         what the stages said
    DATE-GPU.json   the recordings, ready for gpu_utils/recordings/data
"""

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_utils import recordings
from gpu_utils._dev.gpu import report as reports
from gpu_utils._dev.gpu.stages import STAGES, partial

__all__ = ["main", "run_stage"]

ROOT = Path(__file__).resolve().parents[2]
# The part of the budget that a stage may take at most; what one leaves, the next may have.
_SHARES = {"machine": 0.15, "rungs": 0.4, "counters": 0.25, "peers": 1.0}
_LEAST_S = 10.0  # nothing is worth starting for less
_GOODBYE_S = 5.0  # from the interrupt to the kill
_NEEDS = (
    "make gpu needs a GPU that torch can use, and there is none here: {why}.\n"
    "It runs on a machine with an NVIDIA GPU (compute capability 8.0 or higher), Python 3.11 or "
    "newer, torch 2.11 or newer with its Triton, and pytest; ncu is used where it is. "
    "Nothing is installed."
)


def run_stage(name: str, folder: Path, limit_s: float) -> reports.Stage:
    """Run one stage in a process, at most `limit_s` seconds; what it left behind."""
    path = partial(folder, name)
    path.unlink(missing_ok=True)
    began = time.monotonic()
    with open(folder / "log.txt", "ab") as log:
        log.write(f"\n== {name}\n".encode())
        log.flush()
        ending = _run(_command(name, str(folder), f"{limit_s:g}"), log, limit_s)
    kept: dict[str, Any] = {"state": "running", "why": "", "data": {}}
    if path.exists():
        kept = json.loads(path.read_text("utf-8"))
    if kept["state"] == "running":
        kept["state"], kept["why"] = ending
    seconds = time.monotonic() - began
    return reports.Stage(name, kept["state"], kept["why"], seconds, kept["data"])


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gpu_utils._dev.gpu.stages", *arguments]


def _run(command: Sequence[str], log: Any, limit_s: float) -> tuple[str, str]:
    """Run a child and all that it starts; its state and why, if it does not say so itself."""
    kept = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    paths = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH", ""))))
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=kept | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        code = child.wait(limit_s)
    except subprocess.TimeoutExpired:
        return "timed out", f"still at work after {limit_s:.0f} s; what it had is kept"
    finally:
        _end(child)
    if code < 0:
        return "crashed", f"the process was ended by {signal.Signals(-code).name}"
    return "crashed", f"the process ended with exit code {code}: see log.txt"


def _end(child: subprocess.Popen) -> None:
    """End a process group: an interrupt first, so that it can end what it started elsewhere."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GOODBYE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _why_no_gpu() -> str:
    """Empty where there is a GPU."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error})"
    if torch.cuda.is_available():
        return ""
    return f"torch {torch.__version__} finds none"


def _write(folder: Path, text: str, name: str) -> None:
    fresh = folder / f"{name}.new"
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, folder / name)


def _keep(folder: Path, stages: Sequence[reports.Stage]) -> None:
    """Write all that is known so far."""
    results = {"schema": 1, "stages": [dataclasses.asdict(stage) for stage in stages]}
    _write(folder, json.dumps(results, indent=1) + "\n", "results.json")
    _write(folder, reports.report(stages) + "\n", "report.txt")
    found = reports.recorded(stages)
    if found:
        _write(folder, recordings.dump(found[0].run, found), recordings.file_name(found[0].run))


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if all went well, 1 if something failed or was lost, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="make gpu", allow_abbrev=False)
    minutes, out = os.environ.get("BUDGET_MIN") or "8", os.environ.get("OUT") or "gpu-results"
    parser.add_argument("--minutes", type=float, default=float(minutes), help="for all stages")
    parser.add_argument("--out", type=Path, default=Path(out), help="the folder of the results")
    parser.add_argument("--only", action="append", choices=STAGES, help="a stage; repeatable")
    options = parser.parse_args(arguments)
    if why := _why_no_gpu():
        print(_NEEDS.format(why=why), file=sys.stderr)
        return 2
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_bytes(b"")  # each run has its own
    until = time.monotonic() + 60 * options.minutes
    stages: list[reports.Stage] = []
    for name in options.only or STAGES:
        left_s = until - time.monotonic()
        if left_s < _LEAST_S:
            stages.append(reports.Stage(name, "not run", "the budget was used up", 0.0, {}))
        else:
            limit_s = min(left_s, _SHARES[name] * 60 * options.minutes)
            print(f"{name}: at most {limit_s:.0f} s", flush=True)
            stages.append(run_stage(name, folder, limit_s))
        _keep(folder, stages)
    for name in STAGES:
        partial(folder, name).unlink(missing_ok=True)
    print(reports.report(stages), flush=True)
    print(f"\nall of it: {options.out}/", flush=True)
    return int(reports.failed(stages))


if __name__ == "__main__":
    sys.exit(main())
