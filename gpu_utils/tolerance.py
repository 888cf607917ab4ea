"""The one rule for "right": bit for bit where it can be asked for, else within a derived budget.

The budget is never tuned by hand. The oracle is the reference in float64; an element may be off by
twice the largest error that the reference itself makes in the arguments' dtype, plus two units in
the last place of the result's dtype.
"""

import dataclasses
from typing import Any

import torch
from torch.utils._pytree import tree_map

__all__ = ["Disagreement", "close", "exact", "widened"]


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """Where a result is wrong: its first wrong element, how many there are, what it may mean.

    >>> print(exact(torch.tensor([1, 2, 4]), torch.tensor([1, 2, 3])))
    element 2 is 4, expected 3; 1 of 3 are wrong.
    """

    element: int
    came: float | int | bool
    expected: float | int | bool
    wrong: int
    elements: int
    hint: str = ""

    def __str__(self) -> str:
        return (
            f"element {self.element} is {self.came!r}, expected {self.expected!r}; "
            f"{self.wrong} of {self.elements} are wrong.{self.hint}"
        )


def exact(out: torch.Tensor, expected: torch.Tensor) -> Disagreement | None:
    """Equal bit for bit: infinities and the sign of zero included; NaN equals NaN.

    Args:
        out, expected: of one shape and dtype.
    """
    wrong = (_bits(out) != _bits(expected)).any(1)
    if expected.is_floating_point():  # two NaN are equal, whatever their payloads
        wrong &= ~(out.double().isnan() & expected.double().isnan()).reshape(-1)
    return _disagreement(out.reshape(-1), expected.reshape(-1), wrong)


def close(out: torch.Tensor, narrow: torch.Tensor, oracle: torch.Tensor) -> Disagreement | None:
    """Within the error that the same dtype costs an independent implementation.

    |out - oracle| <= 2 max|narrow - oracle| + 2 eps |oracle|

    Args:
        out: the result to judge.
        narrow: what the reference makes of the same arguments, in their dtype.
        oracle: what it makes of `widened` arguments.
    """
    eps = torch.finfo(out.dtype).eps
    out, narrow, oracle = (tensor.double().reshape(-1) for tensor in (out, narrow, oracle))
    finite = oracle.isfinite() & narrow.isfinite()
    error = (narrow - oracle)[finite].abs()
    budget = 2 * (error.max() if error.numel() else 0) + 2 * eps * oracle.abs()
    # Where the reference is not finite, the same infinity or NaN is asked for.
    same = (out == narrow) | (out.isnan() & narrow.isnan())
    wrong = torch.where(finite, ~((out - oracle).abs() <= budget), ~same)
    return _disagreement(out, oracle, wrong)


def widened(tree: Any) -> Any:
    """The same arguments with every floating-point tensor in float64."""

    def widen(leaf: Any) -> Any:
        wide = isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
        return leaf.double() if wide else leaf

    return tree_map(widen, tree)


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return flat.view(tensor.numel(), tensor.element_size())


def _disagreement(
    out: torch.Tensor, expected: torch.Tensor, wrong: torch.Tensor
) -> Disagreement | None:
    if not wrong.any():
        return None
    first = int(torch.nonzero(wrong)[0])
    hint = ""
    if not out.to(torch.float64).any():
        hint = " Everything is zero."
    elif out[first].isnan() and not expected[first].isnan():
        hint = " NaN here is memory that was not written, or a masked load without other=."
    return Disagreement(
        first, out[first].item(), expected[first].item(), int(wrong.sum()), wrong.numel(), hint
    )
