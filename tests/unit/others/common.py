"""What the tests of other people's kernels share: the packages, inputs, and two judgements."""

import importlib
import os
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

from gpu_utils import codegen, tolerance
from gpu_utils.codegen.artifact import Artifact

TARGETS = ("sm_90", "gfx942")


def needed(module: str) -> ModuleType:
    """Import a module of the extra `others`; CI must have it, somebody else may go without."""
    try:
        with warnings.catch_warnings():
            # They warn that they found no GPU, which is why they are looked at here.
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] or os.environ.get("CI"):
            raise
        reason = f'{error.name} is not installed; pip install -e ".[others]"'
        pytest.skip(reason, allow_module_level=True)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype)


def right(out: torch.Tensor, reference: Callable[..., torch.Tensor], *args: Any) -> None:
    """Judge by the one tolerance rule; the reference takes what the kernel took."""
    oracle = reference(*tolerance.widened(args))
    wrong = tolerance.close(out, reference(*args), oracle)
    assert wrong is None, str(wrong)
    assert out.any()


def compiled(fn: Callable, *args: Any, **kwargs: Any) -> dict[str, Artifact]:
    """Compile the one launch that `fn` makes, for both makers' GPUs: it fits, nothing spills."""
    found = {}
    for target, artifacts in codegen.compile(fn, *args, target=TARGETS, **kwargs).items():
        (found[target],) = artifacts
        assert found[target].fits, found[target].fits_message
        assert found[target].spill_bytes == 0
        assert found[target].load_widths
    return found


def on_tensor_cores(artifacts: dict[str, Artifact]) -> bool:
    nvidia, amd = artifacts["sm_90"], artifacts["gfx942"]
    mma = nvidia.count("HGMMA") + nvidia.count("HMMA") + nvidia.count("IGMMA")
    return mma > 0 and amd.count("v_mfma") > 0
