"""a/lean: two programs share a row and add to a result that torch filled with zeros."""

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
    acc = tl.zeros((BLOCK_M, BLOCK_K), dtype=tl.float32)
    for start in range(tl.program_id(1) * BLOCK_K, K, 2 * BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        acc += tl.load(w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :], mask=mask, other=0.0)
    tl.atomic_add(out_ptr + offs_m, tl.sum(acc, 1), mask=offs_m < M)


def row_sum(w):
    check_layout(w)
    M, K = w.shape
    out = torch.zeros(M, dtype=torch.float32, device=w.device)
    row_sum_kernel[(triton.cdiv(M, 4), 2)](w, out, M, K, w.stride(0), BLOCK_M=4, BLOCK_K=1024)
    return out
