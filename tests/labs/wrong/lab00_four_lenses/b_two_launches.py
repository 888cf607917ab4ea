"""b/lean: scale first, add later: the output is stored twice and read once."""

import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(a, x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, a * tl.load(x_ptr + offs, mask=mask), mask=mask)


@triton.jit
def add_kernel(b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    out = tl.load(out_ptr + offs, mask=mask)
    tl.store(out_ptr + offs, out + b * tl.load(y_ptr + offs, mask=mask), mask=mask)


def axpby(a, x, b, y):
    out = torch.empty_like(x)
    n = x.numel()
    grid = (triton.cdiv(n, 1024),)
    scale_kernel[grid](a, x, out, n, BLOCK_SIZE=1024)
    add_kernel[grid](b, y, out, n, BLOCK_SIZE=1024)
    return out
