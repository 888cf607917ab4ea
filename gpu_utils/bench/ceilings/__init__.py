"""A machine's own roofline: what its memory and its matrix products reach, measured.

A ceiling found this way is a lower bound: something else may run faster than what was tried.
"""

from gpu_utils.bench.ceilings import cpu
from gpu_utils.bench.ceilings.result import Ceilings, CeilingsError
from gpu_utils.bench.device import identity
from gpu_utils.bench.lock import held
from gpu_utils.quantities import text

__all__ = ["ceilings"]

_WAIT_S = 600.0  # a class that runs one cell at once takes turns of some fifteen seconds


def ceilings(budget_s: float = 15, *, device: str = "cpu", fresh: bool = False) -> Ceilings:
    """Measure the roofline of this machine's CPU, or of one of its GPUs.

    A GPU's is kept on disk and measured again only when the device, its driver, its limits of
    power and clock, torch or CUDA change. A CPU's is measured each time, since what else runs
    there decides most of it.

    Args:
        budget_s: About how long it may take in all, in seconds, 1 to 600. Where importing torch
            takes more than half of it, it takes longer.
        device: "cpu", "cuda" or "cuda:1".
        fresh: Measure even if there is a kept result.

    Raises:
        CeilingsError: The measuring process died, took far too long or printed something else, or
            there is no such GPU.
        TimingLockTimeout: Others timed on the device for more than ten minutes.
        ValueError: The budget is out of range, or the device is of another kind.
    """
    if not 1 <= budget_s <= 600:
        raise ValueError(f"budget_s must be from 1 to 600 seconds, got {budget_s}; try 15")
    if device == "cpu":
        with held(identity(None), limit_s=_WAIT_S):
            return cpu.measured(budget_s)
    kind, _, index = device.partition(":")
    if kind != "cuda" or (index and not index.isdecimal()):
        raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:1', got {device!r}")
    return _of_gpu(budget_s, int(index or 0), fresh)


def _of_gpu(budget_s: float, index: int, fresh: bool) -> Ceilings:
    import torch

    from gpu_utils.bench.ceilings import gpu, kept

    if index >= torch.cuda.device_count():
        raise CeilingsError(
            f"there is no GPU cuda:{index}: torch sees {text(torch.cuda.device_count())} here"
        )
    described = gpu.fingerprint(index)
    known = None if fresh else kept.load(described)
    if known is not None:
        return known
    with held(identity(index), limit_s=_WAIT_S):
        found = gpu.measured(index, budget_s)
    kept.store(described, found)
    return found
