"""The pytest plugin that climbs: one forked worker a task, stopped at its first failing rung.

`ridge check`, `check(...)` in a notebook and plain `pytest tests/labs/test_lab00_*.py` all run
through here. A worker that crashes, hangs or eats memory costs its own task a verdict and
nothing else. The parent never imports a lab file.
"""

import functools
import importlib
import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from gpu_utils.codegen import cache
from gpu_utils.course import guard, units, worker
from gpu_utils.course.guard import Guard, Seal, Tampered
from gpu_utils.course.lab import Lab
from gpu_utils.course.verdict import RUNGS, RungVerdict, TaskVerdict, Verdict

_STATES = ("not started", "failed", "needs a GPU", "passed")  # the first that occurs wins
# What Triton says -> what a learner can do about it.
_ADVICE = {
    "active drivers": "There is no GPU to launch on, and no check was running: launch kernels in "
    "functions, not while the file is imported, and ask no driver for a device.",
    "outside of the scope of a kernel": "Launch it with a grid: kernel[(programs,)](...).",
    "object is not subscriptable": "Does the kernel have its @triton.jit?",
    "power of 2": "The size of a block is 1, 2, 4, 8, ...",
    "not compiled with CUDA": "Allocate on the input's device: torch.empty_like(x).",
}
# Parts of the judge that are imported at first use.
_LATE = (
    *("gpu_utils._triton.compiler", "gpu_utils._triton.interpreter"),
    *("gpu_utils.codegen.disassemble", "gpu_utils.card"),
)
_labs: dict[Path, Lab] = {}  # filled in a worker only


def rung(task: str, name: str) -> pytest.MarkDecorator:
    """Mark a test as one of a task's rungs: `@rung("a", "safe")`. Several tests may share one."""
    if name not in RUNGS:
        raise ValueError(f"no rung is called {name!r}; the rungs are {', '.join(RUNGS)}")
    return pytest.mark.rung(task, name)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ridge", "course labs")
    group.addoption("--side", action="append", help="labs, solutions, or a lab file; repeatable")
    group.addoption("--task", action="append", help="only this task (a, b, ...); repeatable")
    group.addoption("--ladder-report", type=Path, help="append one JSON line a task to this file")
    group.addoption("--ladder-time-limit", type=float, help="seconds a task; default: the lab's")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Climb(config), "ridge-climb")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lab" in metafunc.fixturenames:
        sides = metafunc.config.getoption("--side") or [units.default_side()]
        metafunc.parametrize("lab", sides, indirect=True)


def lab_file(unit: units.Unit, side: str) -> Path:
    """The file that a side means: a side's name, or a path to a file that stands in for the lab."""
    if side in units.SIDES:
        return units.root() / side / f"{unit.stem}.py"
    return Path(side).expanduser().resolve()


def _unit_of(item: pytest.Item) -> units.Unit:
    stem = item.path.stem.removeprefix("test_")
    return units.find(stem)[0]


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Lab:
    """The lab file under judgement; imported once in each task's own worker."""
    path = lab_file(_unit_of(request.node), request.param)
    return _labs.setdefault(path, Lab(path))


@pytest.fixture
def reference(request: pytest.FixtureRequest) -> Lab:
    """The solution's file, for the reference functions that the learner's file also shows."""
    path = _unit_of(request.node).solution_file
    return _labs.setdefault(path, Lab(path))


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say what convinced: each line is shown beside the rung when it passes."""
    return lambda text: request.node.user_properties.append(("evidence", text))


class Climb:
    """Groups a session's rung tests by side and task, and runs each group in one worker."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.groups: dict[tuple[str, str, str], list[pytest.Item]] = {}
        self.verdicts: list[TaskVerdict] = []
        self.seal: Seal | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        wanted = self.config.getoption("--task")
        for item in list(items):
            mark = item.get_closest_marker("rung")
            if mark is None:
                continue
            task, _ = mark.args
            if wanted and task not in wanted:
                items.remove(item)
                continue
            side = item.callspec.params["lab"]  # type: ignore[attr-defined]
            self.groups.setdefault((_unit_of(item).name, side, task), []).append(item)
        for group in self.groups.values():
            group.sort(key=_height)
        if len(self.groups) > 1:
            # torch's meta tensors import it at first use (0.3 s): once here, not in each worker.
            importlib.import_module("sympy")

    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        key = next((key for key, group in self.groups.items() if item in group), None)
        if key is None:
            return None  # an ordinary test
        if item is not self.groups[key][0]:
            return True  # its group ran, or will, with the group's lowest rung
        self._climb(key, self.groups[key])
        return True

    def _climb(self, key: tuple[str, str, str], group: list[pytest.Item]) -> None:
        unit, side, task = key
        limits = units.find(unit)[0]
        seconds = self.config.getoption("--ladder-time-limit") or limits.time_limit_s
        found: dict[str, list[dict]] = {}
        running = group[0]
        self.seal = self.seal or _seal(item for items in self.groups.values() for item in items)
        watch = functools.partial(_guard, limits, lab_file(limits, side), self.seal)
        messages = worker.run(
            lambda send: _run_group(group, send, watch),
            time_limit_s=seconds,
            memory_limit_bytes=limits.memory_limit_bytes,
        )
        for message in messages:
            if isinstance(message, worker.Ending):
                if message.how != "done":
                    note = {"state": message.how, "message": message.sentence}
                    found.setdefault(_rung(running), []).insert(0, note)
                    self._replay(_lost(running, message.sentence))
            elif "start" in message:
                running = group[message["start"]]
                running.ihook.pytest_runtest_logstart(
                    nodeid=running.nodeid, location=running.location
                )
            else:
                report = self.config.hook.pytest_report_from_serializable(
                    config=self.config, data=message["report"]
                )
                if hasattr(report, "ridge"):
                    found.setdefault(_rung(running), []).append(report.ridge)
                self._replay(report)
        title = limits.task(task).title
        verdict = TaskVerdict(unit, side, task, title, tuple(_rungs(group, found)))
        self.verdicts.append(verdict)
        if (path := self.config.getoption("--ladder-report")) is not None:
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(verdict.to_dict()) + "\n")

    def _replay(self, report: pytest.TestReport) -> None:
        self.config.hook.pytest_runtest_logreport(report=report)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Any:
        report: Any = yield
        if item.get_closest_marker("rung") is not None:
            note = _note(item, call)
            if note is not None:
                report.ridge = note
                if note["state"] == "not started":
                    report.outcome = "skipped"
                    report.longrepr = (str(item.path), 0, "not started")
                elif note["state"] == "failed" and report.outcome == "skipped":
                    report.outcome = "failed"
                    report.longrepr = note["message"]
        return report

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.verdicts:
            terminalreporter.section("ladder")
            terminalreporter.line(repr(Verdict(tuple(self.verdicts))))


def _rung(item: pytest.Item) -> str:
    return item.get_closest_marker("rung").args[1]  # type: ignore[union-attr]


def _height(item: pytest.Item) -> int:
    return RUNGS.index(_rung(item))


def _lost(item: pytest.Item, sentence: str) -> pytest.TestReport:
    """The report of a test whose worker did not live to make one."""
    return pytest.TestReport(
        item.nodeid, item.location, {}, "failed", sentence, "call", duration=0.0
    )


def _seal(items: Iterable[pytest.Item]) -> Seal:
    """Of all that judges: the course's modules, and the tests themselves."""
    for name in _LATE:  # those that are imported at first use, too
        importlib.import_module(name)
    ours = [module for name, module in sys.modules.items() if name.startswith("gpu_utils")]
    return Seal([*ours, *{item.module for item in items}])  # type: ignore[attr-defined]


def _guard(unit: units.Unit, path: Path, seal: Seal) -> None:
    """In the worker: from now on the lab file at `path` is watched."""
    if path != unit.solution_file:
        reference = _labs.setdefault(unit.solution_file, Lab(unit.solution_file))
        seal.add(reference.module())
    root = units.root()
    closed = [root / "solutions"] if path.parent != root / "solutions" else []
    kept = [root / "gpu_utils", root / "tests", root / "solutions", cache.directory()]
    guard.install(Guard(path, seal, closed, kept))


def _run_group(
    group: list[pytest.Item], send: Callable[[dict], None], watch: Callable[[], None]
) -> None:
    """In the worker: run the tests in order of height, up to the end of the first red rung."""
    # Its watchdog thread was left behind by the fork, and waiting for it would be for ever.
    group[0].config.pluginmanager.unregister(name="faulthandler")
    # The suite makes warnings errors; a learner's warning is no wrong answer.
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    watch()
    stop = False
    for index, (item, after) in enumerate(zip(group, [*group[1:], None], strict=True)):
        send({"start": index})
        for report in runtestprotocol(item, log=False, nextitem=after):
            report.sections = [(name, text[-2000:]) for name, text in report.sections]
            if report.when == "call":
                _distrust(report)
            data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
            send({"report": data})
            note = getattr(report, "ridge", None)
            stop = stop or (note is not None and note["state"] in ("failed", "not started"))
        if stop and not (after is not None and _rung(after) == _rung(item)):
            return


def _distrust(report: Any) -> None:
    """A test that passed while its judge was tampered with has failed."""
    try:
        guard.verify()
    except Tampered as error:
        report.outcome, report.longrepr = "failed", str(error)
        report.ridge = {"state": "failed", "message": str(error)}


def _note(item: pytest.Item, call: pytest.CallInfo) -> dict | None:
    """What a test's phase says about its rung; None for a set-up or tear-down that went well."""
    if call.excinfo is None:
        if call.when != "call":
            return None
        lines = [text for name, text in item.user_properties if name == "evidence"]
        return {"state": "passed", "evidence": lines}
    error = call.excinfo.value
    path = lab_file(_unit_of(item), item.callspec.params["lab"])  # type: ignore[attr-defined]
    trace = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path
    ]
    inside = bool(trace) and traceback.extract_tb(error.__traceback__)[-1] == trace[-1]
    if isinstance(error, NotImplementedError) and inside and _rung(item) == "runs":
        return {"state": "not started"}
    if isinstance(error, pytest.skip.Exception) and not trace and _rung(item) == "fast":
        return {"state": "needs a GPU", "message": error.msg}
    return {"state": "failed", "message": _sentence(error), "where": _where(error, path, trace)}


def _sentence(error: BaseException) -> str:
    if isinstance(error, AssertionError) and str(error):
        return str(error).split("\nassert ")[0]  # without pytest's own account of the values
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}: {(error.text or '').strip()}"
    if isinstance(error, OSError) and error.errno == 27:
        return "it printed or wrote more than a check allows (64 MB)"
    text = f"{type(error).__name__}: {error}"
    for sign, advice in _ADVICE.items():
        if sign in text:
            return f"{text}\n{advice}"
    return text


def _where(error: BaseException, path: Path, trace: list[traceback.FrameSummary]) -> str:
    shown = f"{path.parent.name}/{path.name}"
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{shown}:{error.lineno}"
    return f"{shown}:{trace[-1].lineno} in {trace[-1].name}" if trace else ""


def _rungs(group: list[pytest.Item], found: dict[str, list[dict]]) -> Iterator[RungVerdict]:
    """One verdict a rung, in order; rungs above the one that stopped the climb: not reached."""
    stopped = False
    for name in dict.fromkeys(_rung(item) for item in group):
        notes = found.get(name, [])
        order = ("crashed", "timed out", *_STATES)
        notes = sorted(notes, key=lambda note: order.index(note["state"]))
        if stopped or not notes:
            yield RungVerdict(name, "not reached")
            stopped = True
            continue
        worst = notes[0]
        lines = tuple(line for note in notes for line in note.get("evidence", ()))
        yield RungVerdict(
            name, worst["state"], worst.get("message", ""), worst.get("where", ""), lines
        )
        stopped = worst["state"] not in ("passed", "needs a GPU")
