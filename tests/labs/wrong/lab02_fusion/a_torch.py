"""a/runs: torch computes; no kernel runs."""

import torch


def check(name, x, most=16384):
    if x.dim() != 2 or 0 in x.shape or (x.shape[1] > 1 and x.stride(1) != 1):
        raise ValueError(f"{name} has another layout")
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ValueError(f"{name} is {x.dtype}")
    if x.shape[1] > most:
        raise ValueError(f"{name} has {x.shape[1]} columns")


def softmax(x):
    check("x", x)
    return torch.softmax(x, dim=1)
