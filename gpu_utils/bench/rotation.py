"""Several copies of a callable's arguments, used in turn.

By the time that a copy comes round again, others have displaced it from the caches; and a result
that a callable kept for the addresses of its last call is of no use for the next.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from gpu_utils.quantities import text

__all__ = ["Rotation", "calls", "rotated", "still"]

_CACHES = 4  # the copies together are as large as this many times the cache
_FREE = 8  # and take at most one part in so many of the memory that is free
_MOST = 256  # copies; work that so many do not get out of a cache does not wait for memory


@dataclasses.dataclass(frozen=True)
class Rotation:
    """The sets of arguments to call with, in turn.

    Args:
        sets: Pairs of positional and keyword arguments; the first are the caller's own.
        said: What was done, for a `Timing`'s method.
        beyond_cache: Whether all sets together hold at least twice what the cache does.
    """

    sets: Sequence[tuple[tuple, dict[str, Any]]]
    said: str
    beyond_cache: bool = False


def still(args: tuple, kwargs: dict[str, Any], said: str) -> Rotation:
    """The caller's own arguments, each time."""
    return Rotation([(args, kwargs)], said)


def rotated(args: tuple, kwargs: dict[str, Any], *, cache_bytes: int, free_bytes: int) -> Rotation:
    """Copies of the tensors among the arguments, as many as the cache asks for and memory allows.

    At least two sets and at most 256, four times the cache in all, and not more than an eighth of
    the free memory. Tensors inside modules and dataclasses are not copied. Where there is nothing
    to copy or no room for it, the arguments stay and `said` tells why.

    Args:
        args, kwargs: What the callable is called with.
        cache_bytes: The size of the last-level cache of the device.
        free_bytes: Its free memory.
    """
    from gpu_utils.bench import copies

    found = copies.tensors((args, kwargs))
    if not found:
        return still(args, kwargs, "inputs not rotated: no tensor was passed")
    odd = [tensor for tensor in found if not _is_plain(tensor)]
    if odd:
        return still(args, kwargs, f"inputs not rotated: a {_kind(odd[0])} cannot be copied")
    rooms = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in found}
    size = sum(storage.nbytes() for storage in rooms.values())
    wanted = min(max(math.ceil(_CACHES * cache_bytes / max(size, 1)), 2), _MOST)
    count = min(wanted, 1 + free_bytes // _FREE // max(size, 1))
    if count < 2:
        return still(args, kwargs, f"inputs not rotated: memory has no room for {text(size, 'B')}")
    sets = [(args, kwargs), *(copies.copies((args, kwargs)) for _ in range(count - 1))]
    said = f"inputs rotated through {count} copies of {text(size, 'B')}"
    return Rotation(sets, said, count * size >= 2 * cache_bytes)


def _is_plain(tensor: Any) -> bool:
    import torch

    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter)
    return plain and tensor.layout is torch.strided and not tensor.is_quantized


def _kind(tensor: Any) -> str:
    return f"{type(tensor).__name__} of layout {tensor.layout}"


def calls(fns: Sequence[Callable[..., Any]], rotation: Rotation) -> list[Callable[[], Any]]:
    """The callables without arguments. Whichever is called takes the next set.

    >>> double, show = calls([lambda x: 2 * x, str], Rotation([((1,), {}), ((5,), {})], "by hand"))
    >>> double(), show(), double()
    (2, '5', 2)
    """
    turn = itertools.cycle(rotation.sets)

    def bound(fn: Callable[..., Any]) -> Callable[[], Any]:
        def call() -> Any:
            args, kwargs = next(turn)
            return fn(*args, **kwargs)

        return call

    return [bound(fn) for fn in fns]
