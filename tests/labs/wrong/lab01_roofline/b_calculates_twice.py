"""b/lean: the chain is calculated two times, to keep the cores busy."""

import torch
import triton
import triton.language as tl


@triton.jit
def intensity_kernel(x_ptr, out_ptr, n, a, b, K: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    v = tl.load(x_ptr + offs, mask=mask)
    w = v
    for _ in tl.static_range(K):
        v = v * a + b
        w = w * a + b
    tl.store(out_ptr + offs, tl.minimum(v, w), mask=mask)


def intensity(x, k, a, b):
    out = torch.empty_like(x)
    n = x.numel()
    intensity_kernel[(triton.cdiv(n, 1024),)](x, out, n, a, b, K=k, BLOCK_SIZE=1024)
    return out
