"""The kernel card: one kernel through all lenses, on one page.

>>> import torch
>>> from gpu_utils import card
>>> page = card.study(torch.neg, torch.ones(1000), targets=(), parts=())
>>> print(page.traffic.total_bytes, page.compulsory_bytes)
8000 8000
"""

from gpu_utils.card.model import Card, Check, KernelCode, PartBound, Recorded
from gpu_utils.card.records import recorded
from gpu_utils.card.study import PARTS, TARGETS, study

__all__ = [
    "PARTS",
    "TARGETS",
    "Card",
    "Check",
    "KernelCode",
    "PartBound",
    "Recorded",
    "recorded",
    "study",
]
