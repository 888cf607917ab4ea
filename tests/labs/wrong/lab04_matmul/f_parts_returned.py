"""f/runs: the parts are returned, and not their sum."""

import dataclasses

import torch
import triton
import triton.language as tl


@dataclasses.dataclass(frozen=True)
class Config:
    BLOCK_M: int = 128
    BLOCK_N: int = 128
    BLOCK_K: int = 64
    GROUP_M: int = 1
    num_warps: int = 8
    num_stages: int = 3


def check_operands(a, b, bias, activation):
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"expected a [M, K] and b [K, N], got {[*a.shape]} and {[*b.shape]}")
    (M, K), N = a.shape, b.shape[1]
    if min(M, N, K) < 1:
        raise ValueError(f"M, N and K must be at least 1, got M = {M}, N = {N}, K = {K}")
    if a.dtype not in (torch.float32, torch.float16, torch.bfloat16) or b.dtype != a.dtype:
        raise ValueError(f"expected one dtype, float32, float16 or bfloat16, got {a.dtype}")
    if bias is not None and (bias.shape != (N,) or bias.dtype != a.dtype):
        raise ValueError(f"expected bias [{N}] in {a.dtype}, got {[*bias.shape]}")
    if activation not in (None, "gelu"):
        raise ValueError(f"expected activation None or 'gelu', got {activation!r}")
    if max(M * N, *(x.stride(0) * (x.shape[0] - 1) for x in (a, b))) >= 2**31 - 2**16:
        raise ValueError("a, b or out spans 2**31 elements")
    return M, N, K


@triton.jit
def tile_of(program, tiles_m, tiles_n, GROUP_M: tl.constexpr):
    return program // tiles_n, program % tiles_n


@triton.jit
def tile_product(
    a_ptr, b_ptr, offs_m, offs_n, begin, end, M, N, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    offs_k = begin + tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + offs_m[:, None] * stride_am + offs_k[None, :] * stride_ak
    b_ptrs = b_ptr + offs_k[:, None] * stride_bk + offs_n[None, :] * stride_bn
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, end - begin, BLOCK_K):
        inside = offs_k < end - k
        a = tl.load(a_ptrs, mask=(offs_m[:, None] < M) & inside[None, :], other=0.0)
        b = tl.load(b_ptrs, mask=inside[:, None] & (offs_n[None, :] < N), other=0.0)
        acc = tl.dot(a, b, acc, input_precision="ieee")
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk
    return acc


@triton.jit
def split_kernel(
    a_ptr, b_ptr, partial_ptr, M, N, K, chunk, stride_am, stride_ak, stride_bk, stride_bn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    tile_m, tile_n = tile_of(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), GROUP_M)
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    begin = tl.program_id(1) * chunk
    acc = tile_product(
        a_ptr, b_ptr, offs_m, offs_n, begin, min(begin + chunk, K), M, N,
        stride_am, stride_ak, stride_bk, stride_bn, BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    offs = (tl.program_id(1) * M + offs_m[:, None]) * N + offs_n[None, :]
    tl.store(partial_ptr + offs, acc, mask=(offs_m[:, None] < M) & (offs_n[None, :] < N))


@triton.jit
def sum_kernel(partial_ptr, out_ptr, elements, splits, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < elements
    acc = tl.zeros((BLOCK_SIZE,), tl.float32)
    for split in range(splits):
        acc += tl.load(partial_ptr + split * elements + offs, mask=mask, other=0.0)
    tl.store(out_ptr + offs, acc, mask=mask)


def matmul_split_k(a, b, splits, config=None):
    M, N, K = check_operands(a, b, None, None)
    config = config or Config()
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    partial = torch.empty((splits, M, N), dtype=torch.float32, device=a.device)
    tiles = triton.cdiv(M, config.BLOCK_M) * triton.cdiv(N, config.BLOCK_N)
    chunk = triton.cdiv(triton.cdiv(K, config.BLOCK_K), splits) * config.BLOCK_K
    split_kernel[(tiles, splits)](
        *(a, b, partial, M, N, K, chunk, *a.stride(), *b.stride()), **dataclasses.asdict(config)
    )
    sum_kernel[(triton.cdiv(M * N, 1024),)](partial, out, M * N, splits, BLOCK_SIZE=1024)
    return partial
