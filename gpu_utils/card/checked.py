"""Whether a callable returns what its reference does."""

from collections.abc import Callable

import torch

from gpu_utils import tolerance
from gpu_utils.card import arguments
from gpu_utils.card.errors import said
from gpu_utils.card.model import Check
from gpu_utils.card.walk import Walk

__all__ = ["checked"]


def checked(ran: Walk | Exception, reference: Callable | None, call: tuple[tuple, dict]) -> Check:
    """Compare each tensor that was returned with the reference's.

    Args:
        ran: what came of running it.
        reference: called with the same arguments, in their dtype and in float64.
        call: the arguments, positional and by name.
    """
    if any(tensor.is_meta for tensor in arguments.tensors(call)):
        return Check("not compared", "not run: meta tensors hold no values")
    if isinstance(ran, Exception):
        return Check("stopped", said(ran))
    if reference is None:
        return Check("not compared", "no reference was given")
    results = arguments.tensors(ran.traffic.result)
    narrow, oracle = (
        arguments.tensors(reference(*args, **kwargs))
        for args, kwargs in (
            arguments.copies(call, "cpu"),
            tolerance.widened(arguments.copies(call, "cpu")),
        )
    )
    if len(results) != len(narrow):
        return Check(
            "wrong",
            f"it returns {len(results)} tensors, and {called(reference)} returns {len(narrow)}",
        )
    for number, (out, like, truth) in enumerate(zip(results, narrow, oracle, strict=True)):
        if wrong := _differs(out, like, truth):
            which = "out" if len(results) == 1 else f"out[{number}]"
            return Check("wrong", f"{which} differs from {called(reference)}: {wrong}")
    return Check("agrees", f"agrees with {called(reference)} in every element, for these arguments")


def _differs(out: torch.Tensor, like: torch.Tensor, truth: torch.Tensor) -> str:
    if (out.shape, out.dtype) != (like.shape, like.dtype):
        came, expected = map(arguments.described, (out, like))
        return f"it is {came}, expected {expected}"
    if out.is_floating_point():
        return str(tolerance.close(out, like, truth) or "")
    return str(tolerance.exact(out, like) or "")


def called(reference: Callable) -> str:
    """What to call a reference in a sentence."""
    name = arguments.name_of(reference)
    return "the reference" if name == "<lambda>" else name
