"""A lab that builds on an earlier one: whose file it gets, and what is said about it."""

import pytest

from gpu_utils.course import units
from gpu_utils.course.earlier import earlier
from gpu_utils.course.lab import Lab

UNIT = units.find("lab04")[0]
OURS = Lab(units.find("lab05")[0].solution_file)


def learners(tmp_path, text):
    """A course whose labs/ holds `text` for lab 04, and the learner's lab 05 in it."""
    labs = tmp_path / "labs"
    labs.mkdir()
    (labs / UNIT.lab_file.name).write_text(text, "utf-8")
    return Lab(labs / "lab05_hardware_shapes.py")


@pytest.fixture
def course(monkeypatch, tmp_path):
    """The course's root for lab files; solutions stay where they are."""
    monkeypatch.setattr(units.Unit, "solution_file", UNIT.solution_file)
    monkeypatch.setattr(units.Unit, "lab_file", tmp_path / "labs" / UNIT.lab_file.name)
    return tmp_path


def must_be_four(own):
    assert own.matmul() == 4, f"matmul says {own.matmul()}"


def test_a_solution_stands_on_the_solution():
    def works(own):
        raise AssertionError("the learner's file is nobody's business here")

    found = earlier(OURS, "lab04", works)
    assert found.lab.path == UNIT.solution_file
    assert found.whose == "lab04 is the solution's"


def test_a_wrong_answer_stands_on_the_solution(tmp_path):
    found = earlier(Lab(tmp_path / "wrong.py"), "lab04", must_be_four)
    assert found.lab.path == UNIT.solution_file


def test_a_learner_stands_on_their_own(course):
    lab = learners(course, "def matmul():\n    return 4\n")
    found = earlier(lab, "lab04", must_be_four)
    assert found.lab.path == course / "labs" / UNIT.lab_file.name
    assert found.whose == "lab04 is your own labs/lab04_matmul.py"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def matmul():\n    raise NotImplementedError('matmul')\n", "matmul of .* is not written"),
        ("def matmul():\n    return 5\n", r"is not right yet \(AssertionError: matmul says 5\)"),
        ("def other():\n    pass\n", r"cannot be used \(lab04_matmul.py has no matmul"),
        ("def matmul(:\n", "cannot be used"),
        ("1 / 0\n", r"is not right yet \(ZeroDivisionError"),
    ],
)
def test_what_cannot_be_built_on_is_replaced_and_said(course, text, said):
    found = earlier(learners(course, text), "lab04", must_be_four)
    assert found.lab.path == UNIT.solution_file
    assert callable(found.lab.matmul)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found.whose)
    assert found.whose.endswith("so lab04 is the solution's; `ridge check lab04` says more")


def test_a_file_that_is_gone_is_said(course):
    lab = learners(course, "")
    (course / "labs" / UNIT.lab_file.name).unlink()
    assert "cannot be used" in earlier(lab, "lab04", must_be_four).whose


def test_an_unknown_unit_is_refused():
    with pytest.raises(units.UnknownName, match="no lab is called 'lab77'"):
        earlier(OURS, "lab77", must_be_four)
