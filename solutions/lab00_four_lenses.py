"""Lab 00: three kernels that move memory, and nothing else.

Lesson: notebooks/00_four_lenses.ipynb. About 45 minutes; the core task (a) about 20.

Write your code where a TODO stands, save, and run the checks in labs/lab00_four_lenses.ipynb,
or in a terminal:

    ridge check lab00        all tasks
    ridge check lab00:a      one task
    ridge hint lab00:a       the first of three hints

All tensors are 1-D and contiguous. A block's size is a power of two. You need `tl.program_id`,
`tl.arange`, `tl.load` and `tl.store`, and on the outside `triton.cdiv(n, BLOCK_SIZE)`, which
divides and rounds up.
"""

import torch
import triton
import triton.language as tl


def copy_reference(x: torch.Tensor) -> torch.Tensor:
    """What (a) and (c) must equal, bit for bit."""
    return x.clone()


def axpby_reference(a: float, x: torch.Tensor, b: float, y: torch.Tensor) -> torch.Tensor:
    """What (b) must be close to."""
    return a * x + b * y


# (a) core: copy


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    """Each program copies one block of BLOCK_SIZE elements; the last block may be cut off by n.

    ### BEGIN SOLUTION
    Program p owns the offsets p * BLOCK_SIZE ... p * BLOCK_SIZE + BLOCK_SIZE - 1. The last
    program's offsets may run past n, so the mask guards both the load and the store: a load past
    the end reads somebody else's memory, a store past the end destroys it.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)  # read n elements
    tl.store(out_ptr + offs, x, mask=mask)  # write n elements
    ### END SOLUTION


def copy(x: torch.Tensor) -> torch.Tensor:
    """A new tensor with the values of `x`.

    Args:
        x: [n], any length n >= 1, any real dtype.

    Returns:
        [n], the dtype of x.

    ### BEGIN SOLUTION
    One program a block, rounded up. A block of 1024 over Triton's default of 4 warps (128
    threads) is 8 elements a thread: two 128-bit loads of float32. With 128 elements each thread
    would own one, and no load could be wider than one element.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    out = torch.empty_like(x)
    n = x.numel()
    copy_kernel[(triton.cdiv(n, 1024),)](x, out, n, BLOCK_SIZE=1024)
    return out
    ### END SOLUTION


# (b) axpby


@triton.jit
def axpby_kernel(a, x_ptr, b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    """out = a * x + b * y, one block a program. `a` and `b` are numbers, not pointers.

    ### BEGIN SOLUTION
    Two loads, one store, three FLOP an element: 12 bytes for 3 FLOP in float32. The scalars a
    and b arrive as fp32, so half-precision inputs are widened, computed in fp32, and rounded
    once, by the store.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 5 lines
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)  # read n elements
    y = tl.load(y_ptr + offs, mask=mask)  # read n elements
    tl.store(out_ptr + offs, a * x + b * y, mask=mask)  # write n elements
    ### END SOLUTION


def axpby(a: float, x: torch.Tensor, b: float, y: torch.Tensor) -> torch.Tensor:
    """a * x + b * y in one pass: each input is read once, the output written once.

    Args:
        a, b: Python floats.
        x, y: [n], the same length n >= 1 and the same floating dtype.

    Returns:
        [n], the dtype of x.

    ### BEGIN SOLUTION
    In eager torch this is three kernels: a * x, b * y, and their sum. They read 4n elements and
    write 3n; this one reads 2n and writes n.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    out = torch.empty_like(x)
    n = x.numel()
    axpby_kernel[(triton.cdiv(n, 1024),)](a, x, b, y, out, n, BLOCK_SIZE=1024)
    return out
    ### END SOLUTION


# (c) extra: wide loads at any length


@triton.jit
def copy_wide_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    """As (a), but the blocks that lie wholly inside x must not pay for the one that does not.

    ### BEGIN SOLUTION
    When n is no multiple of 16, the compiler cannot know that a mask cuts only between groups of
    four elements, so every masked load is as narrow as one element. A branch that is the same
    for the whole program costs next to nothing: full blocks take a path without a mask, whose
    loads are 128 bits wide, and only the last block pays.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 9 lines
    start = tl.program_id(0) * BLOCK_SIZE
    offs = start + tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    if start + BLOCK_SIZE <= n:
        tl.store(out_ptr + offs, tl.load(x_ptr + offs))  # full block: no mask, wide
    else:
        mask = offs < n
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=mask), mask=mask)  # the last block
    ### END SOLUTION


def copy_wide(x: torch.Tensor) -> torch.Tensor:
    """`copy(x)` whose compiled code holds 128-bit loads and stores at any length.

    Args:
        x: [n], any length n >= 1, any real dtype. (The wide loads are asked for in float32, and
            of a tensor that starts at a multiple of 16 bytes, as every fresh one does.)

    Returns:
        [n], the dtype of x.
    """
    ### BEGIN SOLUTION: about 4 lines
    out = torch.empty_like(x)
    n = x.numel()
    copy_wide_kernel[(triton.cdiv(n, 1024),)](x, out, n, BLOCK_SIZE=1024)
    return out
    ### END SOLUTION
