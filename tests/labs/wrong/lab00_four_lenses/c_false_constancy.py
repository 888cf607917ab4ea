"""c/safe: a two-dimensional hint says that the mask is the same for four lanes."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, n):
    row = tl.program_id(0) * 1024 + tl.arange(0, 8)[:, None] * 128
    offs = row + tl.arange(0, 128)[None, :]
    mask = tl.max_constancy(offs < n, [1, 4])
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy_wide(x):
    out = torch.empty_like(x)
    n = x.numel()
    copy_kernel[(triton.cdiv(n, 1024),)](x, out, n)
    return out
