"""The arguments of the callable under study: their copies, their names, how to describe them."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["copies", "described", "distinct_bytes", "named", "tensors"]

_ALIGNMENT = 64  # of what torch allocates on a CPU; on CUDA it is 512


def tensors(tree: Any) -> list[torch.Tensor]:
    """The tensors in nested containers."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def copies(tree: Any, device: str | None = None) -> Any:
    """The same tree over fresh memory, on `device` or where each tensor is.

    Strides, aliases and the low bits of every address are kept: all that a compiler or a count of
    distinct bytes could tell apart. Meta tensors, which hold nothing, stay.
    """
    rooms: dict[tuple[Any, int], tuple[torch.Tensor, int]] = {}

    def copy(leaf: Any) -> Any:
        if not isinstance(leaf, torch.Tensor) or leaf.device.type == "meta":
            return leaf
        storage = leaf.untyped_storage()
        key = (leaf.device, storage.data_ptr())
        if key not in rooms:
            rooms[key] = _room(storage, device or leaf.device)
        room, start = rooms[key]
        fresh = torch.empty(0, dtype=leaf.dtype, device=room.device)
        offset = start // leaf.element_size() + leaf.storage_offset()
        fresh.set_(room.untyped_storage(), offset, leaf.shape, leaf.stride())
        return fresh.requires_grad_(leaf.requires_grad)

    return tree_map(copy, tree)


def _room(storage: Any, device: Any) -> tuple[torch.Tensor, int]:
    """A copy of an allocation, and where in it the allocation begins."""
    start = storage.data_ptr() % _ALIGNMENT
    room = torch.empty(start + storage.nbytes(), dtype=torch.uint8, device=device)
    room[start:] = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    return room, start


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
