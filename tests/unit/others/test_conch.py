"""Kernels of conch-triton-kernels, unchanged, through its own launchers: right, counted, compiled.

5 tokens of 100 float32: 400 bytes a token, 2000 a tensor; blocks of 128 lanes, 28 masked.
"""

import pytest
import torch
from torch.nn import functional

from gpu_utils import tolerance, traffic
from tests.unit.others.common import compiled, needed, normal, on_tensor_cores, right

rms = needed("conch.ops.normalization.rms_norm")
activation = needed("conch.ops.activation.silu_and_mul")
embedding = needed("conch.ops.embedding.rotary_embedding")
int8 = needed("conch.ops.quantization.int8")
fp8 = needed("conch.ops.quantization.fp8")
gemm = needed("conch.ops.quantization.gemm")
cache = needed("conch.ops.vllm.reshape_and_cache")

TOKENS, HIDDEN, EPS = 5, 100, 1e-6
X = normal(TOKENS, HIDDEN)


def normed(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


def rms_norm(x, weight):
    return rms.rms_norm(x, weight, EPS)


def norm_arguments(hidden=128):
    return normal(TOKENS, hidden), normal(TOKENS, hidden, seed=1), normal(hidden, seed=2)


def test_rms_norm():
    # 128 wide: each of 5 programs loads its token and the weight, 1024 bytes, and stores 512.
    x, _, weight = norm_arguments()
    moved = traffic.count(rms_norm, x, weight)
    right(moved.result, normed, x, weight)
    assert (moved.load_bytes, moved.store_bytes) == (5 * 1024, 5 * 512)


def test_rms_norm_of_a_ragged_row_is_undefined():
    # 100 wide: the 28 masked lanes, loaded without `other=`, are squared and summed all the same.
    x, _, weight = norm_arguments(100)
    moved = traffic.count(rms_norm, x, weight)
    assert moved.result.isnan().all()
    assert (moved.load_bytes, moved.store_bytes) == (5 * 800, 5 * 400)


def add_rms_norm(x, residual, weight):
    return rms.fused_add_rms_norm(x, residual, weight, EPS)


def test_add_and_rms_norm_in_place():
    # Token, residual and weight in, 5 x 1536; the sum and the result out, over their inputs.
    given = norm_arguments()
    x, residual, weight = (tensor.clone() for tensor in given)
    moved = traffic.count(add_rms_norm, x, residual, weight)
    out, added = moved.result
    assert out is x
    assert tolerance.exact(added, given[0] + given[1]) is None
    right(out, lambda x, r, w: normed(x + r, w), *given)
    assert (moved.load_bytes, moved.store_bytes) == (5 * 1536, 5 * 1024)


def silu_and_mul(x):
    return activation.silu_and_mul(x)


def test_silu_and_mul():
    # 5 x 200 in, 5 x 100 out.
    x = normal(TOKENS, 2 * HIDDEN)
    moved = traffic.count(silu_and_mul, x)
    right(moved.result, lambda x: functional.silu(x[:, :HIDDEN]) * x[:, HIDDEN:], x)
    assert (moved.load_bytes, moved.store_bytes) == (4000, 2000)


SCALE = torch.tensor([0.03125])  # a power of two: dividing by it is exact


def quantize_int8(x, scale):
    return int8.scaled_int8_quant(x, scale)[0]


def test_int8_quantization():
    # Each program loads a token and the scale, 404 bytes, and stores a byte an element.
    # tl's cast cuts the fraction off, and |x| / 0.03125 is up to 127 and beyond: it is clamped.
    x = X * 2
    moved = traffic.count(quantize_int8, x, SCALE)
    expected = (x / SCALE).clamp(-128, 127).trunc().to(torch.int8)
    assert (expected == 127).any()
    assert tolerance.exact(moved.result, expected) is None
    assert (moved.load_bytes, moved.store_bytes) == (5 * 404, 500)


def quantize_fp8(x, scale):
    return fp8.scaled_fp8_quant(x, scale)[0]


def test_fp8_quantization():
    # As above. |x| stays under 4, so x / 0.03125 under 128: the format's 448 is not met.
    moved = traffic.count(quantize_fp8, X, SCALE)
    assert moved.result.dtype == torch.float8_e4m3fn
    assert tolerance.exact(moved.result, (X / SCALE).to(torch.float8_e4m3fn)) is None
    assert (moved.load_bytes, moved.store_bytes) == (5 * 404, 500)


def rotary(positions, query, key, cos_sin):
    return embedding.rotary_embedding(positions, query, key, 16, cos_sin)


def rotary_arguments():
    # 4 heads of queries and 2 of keys, 16 wide; a table of 32 positions: 8 cosines, 8 sines.
    angle = torch.outer(torch.arange(32.0), 10_000 ** (-torch.arange(0, 16, 2) / 16))
    table = torch.cat([angle.cos(), angle.sin()], -1)
    positions = torch.tensor([0, 31, 7, 7, 2])
    return positions, normal(TOKENS, 64), normal(TOKENS, 32, seed=1), table


def rotary_reference(x, positions, table):
    heads = x.unflatten(-1, (-1, 2, 8))
    cos, sin = table[positions][:, None].chunk(2, -1)
    left, right_half = heads.unbind(-2)
    turned = [left * cos - right_half * sin, right_half * cos + left * sin]
    return torch.stack(turned, -2).reshape(x.shape)


def test_rotary_embedding_gathers_by_position():
    # A token loads its position (8 bytes) and for each of (4 + 2) x 8 pairs both elements, the
    # cosine and the sine: 48 x 16 bytes. It stores the pairs, 48 x 8.
    positions, query, key, table = rotary_arguments()
    before = query.clone(), key.clone()
    moved = traffic.count(rotary, positions, query, key, table)
    for out, x in zip(moved.result, before, strict=True):
        right(out, rotary_reference, x, positions, table)
    assert (moved.load_bytes, moved.store_bytes) == (5 * (8 + 768), 5 * 384)
    # Every head asks for its row of the table again: 5 tokens x 6 heads x 64 bytes, of which
    # the rows 0, 31, 7 and 2 are distinct.
    assert moved.by_tensor["cos_sin"].load_bytes == 5 * 6 * 64
    assert moved.by_tensor["cos_sin"].unique_load_bytes == 4 * 64


SLOTS = torch.tensor([3, -1, 20, 0, 47])


def write_cache(key, value, key_cache, value_cache, slots):
    cache.reshape_and_cache(key, value, key_cache, value_cache, slots)


def cache_arguments():
    # 2 heads of 24 into 3 pages of 16 slots.
    pages = torch.zeros(3, 16, 2, 24), torch.zeros(3, 16, 2, 24)
    return normal(TOKENS, 2, 24), normal(TOKENS, 2, 24, seed=1), *pages, SLOTS


def test_cache_scatters_and_skips_padding():
    # 5 x 2 programs load a slot of 8 bytes. The token of slot -1 is padding; the other 4 x 2 move
    # 24 floats of the key and of the value: 8 x 192 bytes in and out.
    key, value, key_cache, value_cache, slots = cache_arguments()
    moved = traffic.count(write_cache, key, value, key_cache, value_cache, slots)
    real = slots >= 0
    for written, given in ((key_cache, key), (value_cache, value)):
        expected = torch.zeros(48, 2, 24).index_copy(0, slots[real], given[real])
        assert tolerance.exact(written.flatten(0, 1), expected) is None
    assert (moved.load_bytes, moved.store_bytes) == (80 + 1536, 1536)


def matmul_4_bit(x, packed, scales):
    return gemm.mixed_precision_gemm(x, packed, scales, None, 4, 8, 64)


def gemm_arguments(columns=64):
    # K = 64 weights of 4 bits: 8 to a word, so 8 x N words. One scale a column.
    words = torch.randint(-(2**31), 2**31, (8, columns), generator=torch.Generator().manual_seed(0))
    scales = normal(1, columns, seed=1, dtype=torch.float16)
    return normal(40, 64, dtype=torch.float16), words.to(torch.int32), scales


def gemm_reference(x, packed, scales):
    shifts = 4 * torch.arange(8, dtype=torch.int32)
    weights = (packed[:, None] >> shifts[None, :, None]) & 0xF  # (8, 8, N)
    return x @ ((weights.flatten(0, 1) - 8).to(x.dtype) * scales)


def test_matmul_with_weights_of_4_bits():
    # One tile of 128 x 64 x 64 covers 40 x 64 x 64. x: 40 x 64 halves, 5120 bytes. Each of the
    # 64 x 64 lanes of the weights' tile loads the whole word that its 4 bits are in: 16384
    # bytes, 8 times what is there. The scales: 128 bytes. The result: 40 x 64 halves.
    x, packed, scales = gemm_arguments()
    moved = traffic.count(matmul_4_bit, x, packed, scales)
    right(moved.result, gemm_reference, x, packed, scales)
    assert moved.by_tensor["x"].load_bytes == 5120
    assert moved.by_tensor["packed"].load_bytes == 8 * moved.by_tensor["packed"].nbytes == 16_384
    assert moved.by_tensor["scales"].load_bytes == 128
    assert moved.store_bytes == 5120


def test_its_weights_must_fill_the_tile():
    # With 48 columns lanes of the last 16 read the next row, and past the last row nothing.
    with pytest.raises(traffic.OutOfBounds, match=r"load outside packed(.|\n)*128 of 4096"):
        traffic.count(matmul_4_bit, *gemm_arguments(columns=48))


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (rms_norm, norm_arguments()[::2]),
        (add_rms_norm, norm_arguments()),
        (silu_and_mul, (X,)),
        (quantize_int8, (X, SCALE)),
        (quantize_fp8, (X, SCALE)),
        (rotary, rotary_arguments()),
        (write_cache, cache_arguments()),
    ],
)
def test_compiled(fn, args):
    compiled(fn, *args)


def test_matmul_compiled():
    assert on_tensor_cores(compiled(matmul_4_bit, *gemm_arguments()))
