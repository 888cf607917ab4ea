"""Kernels of liger-kernel, unchanged, through its own launchers: right, counted, compiled.

5 rows of 100 float32: 400 bytes a row, 2000 a tensor. Each kernel pads a row to a block of 128
lanes, and the 28 masked ones ask for nothing.
"""

import pytest
import torch
from torch.nn import functional

from gpu_utils import codegen, traffic
from tests.unit.others.common import compiled, needed, normal, right

liger = needed("liger_kernel.ops")

ROWS, COLUMNS, EPS = 5, 100, 1e-6
X, GATE = normal(ROWS, COLUMNS), normal(ROWS, COLUMNS, seed=1)
WEIGHT, BIAS = normal(COLUMNS, seed=2), normal(COLUMNS, seed=3)


def rms_norm(x, weight):
    return liger.rms_norm_forward(x, weight, EPS, 0.0, "llama", None)[0]


def rms_norm_reference(x, weight):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


def test_rms_norm():
    # Each of 5 programs loads its row and all of the weight: 2000 + 5 x 400. It stores the row
    # and one float32, the reciprocal of the root: 2000 + 5 x 4.
    moved = traffic.count(rms_norm, X, WEIGHT)
    right(moved.result, rms_norm_reference, X, WEIGHT)
    assert moved.by_tensor["x"].load_bytes == 2000
    assert moved.by_tensor["weight"].load_bytes == 2000
    assert moved.by_tensor["weight"].unique_load_bytes == 400
    assert (moved.load_bytes, moved.store_bytes) == (4000, 2020)


def test_rms_norm_of_bfloat16_without_weight():
    # 5 x 100 x 2 = 1000 bytes in and out; the root stays float32, 20 bytes.
    def normed(x):
        return liger.rms_norm_forward(x, None, EPS, 0.0, "gemma", None)[0]

    x = X.bfloat16()
    moved = traffic.count(normed, x)
    right(moved.result, lambda x: rms_norm_reference(x, 1.0), x)
    assert (moved.load_bytes, moved.store_bytes) == (1000, 1020)


def layer_norm(x, weight, bias):
    return liger.layer_norm_forward(x, weight, bias, EPS)[0]


def test_layer_norm():
    # Row, weight and bias a program: 5 x 1200. Stored: row, mean and root: 5 x (400 + 4 + 4).
    moved = traffic.count(layer_norm, X, WEIGHT, BIAS)
    right(moved.result, lambda x, w, b: functional.layer_norm(x, (COLUMNS,), w, b, EPS),
          X, WEIGHT, BIAS)  # fmt: skip
    assert (moved.load_bytes, moved.store_bytes) == (6000, 2040)


def group_norm(x, weight, bias):
    channels = x.shape[1]
    return liger.group_norm_forward(x, channels, 4, weight, bias, EPS)[0]


def test_group_norm():
    # 2 x 8 x 10 in 4 groups: 8 programs, each with 2 channels of 10, 20 elements. It loads them
    # twice (moments, then the result), and weight and bias for each element: 4 x 80 bytes.
    # It stores 80 bytes, a mean and a root. 8 x 320 = 2560 and 8 x 88 = 704.
    x, weight, bias = normal(2, 8, 10), normal(8, seed=1), normal(8, seed=2)
    moved = traffic.count(group_norm, x, weight, bias)
    right(moved.result, lambda x, w, b: functional.group_norm(x, 4, w, b, EPS), x, weight, bias)
    assert moved.by_tensor["x"].load_bytes == 2 * 160 * 4
    assert (moved.load_bytes, moved.store_bytes) == (2560, 704)
    # 8 channels, 32 bytes of weight, are asked for twenty times in each image.
    assert moved.by_tensor["weight"].load_bytes == 20 * moved.by_tensor["weight"].nbytes


def swiglu(a, b):
    return liger.swiglu_forward(a, b)[2]


def geglu(a, b):
    return liger.geglu_forward(a, b)[2]


@pytest.mark.parametrize(
    ("fn", "reference"),
    [
        (swiglu, lambda a, b: functional.silu(a) * b),
        (geglu, lambda a, b: functional.gelu(a, approximate="tanh") * b),
    ],
)
def test_gated_activations(fn, reference):
    # Two tensors in, one out: 2 x 2000 and 2000 bytes.
    moved = traffic.count(fn, X, GATE)
    right(moved.result, reference, X, GATE)
    assert (moved.load_bytes, moved.store_bytes) == (4000, 2000)


def softmax(x):
    return liger.softmax._softmax_forward(x)[0]


def test_softmax():
    # A row fits in one block, so it is loaded once.
    moved = traffic.count(softmax, X)
    right(moved.result, lambda x: x.softmax(-1), X)
    assert (moved.load_bytes, moved.store_bytes) == (2000, 2000)


def rope(q, k, cos, sin):
    return liger.rope_forward(q, k, cos, sin)[:2]


def rope_arguments():
    # (batch, heads, tokens, 16), laid out token by token, as models hold them.
    q = normal(2, 6, 4, 16).transpose(1, 2)
    k = normal(2, 6, 2, 16, seed=1).transpose(1, 2)
    angle = torch.outer(torch.arange(6.0), 10_000 ** (-torch.arange(0, 16, 2) / 16)).repeat(1, 2)
    return q, k, angle.cos()[None], angle.sin()[None]


def rotated(x, cos, sin):
    left, right_half = x.chunk(2, -1)
    return x * cos + torch.cat([-right_half, left], -1) * sin


def test_rope_in_place():
    # 12 tokens. Each loads 4 heads of q and 2 of k, 6 x 16 x 4 = 384 bytes, and stores them
    # again. Of cos and sin it needs the left half, 8 floats each: 64 bytes.
    q, k, cos, sin = rope_arguments()
    before = q.clone(), k.clone()
    moved = traffic.count(rope, q, k, cos, sin)
    for out, x in zip(moved.result, before, strict=True):
        right(out, rotated, x, cos, sin)
    assert moved.by_tensor["cos"].load_bytes == moved.by_tensor["sin"].load_bytes == 12 * 32
    assert (moved.load_bytes, moved.store_bytes) == (12 * 448, 12 * 384)
    assert not moved.eager_ops  # nothing is copied to make it contiguous


def cross_entropy(x, target):
    return liger.cross_entropy_forward(x, target, None, -100, 0.0, 0.0, "mean", None, False)[0]


TARGET = torch.tensor([3, 99, -100, 0, 50])


def test_cross_entropy_and_its_gradient_in_one_kernel():
    # Of 5 rows one is ignored: it loads its target, 8 bytes, and stores zeros, 400 bytes. Each
    # of the others loads target, its own logit and the row twice, 8 + 4 + 800, and stores the
    # gradient over the row, once more its own element, and a loss: 400 + 4 + 4.
    logits = X.clone().requires_grad_()
    expected = torch.autograd.grad(functional.cross_entropy(logits, TARGET), logits)[0]
    with torch.no_grad():
        moved = traffic.count(cross_entropy, logits, TARGET)
    right(moved.result, lambda x: functional.cross_entropy(x, TARGET), X)
    torch.testing.assert_close(logits.detach(), expected)
    assert (moved.load_bytes, moved.store_bytes) == (8 + 4 * 812, 400 + 4 * 408)


def sparsemax(x):
    return liger.sparsemax._sparsemax_forward(x, -1)[0]


def sparsemax_reference(x):
    """Project on the simplex: x - t, cut at zero, with the t for which the rest sums to one."""
    ordered = x.sort(-1, descending=True).values
    excess = ordered.cumsum(-1) - 1
    support = (ordered * torch.arange(1, x.shape[-1] + 1) > excess).sum(-1, keepdim=True)
    return (x - excess.gather(-1, support - 1) / support).clamp(min=0)


def test_sparsemax_sorts_outside_the_kernel():
    # The kernel loads x and its sorted copy. The sort is torch's: it reads 2000 bytes and writes
    # the values and 500 indices of 8 bytes, 6000.
    moved = traffic.count(sparsemax, X)
    right(moved.result, sparsemax_reference, X)
    assert (moved.load_bytes, moved.store_bytes) == (4000, 2000)
    (sort,) = (op for op in moved.eager_ops if op.name == "aten.sort")
    assert (sort.read_bytes, sort.written_bytes) == (2000, 6000)


@pytest.mark.parametrize(
    ("fn", "args"),
    [
        (rms_norm, (X, WEIGHT)),
        (layer_norm, (X, WEIGHT, BIAS)),
        (group_norm, (normal(2, 8, 10), normal(8), normal(8))),
        (swiglu, (X, GATE)),
        (geglu, (X, GATE)),
        (softmax, (X,)),
        (rope, rope_arguments()),
        (sparsemax, (X,)),
    ],
)
def test_compiled(fn, args):
    compiled(fn, *args)


def test_cross_entropy_compiled_and_who_cannot_launch_it():
    # It asks for 32 warps unless torch was built for AMD, as it is not here. A warp of AMD has 64
    # lanes, and a block may have 1024 threads: 32 x 64 = 2048 do not start.
    built = codegen.compile(cross_entropy, X, TARGET, target=["sm_90", "gfx942"])
    (nvidia,), (amd,) = built["sm_90"], built["gfx942"]
    assert nvidia.fits
    assert "Required: 2048, Hardware limit: 1024" in amd.fits_message
