"""What a check found: data first, then one text and one HTML form of it."""

import dataclasses
import html
from typing import Any

RUNGS = ("runs", "safe", "correct", "lean", "native", "fast")

# A word and a sign for each state: colour is never the only signal.
SIGNS = {
    "passed": "✓",
    "failed": "✗",
    "crashed": "✗",
    "timed out": "✗",
    "not started": "○",
    "not reached": "·",
    "needs a GPU": "–",
}
_COLOURS = {
    "passed": "#009E73",
    "failed": "#D55E00",
    "crashed": "#D55E00",
    "timed out": "#D55E00",
}


@dataclasses.dataclass(frozen=True)
class RungVerdict:
    """One rung: its state, and the message that teaches or the evidence that convinces."""

    rung: str
    state: str
    message: str = ""
    where: str = ""
    evidence: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class TaskVerdict:
    """One task's climb. `state` is the first rung's that stopped it, else "passed"."""

    unit: str
    side: str
    task: str
    title: str
    rungs: tuple[RungVerdict, ...]

    @property
    def name(self) -> str:
        return f"{self.unit}:{self.task}"

    @property
    def stopped_at(self) -> RungVerdict | None:
        """The rung that stopped the climb; None when nothing did."""
        for rung in self.rungs:
            if rung.state not in ("passed", "needs a GPU"):
                return rung
        return None

    @property
    def state(self) -> str:
        stop = self.stopped_at
        if stop is not None:
            return stop.state
        # A task passes because rungs were climbed, never because none were found.
        return "passed" if any(rung.state == "passed" for rung in self.rungs) else "crashed"

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {"state": self.state}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "TaskVerdict":
        rungs = tuple(
            RungVerdict(**{**rung, "evidence": tuple(rung["evidence"])}) for rung in data["rungs"]
        )
        return cls(data["unit"], data["side"], data["task"], data["title"], rungs)

    def lines(self) -> list[str]:
        """The climb, one line a rung; not-started tasks and rungs not reached stay one line."""
        rows = [f"{SIGNS[self.state]} {self.name} {self.title}: {self.state}"]
        for rung in self.rungs:
            if rung.state in ("not started", "not reached"):
                continue
            texts = [rung.message] if rung.message else list(rung.evidence)
            head, *rest = texts or [rung.state]
            rows.append(f"    {SIGNS[rung.state]} {rung.rung:<8}{head}")
            rows += [f"              {text}" for text in rest]
            if rung.where:
                rows.append(f"              at {rung.where}")
        return rows


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A check's result: one `TaskVerdict` a task. Prints as text, shows as HTML in a notebook."""

    tasks: tuple[TaskVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every task asked for passed."""
        return bool(self.tasks) and all(task.state == "passed" for task in self.tasks)

    def __repr__(self) -> str:
        return "\n".join(line for task in self.tasks for line in task.lines())

    def _repr_html_(self) -> str:
        return (
            "<div role='status' class='ridge-verdict'>"
            + "".join(_task_html(task) for task in self.tasks)
            + "</div>"
        )


def _badge(state: str) -> str:
    colour = _COLOURS.get(state, "currentColor")
    # A fifth of the theme's own ink: readable on light and on dark (WCAG 4.5).
    ink = f"color-mix(in srgb, {colour} 80%, var(--jp-ui-font-color0, currentColor))"
    return f"<b style='color:{ink}'>{SIGNS[state]} {state}</b>"


def _task_html(task: TaskVerdict) -> str:
    rows = []
    for rung in task.rungs:
        if rung.state in ("not started", "not reached"):
            continue
        texts = [rung.message] if rung.message else list(rung.evidence)
        body = "<br>".join(html.escape(text) for text in texts)
        if rung.where:
            body += f"<br><code>{html.escape(rung.where)}</code>"
        rows.append(
            "<tr style='background:transparent'>"
            f"<td style='text-align:left;white-space:nowrap'>{rung.rung}</td>"
            f"<td style='text-align:left;white-space:nowrap'>{_badge(rung.state)}</td>"
            f"<td style='text-align:left;white-space:pre-wrap'>{body}</td></tr>"
        )
    head = f"{_badge(task.state)} <b>{task.name}</b> {html.escape(task.title)}"
    if not rows:
        return f"<p>{head}</p>"
    is_open = " open" if task.state != "passed" else ""
    return (
        f"<details{is_open}><summary>{head}</summary>"
        f"<table style='margin-left:1em'>{''.join(rows)}</table></details>"
    )
