"""c/safe: a block that begins inside x need not end there."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_wide_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    start = tl.program_id(0) * BLOCK_SIZE
    offs = start + tl.arange(0, BLOCK_SIZE)
    if start < n:
        tl.store(out_ptr + offs, tl.load(x_ptr + offs))
    else:
        mask = offs < n
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy_wide(x):
    out = torch.empty_like(x)
    n = x.numel()
    copy_wide_kernel[(triton.cdiv(n, 1024),)](x, out, n, BLOCK_SIZE=1024)
    return out
