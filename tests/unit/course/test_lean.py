"""The rungs of memory, on small kernels whose bytes, sectors and misses are worked out by hand."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils.course import rungs

ROWS, COLUMNS = 64, 256


@triton.jit
def _scale_kernel(x_ptr, w_ptr, out_ptr, n, PASSES: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    row = tl.program_id(0) * n
    w = tl.load(w_ptr + offs)
    x = tl.load(x_ptr + row + offs)
    for _ in tl.static_range(PASSES - 1):
        x += tl.load(x_ptr + row + offs)
    tl.store(out_ptr + row + offs, x * w)


def scale(x, w, passes=1):
    out = torch.empty_like(x)
    _scale_kernel[(x.shape[0],)](x, w, out, x.shape[1], passes, BLOCK_SIZE=x.shape[1])
    return out


def twice(x, w):
    return scale(x, w, 2)


@triton.jit
def _field_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + 8 * offs))


def field(x):
    """The first of eight fields of each struct."""
    out = x.new_empty(x.shape[0])
    _field_kernel[(x.shape[0] // 128,)](x, out, x.shape[0], BLOCK_SIZE=128)
    return out


@triton.jit
def _pair_kernel(x_ptr, a_ptr, b_ptr, n, SKIP: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + offs, mask=offs < n, other=0.0)
    tl.store(a_ptr + offs, x + 1, mask=offs < n)
    tl.store(b_ptr + offs, x * 2, mask=offs < n - SKIP)


def pair(x, skip=0):
    a, b = torch.empty_like(x), torch.empty_like(x)
    _pair_kernel[(triton.cdiv(x.numel(), 64),)](x, a, b, x.numel(), skip, BLOCK_SIZE=64)
    return a, b


def pair_reference(x):
    return x + 1, x * 2


X, W = torch.ones(ROWS, COLUMNS), torch.ones(COLUMNS)


def test_a_limit_for_what_may_be_asked_for_again():
    # Each of the 64 programs reads all 256 numbers of w: 64 times its bytes.
    rows = rungs.AtMost(ROWS)
    rungs.lean(scale, X, W, loads={"x": 1, "w": rows}, stores={"out": 1})
    rungs.lean(twice, X, W, loads={"x": rungs.AtMost(2), "w": rows}, stores={"out": 1})
    rungs.lean(scale, X, W, loads={"x": rungs.AtMost(2), "w": rows}, stores={"out": 1})
    with pytest.raises(AssertionError, match=r"scale loads w 64\.00 times .* 63 times is enough"):
        rungs.lean(scale, X, W, loads={"x": 1, "w": rungs.AtMost(63)}, stores={"out": 1})
    with pytest.raises(AssertionError, match=r"twice loads x 2\.00 times .* once is enough"):
        rungs.lean(twice, X, W, loads={"x": 1, "w": rows}, stores={"out": 1})


def test_what_dram_moves_of_each_tensor():
    # w is 1024 bytes and stays in an L2 of 50 MiB: fetched once. x is read once, `out` written.
    each = rungs.lean_dram(scale, X, W, spec="h100", at_most={"x": 1, "w": 1, "out": 1})
    assert each.by_tensor["w"].read_bytes == 1024
    together = rungs.lean_dram(scale, X, W, spec="h100", at_most=1)
    assert together.total_bytes == 2 * 64 * 1024 + 1024


def test_what_a_small_cache_does_not_keep():
    # 16 KiB hold 16 rows of 1 KiB. Of 64 programs in flight each reads w, then its row, then its
    # row again: by then 64 rows have passed, and none of x is left.
    small = {"spec": "h100", "l2_bytes": 16 * 1024, "programs_in_flight": 64}
    rungs.lean_dram(scale, X, W, at_most={"x": 1}, **small)
    with pytest.raises(
        AssertionError, match=r"DRAM moves x 2\.00 times, MODELLED; 1 times"
    ) as error:
        rungs.lean_dram(twice, X, W, at_most={"x": 1, "w": 1}, **small)
    assert "It moves w 1.00 times its size, x 2.00 times its size" in str(error.value)
    # 64 KiB twice, 64 KiB written, 1 KiB of w: 193 of 129 KiB that are distinct, 1.496.
    with pytest.raises(AssertionError, match=r"DRAM moves its distinct bytes 1\.50 times"):
        rungs.lean_dram(twice, X, W, at_most=1.4, **small)
    with pytest.raises(AssertionError, match="never touches v"):
        rungs.lean_dram(scale, X, W, at_most={"v": 1}, **small)


def test_sectors_as_the_compiler_placed_the_lanes():
    # Each lane asks for 4 of the 32 bytes of a sector of its own: 12.5 %; the stores fill theirs.
    x = torch.ones(1024, 8)
    with pytest.raises(AssertionError, match=r"^sm_90: 12\.5 % of the bytes") as error:
        rungs.coalesced(field, x, target="sm_90", at_least=0.95)
    assert "touches 32 sectors of 32 bytes for 128 useful bytes" in str(error.value)
    found = rungs.coalesced(field, x, target="sm_90", at_least=0.95, tensors=["out"])
    assert found.of("out", "store").efficiency == 1


def test_launchers_that_return_several():
    x = torch.arange(100.0)
    assert rungs.runs(pair, x, like=(x, x)) == "_pair_kernel ran in 2 programs on float32 (100,)"
    rungs.safe(pair, x)
    rungs.close(pair, pair_reference, x)
    rungs.equal(pair, pair_reference(x), x)
    rungs.fresh(pair, pair_reference, x)
    rungs.at_size(pair, pair_reference, torch.arange(1000.0))

    def forty_rows(x, w):
        out = torch.empty_like(x)
        _scale_kernel[(40,)](x, w, out, x.shape[1], 1, BLOCK_SIZE=x.shape[1])
        return out

    # 40 programs a row each store 40 of 100 rows.
    with pytest.raises(AssertionError, match="all of them store about 40% of it"):
        rungs.at_size(forty_rows, lambda x, w: x * w, torch.ones(100, COLUMNS), W)
    rungs.lean(pair, x, loads={"x": 1}, stores={"out[0]": 1, "out[1]": 1})


def test_one_of_several_is_wrong():
    x = torch.arange(100.0)

    def late(x):
        return pair(x, skip=1)

    with pytest.raises(AssertionError, match=r"1 of the 100 elements of out\[1\] were never"):
        rungs.safe(late, x)
    with pytest.raises(AssertionError, match=r"not closely enough right: out\[1\]: element 99"):
        rungs.close(late, pair_reference, x)
    with pytest.raises(AssertionError, match="must return 3 tensors; it returned 2"):
        rungs.runs(pair, x, like=(x, x, x))
    with pytest.raises(AssertionError, match="must return a tensor; it returned tuple"):
        rungs.runs(pair, x, like=x)
