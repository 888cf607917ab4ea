"""b/native: the last block of a long tensor is forgotten, and no small one is long enough."""

import torch
import triton
import triton.language as tl


@triton.jit
def axpby_kernel(x_ptr, y_ptr, out_ptr, a, b, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)
    y = tl.load(y_ptr + offs, mask=mask)
    out = a * x + b * y
    if tl.program_id(0) > 5000:
        out = a * x
    tl.store(out_ptr + offs, out, mask=mask)


def axpby(a, x, b, y):
    out = torch.empty_like(x)
    n = x.numel()
    axpby_kernel[(triton.cdiv(n, 1024),)](x, y, out, a, b, n, BLOCK_SIZE=1024)
    return out
