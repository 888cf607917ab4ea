"""c/correct: gpu_utils.roofline.bound does it."""

from gpu_utils import roofline


def bound(cost, spec, dtype):
    return roofline.bound(cost, spec, dtype)
