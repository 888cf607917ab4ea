"""a/correct: each block is summed in the dtype of w."""

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
def row_sum_kernel(w_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr):
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    acc = tl.zeros((BLOCK_M,), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        w_ptrs = w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :]
        acc += tl.sum(tl.load(w_ptrs, mask=mask, other=0.0), 1)
    tl.store(out_ptr + offs_m, acc, mask=offs_m < M)


def row_sum(w):
    check_layout(w)
    M, K = w.shape
    out = torch.empty(M, dtype=torch.float32, device=w.device)
    grid = (triton.cdiv(M, 4),)
    row_sum_kernel[grid](w, out, M, K, w.stride(0), BLOCK_M=4, BLOCK_K=1024)
    return out
