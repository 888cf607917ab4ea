"""Both sides of every lab, and the wrong answers: the graders are graded."""

import ast
import functools
from pathlib import Path

import pytest

from gpu_utils.course import units
from gpu_utils.course.check import judge
from gpu_utils.course.verdict import RUNGS

HERE = Path(__file__).parent
UNITS = units.units()
WRONG = sorted(HERE.glob("wrong/lab[0-9][0-9]_*/*.py"))


@functools.cache
def promise(path: Path) -> tuple[str, str]:
    """Task and rung from the first words of a wrong answer's docstring: "a/safe: why"."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    task, rung = docstring.split(":", 1)[0].split("/")
    return task, rung


@pytest.fixture(scope="module")
def verdicts(request):
    """A function of a unit and a task's id: side -> TaskVerdict.

    The tasks that this run asks for climb two by two: side by side on two cores, and no test
    takes so long that the watchdog barks.
    """
    mine = [item for item in request.session.items if item.path == request.path]
    wanted = {asked(item) for item in mine if "verdicts" in item.fixturenames}
    found = {}

    def climbed(unit, task):
        if (unit, task) not in found:
            ids = [each.id for each in unit.tasks if (unit, each.id) in wanted]
            first = ids.index(task) // 2 * 2
            pair = {each: sides(unit, each) for each in ids[first : first + 2]}
            for verdict in judge(unit, [unit.task(each) for each in pair], pair, 60):
                found.setdefault((unit, verdict.task), {})[verdict.side] = verdict
        return found[unit, task]

    return climbed


def asked(item) -> tuple[units.Unit, str]:
    """The unit and the task that a test is about."""
    params = item.callspec.params
    return task_of(params["path"]) if "path" in params else (params["unit"], params["task"])


def task_of(path: Path) -> tuple[units.Unit, str]:
    """The unit and the task that a wrong answer is an answer to."""
    unit = next(unit for unit in UNITS if unit.stem == path.parent.name)
    return unit, promise(path)[0]


def sides(unit: units.Unit, task: str) -> list[str]:
    return ["labs", "solutions", *(str(path) for path in WRONG if task_of(path) == (unit, task))]


TASKS = [pytest.param(u, t.id, id=f"{u.name}:{t.id}") for u in UNITS for t in u.tasks]


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_the_solution_passes_every_rung(unit, task, verdicts):
    verdict = verdicts(unit, task)["solutions"]
    assert verdict.state == "passed", "\n".join(verdict.lines())
    climbed = {rung.rung: rung.state for rung in verdict.rungs}
    must = RUNGS if unit.task(task).kernel else RUNGS[:3]
    assert list(climbed) == list(must)
    assert all(climbed[rung] == "passed" for rung in must if rung != "fast"), climbed
    assert climbed.get("fast", "passed") in ("passed", "needs a GPU")


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_the_starter_is_not_started_and_nothing_else(unit, task, verdicts):
    verdict = verdicts(unit, task)["labs"]
    assert verdict.state == "not started", "\n".join(verdict.lines())
    assert {rung.state for rung in verdict.rungs} == {"not started", "not reached"}


@pytest.mark.parametrize("path", WRONG, ids=[f"{p.parent.name[:5]}-{p.stem}" for p in WRONG])
def test_a_wrong_answer_is_rejected_where_it_should_be(path, verdicts):
    verdict, (_, rung) = verdicts(*task_of(path))[str(path)], promise(path)
    stop = verdict.stopped_at
    assert stop is not None, f"{path.name} passed"
    assert (stop.state, stop.rung) == ("failed", rung), "\n".join(verdict.lines())
    assert stop.message, "a red rung says why"


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_each_kernel_task_has_eight_wrong_answers(unit, task):
    of_task = [p for p in WRONG if task_of(p) == (unit, task)]
    assert len(of_task) >= 8 or not unit.task(task).kernel


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_each_rung_rejects_a_wrong_answer(unit, task):
    """No rung is taken on trust; that of speed needs a GPU."""
    rejecting = {promise(p)[1] for p in WRONG if task_of(p) == (unit, task)}
    rungs = RUNGS[:-1] if unit.task(task).kernel else RUNGS[:3]
    assert rejecting >= set(rungs)
