"""Kernels of fla-core (flash-linear-attention), unchanged, through its launchers.

Right, counted, compiled. Where its kernels are autotuned the first configuration stands for all,
and it decides how many programs share a load.
"""

import pytest
import torch
from torch.nn import functional

from gpu_utils import codegen, tolerance, traffic
from tests.unit.others.common import TARGETS, compiled, needed, normal, on_tensor_cores, right

l2norm = needed("fla.modules.norm.l2norm")
gated = needed("fla.modules.norm.fused_norm_gate")
token_shift = needed("fla.modules.token_shift")
attention = needed("fla.ops.attn.parallel")
cumsum = needed("fla.ops.utils.cumsum")
hgrn = needed("fla.ops.hgrn")
retention = needed("fla.ops.retention")

ROWS, COLUMNS, EPS = 5, 100, 1e-6
X, GATE, WEIGHT = normal(ROWS, COLUMNS), normal(ROWS, COLUMNS, seed=1), normal(COLUMNS, seed=2)


def l2_normed(x):
    return l2norm.l2norm_fwd(x, EPS)[0]


def test_l2_norm():
    # 2000 bytes in, 2000 out, and the reciprocal norm of each of 5 rows.
    moved = traffic.count(l2_normed, X)
    right(moved.result, lambda x: x * torch.rsqrt(x.square().sum(-1, keepdim=True) + EPS), X)
    assert (moved.load_bytes, moved.store_bytes) == (2000, 2020)


def gated_norm(x, gate, weight):
    return gated.layer_norm_gated_fwd(x, gate, weight, None, eps=EPS, is_rms_norm=True)[0]


def gated_norm_reference(x, gate, weight):
    normed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight
    return normed * functional.silu(gate)


def test_gated_rms_norm():
    # 16 rows a program, so one has all 5 and loads the weight once: 2000 + 2000 + 400.
    moved = traffic.count(gated_norm, X, GATE, WEIGHT)
    right(moved.result, gated_norm_reference, X, GATE, WEIGHT)
    assert moved.launches[0].programs == 1
    assert (moved.load_bytes, moved.store_bytes) == (4400, 2020)


def shifted(x):
    return token_shift.token_shift(x)


def test_token_shift():
    # 2 sequences of 5 tokens of 100. Each token loads itself, and its predecessor if it has one:
    # 2 x (5 + 4) x 400 bytes. 2 x 5 x 400 are stored.
    x = normal(2, 5, COLUMNS)
    moved = traffic.count(shifted, x)
    before = functional.pad(x, (0, 0, 1, 0))[:, :-1]
    assert tolerance.exact(moved.result, before - x) is None
    assert (moved.load_bytes, moved.store_bytes) == (7200, 4000)


def cumulated(x):
    return cumsum.chunk_local_cumsum(x, 64)


def test_cumulative_sum_in_chunks():
    # 2 x 100 tokens x 3 heads, each once: 2400 bytes in and out, chunk by chunk of 64.
    x = normal(2, 100, 3)
    moved = traffic.count(cumulated, x)
    right(moved.result, lambda x: torch.cat([x[:, :64].cumsum(1), x[:, 64:].cumsum(1)], 1), x)
    assert moved.launches[0].programs == 2 * 3 * 2
    assert (moved.load_bytes, moved.store_bytes) == (2400, 2400)


def recurrent_hgrn(x, gate):
    return hgrn.fused_recurrent_hgrn(x, gate)[0]


def hgrn_reference(x, gate):
    state, states = torch.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        state = gate[:, t].exp() * state + x[:, t]
        states.append(state)
    return torch.stack(states, 1)


def test_recurrence_in_registers():
    # 2 sequences of 10 steps, 50 wide. A step loads x and the gate, 400 bytes, and stores the
    # state, 200. The state itself never leaves the registers.
    x, gate = normal(2, 10, 50), -normal(2, 10, 50, seed=1).abs()
    moved = traffic.count(recurrent_hgrn, x, gate)
    right(moved.result, hgrn_reference, x, gate)
    assert moved.launches[0].programs == 2 * 2  # 50 in blocks of 32
    assert (moved.load_bytes, moved.store_bytes) == (20 * 400, 20 * 200)


def attend(q, k, v):
    return attention.parallel_attn(q, k, v)


def attention_arguments():
    # 200 tokens, 2 heads of queries on one of keys, 32 wide, halves: 64 bytes a row.
    wide = {"dtype": torch.float16}
    return (
        normal(1, 200, 2, 32, **wide),
        normal(1, 200, 1, 32, seed=1, **wide),
        normal(1, 200, 1, 32, seed=2, **wide),
    )


def attend_reference(q, k, v):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
    return out.transpose(1, 2)


def test_causal_attention():
    # A head's queries come in tiles of 128 and 72. The first needs the keys and values up to 128,
    # the second all 200: 328 rows of each. With 200 rows of q: (200 + 2 x 328) x 64 bytes a head.
    # Stored: 200 rows and as many float32 logarithms, 200 x (64 + 4) a head.
    args = attention_arguments()
    moved = traffic.count(attend, *args)
    right(moved.result, attend_reference, *args)
    assert moved.by_tensor["k"].load_bytes == moved.by_tensor["v"].load_bytes == 2 * 328 * 64
    assert moved.load_bytes == 2 * 856 * 64
    assert moved.store_bytes == 2 * 200 * 68


def retained_by_chunk(q, k, v):
    return retention.chunk_retention(q, k, v)[0]


def retained_by_step(q, k, v):
    return retention.fused_recurrent_retention(q, k, v)[0]


def retention_arguments(count, width=16, dtype=torch.float32):
    return tuple(normal(1, count, 2, width, seed=seed, dtype=dtype) for seed in range(3))


def retention_reference(q, k, v):
    """Retention by its definition: the state decays, takes in k and v, and is read by q."""
    decay = torch.log(1 - 2.0 ** (-5 - torch.arange(2, dtype=q.dtype))).exp()
    state, out = 0, []
    for t in range(q.shape[1]):
        state = decay[:, None, None] * state + k[:, t, :, :, None] * v[:, t, :, None, :]
        out.append((q[:, t, :, :, None] * state).sum(-2) / q.shape[-1] ** 0.5)
    return torch.stack(out, 1)


def test_retention_by_chunk_keeps_a_state_a_chunk():
    # 100 tokens x 2 heads x 16 floats are 12800 bytes; a chunk of 64 makes 2 chunks.
    # First launch: k, v and the decay, 4 bytes a head, in; a 16 x 16 state for each head and
    # chunk out, 2 x 2 x 1024. Second: q, k, v, the states and the decay, 4 bytes in each of 4
    # programs, in; the result out.
    args = retention_arguments(100)
    moved = traffic.count(retained_by_chunk, *args)
    right(moved.result, retention_reference, *args)
    first, second = moved.launches
    assert (first.load_bytes, first.store_bytes) == (2 * 12_800 + 8, 4096)
    assert (second.load_bytes, second.store_bytes) == (3 * 12_800 + 4096 + 16, 12_800)


def test_retention_by_step_moves_no_state():
    # 20 tokens of 2 x 16 halves are 1280 bytes: q, k and v, and a float32 decay for each head. The
    # kernel stores float32, 2560 bytes, and the launcher has torch narrow them.
    args = retention_arguments(20, dtype=torch.float16)
    moved = traffic.count(retained_by_step, *args)
    right(moved.result, retention_reference, *args)
    assert (moved.load_bytes, moved.store_bytes) == (3 * 1280 + 8, 2560)
    (narrow,) = (op for op in moved.eager_ops if op.kind == "copy")
    assert (narrow.read_bytes, narrow.written_bytes) == (2560, 1280)


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (l2_normed, (X,)),
        (gated_norm, (X, GATE, WEIGHT)),
        (shifted, (normal(2, 5, COLUMNS),)),
        (cumulated, (normal(2, 100, 3),)),
        (recurrent_hgrn, (normal(2, 10, 50), normal(2, 10, 50))),
        (retained_by_step, retention_arguments(20)),
    ],
)
def test_compiled(fn, args):
    compiled(fn, *args)


def test_attention_compiled():
    assert on_tensor_cores(compiled(attend, *attention_arguments()))


def test_both_launches_of_retention_compiled():
    args = retention_arguments(128, width=64, dtype=torch.bfloat16)
    for artifacts in codegen.compile(retained_by_chunk, *args, target=TARGETS).values():
        assert [a.kernel for a in artifacts] == ["chunk_fwd_kernel_h", "chunk_fwd_kernel_o"]
        assert all(a.fits and a.spill_bytes == 0 for a in artifacts)


def test_the_first_configuration_need_not_fit_everywhere():
    # In float32 the tiles take more than 64 KiB, which is all an MI300X has: there the tuner would
    # drop this configuration. An H100 has 227.
    built = codegen.compile(retained_by_chunk, *retention_arguments(100), target=TARGETS)
    assert [a.fits for a in built["sm_90"]] == [True, True]
    assert [a.fits for a in built["gfx942"]] == [True, False]
    assert "shared memory" in built["gfx942"][1].fits_message
    assert "Hardware limit: 65536" in built["gfx942"][1].fits_message
