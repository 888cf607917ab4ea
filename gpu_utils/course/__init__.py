"""The course around the instruments: units, checks, hints, progress, predictions."""

from gpu_utils.course.check import check
from gpu_utils.course.hints import hint
from gpu_utils.course.lenses import lenses
from gpu_utils.course.predict import answer, predict
from gpu_utils.course.progress import status
from gpu_utils.course.reset import reset
from gpu_utils.course.study import study

__all__ = ["answer", "check", "hint", "lenses", "predict", "reset", "status", "study"]
