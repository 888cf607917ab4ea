"""The language as kernels in the wild use it: each piece equals PyTorch and counts right."""

import pytest
import torch
import triton
import triton.language as tl
from triton.language import exp as imported_exp
from triton.language.extra import libdevice
from triton.language.extra.cuda.libdevice import tanh as imported_tanh

from gpu_utils import traffic


def run(kernel, *args, shape, dtype=torch.float32, **constants):
    """Count one program of a kernel whose last tensor is its output."""

    def launch(*args):
        out = torch.empty(shape, dtype=dtype)
        kernel[(1,)](*args, out, **constants)
        return out

    return traffic.count(launch, *args)


@triton.jit
def sort_kernel(x_ptr, out_ptr, N: tl.constexpr, DOWN: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out_ptr + i, tl.sort(tl.load(x_ptr + i), descending=DOWN))


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32])
def test_sort(dtype, descending):
    x = torch.randperm(64, generator=torch.Generator().manual_seed(0)).to(dtype) - 30
    moved = run(sort_kernel, x, shape=64, dtype=dtype, N=64, DOWN=descending)
    assert torch.equal(moved.result, x.sort(descending=descending).values)


@triton.jit
def topk_kernel(x_ptr, out_ptr, N: tl.constexpr, K: tl.constexpr):
    tl.store(out_ptr + tl.arange(0, K), tl.topk(tl.load(x_ptr + tl.arange(0, N)), K))


def test_topk():
    x = torch.randn(64)
    assert torch.equal(run(topk_kernel, x, shape=8, N=64, K=8).result, x.topk(8).values)


@triton.jit
def histogram_kernel(x_ptr, out_ptr, n, N: tl.constexpr, BINS: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.load(x_ptr + i, mask=i < n, other=0)
    tl.store(out_ptr + tl.arange(0, BINS), tl.histogram(x, BINS, mask=i < n))


def test_histogram():
    # 50 of 64 lanes count; the others would all fall into bin 0.
    x = torch.randint(0, 16, (50,), dtype=torch.int32)

    def histogram(x):
        out = torch.empty(16, dtype=torch.int32)
        histogram_kernel[(1,)](x, out, 50, N=64, BINS=16)
        return out

    assert torch.equal(traffic.count(histogram, x).result, torch.bincount(x, minlength=16).int())


@triton.jit
def cumsum_kernel(x_ptr, out_ptr, N: tl.constexpr, AXIS: tl.constexpr, REVERSE: tl.constexpr):
    block = tl.arange(0, N)[:, None] * 16 + tl.arange(0, 16)[None, :]
    tl.store(out_ptr + block, tl.cumsum(tl.load(x_ptr + block), AXIS, reverse=REVERSE))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("axis", "additions"), [(0, 7 * 16), (1, 8 * 15)])
def test_cumsum(axis, additions, reverse):
    x = torch.randint(-9, 9, (8, 16)).float()
    moved = run(cumsum_kernel, x, shape=(8, 16), N=8, AXIS=axis, REVERSE=reverse)
    expected = x.flip(axis).cumsum(axis).flip(axis) if reverse else x.cumsum(axis)
    assert torch.equal(moved.result, expected)
    assert moved.flops == additions


@triton.jit
def compose(a1, b1, a2, b2):
    return a1 * a2, b1 * a2 + b2


@triton.jit
def recurrence_kernel(a_ptr, b_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    pair = tl.load(a_ptr + i), tl.load(b_ptr + i)
    _, state = tl.associative_scan(pair, 0, compose)
    tl.store(out_ptr + i, state)


def test_a_scan_that_does_not_commute():
    # h[i] = a[i] h[i - 1] + b[i]; a step composes two maps: 2 products and an addition.
    a, b = torch.rand(32), torch.rand(32)
    moved = run(recurrence_kernel, a, b, shape=32, N=32)
    state, expected = torch.zeros(()), []
    for x, y in zip(a, b, strict=True):
        state = x * state + y
        expected.append(state)
    torch.testing.assert_close(moved.result, torch.stack(expected))
    assert moved.flops == 31 * 3


@triton.jit
def times(a, b):
    return a * b


@triton.jit
def product_kernel(x_ptr, out_ptr, N: tl.constexpr, M: tl.constexpr):
    block = tl.arange(0, N)[:, None] * M + tl.arange(0, M)[None, :]
    tl.store(out_ptr + tl.arange(0, N), tl.reduce(tl.load(x_ptr + block), 1, times))


def test_a_reduction_of_ones_own():
    x = torch.rand(8, 16) + 0.5
    moved = run(product_kernel, x, shape=8, N=8, M=16)
    torch.testing.assert_close(moved.result, x.prod(1))
    assert moved.flops == 8 * 15


@triton.jit
def extremes_kernel(x_ptr, out_ptr, N: tl.constexpr, M: tl.constexpr):
    rows = tl.arange(0, N)
    x = tl.load(x_ptr + rows[:, None] * M + tl.arange(0, M)[None, :])
    value, index = tl.max(x, 1, return_indices=True)
    tl.store(out_ptr + rows, value.to(tl.float32))
    tl.store(out_ptr + N + rows, index.to(tl.float32))
    tl.store(out_ptr + 2 * N + rows, tl.argmin(x, 1).to(tl.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_argmax_and_argmin_take_the_first(dtype):
    x = torch.randint(-3, 3, (8, 16)).to(dtype)
    x[0, 3] = float("nan")  # a NaN loses against a number
    moved = run(extremes_kernel, x, shape=(3, 8), N=8, M=16)
    clean = [[float(v) for v in row] for row in x]
    numbers = [[v for v in row if v == v] for row in clean]
    value, index, lowest = moved.result.tolist()
    assert value == [max(row) for row in numbers]
    assert index == [row.index(max(kept)) for row, kept in zip(clean, numbers, strict=True)]
    assert lowest == [row.index(min(kept)) for row, kept in zip(clean, numbers, strict=True)]


@triton.jit
def shuffle_kernel(x_ptr, y_ptr, index_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    x, y = tl.load(x_ptr + i), tl.load(y_ptr + i)
    left, right = tl.split(tl.join(x, y))
    both = tl.arange(0, 2 * N)
    tl.store(out_ptr + both, tl.interleave(left, right))
    tl.store(out_ptr + 2 * N + i, tl.gather(x, tl.load(index_ptr + i), 0))
    tl.store(out_ptr + 3 * N + i, tl.reshape(tl.trans(tl.reshape(x, (4, N // 4))), (N,)))


def test_shuffles():
    x, y = torch.randn(16), torch.randn(16)
    index = torch.randint(0, 16, (16,), dtype=torch.int32)
    moved = run(shuffle_kernel, x, y, index, shape=64, N=16)
    expected = [torch.stack([x, y], 1).flatten(), x[index.long()], x.view(4, 4).T.flatten()]
    assert torch.equal(moved.result, torch.cat(expected))


@triton.jit
def cat_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    tl.store(out_ptr + tl.arange(0, 2 * N), tl.cat(x, x + 1, can_reorder=True))


@pytest.mark.filterwarnings("ignore:tl.cat")  # 3.9 says that it will change
def test_cat():
    x = torch.randn(16)
    assert torch.equal(run(cat_kernel, x, shape=32, N=16).result, torch.cat([x, x + 1]))


@triton.jit
def library_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    y = libdevice.tanh(x) + imported_tanh(x) + tl.extra.libdevice.erf(x) + tl.erf(x)
    y += imported_exp(x) + libdevice.pow(tl.abs(x), x) + tl.extra.cuda.libdevice.fast_expf(x)
    y += libdevice.round(x) + libdevice.float2int_rn(x)
    tl.store(out_ptr + tl.arange(0, N), y)


def test_libdevice_by_every_road():
    # Seven special functions a lane; rounding is none.
    x = torch.randn(64)
    moved = run(library_kernel, x, shape=64, N=64)
    expected = 2 * (x.tanh() + x.erf() + x.exp()) + x.abs() ** x + 2 * x.round()
    torch.testing.assert_close(moved.result, expected)
    assert moved.special_ops == 7 * 64
    assert moved.eager_ops == ()  # torch stands in for erf, and is not the launcher's


@triton.jit
def gamma_kernel(x_ptr, out_ptr, N: tl.constexpr):
    tl.store(out_ptr + tl.arange(0, N), libdevice.tgamma(tl.load(x_ptr + tl.arange(0, N))))


@triton.jit
def assembly_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    y = tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)
    tl.store(out_ptr + tl.arange(0, N), y)


@pytest.mark.parametrize(
    ("kernel", "named"), [(gamma_kernel, "tgamma"), (assembly_kernel, r"ex2\.approx")]
)
def test_what_has_no_stand_in_is_named(kernel, named):
    with pytest.raises(NotImplementedError, match=named):
        run(kernel, torch.ones(8), shape=8, N=8)


@triton.jit
def special_kernel(x_ptr, out_ptr, N: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, N))
    y = tl.exp(x) + tl.exp2(x) + tl.log(x) + tl.log2(x) + tl.sin(x) + tl.cos(x)
    y += tl.sqrt(x) + tl.rsqrt(x) + tl.erf(x) + 1 / x
    tl.store(out_ptr + tl.arange(0, N), y)


def test_special_functions_stand_apart():
    # Nine a lane; nine additions and a division are ordinary operations.
    x = torch.rand(32) + 0.5
    moved = run(special_kernel, x, shape=32, N=32)
    assert (moved.special_ops, moved.flops) == (9 * 32, 10 * 32)
    expected = x.exp() + x.exp2() + x.log() + x.log2() + x.sin() + x.cos()
    torch.testing.assert_close(moved.result, expected + x.sqrt() + x.rsqrt() + x.erf() + 1 / x)


HALF = tl.constexpr(0.5)


@triton.jit
def number_kernel(x_ptr, scale, out_ptr, N: tl.constexpr, FACTOR: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.load(x_ptr + i)
    y = HALF * x + x * HALF + (FACTOR + 1.0) * x + scale.to(tl.float32) * x + FACTOR.to(tl.float32)
    for k in range(0, N, 16):
        y += k.to(tl.float32) + N.value * 0
    tl.store(out_ptr + i, y, mask=(0 <= i < N - 1) and not (2 < i < 4))
    tl.store(out_ptr + i, max(scale, 1.0) + 2**3, mask=i == 3)
    tl.store(out_ptr + i, 1.0 if scale > 100 else -1.0, mask=i == N - 1)


def test_numbers_behave_as_tensors():
    # scale = 2, FACTOR = 1/4: (1/2 + 1/2 + 5/4 + 2) x + 1/4, and k = 0 + 16.
    x = torch.randn(32)
    expected = 4.25 * x + 0.25 + 16
    expected[3], expected[-1] = 10, -1
    moved = run(number_kernel, x, 2.0, shape=32, N=32, FACTOR=0.25)
    torch.testing.assert_close(moved.result, expected)


@triton.jit
def choose_kernel(x_ptr, out_ptr, flag, N: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.load(x_ptr + i)
    one_bit = (x > 0).to(tl.int1) + (x > 1).to(tl.int1)  # one bit wraps: 1 + 1 = 0
    y = tl.where(one_bit, tl.clamp(x, 0.25, 0.75), tl.maximum(x, float("nan")))
    if flag:
        y = -y
    tl.store(out_ptr + i, y)


def test_one_bit_wraps_and_nan_loses():
    x = torch.tensor([-1.0, 0.1, 0.5, 0.9, 1.5, 2.0, 0.3, -2.0])
    inside = (x > 0) & (x <= 1)
    out = traffic.count(_choose, x).result
    assert torch.equal(out, -torch.where(inside, x.clamp(0.25, 0.75), x))


def _choose(x):
    out = torch.empty_like(x)
    choose_kernel[(1,)](x, out, True, N=8)
    return out
