"""The arguments of the callable under study: their copies, their names, how to describe them."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from gpu_utils.bench.copies import copies, tensors

__all__ = ["copies", "described", "distinct_bytes", "name_of", "named", "tensors"]


def name_of(fn: Callable) -> str:
    """A callable's own name, or its type's."""
    return getattr(fn, "__name__", type(fn).__name__)


def named(fn: Callable, args: tuple, kwargs: dict) -> dict[str, Any]:
    """Parameter -> argument."""
    try:
        return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # a builtin, or arguments that fn itself will refuse
        return {**({"args": args} if args else {}), **kwargs}


def described(value: Any) -> str:
    """A dtype and a shape for a tensor, a value for a number or a word, else a type.

    >>> described(torch.zeros(2, 3)), described(0.5), described([torch.zeros(2), 1])
    ('float32 (2, 3)', '0.5', 'float32 (2,), 1')
    """
    if isinstance(value, dict):
        return ", ".join(f"{key}={described(part)}" for key, part in value.items())
    return ", ".join(_describe(leaf) for leaf in tree_leaves(value))


def _describe(leaf: Any) -> str:
    if isinstance(leaf, torch.Tensor):
        return f"{str(leaf.dtype).removeprefix('torch.')} {tuple(leaf.shape)}"
    plain = leaf is None or isinstance(leaf, str | int | float)
    return repr(leaf) if plain else type(leaf).__name__  # no address gets onto a card


def distinct_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor's distinct elements: an expanded dimension holds one."""
    nbytes = tensor.element_size()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        nbytes *= size if stride or not size else 1
    return nbytes
