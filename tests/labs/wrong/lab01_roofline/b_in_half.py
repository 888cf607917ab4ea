"""b/correct: the chain is rounded to float16 in each step."""

import torch
import triton
import triton.language as tl


@triton.jit
def intensity_kernel(x_ptr, out_ptr, n, a, b, K: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    v = tl.load(x_ptr + offs, mask=mask)
    for _ in tl.static_range(K):
        v = (v * a + b).to(tl.float16).to(tl.float32)
    tl.store(out_ptr + offs, v, mask=mask)


def intensity(x, k, a, b):
    out = torch.empty_like(x)
    n = x.numel()
    intensity_kernel[(triton.cdiv(n, 1024),)](x, out, n, a, b, K=k, BLOCK_SIZE=1024)
    return out
