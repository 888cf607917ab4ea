"""a/lean: the row is read for the maximum, for the sum and for the result."""

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
    highest = -float("inf")
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        x = tl.load(x_ptr + row * stride_xm + offs, mask=offs < n, other=-float("inf"))
        highest = tl.maximum(highest, tl.max(x.to(tl.float32), axis=0))
    total = 0.0
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        x = tl.load(x_ptr + row * stride_xm + offs, mask=offs < n, other=-float("inf"))
        total += tl.sum(tl.exp(x.to(tl.float32) - highest), axis=0)
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        x = tl.load(x_ptr + row * stride_xm + offs, mask=offs < n).to(tl.float32)
        tl.store(out_ptr + row * n + offs, tl.exp(x - highest) / total, mask=offs < n)


def softmax(x):
    check("x", x)
    rows, n = x.shape
    out = torch.empty((rows, n), dtype=x.dtype, device=x.device)
    block = triton.next_power_of_2(n)
    warps = min(max(block // 1024, 4), 16)
    softmax_kernel[(rows,)](x, out, x.stride(0), n, BLOCK_SIZE=block, num_warps=warps)
    return out
