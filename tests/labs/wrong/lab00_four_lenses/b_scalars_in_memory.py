"""b/lean: a and b travel as one-element tensors."""

import torch
import triton
import triton.language as tl


@triton.jit
def axpby_kernel(a, x_ptr, b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)
    y = tl.load(y_ptr + offs, mask=mask)
    tl.store(out_ptr + offs, tl.load(a) * x + tl.load(b) * y, mask=mask)


def axpby(a, x, b, y):
    out = torch.empty_like(x)
    n = x.numel()
    axpby_kernel[(triton.cdiv(n, 1024),)](
        torch.full((1,), a), x, torch.full((1,), b), y, out, n, BLOCK_SIZE=1024
    )
    return out
