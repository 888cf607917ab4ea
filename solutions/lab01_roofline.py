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
    """`inputs` tensors read and one written, all [elements]; x + y has 2, and 1 FLOP an element.

    ### BEGIN SOLUTION
    x + y has 1/12 FLOP/byte in float32 at any length, far below the ridge of every part. A copy
    has 0 FLOP and a fill 0 inputs, so these two may be 0.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 3 lines
    check_positive(elements=elements, bytes_per_element=bytes_per_element)
    moved = (inputs + 1) * elements  # each input read, the output written
    return OpCost(flops_per_element * elements, moved * bytes_per_element)
    ### END SOLUTION


def softmax_cost(rows: int, columns: int, bytes_per_element: float) -> OpCost:
    """Softmax of each row of [rows, columns], read once and written once.

    Five FLOP an element by convention: compare for the maximum, subtract it, exp, add to the
    sum, divide by it.

    ### BEGIN SOLUTION
    To the memory it is an elementwise operation, read once and written once: 5/8 FLOP/byte in
    float32.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 2 lines
    check_positive(rows=rows, columns=columns)
    return elementwise_cost(rows * columns, 1, 5, bytes_per_element)
    ### END SOLUTION


def matmul_cost(m: int, n: int, k: int, bytes_per_element: float) -> OpCost:
    """[m, k] @ [k, n]: a product and a sum for each of the k terms of each result.

    ### BEGIN SOLUTION
    FLOP grow with the cube of the side and bytes with its square: a square product of side n has
    n / 3 FLOP/byte in 16 bits. A single row (m = 1) has 1, since every weight is used once.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 3 lines
    check_positive(m=m, n=n, k=k, bytes_per_element=bytes_per_element)
    moved = m * k + k * n + m * n  # read both factors, write the product
    return OpCost(2 * m * n * k, moved * bytes_per_element)
    ### END SOLUTION


def mlp_cost(batch: int, d_model: int, d_hidden: int, bytes_per_element: float) -> OpCost:
    """relu(x @ up) @ down for x [batch, d_model], up [d_model, d_hidden], down [d_hidden, d_model].

    The activation is one FLOP for each number of the hidden layer, and the hidden layer never
    leaves the chip.

    ### BEGIN SOLUTION
    Nearly all bytes are weights until the batch comes near the layer's width, so in 16 bits the
    intensity is about the batch: one token at a time is memory-bound on every part of the table.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    check_positive(batch=batch, d_model=d_model, d_hidden=d_hidden)
    check_positive(bytes_per_element=bytes_per_element)
    flops = 4 * batch * d_model * d_hidden + batch * d_hidden
    moved = 2 * d_model * d_hidden + 2 * batch * d_model  # both weights; x in, the result out
    return OpCost(flops, moved * bytes_per_element)
    ### END SOLUTION


# (b) extra: intensity, a kernel whose FLOP/byte is whatever you ask for


@triton.jit
def intensity_kernel(x_ptr, out_ptr, n, a, b, K: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    """Load a block of x, K times v = v * a + b, store. `a` and `b` are run-time numbers.

    ### BEGIN SOLUTION
    The chain stays in registers, so k changes the arithmetic and leaves the traffic alone. K is
    a constexpr, so static_range writes K steps into the code, and each becomes one FFMA a
    number. a and b must not be constexpr: with a = 1 and b = 0 known, the compiler deletes the
    chain. The traffic lens still counts it, because the interpreter does what the source says.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 6 lines
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    mask = offs < n
    v = tl.load(x_ptr + offs, mask=mask)  # read n elements
    for _ in tl.static_range(K):
        v = v * a + b  # 2 FLOP, one instruction
    tl.store(out_ptr + offs, v, mask=mask)  # write n elements
    ### END SOLUTION


def intensity(x: torch.Tensor, k: int, a: float, b: float) -> torch.Tensor:
    """k times x = x * a + b in one pass: 8 bytes and 2 k FLOP an element, k / 4 FLOP/byte.

    Args:
        x: [n] float32, contiguous, any length n >= 1.
        k: how many multiply-adds, 0 or more.
        a, b: Python floats.

    Returns:
        [n] float32.

    ### BEGIN SOLUTION
    1024 numbers over 4 warps are 8 a thread on NVIDIA: two 128-bit loads, and 8 independent
    chains, so that a warp has work while each FFMA waits for the one before it.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    out = torch.empty_like(x)
    n = x.numel()
    intensity_kernel[(triton.cdiv(n, 1024),)](x, out, n, a, b, K=k, BLOCK_SIZE=1024)
    return out
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    The larger time wins because the two overlap; adding them would be the time of a machine that
    stops its memory while it calculates. An unknown figure must not become a 0 or an infinity:
    either gives a bound that looks like knowledge.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 4 lines
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    Ceilings are measured too, so a share of 1.03 is noise and is returned as it is: cut to 1, it
    would hide how noisy the ceiling is. Reads and copies have ceilings of their own because on
    many a CPU a store first reads the line that it overwrites.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 14 lines
    check_positive(time_s=time_s, **dataclasses.asdict(ceilings))
    paired = 2 * min(read_bytes, written_bytes)
    rest = read_bytes + written_bytes - paired
    rest_rate = (
        ceilings.read_bytes_per_s if read_bytes > written_bytes else ceilings.copy_bytes_per_s
    )
    memory_time_s = paired / ceilings.copy_bytes_per_s + rest / rest_rate
    compute_time_s = flops / ceilings.flops_per_s
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    share = max(memory_time_s, compute_time_s) / time_s
    if share > 1.05:
        raise ImplausibleError(
            f"{share:.0%} of the {limiter} roof: was the data in a cache, was the work removed as "
            "dead code, or is the count of FLOP or bytes wrong?"
        )
    return Reached(limiter, share)
    ### END SOLUTION
