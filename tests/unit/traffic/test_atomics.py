"""Atomics: every operation, masked or meeting on one element, and what each lane finds."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import traffic


@triton.jit
def integer_kernel(x_ptr, old_ptr):
    i = tl.arange(0, 4)
    tl.atomic_max(x_ptr + i * 0, i + 5)
    tl.atomic_min(x_ptr + 1, -3)
    tl.atomic_and(x_ptr + 2, 6)
    tl.atomic_or(x_ptr + 3, 8)
    tl.atomic_xor(x_ptr + 4, 5)
    tl.store(old_ptr, tl.atomic_xchg(x_ptr + 5, 77))
    tl.store(old_ptr + 1, tl.atomic_cas(x_ptr + 6, 1, 9))  # finds 1: replaces
    tl.store(old_ptr + 2, tl.atomic_cas(x_ptr + 7, 2, 9))  # finds 1: leaves
    tl.store(old_ptr + 4 + i, tl.atomic_add(x_ptr + 8 + i * 0, i, mask=i < 3))


def test_integers():
    # All elements begin as 1. max(1, 5 .. 8) = 8; min(1, -3) = -3; 1 & 6 = 0; 1 | 8 = 9;
    # 1 ^ 5 = 4; the lanes of the addition meet: they find 1, 1 + 0, 1 + 0 + 1, and leave 4.
    x, old = torch.ones(9, dtype=torch.int32), torch.zeros(8, dtype=torch.int32)
    moved = traffic.count(lambda x, old: integer_kernel[(1,)](x, old), x, old)
    assert x.tolist() == [8, -3, 0, 9, 4, 77, 9, 1, 4]
    assert old.tolist() == [1, 1, 1, 0, 1, 1, 2, 0]
    # 4 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 3 lanes of 4 bytes, each read and written.
    assert moved.atomics == moved.by_tensor["x"].atomics == 14
    assert moved.by_tensor["x"].load_bytes == moved.by_tensor["x"].store_bytes == 56
    assert moved.by_tensor["old"].store_bytes == (1 + 1 + 1 + 4) * 4
    assert moved.written_inputs == ("x", "old")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floating_point(dtype):
    # The order of floats is kept where both are negative, too: max(-2, -1), min(3, -1.5).
    @triton.jit
    def kernel(x_ptr, value_ptr):
        i = tl.arange(0, 4)
        tl.atomic_max(x_ptr, tl.load(value_ptr))
        tl.atomic_min(x_ptr + 1, tl.load(value_ptr + 1))
        tl.atomic_add(x_ptr + 2 + i * 0, tl.load(value_ptr + 2))

    x = torch.tensor([-2.0, 3.0, 0.5], dtype=dtype)
    values = torch.tensor([-1.0, -1.5, 0.25], dtype=dtype)
    moved = traffic.count(lambda x, values: kernel[(1,)](x, values), x, values)
    assert x.tolist() == [-1.0, -1.5, 1.5]
    assert moved.atomics == 1 + 1 + 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_sums_round_at_each_addition(dtype):
    # 256 + 1 is no bfloat16 number and ties to even: eight additions of 1 leave 256. As fp16,
    # which counts to 2048, they make 264.
    @triton.jit
    def kernel(x_ptr, one_ptr):
        tl.atomic_add(x_ptr + tl.arange(0, 8) * 0, tl.load(one_ptr))

    x, one = torch.tensor([256.0], dtype=dtype), torch.ones(1, dtype=dtype)
    traffic.count(lambda x, one: kernel[(1,)](x, one), x, one)
    assert x.item() == (256 if dtype is torch.bfloat16 else 264)


@triton.jit
def lock_kernel(lock_ptr, total_ptr):
    while tl.atomic_cas(lock_ptr, 0, 1) == 1:
        pass
    tl.store(total_ptr, tl.load(total_ptr) + 1.0)
    tl.atomic_xchg(lock_ptr, 0)


@pytest.mark.parametrize("addresses_only", [False, True])
def test_a_lock(addresses_only):
    # Programs run one after another, so that each finds the lock open: 2 atomics a program.
    # A lock is an integer that decides a branch: it is kept really, whatever else is skipped.
    def launch(lock, total):
        lock_kernel[(5,)](lock, total)

    lock, total = torch.zeros(1, dtype=torch.int32), torch.zeros(1)
    moved = traffic.count(launch, lock, total, addresses_only=addresses_only)
    assert moved.atomics == 10
    assert lock.item() == 0
    assert total.item() == (0 if addresses_only else 5)


@triton.jit
def descriptor_kernel(x_ptr, out_ptr, M, N):
    x = tl.make_tensor_descriptor(x_ptr, [M, N], [N, 1], [8, 16])
    out = tl.make_tensor_descriptor(out_ptr, [M, N], [N, 1], [8, 16])
    value = x.load([0, 0])
    out.atomic_add([0, 0], value)
    out.atomic_max([0, 0], value * 0 + 3)


def test_descriptor_atomics():
    # 6 x 12 elements lie inside the block of 8 x 16: 72 atomics twice.
    def launch(x):
        out = torch.ones_like(x)
        descriptor_kernel[(1,)](x, out, 6, 12)
        return out

    x = torch.randint(-9, 9, (6, 12), dtype=torch.int32)
    moved = traffic.count(launch, x)
    assert torch.equal(moved.result, (x + 1).clamp(min=3))
    assert moved.atomics == 144
