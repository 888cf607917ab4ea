"""Attention: a prompt at once, one step of decoding, and the backward pass.

FLOPs are those of the matrix products, as published TFLOP/s count them. The softmax between them
(scale, compare, subtract, exp, add: about five a score) runs on other units: 1 % of the FLOPs at
a head size of 128, and yet the wall where exp is slow; `attention_pairs` counts the scores.
"""

from gpu_utils.roofline.cost import OpCost, bytes_per_element, check_sizes

__all__ = [
    "attention_backward_cost",
    "attention_cost",
    "attention_pairs",
    "decode_attention_cost",
]

_LSE_BYTES = 4  # the logarithm of each row's sum, in float32


def attention_pairs(queries: int, keys: int, causal: bool = False) -> int:
    """The scores of one head: how many pairs of query and key there are.

    Causal is aligned to the bottom right: the last query sees all keys, and query i those up to
    i + keys - queries. Of more queries than keys, the first see none.

    >>> attention_pairs(4, 4), attention_pairs(4, 4, causal=True)  # 4 + 3 + 2 + 1
    (16, 10)
    >>> attention_pairs(2, 5, causal=True), attention_pairs(5, 2, causal=True)
    (9, 3)
    """
    check_sizes(queries=queries, keys=keys)
    if not causal:
        return queries * keys
    seeing = min(queries, keys)
    return seeing * (keys - seeing) + seeing * (seeing + 1) // 2


def attention_cost(
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    head_dim: int,
    dtype: str = "bf16",
    *,
    kv_heads: int | None = None,
    causal: bool = False,
    lse: bool = False,
) -> OpCost:
    """softmax(Q @ K^T) @ V without the matrix of scores: Q, K, V read once, the result written.

    flops = 4 * B * H * pairs * D
    bytes = (2 * B * H * Nq * D + 2 * B * Hkv * Nk * D) * bytes per element

    Args:
        batch: B.
        heads: H, of the queries.
        queries: Nq.
        keys: Nk.
        head_dim: D, of queries, keys and values.
        dtype: As stored.
        kv_heads: Hkv, of keys and values, each shared by H / Hkv heads; H if None.
        causal: Count the pairs that a mask leaves (`attention_pairs`), not all.
        lse: The logarithm of each row's sum is written too, in float32, as training needs it.

    The FLOPs grow with the square of the length and the bytes with the length:

    >>> [round(attention_cost(1, 32, n, n, 128).intensity) for n in (1024, 2048, 4096)]
    [512, 1024, 2048]
    """
    kv_heads = _kv_heads(heads, kv_heads)
    check_sizes(batch=batch, heads=heads, head_dim=head_dim)
    pairs = attention_pairs(queries, keys, causal)
    elements = 2 * batch * head_dim * (heads * queries + kv_heads * keys)
    written = _LSE_BYTES * batch * heads * queries if lse else 0
    return OpCost(
        4 * batch * heads * pairs * head_dim, elements * bytes_per_element(dtype) + written
    )


def attention_backward_cost(
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    head_dim: int,
    dtype: str = "bf16",
    *,
    kv_heads: int | None = None,
    causal: bool = False,
) -> OpCost:
    """The gradients of Q, K and V, with the scores calculated again instead of kept.

    Five products where the forward pass has two: Q @ K^T again, and one each for the gradients of
    V, of the scores, of Q and of K. Q, K, V, the result and its gradient are read, three gradients
    written, and the logarithms of the rows' sums read in float32.

    flops = 10 * B * H * pairs * D
    bytes = (4 * B * H * Nq * D + 4 * B * Hkv * Nk * D) * bytes per element + 4 * B * H * Nq

    The arguments are those of `attention_cost`.

    >>> forward, backward = attention_cost(1, 2, 8, 8, 4), attention_backward_cost(1, 2, 8, 8, 4)
    >>> backward.flops / forward.flops, backward.bytes
    (2.5, 1088)
    """
    kv_heads = _kv_heads(heads, kv_heads)
    check_sizes(batch=batch, heads=heads, head_dim=head_dim)
    pairs = attention_pairs(queries, keys, causal)
    elements = 4 * batch * head_dim * (heads * queries + kv_heads * keys)
    sums = _LSE_BYTES * batch * heads * queries
    return OpCost(10 * batch * heads * pairs * head_dim, elements * bytes_per_element(dtype) + sums)


def decode_attention_cost(
    batch: int,
    heads: int,
    cached: int,
    head_dim: int,
    dtype: str = "bf16",
    *,
    kv_heads: int | None = None,
) -> OpCost:
    """One query of each sequence against its own cache of keys and values, read once.

    flops = 4 * H * D * cached
    bytes = (2 * Hkv * D * cached + 2 * B * H * D) * bytes per element

    Args:
        batch: B, the sequences, each with one query; an empty cache counts as one.
        heads: H, of the queries.
        cached: The lengths of all caches together, however ragged; B * N if all have N.
        head_dim: D.
        dtype: As stored.
        kv_heads: Hkv, of keys and values; H if None.

    However many sequences there are, the intensity stays at H / Hkv in 16 bits, for no two share
    a cache:

    >>> [round(decode_attention_cost(b, 32, b * 4096, 128, kv_heads=8).intensity, 2)
    ...  for b in (1, 64)]
    [4.0, 4.0]
    """
    kv_heads = _kv_heads(heads, kv_heads)
    check_sizes(batch=batch, heads=heads, cached=cached, head_dim=head_dim)
    elements = 2 * head_dim * (kv_heads * cached + batch * heads)
    return OpCost(4 * heads * head_dim * cached, elements * bytes_per_element(dtype))


def _kv_heads(heads: int, kv_heads: int | None) -> int:
    if kv_heads is None:
        return heads
    check_sizes(kv_heads=kv_heads)
    if heads % kv_heads:
        raise ValueError(
            f"heads must be a multiple of kv_heads, got {heads} and {kv_heads}: each head of keys "
            "and values serves as many heads of queries"
        )
    return kv_heads
