"""b/native: a thread owns too few neighbours for a wide load."""

import torch
import triton
import triton.language as tl


def check_layout(w, *vectors):
    if w.dim() != 2 or w.stride(1) != 1:
        raise ValueError("w must be [M, K] with neighbours in each row")
    for vector in vectors:
        if vector.dim() != 1 or vector.numel() not in w.shape:
            raise ValueError("a vector must have one number for each column or row")


@triton.jit
def gemv_kernel(
    w_ptr, x_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    acc = tl.zeros((BLOCK_M, BLOCK_K), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)
        x = tl.load(x_ptr + offs_k, mask=offs_k < K, other=0.0)
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        w_ptrs = w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :]
        w = tl.load(w_ptrs, mask=mask, other=0.0)
        acc += w.to(tl.float32) * x.to(tl.float32)[None, :]
    tl.store(out_ptr + offs_m, tl.sum(acc, 1), mask=offs_m < M)


def gemv(w, x):
    check_layout(w, x)
    M, K = w.shape
    out = torch.empty(M, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(M, 4),)
    gemv_kernel[grid](w, x, out, M, K, w.stride(0), BLOCK_M=4, BLOCK_K=128)
    return out
