"""The access stream: what an observer sees of each load, store and atomic."""

import numpy as np
import torch
import triton
import triton.language as tl

from gpu_utils.traffic import lens


@triton.jit
def double_kernel(x_ptr, out_ptr, total_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n)
    tl.store(out_ptr + offs, 2 * x, mask=offs < n)
    tl.atomic_add(total_ptr, tl.sum(tl.where(offs < n, x, 0), 0))


FIRST = double_kernel.fn.__code__.co_firstlineno


def double(x):
    out, total = torch.empty_like(x), torch.zeros(1)
    double_kernel[(2,)](x, out, total, x.numel(), BLOCK=8)
    return out, total


def test_each_access_in_order():
    # 12 elements in blocks of 8: the second program has four active lanes; its block starts
    # 8 x 4 = 32 bytes after the tensor.
    seen = []
    moved = lens.run(double, (torch.arange(12.0),), {}, observers=[seen.append])
    assert [(a.kind, a.program, a.line - FIRST, a.region.name) for a in seen] == [
        (kind, (program, 0, 0), line, name)
        for program in (0, 1)
        for kind, line, name in (
            ("load", 3, "x"), ("store", 4, "out[0]"), ("atomic", 5, "out[1]")
        )
    ]  # fmt: skip
    tail = seen[3]
    assert (tail.address - np.uint64(tail.region.base)).tolist() == list(range(32, 64, 4))
    assert tail.mask.tolist() == [True] * 4 + [False] * 4
    assert (tail.address.dtype, tail.itemsize, tail.launch) == (np.uint64, 4, 0)
    assert tail.column == len("    x = ")
    assert tail.file == __file__
    assert moved.load_bytes == 12 * 4 + 2 * 4


def test_a_byte_keeps_its_name_across_launches_and_views():
    # The second launch gets the upper half of the same allocation, 6 x 4 = 24 bytes into it.
    def both(x):
        return double(x), double(x[6:])

    seen = []
    lens.run(both, (torch.arange(12.0),), {}, observers=[seen.append])
    whole, half = (next(a for a in seen if (a.launch, a.kind) == (n, "load")) for n in (0, 1))
    assert whole.region.storage.number == half.region.storage.number
    place = [int(a.address[0]) - a.region.base + a.region.offset for a in (whole, half)]
    assert place == [0, 24]
    # Two allocations, two numbers, even if the first was freed before the second was made.
    assert len({a.region.storage.number for a in seen}) == 1 + 4
