"""How long a callable takes on the GPU that its arguments are on."""

import contextlib
from collections.abc import Callable

import torch

from gpu_utils import bench, specs
from gpu_utils.bench import Timing
from gpu_utils.card import arguments
from gpu_utils.card.errors import said
from gpu_utils.card.lines import NO_GPU, NOT_ON_GPU
from gpu_utils.card.model import Check
from gpu_utils.card.needs import Needs
from gpu_utils.roofline import OpCost
from gpu_utils.specs import GPUSpec, UnknownFigureError, UnknownPartError

__all__ = ["part_of", "timed"]


def timed(
    fn: Callable, call: tuple[tuple, dict], check: Check, least: Needs | None
) -> tuple[Timing | None, str]:
    """How long one call takes, or why that is not known.

    Args:
        fn: what to time.
        call: its arguments, positional and by name.
        check: whether it is right; what is wrong has no speed.
        least: what it must do, to refuse a time that is too short for it.
    """
    if not _on_gpu(call):
        if torch.cuda.is_available():
            return None, NOT_ON_GPU
        return None, NO_GPU
    if check.state in ("wrong", "stopped"):
        return None, "not timed: what is wrong has no speed"
    args, kwargs = arguments.copies(call)
    try:
        timing = bench.measure(fn, *args, **kwargs)
    except Exception as error:
        return None, f"not timed: {said(error)}"
    try:
        return _believed(timing, least), ""
    except bench.ImplausibleTimingError as error:
        return None, f"refused: {error}"


def _believed(timing: Timing, least: Needs | None) -> Timing:
    """The timing, held against each kind of work; what is unknown of the part refutes nothing."""
    if least is None:
        return timing
    cost_bytes = least.read + least.written
    for dtype, flops in least.flops.items():
        with contextlib.suppress(UnknownPartError, UnknownFigureError):
            cost, spec = OpCost(flops, cost_bytes), part_of(timing)
            bench.believable(timing, cost, spec, dtype, written_bytes=least.written)
    return timing


def part_of(timing: Timing) -> GPUSpec:
    """The part that a timing is of; `UnknownPartError` if the table lacks it."""
    return specs.get(timing.device.removeprefix("cuda: ")).per_device()


def _on_gpu(call: tuple[tuple, dict]) -> bool:
    return any(tensor.is_cuda for tensor in arguments.tensors(call))
