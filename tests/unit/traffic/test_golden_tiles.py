"""More kernels with counts worked out by hand: tiles, gathers, atomics, descriptors."""

import pytest
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from gpu_utils import traffic


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in range(0, K, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        a_mask = (m[:, None] < M) & (k[None, :] < K)
        b_mask = (k[:, None] < K) & (n[None, :] < N)
        a = tl.load(a_ptr + m[:, None] * K + k[None, :], mask=a_mask, other=0.0)
        b = tl.load(b_ptr + k[:, None] * N + n[None, :], mask=b_mask, other=0.0)
        acc = tl.dot(a, b, acc)
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc, mask=(m[:, None] < M) & (n[None, :] < N))


def matmul(a, b):
    M, K = a.shape
    N = b.shape[1]
    c = torch.empty(M, N)
    grid = (triton.cdiv(M, 32), triton.cdiv(N, 16))
    matmul_kernel[grid](a, b, c, M, N, K, BLOCK_M=32, BLOCK_N=16, BLOCK_K=16)
    return c


@pytest.mark.parametrize("addresses_only", [False, True])
def test_tiled_matmul(addresses_only):
    # 40 x 36 by 36 x 20, tiles 32 x 16 x 16: a grid of 2 x 2.
    # Each element of A is asked for by both columns of the grid: 2 x 40 x 36 x 2 B = 5760.
    # Each of B by both rows: 2 x 36 x 20 x 2 B = 2880. C is stored once: 40 x 20 x 4 B = 3200.
    # ceil(36 / 16) = 3 steps of whole tiles: 4 x 3 x 2 x 32 x 16 x 16 = 196,608 FLOP.
    a, b = torch.randn(40, 36).half(), torch.randn(36, 20).half()
    moved = traffic.count(matmul, a, b, addresses_only=addresses_only)
    assert moved.by_tensor["a"].load_bytes == 5760
    assert moved.by_tensor["b"].load_bytes == 2880
    assert moved.store_bytes == 3200
    assert (moved.dots, moved.dot_flops, moved.flops) == (12, 196_608, 196_608)
    if not addresses_only:
        torch.testing.assert_close(moved.result, a.float() @ b.float())


@triton.jit
def softmax_kernel(x_ptr, out_ptr, N, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0) * N
    offs = tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + row + offs, mask=offs < N, other=-float("inf"))
    numerator = tl.exp(x - tl.max(x, 0))
    tl.store(out_ptr + row + offs, numerator / tl.sum(numerator, 0), mask=offs < N)


def test_softmax():
    # 5 rows of 50 in blocks of 64. In and out once: 5 x 50 x 4 B = 1000 each.
    # A row: 64 subtractions, 63 additions, 64 divisions = 191, and 64 exponentials.
    def softmax(x):
        out = torch.empty_like(x)
        softmax_kernel[(5,)](x, out, 50, BLOCK_SIZE=64)
        return out

    x = torch.randn(5, 50)
    moved = traffic.count(softmax, x)
    assert (moved.load_bytes, moved.store_bytes) == (1000, 1000)
    assert moved.flops == 5 * 191 == 955
    assert moved.special_ops == 5 * 64 == 320
    torch.testing.assert_close(moved.result, x.softmax(1))


@triton.jit
def rmsnorm_kernel(x_ptr, w_ptr, out_ptr, N, eps, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0) * N
    offs = tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + row + offs).to(tl.float32)
    scale = tl.rsqrt(tl.sum(x * x, 0) / N + eps)
    tl.store(out_ptr + row + offs, (x * scale * tl.load(w_ptr + offs)).to(tl.bfloat16))


def test_rmsnorm():
    # 3 rows of 64 in bf16, weights in fp32. x: 3 x 64 x 2 = 384 B; w once a row: 3 x 64 x 4 =
    # 768 B, of which 256 are distinct. A row: 64 squares, 63 additions, a division, an addition
    # of eps, 2 x 64 products = 257 FLOP, and one rsqrt.
    def rmsnorm(x, w):
        out = torch.empty_like(x)
        rmsnorm_kernel[(3,)](x, w, out, 64, 1e-6, BLOCK_SIZE=64)
        return out

    moved = traffic.count(rmsnorm, torch.randn(3, 64).bfloat16(), torch.randn(64))
    assert moved.by_tensor["x"].load_bytes == moved.store_bytes == 384
    assert moved.by_tensor["w"].load_bytes == 768
    assert moved.by_tensor["w"].unique_load_bytes == 256
    assert (moved.flops, moved.special_ops) == (3 * 257, 3)


@triton.jit
def embed_kernel(index_ptr, table_ptr, out_ptr, D: tl.constexpr):
    token = tl.program_id(0)
    offs = tl.arange(0, D)
    row = tl.load(index_ptr + token)
    tl.store(out_ptr + token * D + offs, tl.load(table_ptr + row * D + offs))


@pytest.mark.parametrize("addresses_only", [False, True])
def test_gathered_rows(addresses_only):
    # 4 tokens, two of them the same: 4 indices of 8 B; 4 rows of 16 x 4 = 64 B asked for, 3
    # distinct. The rows are found through data, which an addresses-only count loads, too.
    def embed(index, table):
        out = torch.empty(4, 16)
        embed_kernel[(4,)](index, table, out, D=16)
        return out

    index, table = torch.tensor([7, 2, 7, 0]), torch.randn(9, 16)
    moved = traffic.count(embed, index, table, addresses_only=addresses_only)
    assert moved.by_tensor["index"].load_bytes == 32
    assert moved.by_tensor["table"].load_bytes == 256
    assert moved.by_tensor["table"].unique_load_bytes == 192
    assert moved.store_bytes == 256


@triton.jit
def pick_kernel(x_ptr, out_ptr, n, FIELD: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs * 3 + FIELD, mask=mask), mask=mask)


def test_array_of_structs():
    # One of three fields of 10 structs: 10 x 4 B asked for out of 120.
    def pick(points):
        out = torch.empty(10)
        pick_kernel[(1,)](points, out, 10, FIELD=1, BLOCK_SIZE=16)
        return out

    points = torch.randn(10, 3)
    moved = traffic.count(pick, points)
    assert (moved.load_bytes, moved.unique_load_bytes) == (40, 40)
    assert torch.equal(moved.result, points[:, 1])


@triton.jit
def reverse_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + n - 1 - offs, mask=mask), mask=mask)


def test_backwards():
    # 100 elements in blocks of 32, read from the end: still 400 B each way.
    def reverse(x):
        out = torch.empty_like(x)
        reverse_kernel[(4,)](x, out, 100, BLOCK_SIZE=32)
        return out

    x = torch.randn(100)
    moved = traffic.count(reverse, x)
    assert (moved.load_bytes, moved.store_bytes, moved.unique_bytes) == (400, 400, 800)
    assert torch.equal(moved.result, x.flip(0))


@triton.jit
def stencil_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    total = tl.zeros([BLOCK_SIZE], tl.float32)
    for shift in tl.static_range(-1, 2):
        at = offs + shift
        total += tl.load(x_ptr + at, mask=(at >= 0) & (at < n), other=0.0)
    tl.store(out_ptr + offs, total, mask=offs < n)


def test_three_point_stencil():
    # 50 elements in blocks of 16, so 64 lanes. Shift -1: lanes 1 .. 50 read elements 0 .. 49 (the
    # mask looks at x alone), shift 0: 50, shift 1: lanes 0 .. 48 read 1 .. 49: 49.
    # (50 + 50 + 49) x 4 B = 596; distinct 200. Three additions a lane: 3 x 64 = 192.
    def stencil(x):
        out = torch.empty_like(x)
        stencil_kernel[(4,)](x, out, 50, BLOCK_SIZE=16)
        return out

    x = torch.randn(50)
    moved = traffic.count(stencil, x)
    assert (moved.load_bytes, moved.unique_load_bytes, moved.store_bytes) == (596, 200, 200)
    assert moved.flops == 192
    padded = torch.nn.functional.pad(x, (1, 1))
    torch.testing.assert_close(moved.result, padded[:-2] + padded[1:-1] + padded[2:])


@triton.jit
def causal_kernel(q_ptr, k_ptr, out_ptr, N, BLOCK: tl.constexpr, D: tl.constexpr):
    i = tl.program_id(0)
    rows, d = i * BLOCK + tl.arange(0, BLOCK), tl.arange(0, D)
    q = tl.load(q_ptr + rows[:, None] * D + d[None, :])
    for j in range(i + 1):
        cols = j * BLOCK + tl.arange(0, BLOCK)
        k = tl.load(k_ptr + cols[None, :] * D + d[:, None])
        tl.store(out_ptr + rows[:, None] * N + cols[None, :], tl.dot(q, k))


@pytest.mark.parametrize("addresses_only", [False, True])
def test_causal_scores_skip_the_tiles_above(addresses_only):
    # N = 64 in 4 tiles of 16, D = 16, fp16. Row i of tiles reads i + 1 tiles of K: 1 + 2 + 3 + 4
    # = 10 tiles of 16 x 16 x 2 = 512 B; Q once: 4 tiles. Scores: 10 tiles of 1024 B.
    # 10 dots of 2 x 16 x 16 x 16 = 8192 FLOP.
    def scores(q, k):
        out = torch.zeros(64, 64)
        causal_kernel[(4,)](q, k, out, 64, BLOCK=16, D=16)
        return out

    q, k = torch.randn(64, 16).half(), torch.randn(64, 16).half()
    moved = traffic.count(scores, q, k, addresses_only=addresses_only)
    assert moved.by_tensor["k"].load_bytes == 5120
    assert moved.by_tensor["q"].load_bytes == 2048
    assert moved.by_tensor["out"].store_bytes == 10_240
    assert moved.flops == 81_920


@triton.jit
def persistent_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    for tile in range(tl.program_id(0), tl.cdiv(n, BLOCK_SIZE), tl.num_programs(0)):
        offs = tile * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def test_persistent_programs():
    # 3 programs share ceil(500 / 64) = 8 tiles: 2000 B each way, whoever does which.
    def copy(x):
        out = torch.empty_like(x)
        persistent_kernel[(3,)](x, out, 500, BLOCK_SIZE=64)
        return out

    x = torch.randn(500)
    moved = traffic.count(copy, x)
    assert (moved.load_bytes, moved.store_bytes) == (2000, 2000)
    assert moved.launches[0].programs == 3
    assert torch.equal(moved.result, x)


@triton.jit
def split_k_kernel(x_ptr, out_ptr, K, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    k = tl.program_id(0) * BLOCK_K + tl.arange(0, BLOCK_K)
    n = tl.arange(0, BLOCK_N)
    mask = (k[:, None] < K) & (n[None, :] >= 0)
    x = tl.load(x_ptr + k[:, None] * BLOCK_N + n[None, :], mask=mask, other=0.0)
    tl.atomic_add(out_ptr + n, tl.sum(x, 0))


def test_column_sums_by_atomics():
    # 50 x 8 in blocks of 16 rows: 4 programs. x once: 1600 B. Each program adds to 8 sums:
    # 32 atomics, which read and write 32 x 4 = 128 B; 32 B distinct.
    # A program adds 15 times in each of 8 columns: 4 x 120 = 480.
    def column_sums(x):
        out = torch.zeros(8)
        split_k_kernel[(4,)](x, out, 50, BLOCK_N=8, BLOCK_K=16)
        return out

    x = torch.randn(50, 8)
    moved = traffic.count(column_sums, x)
    out = moved.by_tensor["out"]
    assert moved.by_tensor["x"].load_bytes == 1600
    assert (out.load_bytes, out.store_bytes, out.unique_store_bytes) == (128, 128, 32)
    assert moved.atomics == out.atomics == 32
    assert moved.flops == 480
    torch.testing.assert_close(moved.result, x.sum(0))


@triton.jit
def descriptor_copy_kernel(x_ptr, out_ptr, M, N, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr):
    x = tl.make_tensor_descriptor(x_ptr, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    out = tl.make_tensor_descriptor(out_ptr, [M, N], [N, 1], [BLOCK_M, BLOCK_N])
    at = [tl.program_id(0) * BLOCK_M, tl.program_id(1) * BLOCK_N]
    out.store(at, x.load(at))


def test_descriptor_tails_count_inside_only():
    # 20 x 24 fp32 in tiles of 8 x 16: the last tiles hang over by 4 rows and 8 columns, and only
    # what is inside is asked for: 20 x 24 x 4 = 1920 B each way.
    def copy(x):
        out = torch.empty_like(x)
        descriptor_copy_kernel[(3, 2)](x, out, 20, 24, BLOCK_M=8, BLOCK_N=16)
        return out

    x = torch.randn(20, 24)
    moved = traffic.count(copy, x)
    assert (moved.load_bytes, moved.store_bytes) == (1920, 1920)
    assert torch.equal(moved.result, x)


@triton.jit
def host_descriptor_kernel(x, out, BLOCK_M: tl.constexpr):
    at = tl.program_id(0) * BLOCK_M
    out.store([at, 0], x.load([at, 0]) + 1)


def test_host_descriptors():
    # 10 rows of 32 bf16 in tiles of 4 rows, the last half empty: 640 B each way; 3 tiles of 128
    # additions, outside ones included.
    def increment(x):
        out = torch.empty_like(x)
        tiles = [TensorDescriptor.from_tensor(tensor, [4, 32]) for tensor in (x, out)]
        host_descriptor_kernel[(3,)](*tiles, BLOCK_M=4)
        return out

    x = torch.randn(10, 32).bfloat16()
    moved = traffic.count(increment, x)
    assert moved.by_tensor["x"].load_bytes == moved.by_tensor["out"].store_bytes == 640
    assert moved.flops == 384
    assert torch.equal(moved.result, x + 1)


@triton.jit
def gather_kernel(x_ptr, rows_ptr, out_ptr, M, N, BLOCK_N: tl.constexpr):
    x = tl.make_tensor_descriptor(x_ptr, [M, N], [N, 1], [1, BLOCK_N])
    out = tl.make_tensor_descriptor(out_ptr, [8, N], [N, 1], [1, BLOCK_N])
    rows = tl.load(rows_ptr + tl.arange(0, 8))
    out.scatter(x.gather(rows, 16), tl.arange(0, 8), 0)


def test_descriptor_gather_and_scatter():
    # Columns 16 .. 23 of 8 rows of 24 columns, one row index outside: 7 x 8 x 4 = 224 B read.
    # 32 columns are scattered to rows of 24: 8 x 24 x 4 = 768 B.
    def gather(x, rows):
        out = torch.empty(8, 24)
        gather_kernel[(1,)](x, rows, out, 30, 24, BLOCK_N=32)
        return out

    x, rows = torch.randn(30, 24), torch.tensor([3, 29, 30, 0, 3, 7, 11, 2], dtype=torch.int32)
    moved = traffic.count(gather, x, rows)
    assert moved.by_tensor["x"].load_bytes == 224
    assert moved.by_tensor["out"].store_bytes == 768
    expected = torch.zeros(8, 24)
    expected[:, :8] = torch.where((rows < 30)[:, None], x[rows.clamp(max=29)][:, 16:], 0)
    assert torch.equal(moved.result, expected)


@triton.jit
def int8_kernel(a_ptr, b_ptr, c_ptr):
    i = tl.arange(0, 16)
    block = i[:, None] * 16 + i[None, :]
    tl.store(c_ptr + block, tl.dot(tl.load(a_ptr + block), tl.load(b_ptr + block)))


def test_int8_dot():
    # 16 x 16 x 16: operands 256 B each, 1024 B out, 2 x 4096 operations.
    def product(a, b):
        c = torch.empty(16, 16, dtype=torch.int32)
        int8_kernel[(1,)](a, b, c)
        return c

    a, b = (torch.randint(-128, 128, (16, 16), dtype=torch.int8) for _ in range(2))
    moved = traffic.count(product, a, b)
    assert (moved.load_bytes, moved.store_bytes, moved.dot_flops) == (512, 1024, 8192)
    assert torch.equal(moved.result, a.int() @ b.int())
