"""c/lean: the last block is moved back until it is full, and copies again."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_wide_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    start = tl.program_id(0) * BLOCK_SIZE
    if n >= BLOCK_SIZE:
        offs = tl.minimum(start, n - BLOCK_SIZE) + tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs))
    else:
        offs = start + tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def copy_wide(x):
    out = torch.empty_like(x)
    n = x.numel()
    copy_wide_kernel[(triton.cdiv(n, 1024),)](x, out, n, BLOCK_SIZE=1024)
    return out
