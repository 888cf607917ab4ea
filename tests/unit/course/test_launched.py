"""What reached the kernel: one launch, its config, the FLOP of its tiles."""

import dataclasses

import pytest
import torch

from gpu_utils import codegen, traffic
from gpu_utils.course import launched, units
from gpu_utils.course.lab import Lab


@pytest.fixture(scope="module")
def lab():
    return Lab(units.find("lab04")[0].solution_file)


def zeros(*shape):
    return torch.zeros(shape, dtype=torch.bfloat16)


def test_one_kernel_obeys_its_config(lab):
    config = lab.Config(BLOCK_M=32, GROUP_M=3, num_warps=2)
    launch = launched.one_launch(lab.matmul, zeros(64, 32), zeros(32, 64), None, None, config)
    launched.obeys(launch, config)
    with pytest.raises(AssertionError, match="num_warps = 2; the config says 4"):
        launched.obeys(launch, dataclasses.replace(config, num_warps=4))


def test_two_kernels_are_not_one(lab):
    with pytest.raises(AssertionError, match="matmul_split_k launches 2 kernels"):
        launched.one_launch(lab.matmul_split_k, zeros(64, 32), zeros(32, 64), 2)


def test_flop_are_all_there_and_no_more(lab):
    # 2 * 64 * 48 * 32 FLOP; one tile of 64 x 64 in one step of 32 does 2 * 64 * 64 * 32
    config = lab.Config(BLOCK_M=64, BLOCK_N=64, BLOCK_K=32)
    moved = traffic.count(lab.matmul, zeros(64, 32), zeros(32, 48), None, None, config)
    result, tiles = 2 * 64 * 48 * 32, 2 * 64 * 64 * 32
    launched.multiplies(lab.matmul, moved, result, tiles)
    with pytest.raises(AssertionError, match=r"0\.5 of the FLOP"):
        launched.multiplies(lab.matmul, moved, 2 * tiles, 2 * tiles)
    with pytest.raises(AssertionError, match="2 times as much"):
        launched.multiplies(lab.matmul, moved, result, tiles // 2)


def test_code_has_the_targets_own_instruction(lab):
    a, b = (torch.empty(4096, 4096, dtype=torch.bfloat16, device="meta") for _ in range(2))
    (built,) = codegen.compile(lab.matmul, a, b, target="sm_90")
    assert "HGMMA" in launched.on_tensor_cores(built)[0]
    narrow = lab.Config(BLOCK_M=32)  # no warp group takes 32 rows
    (built,) = codegen.compile(lab.matmul, a, b, None, None, narrow, target="sm_90")
    with pytest.raises(AssertionError, match="no HGMMA"):
        launched.on_tensor_cores(built)


def test_every_target_has_an_instruction():
    assert list(launched.MATRIX) == list(codegen.targets.TARGETS)
