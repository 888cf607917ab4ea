"""c/correct: torch pads x to whole blocks first."""

import torch
import triton
import triton.language as tl


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)


def copy_wide(x):
    n = x.numel()
    padded = torch.nn.functional.pad(x, (0, -n % 1024))
    out = torch.empty_like(padded)
    copy_kernel[(padded.numel() // 1024,)](padded, out, padded.numel(), BLOCK_SIZE=1024)
    return out[:n]
