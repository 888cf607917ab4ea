"""b/lean: padded to whole tiles of 128, which 16 would do for."""

import dataclasses

import torch

from gpu_utils import codegen


@dataclasses.dataclass(frozen=True)
class Code:
    async_copies: int
    registers: int
    spill_bytes: int
    fits: bool


def look(M, N, K, target, matmul, tile=None):
    a = torch.empty((M, K), dtype=torch.bfloat16, device="meta")
    b = torch.empty((K, N), dtype=torch.bfloat16, device="meta")
    (built,) = codegen.compile(matmul, a, b, None, None, tile, target=target)
    return Code(built.count("async copy"), built.registers, built.spill_bytes, built.fits)


def aligned(length):
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    return -(-length // 16) * 16


def check_factors(a, b):
    for name, x in (("a", a), ("b", b)):
        if x.ndim != 2 or 0 in x.shape or x.stride(1) != 1:
            raise ValueError(f"{name} must be [rows, columns] with neighbours in each row")
    if a.shape[1] != b.shape[0] or a.dtype != b.dtype:
        raise ValueError(f"a {[*a.shape]} and b {[*b.shape]} do not fit, or differ in dtype")


def widened(x, rows, columns):
    if x.shape == (rows, columns) and x.stride(0) % 16 == 0:
        return x
    wide = torch.zeros((rows, columns), dtype=x.dtype, device=x.device)
    wide[: x.shape[0], : x.shape[1]] = x
    return wide


def padded(a, b, matmul):
    check_factors(a, b)
    M, K, N = a.shape[0], aligned(a.shape[1]), -(-b.shape[1] // 128) * 128
    return matmul(widened(a, M, K), widened(b, K, N))[:, : b.shape[1]]
