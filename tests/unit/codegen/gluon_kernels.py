"""Gluon kernels, each for one generation of NVIDIA's GPUs alone."""

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.blackwell import (
    TensorMemoryLayout,
    allocate_tensor_memory,
)
from triton.experimental.gluon.language.nvidia.hopper import warpgroup_mma

from tests.unit.codegen.kernels import meta


@gluon.jit
def hopper_kernel(a_ptr, c_ptr):
    layout: gl.constexpr = gl.BlockedLayout([1, 8], [4, 8], [4, 1], [1, 0])
    offs_m = gl.arange(0, 64, gl.SliceLayout(1, layout))
    offs_n = gl.arange(0, 64, gl.SliceLayout(0, layout))
    offs = offs_m[:, None] * 64 + offs_n[None, :]
    shared: gl.constexpr = gl.NVMMASharedLayout.get_default_for([64, 64], gl.float16)
    tile = gl.allocate_shared_memory(gl.float16, [64, 64], shared, gl.load(a_ptr + offs))
    mma: gl.constexpr = gl.NVMMADistributedLayout([3, 0], [4, 1], [16, 64, 16])
    acc = warpgroup_mma(tile, tile, gl.zeros([64, 64], gl.float32, mma))
    gl.store(c_ptr + gl.convert_layout(offs, mma), acc)


def hopper():
    hopper_kernel[(1,)](meta(64, 64, dtype=torch.float16), meta(64, 64))


@gluon.jit
def blackwell_kernel(c_ptr):
    registers: gl.constexpr = gl.BlockedLayout([1, 64], [32, 1], [4, 1], [0, 1])
    offs_m = gl.arange(0, 128, gl.SliceLayout(1, registers))
    offs_n = gl.arange(0, 64, gl.SliceLayout(0, registers))
    layout: gl.constexpr = TensorMemoryLayout([128, 64], col_stride=1)
    tile = allocate_tensor_memory(gl.float32, [128, 64], layout)
    tile.store(gl.zeros([128, 64], gl.float32, registers))
    gl.store(c_ptr + offs_m[:, None] * 64 + offs_n[None, :], tile.load(registers))


def blackwell():
    blackwell_kernel[(1,)](meta(128, 64))
