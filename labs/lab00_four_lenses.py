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
    """Each program copies one block of BLOCK_SIZE elements; the last block may be cut off by n."""
    # TODO: about 4 lines


def copy(x: torch.Tensor) -> torch.Tensor:
    """A new tensor with the values of `x`.

    Args:
        x: [n], any length n >= 1, any real dtype.

    Returns:
        [n], the dtype of x.
    """
    # TODO: about 4 lines
    raise NotImplementedError("copy")


# (b) axpby


@triton.jit
def axpby_kernel(a, x_ptr, b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    """out = a * x + b * y, one block a program. `a` and `b` are numbers, not pointers."""
    # TODO: about 5 lines


def axpby(a: float, x: torch.Tensor, b: float, y: torch.Tensor) -> torch.Tensor:
    """a * x + b * y in one pass: each input is read once, the output written once.

    Args:
        a, b: Python floats.
        x, y: [n], the same length n >= 1 and the same floating dtype.

    Returns:
        [n], the dtype of x.
    """
    # TODO: about 4 lines
    raise NotImplementedError("axpby")


# (c) extra: wide loads at any length


@triton.jit
def copy_wide_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    """As (a), but the blocks that lie wholly inside x must not pay for the one that does not."""
    # TODO: about 9 lines


def copy_wide(x: torch.Tensor) -> torch.Tensor:
    """`copy(x)` whose compiled code holds 128-bit loads and stores at any length.

    Args:
        x: [n], any length n >= 1, any real dtype. (The wide loads are asked for in float32, and
            of a tensor that starts at a multiple of 16 bytes, as every fresh one does.)

    Returns:
        [n], the dtype of x.
    """
    # TODO: about 4 lines
    raise NotImplementedError("copy_wide")
