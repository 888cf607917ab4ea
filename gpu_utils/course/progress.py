"""The learner's record: one JSON line a check, appended, never rewritten."""

import datetime
import getpass
import json
import os
from pathlib import Path

from gpu_utils.course import units
from gpu_utils.course.verdict import SIGNS, Verdict

VERSION = 1


def path() -> Path:
    """`$RIDGE_PROGRESS_DIR/<name>.jsonl`, or in the user's state directory."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(os.environ.get("RIDGE_PROGRESS_DIR") or Path(state) / "ridgepoint")
    name = os.environ.get("RIDGE_NAME") or getpass.getuser()
    return folder / f"{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}.jsonl"


def append(verdict: Verdict) -> None:
    """Record a check. One write of one line: two checks at once do not mix their lines."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    record = {
        "version": VERSION,
        "time": now,
        "tasks": [
            {
                "task": task.name,
                "side": task.side if task.side in units.SIDES else "file",
                "state": task.state,
                "stopped_at": task.stopped_at.rung if task.stopped_at else None,
            }
            for task in verdict.tasks
        ],
    }
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "ab", buffering=0) as out:
        out.write(json.dumps(record).encode() + b"\n")


def read() -> list[dict]:
    """Every record that can be read; a torn last line is left out, and left alone."""
    try:
        lines = path().read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


class Status:
    """Where the learner stands: the last verdict of each task. Prints as a table."""

    def __init__(self, last: dict[str, str], ever: set[str]) -> None:
        self.last, self.ever = last, ever

    def __repr__(self) -> str:
        rows = []
        for unit in units.units():
            rows.append(f"{unit.name}  {unit.title}")
            for task in unit.tasks:
                name = f"{unit.name}:{task.id}"
                state = self.last.get(name, "not checked yet")
                sign = SIGNS.get(state, "○")
                before = ", passed before" if name in self.ever and state != "passed" else ""
                kind = "core" if task.core else "extra"
                minutes = f"{task.minutes} min, {kind}"
                rows.append(f"  {sign} {name}  {task.title:<34}{minutes:<15}{state}{before}")
        return "\n".join(rows)


def status() -> Status:
    """The last state of each task in the learner's own labs, from the progress file."""
    last: dict[str, str] = {}
    ever: set[str] = set()
    for record in read():
        for task in record.get("tasks", []):
            if task.get("side") == "labs":
                last[task["task"]] = task["state"]
                if task["state"] == "passed":
                    ever.add(task["task"])
    return Status(last, ever)
