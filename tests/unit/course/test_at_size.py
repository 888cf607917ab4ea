"""The look at production size: three programs stand for all, so chance must not decide."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils.course import rungs


@triton.jit
def tiles_kernel(x_ptr, out_ptr, M, N, add, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[:, None]
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    inside = (rows < M) & (columns < N)
    x = tl.load(x_ptr + rows * N + columns, mask=inside)
    tl.store(out_ptr + rows * N + columns, x + add, mask=inside)


def copied(x, rows=None, add=0.0):
    M, N = x.shape
    out = torch.empty_like(x)
    grid = (triton.cdiv(rows or M, 16), triton.cdiv(N, 16))
    tiles_kernel[grid](x, out, M, N, add, BLOCK=16)
    return out


def halved(x):
    return copied(x, rows=x.shape[0] // 2)


def off_when_large(x):
    return copied(x, add=1.0)


def without_a_kernel(x):
    return x.clone()


# 10 x 10 tiles of 16 x 16, those at the edge one element wide: if chance draws one of these 18,
# three programs store 256 + 1 + 16 elements, which stand for 273 * 100 / 3 = 9100 of 21025.
RAGGED = torch.randn(145, 145, generator=torch.Generator().manual_seed(0))


def test_tiles_of_the_edge_are_no_fault():
    for _ in range(40):  # one draw in five is of the edge: were it judged, this would see it
        rungs.at_size(copied, torch.clone, RAGGED, elementwise=True)


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (halved, "all of them store about (42|23)% of it. Does the grid grow"),
        (off_when_large, "in three programs of its launch on float32 .145, 145. it is not"),
        (without_a_kernel, "of 0 elements of out that three programs"),
    ],
)
def test_what_only_a_large_launch_gets_wrong(fn, words):
    with pytest.raises(AssertionError, match=words):
        rungs.at_size(fn, torch.clone, RAGGED)
