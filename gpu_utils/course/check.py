"""`check("lab00")`: run a lab's tests in a child process and say what they found."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from gpu_utils.course import progress, units
from gpu_utils.course.verdict import RungVerdict, TaskVerdict, Verdict

_INSIDE = "RIDGE_IN_CHECK"
_SLACK_S = 60  # for starting, importing torch and collecting, on a slow machine


def check(what: str, *, side: str | None = None, time_limit_s: float | None = None) -> Verdict:
    """Check a lab or one of its tasks; the same run as plain pytest and `ridge check`.

    Args:
        what: `"lab00"` or `"lab00:a"`.
        side: `"labs"`, `"solutions"` or a path to a lab file; by default the labs, and in the
            solutions' folder the solutions.
        time_limit_s: for each task; by default the lab's own.

    Returns:
        A `Verdict`, which prints and shows itself. One line is appended to the progress file.

    Raises:
        UnknownName: no such lab or task; the message lists those that exist.
        FileNotFoundError: `side` names a file that is not there.
    """
    unit, tasks = units.find(what)
    side = side or units.default_side()
    if side not in units.SIDES:
        side = str(Path(side).expanduser().resolve())
        if not Path(side).is_file():
            raise FileNotFoundError(
                f"--side is labs, solutions or the path of a lab file; there is no file {side}"
            )
    if os.environ.get(_INSIDE):
        raise RuntimeError("this is a check already: take check(...) out of the lab file")
    verdict = Verdict(tuple(judge(unit, tasks, [side], time_limit_s)))
    try:
        progress.append(verdict)
    except OSError as error:  # the verdict is worth more than its record
        warnings.warn(f"progress was not kept: {error}", stacklevel=2)
    return verdict


def judge(
    unit: units.Unit,
    tasks: Sequence[units.Task],
    sides: Sequence[str],
    time_limit_s: float | None = None,
) -> list[TaskVerdict]:
    """Climb with each side of each task, in one child process; nothing is recorded."""
    limit_s = time_limit_s or unit.time_limit_s
    with tempfile.TemporaryDirectory(prefix="ridge-check-") as folder:
        report, log = Path(folder, "report.jsonl"), Path(folder, "log.txt")
        command = [
            *(sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=short"),
            *("-p", "no:cacheprovider", "-p", "gpu_utils.course.ladder"),
            *(f"--rootdir={units.root()}", f"--basetemp={folder}/tmp"),
            *(f"--ladder-report={report}", f"--ladder-time-limit={limit_s}"),
            *(f"--side={side}" for side in sides),
            *(f"--task={task.id}" for task in tasks),
            str(unit.test_file),
        ]
        Path(folder, "scratch").mkdir()
        trouble = _run(command, log, len(tasks) * len(sides) * limit_s + _SLACK_S)
        lines = report.read_text("utf-8").splitlines() if report.exists() else []
        found = [TaskVerdict.from_dict(json.loads(line)) for line in lines]
        missing = trouble or _tail(log)
    known: dict[tuple[str, str], TaskVerdict] = {}
    for verdict in found:
        key = verdict.side, verdict.task
        if key in known:  # the file under judgement can write into the report, too
            why = "there is more than one verdict on it; does the file write to the report?"
            verdict = _no_verdict(unit, verdict.side, unit.task(verdict.task), why)
        known[key] = verdict
    return [
        known.get((side, task.id)) or _no_verdict(unit, side, task, missing)
        for side in sides
        for task in tasks
    ]


def _run(command: list[str], log: Path, seconds: float) -> str:
    """Run pytest with its output in a file; say what went wrong if it had to be killed."""
    # With TRITON_INTERPRET set, @triton.jit would not make kernels that can be caught.
    kept = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", "PYTEST_ADDOPTS")}
    environment = {
        **kept,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # nbval alone costs seconds to import
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(log.parent / "scratch"),  # what a lab file leaves there goes with the check
        _INSIDE: "1",
    }
    with open(log, "wb") as out:
        child = subprocess.Popen(
            command,
            cwd=units.root(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"the check as a whole was still running after {seconds:g} s"
        finally:
            # Also on KeyboardInterrupt: interrupting the notebook must not leave a check behind.
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    return ""


def _tail(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace").strip()
    return "the tests did not run:\n" + "\n".join(text.splitlines()[-15:])


def _no_verdict(unit: units.Unit, side: str, task: units.Task, why: str) -> TaskVerdict:
    return TaskVerdict(unit.name, side, task.id, task.title, (RungVerdict("runs", "crashed", why),))
