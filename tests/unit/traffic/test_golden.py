"""Counted bytes of small kernels against counts worked out by hand, one kernel each.

n = 1000 elements and blocks of 256 unless said: four programs, the last with 1000 - 768 = 232
active lanes.
"""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic

N = 1000
GRID = (4,)


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, stride, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs * stride, mask=mask), mask=mask)


def copy(x):
    out = torch.empty(x.shape, dtype=x.dtype)
    copy_kernel[GRID](x, out, x.numel(), x.stride(0), BLOCK_SIZE=256)
    return out


@pytest.mark.parametrize(
    ("dtype", "itemsize"),
    [(torch.float32, 4), (torch.bfloat16, 2), (torch.float16, 2), (torch.int8, 1)],
)
def test_masked_tail(dtype, itemsize):
    # Lanes past 1000 ask for nothing: 1000 elements in, 1000 out, whatever the block.
    x = torch.arange(N).to(dtype)
    moved = traffic.count(copy, x)
    assert moved.load_bytes == moved.store_bytes == N * itemsize
    assert moved.unique_bytes == 2 * N * itemsize
    assert moved.by_tensor["x"].load_bytes == N * itemsize
    assert moved.by_tensor["out"].store_bytes == N * itemsize
    assert moved.peak_bytes == N * itemsize  # the output is all it allocates
    assert torch.equal(moved.result, x)


@pytest.mark.parametrize("stride", [2, 32])
def test_strided(stride):
    # A lane asks for its 4 bytes; the gaps are the sectors' business, not the request's.
    x = torch.arange(N * stride, dtype=torch.float32)[::stride]
    moved = traffic.count(copy, x)
    assert moved.load_bytes == N * 4
    assert moved.by_tensor["x"].nbytes == N * 4
    assert moved.by_tensor["x"].unique_load_bytes == N * 4
    assert torch.equal(moved.result, x)


@triton.jit
def add_scalar_tensor_kernel(x_ptr, s_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)
    tl.store(out_ptr + offs, x + tl.load(s_ptr), mask=mask)


def test_broadcast_scalar():
    # s: one 4-byte load in each of 4 programs = 16 bytes requested, 4 of them distinct.
    def add(x, s):
        out = torch.empty_like(x)
        add_scalar_tensor_kernel[GRID](x, s, out, N, BLOCK_SIZE=256)
        return out

    moved = traffic.count(add, torch.ones(N), torch.ones(1))
    assert moved.by_tensor["s"].load_bytes == 16
    assert moved.by_tensor["s"].unique_load_bytes == 4
    assert moved.load_bytes == 4000 + 16
    # One add per lane of each block, masked lanes included: 4 x 256.
    assert moved.flops == 1024


@triton.jit
def transpose_kernel(x_ptr, out_ptr, M, N, BLOCK: tl.constexpr):
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    mask = (m < M) & (n < N)
    x = tl.load(x_ptr + m * N + n, mask=mask)
    tl.store(out_ptr + n * M + m, x, mask=mask)


def test_transposed():
    # 33 x 50 float32: 1650 elements in and out = 6600 bytes each, in 3 x 4 tiles of 16.
    def transpose(x):
        out = torch.empty(x.shape[1], x.shape[0])
        transpose_kernel[(3, 4)](x, out, *x.shape, BLOCK=16)
        return out

    x = torch.randn(33, 50)
    moved = traffic.count(transpose, x)
    assert (moved.load_bytes, moved.store_bytes) == (6600, 6600)
    assert moved.launches[0].programs == 12
    assert torch.equal(moved.result, x.T)


@triton.jit
def two_pass_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    row = tl.program_id(0) * n
    total = tl.zeros([BLOCK_SIZE], dtype=tl.float32)
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        total += tl.load(x_ptr + row + offs, mask=offs < n, other=0.0)
    mean = tl.sum(total, 0) / n
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        x = tl.load(x_ptr + row + offs, mask=offs < n)
        tl.store(out_ptr + row + offs, x - mean, mask=offs < n)


def test_two_passes():
    # 3 rows of 1000: x is asked for twice (2 x 12000), distinct once, the output stored once.
    def centre(x):
        out = torch.empty_like(x)
        two_pass_kernel[(3,)](x, out, N, BLOCK_SIZE=256)
        return out

    x = torch.randn(3, N)
    moved = traffic.count(centre, x)
    assert moved.by_tensor["x"].load_bytes == 24_000
    assert moved.by_tensor["x"].unique_load_bytes == 12_000
    assert moved.store_bytes == 12_000
    # Each of the two load lines asked for half.
    assert sorted(line.load_bytes for line in moved.by_line.values()) == [0, 12_000, 12_000]
    torch.testing.assert_close(moved.result, x - x.mean(1, keepdim=True))


def test_two_launches():
    # The second copy reads the first one's output: 4 x 4000 bytes, in two launches; the
    # temporary is live beside the output: peak 8000.
    def copy_twice(x):
        return copy(copy(x))

    moved = traffic.count(copy_twice, torch.ones(N))
    assert [launch.load_bytes for launch in moved.launches] == [4000, 4000]
    assert moved.kernel_bytes == 16_000
    assert moved.peak_bytes == 8000
    assert set(moved.by_tensor) == {"x", "out", "out#2"}  # the returned one is `out`
    assert moved.by_tensor["out"].load_bytes == 0
    assert moved.by_tensor["out#2"].load_bytes == 4000


def test_eager_operation_in_the_launcher():
    # x * 2 reads 4000 and writes 4000 bytes outside the kernel, which then moves 8000 more.
    def doubled(x):
        return copy(x * 2)

    moved = traffic.count(doubled, torch.ones(N))
    (op,) = moved.eager_ops
    assert (op.name, op.kind, op.read_bytes, op.written_bytes) == (
        "aten.mul", "compute", 4000, 4000,
    )  # fmt: skip
    assert moved.eager_bytes == 8000
    assert moved.kernel_bytes == 8000
    assert moved.total_bytes == 16_000
    assert moved.by_tensor["x"].load_bytes == 0  # the kernel never saw x


def test_eager_broadcast_is_read_once():
    # A (1000, 1) column expanded over 8 columns: 4000 bytes read for it, 32000 for the other.
    def add(x, column):
        return x + column

    moved = traffic.count(add, torch.ones(N, 8), torch.ones(N, 1))
    assert moved.eager_ops[0].read_bytes == 4000 + 32_000
    assert moved.eager_ops[0].written_bytes == 32_000


def test_fill_reads_nothing_and_a_view_moves_nothing():
    # zeros writes 4000 bytes; view, transpose and slice write none.
    moved = traffic.count(lambda: torch.zeros(N).view(10, 100).T[2:])
    assert [(op.kind, op.read_bytes, op.written_bytes) for op in moved.eager_ops] == [
        ("fill", 0, 4000)
    ]


@triton.jit
def dot_kernel(a_ptr, b_ptr, c_ptr, K: tl.constexpr):
    i = tl.arange(0, 16)
    k = tl.arange(0, K)
    a = tl.load(a_ptr + i[:, None] * K + k[None, :])
    b = tl.load(b_ptr + k[:, None] * 16 + i[None, :])
    tl.store(c_ptr + i[:, None] * 16 + i[None, :], tl.dot(a, b))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_dot(dtype):
    # 16 x 32 by 32 x 16: 2 * 16 * 16 * 32 = 16384 FLOP; operands 2 * 16 * 32 * 2 = 2048 bytes.
    def product(a, b):
        c = torch.empty(16, 16)
        dot_kernel[(1,)](a, b, c, K=32)
        return c

    a, b = torch.randn(16, 32).to(dtype), torch.randn(32, 16).to(dtype)
    moved = traffic.count(product, a, b)
    assert (moved.dots, moved.dot_flops, moved.flops) == (1, 16_384, 16_384)
    assert moved.load_bytes == 2048
    assert moved.store_bytes == 16 * 16 * 4
    torch.testing.assert_close(moved.result, a.float() @ b.float())


@triton.jit
def histogram_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.atomic_add(out_ptr + tl.load(x_ptr + offs, mask=mask, other=0), 1, mask=mask)


def test_atomics_read_and_write():
    # 1000 read-modify-writes of 4 bytes on ten counters; 40 distinct bytes.
    def histogram(x):
        out = torch.zeros(10, dtype=torch.int32)
        histogram_kernel[GRID](x, out, N, BLOCK_SIZE=256)
        return out

    x = torch.arange(N, dtype=torch.int32) % 10
    moved = traffic.count(histogram, x)
    assert moved.by_tensor["out"].load_bytes == moved.by_tensor["out"].store_bytes == 4000
    assert moved.by_tensor["out"].unique_store_bytes == 40
    assert moved.result.tolist() == [100] * 10


def test_packed_views_are_told_apart():
    # q and k are columns of one buffer: each row of 8 gives 4 elements to either.
    @triton.jit
    def kernel(q_ptr, k_ptr, out_ptr, stride, BLOCK: tl.constexpr):
        row, col = tl.arange(0, BLOCK)[:, None], tl.arange(0, 4)[None, :]
        q = tl.load(q_ptr + row * stride + col)
        tl.store(out_ptr + row * 4 + col, q + tl.load(k_ptr + row * stride + col))

    def add(q, k):
        out = torch.empty(16, 4)
        kernel[(1,)](q, k, out, q.stride(0), BLOCK=16)
        return out

    packed = torch.randn(16, 8)
    q, k = packed[:, :4], packed[:, 4:]
    moved = traffic.count(add, q, k)
    assert moved.by_tensor["q"].load_bytes == moved.by_tensor["k"].load_bytes == 16 * 4 * 4
    assert torch.equal(moved.result, q + k)
