"""Five kernels as people write them, for the interpreter to be timed on, and two to compile.

Nothing of ours in them: the same file runs under Triton's own interpreter. That one computes
wrongly in bfloat16, so everything here is float16 with float32 accumulators.
"""

# mypy: allow-incomplete-defs
# (A kernel's signature names what is constexpr; its other parameters have no type in Python.)

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl

from gpu_utils import tolerance

__all__ = ["CASES", "SMALL", "Case", "check", "copy", "matmul"]


@triton.jit
def softmax_kernel(x_ptr, out_ptr, n_columns, BLOCK_SIZE: tl.constexpr):
    start = tl.program_id(0) * n_columns
    offs = tl.arange(0, BLOCK_SIZE)
    mask = offs < n_columns
    x = tl.load(x_ptr + start + offs, mask=mask, other=-float("inf")).to(tl.float32)
    exps = tl.exp(x - tl.max(x, 0))
    y = exps / tl.sum(exps, 0)
    tl.store(out_ptr + start + offs, y.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit
def rms_norm_kernel(x_ptr, w_ptr, out_ptr, n_columns, eps, BLOCK_SIZE: tl.constexpr):
    start = tl.program_id(0) * n_columns
    offs = tl.arange(0, BLOCK_SIZE)
    mask = offs < n_columns
    x = tl.load(x_ptr + start + offs, mask=mask, other=0.0).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 0) / n_columns + eps)
    y = x * scale * tl.load(w_ptr + offs, mask=mask, other=0.0)
    tl.store(out_ptr + start + offs, y.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K, stride_am, stride_ak, stride_bk, stride_bn, stride_cm, stride_cn,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_k = tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + offs_m[:, None] * stride_am + offs_k[None, :] * stride_ak
    b_ptrs = b_ptr + offs_k[:, None] * stride_bk + offs_n[None, :] * stride_bn
    rows, columns = offs_m[:, None] < M, offs_n[None, :] < N
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, K, BLOCK_K):
        inside = start + offs_k < K
        a = tl.load(a_ptrs, mask=rows & inside[None, :], other=0.0)
        b = tl.load(b_ptrs, mask=inside[:, None] & columns, other=0.0)
        acc = tl.dot(a, b, acc)
        a_ptrs += BLOCK_K * stride_ak
        b_ptrs += BLOCK_K * stride_bk
    c_ptrs = c_ptr + offs_m[:, None] * stride_cm + offs_n[None, :] * stride_cn
    tl.store(c_ptrs, acc.to(c_ptr.dtype.element_ty), mask=rows & columns)


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, T, S, scale,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    # One head a program in the second dimension: T queries, S keys and values of D numbers each.
    head = tl.program_id(1)
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, D)
    q_offs = head * T * D + offs_m[:, None] * D + offs_d[None, :]
    rows = offs_m[:, None] < T
    q = tl.load(q_ptr + q_offs, mask=rows, other=0.0)
    m_i = tl.full((BLOCK_M,), -float("inf"), tl.float32)
    l_i = tl.zeros((BLOCK_M,), tl.float32)
    acc = tl.zeros((BLOCK_M, D), tl.float32)
    for start in range(0, S, BLOCK_N):
        offs_n = start + tl.arange(0, BLOCK_N)
        kv_offs = head * S * D + offs_n[:, None] * D + offs_d[None, :]
        inside = offs_n < S
        k = tl.load(k_ptr + kv_offs, mask=inside[:, None], other=0.0)
        scores = tl.where(inside[None, :], tl.dot(q, tl.trans(k)) * scale, -float("inf"))
        m_new = tl.maximum(m_i, tl.max(scores, 1))
        weights = tl.exp(scores - m_new[:, None])
        alpha = tl.exp(m_i - m_new)
        l_i = l_i * alpha + tl.sum(weights, 1)
        v = tl.load(v_ptr + kv_offs, mask=inside[:, None], other=0.0)
        acc = tl.dot(weights.to(v.dtype), v, acc * alpha[:, None])
        m_i = m_new
    out = acc / l_i[:, None]
    tl.store(out_ptr + q_offs, out.to(out_ptr.dtype.element_ty), mask=rows)


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def softmax(x):
    rows, columns = x.shape
    out = torch.empty_like(x)
    softmax_kernel[(rows,)](x, out, columns, BLOCK_SIZE=triton.next_power_of_2(columns))
    return out


def rms_norm(x, w):
    rows, columns = x.shape
    out = torch.empty_like(x)
    block = triton.next_power_of_2(columns)
    rms_norm_kernel[(rows,)](x, w, out, columns, 1e-6, BLOCK_SIZE=block)
    return out


def matmul(a, b, BLOCK_M=64, BLOCK_N=64, BLOCK_K=32):
    (m, k), (_, n) = a.shape, b.shape
    c = torch.empty((m, n), dtype=a.dtype, device=a.device)
    grid = (triton.cdiv(m, BLOCK_M), triton.cdiv(n, BLOCK_N))
    blocks = {"BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N, "BLOCK_K": BLOCK_K}
    matmul_kernel[grid](a, b, c, m, n, k, *a.stride(), *b.stride(), *c.stride(), **blocks)
    return c


def attention(q, k, v, BLOCK_M=64, BLOCK_N=64):
    (heads, t, d), s = q.shape, k.shape[1]
    out = torch.empty_like(q)
    grid = (triton.cdiv(t, BLOCK_M), heads)
    blocks = {"D": d, "BLOCK_M": BLOCK_M, "BLOCK_N": BLOCK_N}
    attention_kernel[grid](q, k, v, out, t, s, d**-0.5, **blocks)
    return out


def decode_attention(q, k, v):
    # 16 query heads share one head of keys and values, and are the rows of its tile.
    return attention(q, k, v, BLOCK_M=16)


def copy(x):
    out = torch.empty_like(x)
    copy_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), BLOCK_SIZE=1024)
    return out


def softmax_reference(x):
    return torch.softmax(x, -1)


def rms_norm_reference(x, w):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) * w


def attention_reference(q, k, v):
    return torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, -1) @ v


@dataclasses.dataclass(frozen=True)
class Case:
    """A launcher, the truth, and the shapes of its arguments."""

    launch: Callable[..., torch.Tensor]
    reference: Callable[..., torch.Tensor]
    shapes: tuple[tuple[int, ...], ...]

    def inputs(self) -> list[torch.Tensor]:
        """The same float16 numbers in every process."""
        seeded = torch.Generator().manual_seed(0)
        return [torch.randn(shape, generator=seeded).half() for shape in self.shapes]


def _cases(rows: int, columns: int, side: int, t: int, s: int) -> dict[str, Case]:
    """Cases by name: matrices of `rows` x `columns`, square matrices, t queries on s keys."""
    matrix, square = (rows, columns), (side, side)
    return {
        "softmax": Case(softmax, softmax_reference, (matrix,)),
        "rms_norm": Case(rms_norm, rms_norm_reference, (matrix, (columns,))),
        "matmul": Case(matmul, torch.matmul, (square, square)),
        "attention": Case(attention, attention_reference, ((2, t, 64),) * 3),
        "decode_attention": Case(
            decode_attention, attention_reference, ((2, 16, 64), (2, s, 64), (2, s, 64))
        ),
    }


# Each program costs the same, so a quarter of the usual 1024 rows says as much in less time.
CASES = _cases(rows=256, columns=1024, side=256, t=256, s=4096)
SMALL = _cases(rows=3, columns=33, side=40, t=70, s=70)  # as fast as a test wants, tails included


def check(case: Case, inputs: list[Any], out: torch.Tensor) -> None:
    """No time is told of a wrong answer.

    Raises:
        AssertionError: the answer is not within the course's tolerance.
    """
    oracle = case.reference(*tolerance.widened(inputs))
    wrong = tolerance.close(out, case.reference(*inputs), oracle)
    assert wrong is None, f"{case.launch.__name__}: {wrong}"
