"""Costs against PyTorch's own count of FLOPs, and where the two differ and why.

`torch.utils.flop_counter` knows matrix products, convolutions and attention; all else is nothing to
it. Meta tensors have shapes and no data, so that nothing is calculated.
"""

import pytest
import torch
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from gpu_utils import roofline

SHAPES = [(1, 1, 1), (2, 3, 4), (7, 97, 33), (128, 256, 512)]


def empty(*shape):
    return torch.empty(*shape, device="meta", dtype=torch.bfloat16, requires_grad=True)


def counted(fn):
    with FlopCounterMode(display=False) as counter:
        fn()
    return counter.get_total_flops()


def qkv(batch, heads, kv_heads, queries, keys, head_dim):
    kv = (batch, kv_heads, keys, head_dim)
    return empty(batch, heads, queries, head_dim), empty(*kv), empty(*kv)


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_matmul(m, n, k):
    assert counted(lambda: empty(m, k) @ empty(k, n)) == roofline.matmul_cost(m, n, k).flops


@pytest.mark.parametrize(("m", "n", "k"), SHAPES)
def test_a_bias_is_nothing_to_the_counter(m, n, k):
    fused = roofline.matmul_cost(m, n, k).flops + m * n
    assert counted(lambda: torch.addmm(empty(n), empty(m, k), empty(k, n))) == fused - m * n


@pytest.mark.parametrize(("batch", "d_model", "d_hidden"), SHAPES)
@pytest.mark.parametrize("gated", [False, True])
def test_mlp_but_for_what_is_between_its_products(batch, d_model, d_hidden, gated):
    up, gate, down = empty(d_model, d_hidden), empty(d_model, d_hidden), empty(d_hidden, d_model)

    def layer():
        x = empty(batch, d_model)
        hidden = torch.nn.functional.silu(x @ gate) * (x @ up) if gated else (x @ up).relu()
        return hidden @ down

    between = batch * d_hidden * (2 if gated else 1)
    cost = roofline.mlp_cost(batch, d_model, d_hidden, gated=gated)
    assert counted(layer) == cost.flops - between


@pytest.mark.parametrize(("tokens", "experts", "active"), [(1, 4, 1), (6, 4, 2), (5, 3, 3)])
def test_moe_but_for_what_is_between_its_products(tokens, experts, active):
    d_model, d_hidden = 16, 24
    router = empty(d_model, experts)
    weights = [(empty(d_model, d_hidden), empty(d_model, d_hidden), empty(d_hidden, d_model))
               for _ in range(experts)]  # fmt: skip
    # Token t goes to experts t, t + 1, ... in turn.
    mine = [sum(e in {(t + a) % experts for a in range(active)} for t in range(tokens))
            for e in range(experts)]  # fmt: skip

    def layer():
        _ = empty(tokens, d_model) @ router
        for rows, (gate, up, down) in zip(mine, weights, strict=True):
            if rows:
                x = empty(rows, d_model)
                _ = (torch.nn.functional.silu(x @ gate) * (x @ up)) @ down

    between = tokens * active * (2 * d_hidden + 2 * d_model)
    cost = roofline.moe_cost(tokens, d_model, d_hidden, experts=experts, active=active)
    assert sum(mine) == tokens * active
    assert counted(layer) == cost.flops - between


ATTENTION = [(1, 1, 1, 1, 1, 1), (2, 4, 4, 24, 40, 8), (2, 4, 2, 17, 17, 32), (3, 8, 1, 5, 97, 64)]


@pytest.mark.parametrize("sizes", ATTENTION)
def test_attention(sizes):
    batch, heads, kv_heads, queries, keys, head_dim = sizes
    cost = roofline.attention_cost(batch, heads, queries, keys, head_dim, kv_heads=kv_heads)
    gqa = heads != kv_heads
    assert counted(lambda: scaled_dot_product_attention(*qkv(*sizes), enable_gqa=gqa)) == cost.flops


@pytest.mark.parametrize(("batch", "heads", "length"), [(1, 1, 1), (4, 8, 97)])
def test_decode_attention(batch, heads, length):
    cost = roofline.decode_attention_cost(batch, heads, batch * length, 64)
    sizes = qkv(batch, heads, heads, 1, length, 64)
    assert counted(lambda: scaled_dot_product_attention(*sizes)) == cost.flops


def flash(q, k, v, causal):
    return torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, causal)


def flash_backward(q, k, v, causal):
    out, lse, starts_q, starts_k, longest_q, longest_k, seed, offset, _ = flash(q, k, v, causal)
    return torch.ops.aten._scaled_dot_product_flash_attention_backward(
        *(out, q, k, v, out, lse, starts_q, starts_k, longest_q, longest_k, 0.0, causal),
        *(seed, offset),
    )


def test_flash_attention_and_its_backward():
    tensors = qkv(2, 4, 4, 24, 24, 8)
    forward = roofline.attention_cost(2, 4, 24, 24, 8).flops
    backward = roofline.attention_backward_cost(2, 4, 24, 24, 8).flops
    assert counted(lambda: flash(*tensors, False)) == forward
    assert counted(lambda: flash_backward(*tensors, False)) == forward + backward


def test_the_counter_counts_causal_attention_in_full():
    # 24 * 25 / 2 = 300 of 576 scores.
    tensors = qkv(2, 4, 4, 24, 24, 8)
    forward = roofline.attention_cost(2, 4, 24, 24, 8, causal=True).flops
    backward = roofline.attention_backward_cost(2, 4, 24, 24, 8, causal=True).flops
    assert counted(lambda: flash(*tensors, True)) * 300 == forward * 576
    assert counted(lambda: flash_backward(*tensors, True)) * 300 == (forward + backward) * 576


def test_a_backward_that_kept_its_scores_has_four_products_of_five():
    # Not a flash kernel: autograd keeps the scores, so nothing is calculated again.
    q, k, v = qkv(2, 4, 4, 24, 24, 8)
    forward = roofline.attention_cost(2, 4, 24, 24, 8).flops
    again = roofline.attention_backward_cost(2, 4, 24, 24, 8).flops
    whole = counted(lambda: scaled_dot_product_attention(q, k, v).sum().backward())
    assert whole - forward == again * 4 / 5


def test_the_counter_misses_the_kernel_for_the_cpu():
    q, k, v = (torch.zeros(1, 2, 8, 16) for _ in range(3))
    assert counted(lambda: scaled_dot_product_attention(q, k, v)) == 0
    assert roofline.attention_cost(1, 2, 8, 8, 16).flops == 4 * 2 * 64 * 16


def test_what_has_no_products_is_nothing_to_the_counter():
    x = empty(8, 16)
    for fn, cost in (
        (lambda: x.softmax(-1), roofline.softmax_cost(8, 16)),
        (lambda: rms_norm(x, (16,), empty(16)), roofline.rmsnorm_cost(8, 16)),
        (lambda: rms_norm(x + x, (16,), empty(16)), roofline.add_rmsnorm_cost(8, 16)),
        (lambda: x + x, roofline.elementwise_cost(128, inputs=2)),
    ):
        assert counted(fn) == 0
        assert cost.flops > 0
