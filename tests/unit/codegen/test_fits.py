"""Whether a block fits, held against Triton's own launch on a pretended device."""

import warnings

import pytest
import torch
import triton
import triton.compiler.compiler as triton_compiler
from triton.runtime.errors import OutOfResources

from gpu_utils import codegen
from gpu_utils._triton import compiler
from gpu_utils.codegen import targets
from tests.unit.codegen.kernels import copy, matmul, meta


class _Utils:
    """A device that has what the target has, and loads any binary."""

    def __init__(self, target):
        self.target = target

    def get_device_properties(self, device):
        return {"max_shared_mem": self.target.shared_limit_bytes}

    def load_binary(self, name, kernel, shared, device):
        return "module", "function", 32, 0, self.target.threads_limit


def launched(fn, *args, target: str, **kwargs) -> str:
    """What Triton says when it loads the kernel for its first launch; "" if nothing."""
    known = targets.get(target)
    (launch,) = codegen.capture(fn, *args, **kwargs)
    with compiler.offline(compiler.GPUTarget(known.backend, known.arch, known.warp_size)):
        driver = triton.runtime.driver.active
        driver.utils = _Utils(known)
        driver.launcher_cls = lambda source, metadata: None
        triton_compiler.max_shared_mem.cache_clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 3.9 says that 3.10 will fuse fewer multiply-adds
            kernel = launch.kernel.warmup(grid=launch.grid, **launch.arguments, **launch.options)
        try:
            kernel._init_handles()
        except OutOfResources as error:
            return str(error)
        finally:
            triton_compiler.max_shared_mem.cache_clear()
    return ""


def bf16_matmul(**options):
    a = meta(4096, 4096, dtype=torch.bfloat16)
    return matmul(a, a, **options)


@pytest.mark.parametrize(
    ("target", "options", "resource"),
    [
        ("sm_90", {}, None),
        ("gfx942", {"num_stages": 4}, "shared memory, Required: 98304, Hardware limit: 65536"),
        # mma.sync holds one stage in registers: 3 x (128 x 64 + 64 x 256) x 2 B = 144 KiB of 99.
        ("sm_89", {"BLOCK_N": 256, "num_stages": 4}, "shared memory, Required: 147456, "
         "Hardware limit: 101376"),
    ],
)  # fmt: skip
def test_shared_memory_in_tritons_words(target, options, resource):
    said = launched(bf16_matmul, target=target, **options)
    (artifact,) = codegen.compile(bf16_matmul, target=target, **options)
    assert artifact.fits_message == said
    assert artifact.fits == (not said)
    assert (resource or "") in said


def test_threads_in_tritons_words():
    # 32 warps of 32 lanes are the 1,024 threads that a block may have; 64 warps are 2,048.
    for warps, resource in ((32, ""), (64, "threads, Required: 2048, Hardware limit: 1024")):
        said = launched(copy, meta(2**24), target="sm_90", num_warps=warps)
        (artifact,) = codegen.compile(copy, meta(2**24), target="sm_90", num_warps=warps)
        assert artifact.fits_message == said
        assert resource in said


def test_what_fits_has_an_occupancy_and_what_does_not_has_none():
    fine, large = (
        codegen.compile(bf16_matmul, target="gfx942", num_stages=stages)[0] for stages in (2, 4)
    )
    assert fine.fits
    assert fine.occupancy.blocks_per_sm >= 1
    assert not large.fits
    assert (large.occupancy.blocks_per_sm, large.occupancy.limiter) == (0, "shared memory")
