"""How the rungs name what they speak of: a launcher and its arguments."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["case", "tensors", "title"]


def title(fn: Callable) -> str:
    """What to call a launcher."""
    return getattr(fn, "__name__", type(fn).__name__)


def case(args: Sequence[Any]) -> str:
    """How to name a case: the shapes and dtype of its tensors."""
    of = tensors(args)
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in of)
    dtype = str(of[0].dtype).removeprefix("torch.") if of else ""
    return f"{dtype} {shapes}"


def tensors(args: Sequence[Any]) -> list[torch.Tensor]:
    """The tensors among some arguments."""
    return [arg for arg in args if isinstance(arg, torch.Tensor)]
