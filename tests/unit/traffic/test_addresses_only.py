"""Addresses alone: the same counts without the arithmetic, and a refusal where data decides."""

import dataclasses

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic
from gpu_utils.traffic import lens


@triton.jit
def attention_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, scale, N, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr
):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    d = tl.arange(0, D)
    q = tl.load(q_ptr + m[:, None] * D + d[None, :], mask=m[:, None] < N, other=0.0)
    peak = tl.full([BM], -float("inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    acc = tl.zeros([BM, D], tl.float32)
    for start in range(0, N, BN):
        n = start + tl.arange(0, BN)
        inside = n[:, None] < N
        k = tl.load(k_ptr + n[:, None] * D + d[None, :], mask=inside, other=0.0)
        scores = tl.where(n[None, :] < N, tl.dot(q, tl.trans(k)) * scale, -float("inf"))
        higher = tl.maximum(peak, tl.max(scores, 1))
        p = tl.exp(scores - higher[:, None])
        shrink = tl.exp(peak - higher)
        total = total * shrink + tl.sum(p, 1)
        v = tl.load(v_ptr + n[:, None] * D + d[None, :], mask=inside, other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None])
        peak = higher
    out = (acc / total[:, None]).to(out_ptr.dtype.element_ty)
    tl.store(out_ptr + m[:, None] * D + d[None, :], out, mask=m[:, None] < N)


def attention(q, k, v):
    out = torch.empty_like(q)
    N, D = q.shape
    grid = (triton.cdiv(N, 32),)
    attention_kernel[grid](q, k, v, out, D**-0.5, N, D, BM=32, BN=16)
    return out


@triton.jit
def scan_kernel(x_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    x = tl.sort(tl.load(x_ptr + i))
    y = tl.cumsum(x, 0) + tl.sum(x, 0) + tl.argmax(x, 0) + tl.rsqrt(tl.abs(x))
    tl.atomic_add(out_ptr + i, -y)


def scan(x):
    out = torch.zeros_like(x)
    scan_kernel[(1,)](x, out, N=64)
    return out


CASES = [(attention, [(50, 32)] * 3, torch.float32), (attention, [(50, 32)] * 3, torch.bfloat16),
         (scan, [(64,)], torch.float32)]  # fmt: skip


@pytest.mark.parametrize(("fn", "shapes", "dtype"), CASES)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_it_equals_the_full_count(fn, shapes, dtype, device):
    args = [torch.randn(shape).to(dtype) for shape in shapes]
    full = traffic.count(fn, *args)
    walked = traffic.count(fn, *(x.to(device) for x in args), addresses_only=True)
    for field in dataclasses.fields(traffic.Traffic):
        if field.name != "result":
            assert getattr(walked, field.name) == getattr(full, field.name), field.name


@triton.jit
def matmul_kernel(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr):
    m = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    n = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, BLOCK_K)
    a_ptrs = a_ptr + m[:, None] * K + k[None, :]
    b_ptrs = b_ptr + k[:, None] * N + n[None, :]
    acc = tl.zeros([BLOCK, BLOCK], tl.float32)
    for _ in range(0, K, BLOCK_K):
        acc = tl.dot(tl.load(a_ptrs), tl.load(b_ptrs), acc)
        a_ptrs += BLOCK_K
        b_ptrs += BLOCK_K * N
    tl.store(c_ptr + m[:, None] * N + n[None, :], acc.to(tl.bfloat16))


def test_a_product_too_large_to_compute_here():
    # A of 16384 x 16384 would take 512 MiB, and does not exist. The grid is one row of tiles: 2
    # programs, which both ask for the same 128 rows of A, and together once for all of B.
    def product(a, b):
        c = torch.empty(a.shape[0], b.shape[1], dtype=a.dtype, device=a.device)
        matmul_kernel[(1, 2)](a, b, c, *c.shape, a.shape[1], BLOCK=128, BLOCK_K=64)
        return c

    a = torch.empty(16_384, 16_384, dtype=torch.bfloat16, device="meta")
    b = torch.empty(16_384, 256, dtype=torch.bfloat16, device="meta")
    moved = traffic.count(product, a, b, addresses_only=True)
    assert moved.by_tensor["a"].load_bytes == 2 * 128 * 16_384 * 2
    assert moved.by_tensor["b"].load_bytes == b.nbytes
    assert moved.dot_flops == 2 * 128 * 256 * 16_384
    assert moved.result.is_meta


@triton.jit
def route_kernel(x_ptr, table_ptr, out_ptr, N: tl.constexpr):
    i = tl.arange(0, N)
    at = tl.load(x_ptr + i).to(tl.int32)
    tl.store(out_ptr + i, tl.load(table_ptr + at))


def route(x, table):
    out = torch.empty(16)
    route_kernel[(1,)](x, table, out, N=16)
    return out


def test_addresses_from_floating_point_are_refused():
    x, table = torch.arange(16.0), torch.randn(16)
    assert torch.equal(traffic.count(route, x, table).result, table)
    with pytest.raises(traffic.NeedsData, match="the address depends on x, whose floating-point"):
        traffic.count(route, x, table, addresses_only=True)


def test_addresses_from_a_meta_tensor_are_refused():
    index = torch.zeros(16, dtype=torch.int32)
    assert traffic.count(route, index, torch.ones(16), addresses_only=True).load_bytes == 128
    with pytest.raises(traffic.NeedsData, match="the address depends on x, a meta tensor"):
        traffic.count(route, index.to("meta"), torch.ones(16), addresses_only=True)


@triton.jit
def branch_kernel(x_ptr, out_ptr, MASK: tl.constexpr):
    x = tl.load(x_ptr)
    if MASK:
        tl.store(out_ptr, x, mask=x > 0)
    elif x > 0:
        tl.store(out_ptr, x)


@pytest.mark.parametrize(("mask", "role"), [(True, "mask"), (False, "control flow")])
def test_masks_and_branches_on_data_are_refused(mask, role):
    def launch(x):
        out = torch.zeros(1)
        branch_kernel[(1,)](x, out, MASK=mask)
        return out

    with pytest.raises(traffic.NeedsData, match=f"the {role} depends on x,"):
        traffic.count(launch, torch.ones(1), addresses_only=True)


@triton.jit
def winner_kernel(x_ptr, out_ptr, N: tl.constexpr):
    tl.store(out_ptr, tl.argmax(tl.load(x_ptr + tl.arange(0, N)), 0))


@pytest.mark.parametrize("eager", ["nothing", "arithmetic", "item"])
def test_indices_that_a_kernel_would_have_computed_are_refused(eager):
    # The first kernel's integers come from data; what torch makes of them does, too.
    def launch(x, table):
        index, out = torch.zeros(16, dtype=torch.int32), torch.empty(16)
        winner_kernel[(1,)](x, index, N=16)
        if eager == "arithmetic":
            index = index + 1
        if eager == "item":
            index.fill_(index[0].item())
        route_kernel[(1,)](index, table, out, N=16)
        return out

    asked = "_local_scalar_dense asks" if eager == "item" else "which holds what was not computed"
    with pytest.raises(traffic.NeedsData, match=asked):
        traffic.count(launch, torch.randn(16), torch.randn(16), addresses_only=True)


def test_unread_results_are_not_garbage_that_looks_right():
    x = torch.randn(50, 32)
    assert traffic.count(attention, x, x, x, addresses_only=True).result.isnan().all()


def test_out_of_bounds_is_found_all_the_same():
    table = torch.randn(3)
    with pytest.raises(traffic.OutOfBounds, match="load outside table"):
        traffic.count(route, torch.arange(16, dtype=torch.int32), table, addresses_only=True)


def test_the_keyword_is_kept_and_a_clash_is_refused():
    def launch(x, addresses_only):
        return x

    with pytest.raises(TypeError, match="launch has a parameter addresses_only"):
        traffic.count(launch, torch.ones(1), addresses_only=True)
    moved = lens.run(launch, (torch.ones(1),), {"addresses_only": 3})
    assert moved.launches == ()
