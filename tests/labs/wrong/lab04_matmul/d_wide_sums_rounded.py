"""d/correct: wide tiles keep their sums in half the registers."""

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
def matmul_kernel(
    a_ptr, b_ptr, out_ptr, M, N, K,
    stride_am, stride_ak, stride_bk, stride_bn, stride_om, stride_on,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    tile_m, tile_n = tile_of(tl.program_id(0), tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N), GROUP_M)
    offs_m = tile_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tile_n * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tile_product(
        a_ptr, b_ptr, offs_m, offs_n, 0, K, M, N, stride_am, stride_ak, stride_bk, stride_bn,
        BLOCK_M, BLOCK_N, BLOCK_K,
    )  # fmt: skip
    if BLOCK_N > 128:
        acc = acc.to(tl.bfloat16)
    out_ptrs = out_ptr + offs_m[:, None] * stride_om + offs_n[None, :] * stride_on
    tl.store(out_ptrs, acc, mask=(offs_m[:, None] < M) & (offs_n[None, :] < N))


def matmul(a, b, bias=None, activation=None, config=None):
    M, N, K = check_operands(a, b, bias, activation)
    config = config or Config()
    out = torch.empty((M, N), dtype=a.dtype, device=a.device)
    programs = triton.cdiv(M, config.BLOCK_M) * triton.cdiv(N, config.BLOCK_N)
    matmul_kernel[(programs,)](
        *(a, b, out, M, N, K, *a.stride(), *b.stride(), *out.stride()),
        **dataclasses.asdict(config),
    )
    return out


def config_for(target):
    square = Config()
    wide = Config(BLOCK_N=256, num_stages=4)
    configs = {
        "sm_80": square,
        "sm_89": square,
        "sm_90": wide,
        "sm_100": wide,
        "sm_120": square,
        "gfx942": dataclasses.replace(square, num_stages=2),
    }
    if target not in configs:
        raise ValueError(f"no config for {target!r}; known: {', '.join(configs)}")
    return configs[target]
