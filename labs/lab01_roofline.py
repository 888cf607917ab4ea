"""Lab 01: is it the memory or the arithmetic?

Lesson: notebooks/01_roofline.ipynb. About 70 minutes; the core task (a) about 20.

Write your code where a TODO stands, save, and run the checks in labs/lab01_roofline.ipynb,
or in a terminal:

    ridge check lab01        all tasks
    ridge check lab01:a      one task
    ridge hint lab01:a       the first of three hints

A cost is compulsory: what must be calculated, and each tensor that must cross the memory bus
counted once. `OpCost(flops, bytes)` holds one; `OpCost(...).intensity` is its FLOP/byte. The
course has such functions of its own in gpu_utils.roofline: compare with them, do not call them.
"""

import dataclasses

import torch
import triton
import triton.language as tl

from gpu_utils.roofline import Bound, OpCost
from gpu_utils.specs import GPUSpec


def check_positive(**values: float) -> None:
    """Raise a ValueError that names the first value that is not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def intensity_reference(x: torch.Tensor, k: int, a: float, b: float) -> torch.Tensor:
    """What (b) must be close to; in eager torch it moves 16 k bytes an element."""
    for _ in range(k):
        x = x * a + b
    return x


# (a) core: what an operation costs, in FLOP and bytes. Sizes are numbers of elements;
# `bytes_per_element` is 4 for float32, 2 for bfloat16, 0.5 for fp4. A cost for a size of 0 or less
# means nothing: begin each function with a call of check_positive.


def elementwise_cost(
    elements: int, inputs: int, flops_per_element: int, bytes_per_element: float
) -> OpCost:
    """`inputs` tensors read and one written, all [elements]; x + y has 2, and 1 FLOP an element."""
    # TODO: about 3 lines
    raise NotImplementedError("elementwise_cost")


def softmax_cost(rows: int, columns: int, bytes_per_element: float) -> OpCost:
    """Softmax of each row of [rows, columns], read once and written once.

    Five FLOP an element by convention: compare for the maximum, subtract it, exp, add to the
    sum, divide by it.
    """
    # TODO: about 2 lines
    raise NotImplementedError("softmax_cost")


def matmul_cost(m: int, n: int, k: int, bytes_per_element: float) -> OpCost:
    """[m, k] @ [k, n]: a product and a sum for each of the k terms of each result."""
    # TODO: about 3 lines
    raise NotImplementedError("matmul_cost")


def mlp_cost(batch: int, d_model: int, d_hidden: int, bytes_per_element: float) -> OpCost:
    """relu(x @ up) @ down for x [batch, d_model], up [d_model, d_hidden], down [d_hidden, d_model].

    The activation is one FLOP for each number of the hidden layer, and the hidden layer never
    leaves the chip.
    """
    # TODO: about 4 lines
    raise NotImplementedError("mlp_cost")


# (b) extra: intensity, a kernel whose FLOP/byte is whatever you ask for


@triton.jit
def intensity_kernel(x_ptr, out_ptr, n, a, b, K: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    """Load a block of x, K times v = v * a + b, store. `a` and `b` are run-time numbers."""
    # TODO: about 6 lines


def intensity(x: torch.Tensor, k: int, a: float, b: float) -> torch.Tensor:
    """k times x = x * a + b in one pass: 8 bytes and 2 k FLOP an element, k / 4 FLOP/byte.

    Args:
        x: [n] float32, contiguous, any length n >= 1.
        k: how many multiply-adds, 0 or more.
        a, b: Python floats.

    Returns:
        [n] float32.
    """
    # TODO: about 4 lines
    raise NotImplementedError("intensity")


# (c) extra: the least time that a part needs


def bound(cost: OpCost, spec: GPUSpec, dtype: str) -> Bound:
    """The bound of a cost on a part, which moves bytes and calculates at the same time.

    Args:
        cost: FLOP and bytes.
        spec: the part. spec.memory_bandwidth_bytes_per_s is None where nobody knows it, and
            spec.peak_flops_per_s[dtype] is missing.
        dtype: the key of the peak to use, such as "bf16", or "fp32" for the plain cores.

    Returns:
        Bound(time_s, limiter, memory_time_s, compute_time_s), in seconds; the limiter is
        "memory" or "compute", and "memory" where the two times are equal.

    Raises:
        LookupError: a figure that is needed is unknown; the message names it and the part.
    """
    # TODO: about 4 lines
    raise NotImplementedError("bound")


# (d) extra: how close a measurement came to the roofs that this machine itself has shown


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """The best rates that were measured on one machine; the lesson measures yours."""

    read_bytes_per_s: float  # of a sum, which only reads
    copy_bytes_per_s: float  # of a copy, bytes read plus bytes written
    flops_per_s: float  # of a matmul in the dtype at hand


@dataclasses.dataclass(frozen=True)
class Reached:
    """Which roof limits, "memory" or "compute", and what share of it was reached; 1 is on it."""

    limiter: str
    share: float


class ImplausibleError(ValueError):
    """A measurement that beats its roof: the measurement is wrong, not the roof."""


def reached(
    time_s: float, flops: float, read_bytes: float, written_bytes: float, ceilings: Ceilings
) -> Reached:
    """Place a measured time, in seconds, under this machine's own roofs.

    A byte written and a byte read make a pair, which moves at the copy's rate. What is read
    beyond that moves at the read's rate, what is written beyond it at the copy's.

    Raises:
        ValueError: a time or ceiling that is not above 0.
        ImplausibleError: more than 5 % above the roof; the message has the share in percent and
            the likely causes: the data was in a cache, the compiler removed the work as dead
            code, or the FLOP or bytes were counted wrong.
    """
    # TODO: about 14 lines
    raise NotImplementedError("reached")
