"""b/lean: a and b go through a tensor, which the kernel has to load."""

import torch
import triton
import triton.language as tl


@triton.jit
def intensity_kernel(x_ptr, out_ptr, n, ab_ptr, K: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    v = tl.load(x_ptr + offs, mask=mask)
    a = tl.load(ab_ptr)
    b = tl.load(ab_ptr + 1)
    for _ in tl.static_range(K):
        v = v * a + b
    tl.store(out_ptr + offs, v, mask=mask)


def intensity(x, k, a, b):
    out = torch.empty_like(x)
    n = x.numel()
    ab = torch.tensor([a, b])
    intensity_kernel[(triton.cdiv(n, 1024),)](x, out, n, ab, K=k, BLOCK_SIZE=1024)
    return out
