"""Copies of arguments that a kernel, a compiler or a count cannot tell from the originals."""

from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["copies", "tensors"]

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
