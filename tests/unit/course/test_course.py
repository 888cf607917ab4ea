"""Hints, predictions, reset, status: what a learner's session is made of."""

import shutil

import pytest

from gpu_utils import course
from gpu_utils.course import predict, units


@pytest.fixture
def course_copy(tmp_path, monkeypatch):
    """A small copy of the course, in which files may be broken, as the current folder."""
    root = units.root()
    for folder in ("labs", "solutions", "tests/labs"):
        shutil.copytree(root / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIDGE_PROGRESS_DIR", str(tmp_path / "progress"))
    return tmp_path


def test_hints_climb_and_end():
    first, third = course.hint("lab00:b"), course.hint("lab00:b", 3)
    assert "hint 1 of 3" in repr(first)
    assert 'hint("lab00:b", 2)' in repr(first)
    assert "Next" not in repr(third)
    with pytest.raises(ValueError, match="hints 1 to 3; 4 was asked for"):
        course.hint("lab00:b", 4)


def test_a_bare_lab_means_its_first_task():
    assert repr(course.hint("lab00")) == repr(course.hint("lab00:a"))


def test_a_prediction_never_blocks_and_prints_the_same_line_until_there_is_a_guess():
    assert repr(predict("00.1", "How many?")) == repr(predict("00.1", "How many?"))
    assert "No guess yet" in repr(predict("00.1", "How many?"))
    assert "Your guess: 12." in repr(predict("00.1", "How many?", guess=12))


def test_reset_restores_the_starter_and_keeps_the_file(course_copy):
    lab = course_copy / "labs" / "lab00_four_lenses.py"
    starter = lab.read_text("utf-8")
    lab.write_text("# mine\n", "utf-8")
    done = course.reset("lab00")
    assert lab.read_text("utf-8") == starter
    assert done.backup.read_text("utf-8") == "# mine\n"
    assert str(done.backup) in repr(done)
    assert course.reset("lab00").backup is None  # nothing to keep: nothing kept


def test_reset_brings_back_a_deleted_file(course_copy):
    lab = course_copy / "labs" / "lab00_four_lenses.py"
    lab.unlink()
    course.reset("lab00")
    assert lab.exists()


def test_a_deleted_lab_file_is_a_verdict(course_copy):
    (course_copy / "labs" / "lab00_four_lenses.py").unlink()
    stop = course.check("lab00:a").tasks[0].stopped_at
    assert stop.state == "failed"
    assert "lab00_four_lenses.py" in stop.message


def test_status_remembers_the_last_verdict_and_that_it_passed_before(course_copy):
    assert "not checked yet" in repr(course.status())
    lab = course_copy / "labs" / "lab00_four_lenses.py"
    shutil.copy(course_copy / "solutions" / "lab00_four_lenses.py", lab)
    assert course.check("lab00:a").passed
    course.check("lab00:a", side="solutions")  # another side is not the learner's progress
    lab.write_text("x =\n", "utf-8")
    assert not course.check("lab00:a").passed
    (row,) = [line for line in repr(course.status()).splitlines() if "lab00:a" in line]
    assert "failed, passed before" in row


def test_in_the_solutions_folder_the_solutions_are_checked(course_copy, monkeypatch):
    assert units.default_side() == "labs"
    monkeypatch.chdir(course_copy / "solutions")
    assert units.default_side() == "solutions"


def test_the_course_is_found_from_below_and_from_outside(course_copy, monkeypatch, tmp_path):
    monkeypatch.chdir(course_copy / "tests" / "labs")
    assert units.root() == course_copy.resolve()
