"""Wrong pointers are named, undefined values are seen, bfloat16 is right, nothing leaks."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic
from gpu_utils._triton import bfloat16


@triton.jit
def shifted_copy_kernel(x_ptr, out_ptr, n, shift, limit, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + offs + shift, mask=offs < n)
    tl.store(out_ptr + offs, x, mask=offs < limit)


LOAD_LINE = shifted_copy_kernel.fn.__code__.co_firstlineno + 3


def shifted_copy(x, shift=0, limit=None):
    out = torch.empty(x.shape, dtype=x.dtype)
    n = x.numel()
    grid = (triton.cdiv(n, 64),)
    shifted_copy_kernel[grid](x, out, n, shift, n if limit is None else limit, BLOCK_SIZE=64)
    return out


def test_a_load_past_the_end_names_line_program_lane_and_element():
    # 100 elements, shift 3: program 1 starts at 64, lane 33 asks for 64 + 33 + 3 = 100.
    with pytest.raises(traffic.OutOfBounds) as caught:
        traffic.count(shifted_copy, torch.ones(100), shift=3)
    message = str(caught.value)
    assert f"test_safety.py:{LOAD_LINE} in shifted_copy_kernel" in message
    assert "load outside x" in message
    assert "program (1, 0, 0)" in message
    assert "lane 33 asks for element 100" in message
    assert "3 of 36 active lanes" in message


def test_a_load_before_the_start_is_charged_to_its_own_tensor():
    with pytest.raises(traffic.OutOfBounds, match="load outside x:\nlane 0 asks for element -1"):
        traffic.count(shifted_copy, torch.ones(100), shift=-1)


def test_a_store_past_the_end():
    # The mask lets all 128 lanes store into 100 elements: lanes 36 .. 63 of program 1.
    with pytest.raises(traffic.OutOfBounds, match=r"store outside out:\nlane 36 .* \(28 of 64"):
        traffic.count(shifted_copy, torch.ones(100), limit=128)


def test_reading_the_gaps_of_a_strided_view_is_outside_it():
    # Offsets ignore the stride of 2, so lane 1 asks for the element between two of x's.
    x = torch.arange(200.0)[::2]
    with pytest.raises(traffic.OutOfBounds, match=r"lane 1 asks for element 1.* gap between"):
        traffic.count(shifted_copy, x)


def test_unwritten_output_is_counted_and_is_nan():
    moved = traffic.count(shifted_copy, torch.ones(100), limit=97)
    assert moved.by_tensor["out"].unwritten_bytes == 3 * 4
    assert moved.result[97:].isnan().all()


def test_memory_written_by_torch_is_not_undefined():
    moved = traffic.count(lambda: torch.empty(10).fill_(1.0))
    assert moved.by_tensor["out"].unwritten_bytes == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masked_lanes_without_other_are_undefined(dtype):
    @triton.jit
    def sum_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
        offs = tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr, tl.sum(tl.load(x_ptr + offs, mask=offs < n).to(tl.float32), 0))

    def total(x):
        out = torch.empty(1)
        sum_kernel[(1,)](x, out, x.numel(), BLOCK_SIZE=64)
        return out

    assert traffic.count(total, torch.ones(50, dtype=dtype)).result.isnan()
    assert traffic.count(total, torch.ones(64, dtype=dtype)).result == 64


def test_a_made_up_pointer_is_refused():
    @triton.jit
    def kernel(x_ptr, out_ptr):
        tl.store(out_ptr, tl.load((x_ptr.to(tl.int64) * 0 + 4096).to(tl.pointer_type(tl.float32))))

    def run(x):
        out = torch.empty(1)
        kernel[(1,)](x, out)
        return out

    with pytest.raises(traffic.OutOfBounds, match="no pointer into a tensor of this launch"):
        traffic.count(run, torch.ones(1))


def test_bfloat16_rounds_to_nearest_even_like_torch():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint32)
    values = bits.view(np.float32)
    values = values[~np.isnan(values)]
    theirs = torch.from_numpy(values).to(torch.bfloat16).view(torch.uint16).numpy()
    assert np.array_equal(bfloat16.narrow(values), theirs)


@triton.jit
def helper(x, y):
    return tl.maximum(x, y)


@triton.jit
def bfloat16_kernel(x_ptr, y_ptr, out_ptr, scale, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + offs)
    y = tl.load(y_ptr + offs)
    z = helper(x * y + 1.5, x / 3) - y
    z = tl.where(x < y, z, -z)
    z = (z.to(tl.float32) * scale).to(tl.bfloat16)
    tl.store(out_ptr + offs, z + tl.sum(x, 0).to(tl.bfloat16))


def test_bfloat16_arithmetic_equals_torch_bit_for_bit():
    def run(x, y):
        out = torch.empty_like(x)
        bfloat16_kernel[(1,)](x, y, out, 0.7, BLOCK_SIZE=256)
        return out

    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(256, generator=generator).bfloat16() for _ in range(2))
    # Triton divides bfloat16 in fp32, so all after the division is fp32 until the cast.
    z = torch.maximum((x * y + 1.5).float(), x.float() / 3) - y.float()
    z = torch.where(x < y, z, -z)
    z = (z * torch.tensor(0.7)).bfloat16()
    expected = z + torch.from_numpy(x.float().numpy().sum(keepdims=True)).bfloat16()
    assert torch.equal(traffic.count(run, x, y).result, expected)


def test_a_float_argument_is_fp32_in_half_precision_arithmetic():
    # 0.1 is not an fp16 number: a * x must be rounded once, from fp32, as compiled code does.
    @triton.jit
    def kernel(x_ptr, out_ptr, a, BLOCK_SIZE: tl.constexpr):
        offs = tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, a * tl.load(x_ptr + offs))

    def scale(x):
        out = torch.empty_like(x)
        kernel[(1,)](x, out, 0.1, BLOCK_SIZE=64)
        return out

    x = torch.linspace(1, 100, 64).half()
    expected = (x.float() * torch.tensor(0.1)).half()
    assert torch.equal(traffic.count(scale, x).result, expected)


def test_an_exception_leaves_triton_as_it_was():
    before = (tl.load, tl.core.load, tl.tensor.__add__, tl.range)
    with pytest.raises(traffic.OutOfBounds):
        traffic.count(shifted_copy, torch.ones(100), shift=3)
    assert before == (tl.load, tl.core.load, tl.tensor.__add__, tl.range)
    with pytest.raises(RuntimeError, match="driver"):  # a bare launch still asks for a GPU
        shifted_copy(torch.ones(100))


def test_cuda_or_meta_tensors_are_refused_by_name():
    with pytest.raises(ValueError, match="x_ptr is on meta"):
        traffic.count(shifted_copy, torch.empty(10, device="meta"))


def test_the_environment_variable_is_not_needed():
    code = "import os, gpu_utils.traffic; assert 'TRITON_INTERPRET' not in os.environ"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
