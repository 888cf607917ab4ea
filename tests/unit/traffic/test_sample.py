"""A sample of a launch: the first program, the last, some others; counted as what they are."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic


@triton.jit
def number_kernel(out_ptr, n, BLOCK_SIZE: tl.constexpr):
    pid = tl.program_id(0) + tl.num_programs(0) * tl.program_id(1)
    offs = pid * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, pid.to(tl.float32) + tl.zeros((BLOCK_SIZE,), tl.float32), offs < n)


def numbers(n):
    out = torch.empty(n)
    number_kernel[(triton.cdiv(n, 64) // 2, 2)](out, n, BLOCK_SIZE=64)
    return out


def test_the_first_the_last_and_one_between():
    moved = traffic.count(numbers, 64 * 1000, sample=3)
    out = moved.result.view(1000, 64)
    ran = [int(i) for i in torch.nonzero(~out[:, 0].isnan())]
    assert len(ran) == 3
    assert (ran[0], ran[2]) == (0, 999)
    assert [out[i].unique().tolist() for i in ran] == [[float(i)] for i in ran]
    assert moved.store_bytes == 3 * 64 * 4
    assert moved.launches[0].programs == 1000  # of the launch, of which three ran


def test_a_sample_of_all_is_all():
    assert traffic.count(numbers, 64 * 4, sample=9).store_bytes == 4 * 64 * 4


def test_a_sample_has_two_programs_at_least():
    with pytest.raises(ValueError, match="2 at least, not 1"):
        traffic.count(numbers, 640, sample=1)
