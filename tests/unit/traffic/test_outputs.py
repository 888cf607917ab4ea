"""Which tensors were written, and how far: outputs by their own elements, inputs by name."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic


@triton.jit
def rows_kernel(x_ptr, out_ptr, N, stride, UNTIL, BLOCK: tl.constexpr):
    row, offs = tl.program_id(0), tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * N + offs, mask=offs < N)
    tl.store(out_ptr + row * stride + offs, x, mask=offs < UNTIL)


def padded_copy(x, until=None):
    # Rows of 10 in a buffer whose rows hold 16.
    buffer = torch.empty(4, 16)
    rows_kernel[(4,)](x, buffer, 10, 16, 10 if until is None else until, BLOCK=16)
    return buffer[:, :10]


def test_a_view_of_a_padded_buffer_is_judged_by_its_own_elements():
    # 4 x 10 x 4 B = 160, all of them stored; the 96 B of padding are nobody's.
    out = traffic.count(padded_copy, torch.randn(4, 10)).by_tensor["out"]
    assert (out.nbytes, out.store_bytes, out.unique_store_bytes) == (160, 160, 160)
    assert out.unwritten_bytes == 0


def test_what_is_missing_in_it_is_found():
    out = traffic.count(padded_copy, torch.randn(4, 10), until=7).by_tensor["out"]
    assert (out.unique_store_bytes, out.unwritten_bytes) == (4 * 7 * 4, 4 * 3 * 4)


@triton.jit
def packed_kernel(x_ptr, out_ptr, TIMES: tl.constexpr):
    offs = tl.arange(0, 32)
    for _ in tl.static_range(TIMES):
        tl.store(out_ptr + offs, tl.load(x_ptr + offs))


def unpacked(x, times):
    packed = torch.empty(4, 8)
    packed_kernel[(1,)](x, packed, TIMES=times)
    return packed[:, :3], packed[:, 3:]


def test_two_outputs_in_one_buffer():
    # Rows of 8 hold 3 and 5 elements: 4 x 3 x 4 = 48 B and 80 B, each stored once.
    table = traffic.count(unpacked, torch.randn(32), times=1).by_tensor
    assert [table[f"out[{i}]"].store_bytes for i in (0, 1)] == [48, 80]
    assert [table[f"out[{i}]"].unwritten_bytes for i in (0, 1)] == [0, 0]
    assert table["out"].store_bytes == 0  # the buffer, by its name in the kernel, keeps nothing


def test_what_was_asked_twice_of_a_shared_buffer_stays_with_it():
    table = traffic.count(unpacked, torch.randn(32), times=2).by_tensor
    assert table["out"].store_bytes == 2 * 128
    assert [table[f"out[{i}]"].unique_store_bytes for i in (0, 1)] == [48, 80]


@triton.jit
def scale_kernel(x_ptr, out_ptr, N: tl.constexpr):
    offs = tl.arange(0, N)
    tl.store(out_ptr + offs, 2 * tl.load(x_ptr + offs))


@pytest.mark.parametrize(
    ("write", "written"),
    [
        (lambda x, y: scale_kernel[(1,)](x, x, N=8), ("x",)),
        (lambda x, y: scale_kernel[(1,)](x, y, N=8), ("y",)),
        (lambda x, y: scale_kernel[(1,)](x, y[8:], N=8), ("y",)),
        (lambda x, y: x.add_(1), ("x",)),
        (lambda x, y: torch.mul(x, 2, out=y[:8]), ("y",)),
        (lambda x, y: x + 1, ()),
        (lambda x, y: scale_kernel[(1,)](x, torch.empty(8), N=8), ()),
    ],
)
def test_written_inputs_are_named(write, written):
    assert traffic.count(write, torch.ones(8), torch.ones(16)).written_inputs == written


def test_columns_of_one_buffer_are_told_apart():
    # Both arguments lie in one allocation; only the second's columns are written.
    def launch(left, right):
        rows_kernel[(4,)](left.contiguous(), right, 3, 8, 3, BLOCK=4)

    packed = torch.zeros(4, 8)
    moved = traffic.count(launch, packed[:, :3], packed[:, 3:6])
    assert moved.written_inputs == ("right",)


def test_meta_allocations_count_for_the_peak():
    def launch(x):
        return torch.empty_like(x), torch.zeros_like(x)

    x = torch.empty(1000, device="meta")
    moved = traffic.count(launch, x, addresses_only=True)
    assert moved.peak_bytes == 8000
    assert [(op.kind, op.written_bytes) for op in moved.eager_ops] == [("fill", 4000)]
