"""Launchers that are right, wrong, wasteful or too large, and what a card says of them."""

import html.parser
import re

import torch
import triton
import triton.language as tl

from gpu_utils import bench, card


@triton.jit
def axpby_kernel(a, x_ptr, b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)
    y = tl.load(y_ptr + offs, mask=mask)
    tl.store(out_ptr + offs, a * x + b * y, mask=mask)


def axpby(a, x, b, y, launches=1):
    out = torch.empty_like(x)
    for _ in range(launches):
        axpby_kernel[(triton.cdiv(x.numel(), 1024),)](a, x, b, y, out, x.numel(), 1024)
    return out


def axpby_reference(a, x, b, y):
    return a * x + b * y


def axpby_minus(a, x, b, y):
    return axpby(a, x, -b, y)


@triton.jit
def double_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, 2 * tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def double(x, out=None):
    out = torch.empty_like(x) if out is None else out
    double_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), 1024)
    return out


def double_reference(x):
    return x + x


@triton.jit
def past_the_end_kernel(x_ptr, out_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs))


def past_the_end(x):
    out = torch.empty_like(x)
    past_the_end_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, 1024)
    return out


@triton.jit
def relu_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + offs, mask=offs < n)  # <b>&"'
    tl.store(out_ptr + offs, tl.where(x < 0, 0.0, x), mask=offs < n)


def relu(x):
    out = torch.empty_like(x)
    relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), 1024)
    return out


@triton.jit
def matmul_kernel(a_ptr, b_ptr, c_ptr, N: tl.constexpr):
    rows = tl.arange(0, N)
    tile = rows[:, None] * N + rows[None, :]
    product = tl.dot(tl.load(a_ptr + tile), tl.load(b_ptr + tile))
    tl.store(c_ptr + tile, product.to(c_ptr.dtype.element_ty))


def matmul(a, b):
    c = torch.empty_like(a)
    matmul_kernel[(1,)](a, b, c, a.shape[0])
    return c


@triton.jit
def gather_kernel(table_ptr, index_ptr, out_ptr, COLUMNS: tl.constexpr):
    row, cols = tl.load(index_ptr + tl.program_id(0)), tl.arange(0, COLUMNS)
    value = tl.load(table_ptr + row * COLUMNS + cols)
    tl.store(out_ptr + tl.program_id(0) * COLUMNS + cols, value)


def gather(table, index):
    out = torch.empty(index.numel(), table.shape[1])
    gather_kernel[(index.numel(),)](table, index, out, table.shape[1])
    return out


@triton.jit
def misspelt_kernel(x_ptr, out_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs).squared())


def misspelt(x):
    out = torch.empty_like(x)
    misspelt_kernel[(1,)](x, out, 1024)
    return out


X, Y = torch.arange(4096, dtype=torch.float32), torch.ones(4096)


@triton.jit
def strided_kernel(x_ptr, out_ptr, STRIDE: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + STRIDE * offs))


def strided(x, stride=8):
    out = torch.empty(x.numel() // stride)
    strided_kernel[(out.numel() // 512,)](x, out, stride, 512)
    return out


@triton.jit
def again_kernel(x_ptr, out_ptr, times, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    total = tl.zeros((BLOCK_SIZE,), tl.float32)
    for _ in range(times):
        total += tl.load(x_ptr + offs)
    tl.store(out_ptr + offs, total)


def again(x, times=16):
    out = torch.empty_like(x)
    again_kernel[(x.numel() // 1024,)](x, out, times, 1024)
    return out


@triton.jit
def power_kernel(x_ptr, out_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.exp2(tl.load(x_ptr + offs)))


def power(x):
    out = torch.empty_like(x)
    power_kernel[(x.numel() // 1024,)](x, out, 1024)
    return out


@triton.jit
def count_kernel(x_ptr, bins_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.atomic_add(bins_ptr + tl.load(x_ptr + offs), 1)


def count(x):
    bins = torch.zeros(16, dtype=torch.int32)
    count_kernel[(x.numel() // 1024,)](x, bins, 1024)
    return bins


def half_written(x):
    out = torch.empty_like(x)
    double_kernel[(2,)](x, out, x.numel(), 1024)
    return out


def unfinished(x):
    raise NotImplementedError("yours to write")


def lines(page):
    """The five lines; what the compiler decides is left out, as nbval leaves it out."""
    return re.sub("⟨[^⟩]*⟩", "⟨⟩", str(page)).splitlines()


def bare(fn, *args, **kwargs):
    """A card without compiling, for what only counting shows."""
    return card.study(fn, *args, targets=(), **kwargs)


class Reader(html.parser.HTMLParser):
    """Checks that tags nest, and keeps what a reader and a style sheet see."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], ""
        self.feed(page._repr_html_())
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


class Gpu:
    """What a timing on an H100 would bring."""

    timing = bench.Timing(20e-9, 19e-9, 22e-9, 100, "cuda: NVIDIA H100 80GB HBM3", "events")


PAGES = {
    "whole": lambda: card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference),
    "stopped": lambda: card.study(past_the_end, torch.ones(1000), targets=["sm_90"]),
    "refused": lambda: card.study(misspelt, torch.ones(1024), targets=["sm_90"]),
    "eager": lambda: card.study(axpby_reference, 2.0, X, -0.5, Y),
    "escaped": lambda: card.study(relu, X, targets=["sm_90"], name="<relu> & 'co'"),
    "empty": lambda: bare(double, X, parts=()),
}
