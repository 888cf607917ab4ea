"""A kernel's Python means what it means to the compiler."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import codegen, traffic


@triton.jit
def rows_kernel(x_ptr, out_ptr, rows, stride, KIND: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    total = tl.zeros([BLOCK_SIZE], dtype=tl.float32)
    if KIND == "range":
        for row in range(rows):
            total += tl.load(x_ptr + row.to(tl.int64) * stride + offs)
    elif KIND == "tl.range":
        for row in tl.range(0, rows, 1, num_stages=2):
            total += tl.load(x_ptr + row.to(tl.int64) * stride + offs)
    else:
        for row in tl.static_range(3):
            total += tl.load(x_ptr + row * stride + offs)
    tl.store(out_ptr + offs, total)


@pytest.mark.parametrize("kind", ["range", "tl.range", "tl.static_range"])
def test_a_loop_counts_in_scalars_of_the_kernel(kind):
    # 3 rows of 16 floats: 192 bytes in, 64 out.
    def add_rows(x):
        out = torch.empty(16, dtype=x.dtype, device=x.device)
        rows_kernel[(1,)](x, out, x.shape[0], x.stride(0), KIND=kind, BLOCK_SIZE=16)
        return out

    x = torch.arange(48.0).view(3, 16)
    moved = traffic.count(add_rows, x)
    assert torch.equal(moved.result, x.sum(0))
    assert (moved.load_bytes, moved.store_bytes) == (192, 64)
    assert codegen.compile(add_rows, x, target="sm_90")[0].fits


def test_a_loop_to_a_64_bit_bound_counts_in_64_bits():
    # 2**31 is no int32: in 32 bits 4 x 2**29 wraps round and the store is not where it should be.
    @triton.jit
    def far_kernel(out_ptr, one):
        last = one.to(tl.int64) + 1
        for i in range(one.to(tl.int64), last):
            far = i * 4 * 536870912
            tl.store(out_ptr + (far >> 31), far)

    def far(out):
        far_kernel[(1,)](out, 1)

    out = torch.zeros(2, dtype=torch.int64)
    traffic.count(far, out)
    assert out.tolist() == [0, 2**31]
