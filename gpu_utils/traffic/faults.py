"""What a kernel or a launcher did wrong with memory, in words: each function makes the error."""

from collections.abc import Sequence

import numpy as np
import torch

from gpu_utils.traffic.region import Region
from gpu_utils.traffic.result import OutOfBounds


def check_argument(name: str, tensor: torch.Tensor, addresses_only: bool) -> None:
    """Refuse a tensor that cannot be looked into."""
    if tensor.is_meta and not addresses_only:
        raise ValueError(
            f"traffic counts on CPU tensors, and {name} is on meta, which holds no data: pass a "
            "tensor with data, or count with addresses_only=True"
        )
    if tensor.device.type not in ("cpu", "meta"):
        raise ValueError(
            f"traffic counts on CPU tensors, and {name} is on {tensor.device}: "
            "pass tensor.cpu(), or a small tensor of the same shape rules"
        )
    if tensor.layout is not torch.strided:
        raise ValueError(f"{name} has layout {tensor.layout}: pass its parts, which are strided")


def stray(place: str, kind: str, active: np.ndarray, regions: Sequence[Region]) -> OutOfBounds:
    """An address that no tensor argument could have given."""
    known = ", ".join(region.name for region in regions) or "none"
    return OutOfBounds(
        f"{place}: {kind} through something that is no pointer into a tensor of this "
        f"launch (tensors: {known}; first address {int(active.ravel()[0]):#x}). Add offsets "
        "to a pointer argument, and keep each access to one tensor."
    )


def misaligned(place: str, kind: str, region: Region, size: int) -> ValueError:
    """An address that is no multiple of the access's width."""
    return ValueError(
        f"{place}: a {size}-byte {kind} of {region.name} at an address "
        f"that is no multiple of {size}: a GPU faults here"
    )


def overlapping(place: str, region: Region) -> ValueError:
    """A store into a tensor some of whose elements share memory."""
    return ValueError(
        f"{place}: store into {region.name}, whose strides {tuple(region.tensor.stride())} give "
        f"several elements of shape {tuple(region.tensor.shape)} one address: which value stays "
        "is undefined. Allocate it instead of expanding it"
    )


def outside(
    place: str, kind: str, region: Region, address: np.ndarray, mask: np.ndarray, size: int
) -> OutOfBounds:
    """Lanes beyond a tensor's ends, or in the gaps of a strided one."""
    offset = address.view(np.int64) - region.base
    bad = (offset < 0) | (offset + size > region.extent)
    strides = tuple(region.tensor.stride())
    gap = "" if region.tensor.is_contiguous() else f" and strides {strides}"
    if not (bad & mask).any() and region.own is not None:
        bad = ~region.own[np.clip(offset // size, 0, region.own.size - 1)]
        gap += ", so this lies in a gap between its elements"
    bad = bad & mask
    lane = int(np.flatnonzero(bad.ravel())[0])
    element = int(offset.ravel()[lane]) // size
    name, shape = region.name, tuple(region.tensor.shape)
    return OutOfBounds(
        f"{place}: {kind} outside {name}:\n"
        f"lane {lane} asks for element {element}, but {name} has shape {shape}{gap} "
        f"({int(bad.sum())} of {int(mask.sum())} active lanes are outside).\n"
        "Does the mask stop at the last element?"
    )
