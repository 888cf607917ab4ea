"""Bad input: each error names the argument and says what to try."""

import types

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

from gpu_utils import traffic
from gpu_utils.traffic import faults


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def copy(x, out=None, n=None):
    out = torch.empty(x.shape, dtype=x.dtype) if out is None else out
    n = x.numel() if n is None else n
    copy_kernel[(triton.cdiv(n, 64),)](x, out, n, BLOCK=64)
    return out


def test_an_empty_tensor_is_counted_and_cannot_be_reached():
    moved = traffic.count(copy, torch.empty(0))
    assert (moved.kernel_bytes, set(moved.by_tensor)) == (0, {"x", "out"})
    with pytest.raises(traffic.OutOfBounds, match=r"load outside x:\nlane 0 .* shape \(0,\)"):
        traffic.count(copy, torch.empty(0), n=1)


def test_two_empty_tensors_are_two():
    moved = traffic.count(lambda x: torch.empty(0, 3), torch.empty(0))
    assert set(moved.by_tensor) == {"x", "out"}


def test_a_tensor_of_no_dimensions_is_one_element():
    assert traffic.count(copy, torch.tensor(3.0)).result == 3
    with pytest.raises(traffic.OutOfBounds, match=r"lane 1 .* element 1, but x has shape \(\) "):
        traffic.count(copy, torch.tensor(3.0), torch.empty(4), n=4)


def test_a_store_into_a_tensor_that_overlaps_itself():
    with pytest.raises(ValueError, match=r"store into out, whose strides \(0,\) give several"):
        traffic.count(copy, torch.ones(8), torch.empty(1).expand(8))
    overlapping = torch.empty(8).as_strided((3, 4), (2, 1))
    with pytest.raises(ValueError, match=r"store into out, whose strides \(2, 1\)"):
        traffic.count(copy, torch.ones(8), overlapping, n=8)


def test_reading_an_expanded_tensor_by_its_stride_is_fine():
    @triton.jit
    def kernel(x_ptr, out_ptr, stride, BLOCK: tl.constexpr):
        offs = tl.arange(0, BLOCK)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs * stride))

    def launch(x):
        out = torch.empty(8)
        kernel[(1,)](x, out, x.stride(0), BLOCK=8)
        return out

    moved = traffic.count(launch, torch.ones(1).expand(8))
    assert moved.by_tensor["x"].load_bytes == 32
    assert moved.by_tensor["x"].unique_load_bytes == 4


def test_a_column_read_as_if_it_were_contiguous():
    with pytest.raises(traffic.OutOfBounds, match=r"x has shape \(8,\) and strides \(4,\), so"):
        traffic.count(copy, torch.ones(8, 4)[:, 0])


def test_a_misaligned_tensor():
    x = torch.frombuffer(bytearray(41), dtype=torch.float32, offset=1, count=8)
    with pytest.raises(ValueError, match="a 4-byte load of x at an address that is no multiple"):
        traffic.count(copy, x)


def test_a_misaligned_descriptor():
    @triton.jit
    def kernel(x_ptr, N):
        tl.make_tensor_descriptor(x_ptr, [4, N], [N, 1], [4, 4])

    for x, N, said in ((torch.ones(65)[1:], 4, "4 bytes past"), (torch.ones(64), 6, "24 bytes")):
        with pytest.raises(ValueError, match=rf"test_bad_input\.py:\d+: .*{said}"):
            traffic.count(lambda x, N: kernel[(1,)](x, N), x, N)


def test_a_descriptor_beyond_its_tensor():
    @triton.jit
    def kernel(desc, out_ptr):
        tl.store(out_ptr + tl.arange(0, 4), tl.sum(desc.load([0, 0]), 1))

    def launch(x):
        out = torch.empty(4)
        kernel[(1,)](TensorDescriptor(x, [4, 8], [8, 1], [4, 8]), out)
        return out

    with pytest.raises(traffic.OutOfBounds, match="load outside x:\nlane 24 asks for element 24"):
        traffic.count(launch, torch.ones(3, 8))


def test_other_devices_and_layouts():
    with pytest.raises(ValueError, match=r"x_ptr is on meta, which holds no data.*addresses_only"):
        traffic.count(copy, torch.empty(4, device="meta"))
    with pytest.raises(ValueError, match=r"x_ptr has layout torch\.sparse_coo"):
        traffic.count(copy, torch.eye(4).to_sparse())
    gpu = types.SimpleNamespace(is_meta=False, device=torch.device("cuda:0"))
    with pytest.raises(ValueError, match=r"w is on cuda:0: pass tensor.cpu\(\)"):
        faults.check_argument("w", gpu, addresses_only=True)


@pytest.mark.parametrize("wrong", [np.ones(4), [1.0], {}])
def test_what_no_kernel_takes(wrong):
    kind = type(wrong).__name__
    with pytest.raises(TypeError, match=f"x_ptr is a {kind}: pass a torch.Tensor"):
        traffic.count(lambda x: copy_kernel[(1,)](x, torch.empty(4), 4, BLOCK=64), wrong)


def test_a_scalar_load_keeps_its_other():
    # Triton's own interpreter takes `other=0` for no `other` at all.
    @triton.jit
    def kernel(x_ptr, out_ptr, n):
        tl.store(out_ptr, tl.load(x_ptr + n, mask=n < 4, other=0.0))

    def launch(x):
        out = torch.empty(1)
        kernel[(1,)](x, out, 4)
        return out

    assert traffic.count(launch, torch.ones(4)).result == 0
