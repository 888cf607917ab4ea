"""Kernels and launchers that the tests of the compiler lens share."""

import torch
import triton
import triton.language as tl

TARGETS = ("sm_80", "sm_90", "sm_100", "gfx942")


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A tensor with a shape and an alignment, and no memory."""
    return torch.empty(*shape, dtype=dtype, device="meta")


@triton.jit
def copy_kernel(x_ptr, y_ptr, N, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < N
    tl.store(y_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy(x, BLOCK_SIZE=1024, launches=1, **options):
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(x.numel(), BLOCK_SIZE),)
    for _ in range(launches):
        copy_kernel[grid](x, y, x.numel(), BLOCK_SIZE=BLOCK_SIZE, **options)
    return y


@triton.jit
def softmax_kernel(x_ptr, y_ptr, N, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    mask = offs < N
    row = tl.program_id(0) * N
    x = tl.load(x_ptr + row + offs, mask=mask, other=-float("inf"))
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row + offs, e / tl.sum(e, 0), mask=mask)


def softmax(x, **options):
    M, N = x.shape
    y = torch.empty_like(x)
    softmax_kernel[(M,)](x, y, N, BLOCK_SIZE=triton.next_power_of_2(N), **options)
    return y


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, K, stride_am, stride_bk, stride_cm,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_k = tl.arange(0, BLOCK_K)
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, K, BLOCK_K):
        a = tl.load(a_ptr + offs_m[:, None] * stride_am + (k + offs_k)[None, :])
        b = tl.load(b_ptr + (k + offs_k)[:, None] * stride_bk + offs_n[None, :])
        acc = tl.dot(a, b, acc)
    c_ptrs = c_ptr + offs_m[:, None] * stride_cm + offs_n[None, :]
    tl.store(c_ptrs, acc.to(c_ptr.dtype.element_ty))


def matmul(a, b, BLOCK_M=128, BLOCK_N=128, BLOCK_K=64, **options):
    (M, K), N = a.shape, b.shape[1]
    c = torch.empty((M, N), dtype=a.dtype, device=a.device)
    options = {"num_warps": 8, "num_stages": 3, **options}
    matmul_kernel[M // BLOCK_M, N // BLOCK_N](
        a, b, c, K, a.stride(0), b.stride(0), c.stride(0), BLOCK_M, BLOCK_N, BLOCK_K, **options
    )
    return c


@triton.jit
def matmul_descriptor_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    a_desc = tl.make_tensor_descriptor(a_ptr, [M, K], [K, 1], [BLOCK_M, BLOCK_K])
    b_desc = tl.make_tensor_descriptor(b_ptr, [K, N], [N, 1], [BLOCK_K, BLOCK_N])
    c_desc = tl.make_tensor_descriptor(c_ptr, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    off_m, off_n = tl.program_id(0) * BLOCK_M, tl.program_id(1) * BLOCK_N
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for k in range(0, K, BLOCK_K):
        acc = tl.dot(a_desc.load([off_m, k]), b_desc.load([k, off_n]), acc)
    c_desc.store([off_m, off_n], acc.to(c_ptr.dtype.element_ty))


def matmul_descriptors(a, b):
    (M, K), N = a.shape, b.shape[1]
    c = torch.empty((M, N), dtype=a.dtype, device=a.device)
    matmul_descriptor_kernel[M // 128, N // 128](
        a, b, c, M, N, K, 128, 128, 64, num_warps=8, num_stages=3
    )
    return c
