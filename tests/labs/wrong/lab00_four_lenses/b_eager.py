"""b/runs: the expression is torch's."""

import torch
import triton
import triton.language as tl


def axpby(a, x, b, y):
    return a * x + b * y
