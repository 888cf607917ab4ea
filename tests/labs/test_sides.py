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


def promise(path: Path) -> tuple[str, str]:
    """Task and rung from the first words of a wrong answer's docstring: "a/safe: why"."""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    task, rung = docstring.split(":", 1)[0].split("/")
    return task, rung


@functools.cache
def verdicts(unit: units.Unit, task: str):
    """Every side of a task, climbed in one child process: side -> TaskVerdict."""
    wrong = [str(path) for path in WRONG if path.parent.name == unit.stem]
    sides = ["labs", "solutions", *(path for path in wrong if promise(Path(path))[0] == task)]
    judged = judge(unit, [unit.task(task)], sides, time_limit_s=60)
    return {verdict.side: verdict for verdict in judged}


TASKS = [pytest.param(u, t.id, id=f"{u.name}:{t.id}") for u in UNITS for t in u.tasks]


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_the_solution_passes_every_rung(unit, task):
    verdict = verdicts(unit, task)["solutions"]
    assert verdict.state == "passed", "\n".join(verdict.lines())
    climbed = {rung.rung: rung.state for rung in verdict.rungs}
    must = RUNGS if unit.task(task).kernel else RUNGS[:3]
    assert list(climbed) == list(must)
    assert all(climbed[rung] == "passed" for rung in must if rung != "fast"), climbed
    assert climbed.get("fast", "passed") in ("passed", "needs a GPU")


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_the_starter_is_not_started_and_nothing_else(unit, task):
    verdict = verdicts(unit, task)["labs"]
    assert verdict.state == "not started", "\n".join(verdict.lines())
    assert {rung.state for rung in verdict.rungs} == {"not started", "not reached"}


@pytest.mark.parametrize("path", WRONG, ids=[f"{p.parent.name[:5]}-{p.stem}" for p in WRONG])
def test_a_wrong_answer_is_rejected_where_it_should_be(path):
    unit = next(unit for unit in UNITS if unit.stem == path.parent.name)
    task, rung = promise(path)
    verdict = verdicts(unit, task)[str(path)]
    stop = verdict.stopped_at
    assert stop is not None, f"{path.name} passed"
    assert (stop.state, stop.rung) == ("failed", rung), "\n".join(verdict.lines())
    assert stop.message, "a red rung says why"


@pytest.mark.parametrize(("unit", "task"), TASKS)
def test_each_kernel_task_has_eight_wrong_answers(unit, task):
    of_task = [p for p in WRONG if p.parent.name == unit.stem and promise(p)[0] == task]
    assert len(of_task) >= 8 or not unit.task(task).kernel
