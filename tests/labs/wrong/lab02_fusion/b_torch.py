"""b/runs: torch computes; no kernel runs."""

import torch


def add_rmsnorm(x, residual, weight, eps):
    summed = x + residual
    return torch.nn.functional.rms_norm(summed, (x.shape[1],), weight, eps), summed
