"""Quantised attention of sageattention, unchanged: right, counted, compiled.

1 batch, 2 heads, 192 tokens, 64 wide, unless said. Its front door `sageattn` insists on
`tensor.is_cuda`; the two launchers behind it do not.
"""

import torch

from gpu_utils import codegen, traffic
from tests.unit.others.common import TARGETS, compiled, needed, normal, on_tensor_cores, right

quant = needed("sageattention.quant_per_block")
attention = needed("sageattention.attn_qk_int8_per_block")

HEADS, WIDTH = 2, 64


def quantize(q, k):
    return quant.per_block_int8(q, k)


def tokens(count, seed):
    return normal(1, HEADS, count, WIDTH, seed=seed)


def blocks(x, size):
    """A block's largest magnitude is 127; halves round away from zero. One scale a block."""
    tiles = x.split(size, -2)
    scales = [tile.abs().amax((-2, -1), keepdim=True) / 127 for tile in tiles]
    whole = [t / s + 0.5 * (t >= 0) - 0.5 * (t < 0) for t, s in zip(tiles, scales, strict=True)]
    return torch.cat(whole, -2).trunc().to(torch.int8), torch.cat(scales, -2)


def test_quantization_by_block():
    # q and k: 2 x 192 x 64 floats in, 98304 bytes each, a byte an element out, 24576 each.
    # Scales: q in blocks of 128, so 2 a head, 16 bytes; k in blocks of 64, 3 a head, 24 bytes.
    q, k = tokens(192, seed=0), tokens(192, seed=1)
    moved = traffic.count(quantize, q, k)
    q_int8, q_scale, k_int8, k_scale = moved.result
    folded = q * (WIDTH**-0.5 * 1.44269504)  # the softmax is in powers of two
    for came, scale, (expected, expected_scale) in (
        (q_int8, q_scale, blocks(folded, 128)),
        (k_int8, k_scale, blocks(k, 64)),
    ):
        torch.testing.assert_close(scale, expected_scale)
        # Scaled in another order, a value may fall on the other side of a half.
        apart = (came.int() - expected.int()).abs()
        assert apart.max() <= 1
        assert (apart > 0).float().mean() < 0.001
    assert [launch.programs for launch in moved.launches] == [4, 6]
    assert moved.load_bytes == 2 * 98_304
    assert moved.store_bytes == 2 * 24_576 + 16 + 24


def attend(q, k, v, q_scale, k_scale):
    return attention.forward(q, k, v, q_scale, k_scale)


def arguments(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q, k = (
        torch.randint(-127, 128, (1, HEADS, count, WIDTH), generator=generator, dtype=torch.int8)
        for _ in range(2)
    )
    q_scale = torch.full((1, HEADS, -(-count // 128), 1), 2.0**-8)
    k_scale = torch.full((1, HEADS, -(-count // 64), 1), 2.0**-6)
    v = normal(1, HEADS, count, WIDTH, seed=seed, dtype=torch.float16)
    return q, k, v, q_scale, k_scale


def attend_reference(q, k, v, q_scale, k_scale):
    wide = v.dtype if v.dtype == torch.float64 else torch.float32
    spread = [s.repeat_interleave(n, -2)[:, :, : q.shape[-2]].to(wide)
              for s, n in ((q_scale, 128), (k_scale, 64))]  # fmt: skip
    scores = (q.to(wide) * spread[0]) @ (k.to(wide) * spread[1]).mT
    weights = (scores * torch.log(torch.tensor(2.0, dtype=wide))).softmax(-1)
    return (weights.to(v.dtype) @ v).to(v.dtype)


def test_attention_on_int8():
    # Each head has 2 tiles of queries. q: 2 x 192 x 64 = 24576 bytes and a scale a tile, 16.
    # Each of the 4 programs walks all keys and values: 12288 + 24576 bytes, and 3 scales, 12.
    args = arguments(192)
    moved = traffic.count(attend, *args)
    right(moved.result, attend_reference, *args)
    assert moved.load_bytes == 24_576 + 16 + 4 * (12_288 + 24_576 + 12)
    assert moved.store_bytes == 2 * 192 * 64 * 2


def test_ragged_keys_are_read_undefined():
    # 200 keys are three tiles of 64 and 8 more. The other 56 lanes of the last tile are masked,
    # loaded without `other=`, and take part in the softmax all the same: undefined on a GPU.
    moved = traffic.count(attend, *arguments(200))
    assert moved.result.isnan().any()
    # Counted they are right: 200 of everything, and 4 scales of keys.
    assert moved.load_bytes == 25_600 + 16 + 4 * (12_800 + 25_600 + 16)


def test_quantization_compiled():
    for artifacts in codegen.compile(
        quantize, tokens(192, 0), tokens(192, 1), target=TARGETS
    ).values():
        assert [a.kernel for a in artifacts] == ["quant_per_block_int8_kernel"] * 2
        assert all(a.fits and a.spill_bytes == 0 for a in artifacts)


def test_attention_compiled():
    assert on_tensor_cores(compiled(attend, *arguments(192)))
