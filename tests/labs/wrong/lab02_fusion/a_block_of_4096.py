"""a/safe: columns beyond 4096 have no lane."""

import torch
import triton
import triton.language as tl


def check(name, x, most=16384):
    if x.dim() != 2 or 0 in x.shape or (x.shape[1] > 1 and x.stride(1) != 1):
        raise ValueError(f"{name} has another layout")
    if x.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        raise ValueError(f"{name} is {x.dtype}")
    if x.shape[1] > most:
        raise ValueError(f"{name} has {x.shape[1]} columns")


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride_xm, n, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0)
    offs = tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + row * stride_xm + offs, mask=mask, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * n + offs, e / tl.sum(e, axis=0), mask=mask)


def softmax(x):
    check("x", x)
    rows, n = x.shape
    out = torch.empty((rows, n), dtype=x.dtype, device=x.device)
    block = 4096
    warps = min(max(block // 1024, 4), 16)
    softmax_kernel[(rows,)](x, out, x.stride(0), n, BLOCK_SIZE=block, num_warps=warps)
    return out
