"""`check("lab00")`: run a lab's tests in other processes and say what they found."""

import dataclasses
import json
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_utils.course import preloaded, progress, units
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
    sides: Sequence[str] | Mapping[str, Sequence[str]],
    time_limit_s: float | None = None,
) -> list[TaskVerdict]:
    """Climb with each side of each task, away from this process; nothing is recorded.

    `sides` are those of every task, or a task's id -> its own; the verdicts come side by side.

    Tasks are climbed side by side, one more than there are cores. The sides of one task come one
    after another: a hostile file must not take another one's time.
    """
    limit_s = time_limit_s or unit.time_limit_s
    of = sides if isinstance(sides, Mapping) else {task.id: sides for task in tasks}
    with tempfile.TemporaryDirectory(prefix="ridge-check-") as folder:
        runs = [_Run(unit, task, of[task.id], limit_s, Path(folder, task.id)) for task in tasks]
        trouble = preloaded.run_pytest(
            [run.as_json() for run in runs],
            root=units.root(),
            # nbval alone costs seconds to import
            extra={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", _INSIDE: "1"},
            seconds=sum(map(len, of.values())) * limit_s + _SLACK_S,
        )
        found = [verdict for run in runs for verdict in run.verdicts(trouble)]
    known = {(verdict.side, verdict.task): verdict for verdict in found}
    each = dict.fromkeys(side for task in tasks for side in of[task.id])
    return [known[s, task.id] for s in each for task in tasks if s in of[task.id]]


@dataclasses.dataclass(frozen=True)
class _Run:
    """One run of pytest: a task, climbed with some sides one after another."""

    unit: units.Unit
    task: units.Task
    sides: Sequence[str]
    limit_s: float
    place: Path

    @property
    def log(self) -> Path:
        return self.place.with_suffix(".log")

    @property
    def report(self) -> Path:
        return self.place.with_suffix(".jsonl")

    def as_json(self) -> dict[str, Any]:
        """As `preloaded.run_pytest` takes it."""
        arguments = [
            *("-q", "--no-header", "--tb=short"),
            *("-p", "no:cacheprovider", "-p", "gpu_utils.course.ladder"),
            *(f"--rootdir={units.root()}", f"--basetemp={self.place}"),
            *(f"--ladder-report={self.report}", f"--ladder-time-limit={self.limit_s}"),
            *(f"--side={side}" for side in self.sides),
            *(f"--task={self.task.id}", str(self.unit.test_file)),
        ]
        scratch = self.place.with_suffix(".scratch")
        scratch.mkdir()  # what a lab file leaves there goes with the check
        environment = {"TMPDIR": str(scratch)}
        return {"arguments": arguments, "log": str(self.log), "environment": environment}

    def verdicts(self, trouble: str) -> list[TaskVerdict]:
        """One a side; where pytest left none, why."""
        lines = self.report.read_text("utf-8").splitlines() if self.report.exists() else []
        found: dict[str, list[TaskVerdict]] = {side: [] for side in self.sides}
        for verdict in (TaskVerdict.from_dict(json.loads(line)) for line in lines):
            found.setdefault(verdict.side, []).append(verdict)
        return [self._only(side, found[side], trouble) for side in self.sides]

    def _only(self, side: str, found: list[TaskVerdict], trouble: str) -> TaskVerdict:
        if len(found) == 1 and found[0].task == self.task.id:
            return found[0]
        why = trouble or _tail(self.log)
        if found:  # the file under judgement can write into the report, too
            why = "there is more than one verdict on it; does the file write to the report?"
        rung = RungVerdict("runs", "crashed", why)
        return TaskVerdict(self.unit.name, side, self.task.id, self.task.title, (rung,))


def _tail(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace").strip() if log.exists() else ""
    return "the tests did not run:\n" + "\n".join(text.splitlines()[-15:])
