"""Eight-bit floats and rounding modes, against torch's own conversions."""

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.runtime.interpreter import InterpreterBuilder

from gpu_utils import traffic
from gpu_utils._triton import bfloat16, float8

TORCH = {
    "fp8e4nv": torch.float8_e4m3fn,
    "fp8e5": torch.float8_e5m2,
    "fp8e4b8": torch.float8_e4m3fnuz,
    "fp8e5b16": torch.float8_e5m2fnuz,
}
# The largest finite numbers, from the formats: 1.75 x 2^8, 1.75 x 2^15, 1.875 x 2^7, 1.75 x 2^15.
LARGEST = {"fp8e4nv": 448.0, "fp8e5": 57_344.0, "fp8e4b8": 240.0, "fp8e5b16": 57_344.0}


@pytest.mark.parametrize("name", TORCH)
def test_every_code_decodes_as_torch_has_it(name):
    codes = torch.arange(256, dtype=torch.uint8)
    theirs = codes.view(TORCH[name]).float()
    ours = torch.from_numpy(float8.decode(codes.numpy(), name))
    assert torch.equal(ours.nan_to_num(nan=-1e9), theirs.nan_to_num(nan=-1e9))


@pytest.mark.parametrize("name", TORCH)
def test_encoding_rounds_to_nearest_even(name):
    # All numbers within the format's range, those halfway between two codes among them.
    values = float8.decode(np.arange(0x7F, dtype=np.uint8), name)
    values = np.sort(values[np.isfinite(values)])
    halfway = (values[1:] + values[:-1]) / 2
    rng = np.random.default_rng(0)
    random = rng.uniform(-1, 1, 100_000) * 2.0 ** rng.integers(-20, 16, 100_000)
    x = np.concatenate([values, halfway, -halfway, random]).astype(np.float32)
    x = x[np.abs(x) <= LARGEST[name]]
    theirs = torch.from_numpy(x).to(TORCH[name]).view(torch.uint8)
    assert torch.equal(torch.from_numpy(float8.encode(x, name)), theirs)


@pytest.mark.parametrize("name", TORCH)
def test_encoding_saturates(name):
    codes = float8.encode(np.array([1e9, -1e9, np.inf, np.nan], dtype=np.float32), name)
    decoded = float8.decode(codes, name)
    assert decoded[:3].tolist() == [LARGEST[name], -LARGEST[name], LARGEST[name]]
    assert np.isnan(decoded[3])


@triton.jit
def convert_kernel(x_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out_ptr + i, tl.load(x_ptr + i).to(out_ptr.dtype.element_ty))


@pytest.mark.parametrize("wide", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("narrow", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_casts_in_a_kernel(narrow, wide):
    def convert(x, dtype):
        out = torch.empty(64, dtype=dtype)
        convert_kernel[(1,)](x, out, N=64)
        return out

    x = torch.randn(64).to(wide)
    there = traffic.count(convert, x, narrow)
    assert torch.equal(there.result.view(torch.uint8), x.to(narrow).view(torch.uint8))
    assert (there.load_bytes, there.store_bytes) == (64 * x.element_size(), 64)
    back = traffic.count(convert, there.result, wide).result
    assert torch.equal(back, there.result.to(wide))


@triton.jit
def dot_kernel(a_ptr, b_ptr, c_ptr):
    i = tl.arange(0, 16)
    block = i[:, None] * 16 + i[None, :]
    tl.store(c_ptr + block, tl.dot(tl.load(a_ptr + block), tl.load(b_ptr + block)))


def test_dot_of_float8():
    def product(a, b):
        c = torch.empty(16, 16)
        dot_kernel[(1,)](a, b, c)
        return c

    a, b = (torch.randn(16, 16).to(torch.float8_e4m3fn) for _ in range(2))
    torch.testing.assert_close(traffic.count(product, a, b).result, a.float() @ b.float())


@triton.jit
def scaled_kernel(a_ptr, a_scale_ptr, b_ptr, b_scale_ptr, c_ptr):
    m, k, g = tl.arange(0, 16), tl.arange(0, 64), tl.arange(0, 2)
    a = tl.load(a_ptr + m[:, None] * 64 + k[None, :])
    b = tl.load(b_ptr + k[:, None] * 16 + m[None, :])
    a_scale = tl.load(a_scale_ptr + m[:, None] * 2 + g[None, :])
    b_scale = tl.load(b_scale_ptr + m[:, None] * 2 + g[None, :])
    c = tl.dot_scaled(a, a_scale, "e4m3", b, b_scale, "e4m3")
    tl.store(c_ptr + m[:, None] * 16 + m[None, :], c)


def test_scaled_dot():
    # Groups of 32 share a power of two, kept as its exponent plus 127.
    def product(a, a_scale, b, b_scale):
        c = torch.empty(16, 16)
        scaled_kernel[(1,)](a, a_scale, b, b_scale, c)
        return c

    a, b = torch.randn(16, 64).to(torch.float8_e4m3fn), torch.randn(64, 16).to(torch.float8_e4m3fn)
    scales = [torch.randint(125, 130, (16, 2), dtype=torch.uint8) for _ in range(2)]
    if not hasattr(InterpreterBuilder, "create_dot_scaled"):
        with pytest.raises(NotImplementedError, match=r"tl\.dot_scaled from 3\.8 on"):
            traffic.count(product, a, scales[0], b, scales[1])
        return
    moved = traffic.count(product, a, scales[0], b, scales[1])
    left, right = (2.0 ** (scale.float() - 127).repeat_interleave(32, 1) for scale in scales)
    torch.testing.assert_close(moved.result, (a.float() * left) @ (b.float() * right.T))
    assert moved.dot_flops == 2 * 16 * 16 * 64


@triton.jit
def toward_zero_kernel(x_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.load(x_ptr + i).to(out_ptr.dtype.element_ty, fp_downcast_rounding="rtz")
    tl.store(out_ptr + i, x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_toward_zero(dtype):
    # Nothing grows, and nothing moves by a whole step of the narrow type.
    def convert(x):
        out = torch.empty(256, dtype=dtype)
        toward_zero_kernel[(1,)](x, out, N=256)
        return out

    x = torch.randn(256)
    out = traffic.count(convert, x).result.float()
    step = torch.finfo(dtype).eps * x.abs()
    assert ((out.abs() <= x.abs()) & (x.abs() - out.abs() < step)).all()
    assert (out != x).any()


def test_bfloat16_and_back_is_exact():
    bits = np.arange(2**16, dtype=np.uint16)
    wide = bfloat16.widen(bits)
    numbers = ~np.isnan(wide)
    assert np.array_equal(bfloat16.narrow(wide)[numbers], bits[numbers])


def test_a_format_without_a_table_is_named():
    with pytest.raises(NotImplementedError, match="fp8e4b15"):
        float8.decode(np.zeros(1, dtype=np.uint8), "fp8e4b15")
