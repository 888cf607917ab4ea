"""Lab 02: how few bytes can it move?

Lesson: notebooks/02_fusion.ipynb. About 80 minutes; the core task (a) about 25.

Write your code where a TODO stands, save, and run the checks in labs/lab02_fusion.ipynb,
or in a terminal:

    ridge check lab02        all tasks
    ridge check lab02:a      one task
    ridge hint lab02:a       the first of three hints

Each kernel below waits for memory, so its time is its bytes. What must move is moved once: read
a row, do everything with it while it is in registers, write the result. New words of the language
are `tl.max(v, axis=0)` and `tl.sum(v, axis=0)` of a block, `tl.exp`, `tl.rsqrt` (1 / square root),
`v.to(tl.float32)`, and `other=` of `tl.load`, which says what a masked-off lane holds.
"""

import torch
import triton
import triton.language as tl

MOST_COLUMNS = 16384  # of a row that is kept in registers
FIELDS = 8  # of a struct in (c)
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def check_rows(most_columns: int | None = None, **tensors: torch.Tensor) -> None:
    """Raise a ValueError that names the first tensor whose layout is not promised below."""
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or 0 in tensor.shape:
            raise ValueError(
                f"{name} must be [rows, columns], at least 1 of each; got {list(tensor.shape)}"
            )
        if tensor.shape[1] > 1 and tensor.stride(1) != 1:
            raise ValueError(
                f"{name} must have each row's numbers side by side (stride 1); got strides "
                f"{tensor.stride()}. Pass {name}.contiguous()"
            )
        if tensor.dtype not in FLOATS:
            raise ValueError(f"{name} must be float32, float16 or bfloat16; got {tensor.dtype}")
        if most_columns is not None and tensor.shape[1] > most_columns:
            raise ValueError(
                f"{name} has {tensor.shape[1]} columns; a row of at most {most_columns} is kept in "
                "registers"
            )


def warps_for(block_size: int) -> int:
    """`num_warps` for a block of so many elements: at most 32 a thread of 32 x num_warps."""
    return min(max(block_size // 1024, 4), 16)


def softmax_reference(x: torch.Tensor) -> torch.Tensor:
    """What (a) and (d) must be close to."""
    return torch.softmax(x, dim=1)


def add_rmsnorm_reference(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """What (b) must be close to."""
    summed = x + residual
    return torch.nn.functional.rms_norm(summed, (x.shape[1],), weight, eps), summed


def to_arrays_reference(structs: torch.Tensor) -> torch.Tensor:
    """What (c) must equal, bit for bit."""
    return structs.t().contiguous()


# (a) core: softmax, a row at a time


@triton.jit
def softmax_kernel(x_ptr, out_ptr, stride_xm, stride_om, n, BLOCK_SIZE: tl.constexpr):
    """One row a program, in one block: BLOCK_SIZE is n rounded up to a power of two.

    ### BEGIN SOLUTION
    The row is loaded once and stays in registers, so maximum, exponentials, sum and division
    cost no traffic. Masked-off lanes hold minus infinity, which no maximum picks and whose exp
    is 0. Sums are kept in float32: half precision has 11 bits, and a row has thousands of terms.
    A row of all minus infinity gives -inf - -inf, which is NaN, as it is in torch.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 7 lines
    row = tl.program_id(0).to(tl.int64)  # row * stride may pass 2**31
    offs = tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    mask = offs < n
    x = tl.load(x_ptr + row * stride_xm + offs, mask=mask, other=-float("inf"))  # read n
    x = x.to(tl.float32)
    e = tl.exp(x - tl.max(x, axis=0))
    tl.store(out_ptr + row * stride_om + offs, e / tl.sum(e, axis=0), mask=mask)  # write n
    ### END SOLUTION


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Softmax of each row: e^(x - max) / sum of e^(x - max).

    Args:
        x: [rows, columns], 1 to 16384 columns, float32, float16 or bfloat16. Rows may lie apart
            (any x.stride(0)).

    Returns:
        [rows, columns], contiguous, the dtype of x.

    ### BEGIN SOLUTION
    Step by step, the same formula is five kernels: maximum, difference, exp, sum, quotient. They
    read the matrix five times and write it three times; one kernel reads and writes it once.
    ### END SOLUTION
    """
    check_rows(MOST_COLUMNS, x=x)
    ### BEGIN SOLUTION: about 6 lines
    rows, columns = x.shape
    out = torch.empty((rows, columns), dtype=x.dtype, device=x.device)
    block = triton.next_power_of_2(columns)
    softmax_kernel[(rows,)](
        *(x, out, x.stride(0), out.stride(0), columns),
        BLOCK_SIZE=block,
        num_warps=warps_for(block),
    )
    return out
    ### END SOLUTION


# (b) add and RMSNorm, with both results


@triton.jit
def add_rmsnorm_kernel(
    x_ptr,
    residual_ptr,
    weight_ptr,
    out_ptr,
    summed_ptr,
    stride_xm,
    stride_rm,
    n,
    eps,
    BLOCK_SIZE: tl.constexpr,
):
    """summed = x + residual, out = summed / sqrt(mean(summed^2) + eps) * weight; a row each.

    ### BEGIN SOLUTION
    The sum is written and, without being read again, squared, averaged and scaled: four trips of
    the matrix's size, where two kernels need five. The mean divides by n, not by BLOCK_SIZE, so
    masked-off lanes must hold 0. 300 squared is more than float16 can hold: square in float32.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 10 lines
    row = tl.program_id(0).to(tl.int64)
    offs = tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
    mask = offs < n
    x = tl.load(x_ptr + row * stride_xm + offs, mask=mask, other=0.0)  # read n
    residual = tl.load(residual_ptr + row * stride_rm + offs, mask=mask, other=0.0)  # read n
    weight = tl.load(weight_ptr + offs, mask=mask, other=0.0)  # every row: out of the L2
    summed = x.to(tl.float32) + residual.to(tl.float32)
    tl.store(summed_ptr + row * n + offs, summed, mask=mask)  # write n
    scale = tl.rsqrt(tl.sum(summed * summed, axis=0) / n + eps)
    tl.store(out_ptr + row * n + offs, summed * scale * weight.to(tl.float32), mask=mask)  # write n
    ### END SOLUTION


def add_rmsnorm(
    x: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, eps: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The step between two layers of a transformer: add to the residual stream and normalise.

    Args:
        x, residual: [rows, columns], 1 to 16384 columns, float32, float16 or bfloat16, the same
            for both. Rows may lie apart, in each as far as it likes.
        weight: [columns], contiguous, the same dtype.
        eps: added to the mean of squares.

    Returns:
        (out, summed), both [rows, columns], contiguous, the dtype of x. `summed` is x + residual,
        and `out` its RMSNorm times `weight`.

    ### BEGIN SOLUTION
    The weight is asked for once a row, and its 8 to 64 kB stay in the L2 all the while: DRAM
    moves it once. Requests are what `traffic.count` tells, DRAM bytes what `traffic.dram` models.
    ### END SOLUTION
    """
    check_rows(MOST_COLUMNS, x=x, residual=residual)
    if residual.shape != x.shape or weight.shape != x.shape[1:] or not weight.is_contiguous():
        raise ValueError(
            f"x, residual and weight must be [rows, columns], the same, and [columns]; got "
            f"{list(x.shape)}, {list(residual.shape)}, {list(weight.shape)}"
        )
    if not x.dtype == residual.dtype == weight.dtype:
        raise ValueError(
            f"x, residual and weight must have one dtype; got {x.dtype}, {residual.dtype}, "
            f"{weight.dtype}"
        )
    ### BEGIN SOLUTION: about 8 lines
    rows, columns = x.shape
    out, summed = (torch.empty((rows, columns), dtype=x.dtype, device=x.device) for _ in range(2))
    block = triton.next_power_of_2(columns)
    add_rmsnorm_kernel[(rows,)](
        *(x, residual, weight, out, summed, x.stride(0), residual.stride(0), columns, eps),
        BLOCK_SIZE=block,
        num_warps=warps_for(block),
    )
    return out, summed
    ### END SOLUTION


# (c) extra: an array of structs to a struct of arrays


@triton.jit
def to_arrays_kernel(structs_ptr, out_ptr, n, FIELDS: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    """A block of BLOCK_SIZE structs a program: out[f, i] = structs[i, f].

    ### BEGIN SOLUTION
    One field of 32 structs is 4 bytes in each of 32 sectors: 12.5 %. A whole block of structs is
    one stretch of memory. Ask for it as a tile, and the compiler gives neighbouring lanes
    neighbouring numbers; for the store, which wants the other order, it moves the tile through
    shared memory by itself.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 6 lines
    structs = tl.program_id(0).to(tl.int64) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)[:, None]
    fields = tl.arange(0, FIELDS).to(tl.int64)[None, :]  # fields * n may pass 2**31
    mask = structs < n
    tile = tl.load(structs_ptr + structs * FIELDS + fields, mask=mask)  # (BLOCK_SIZE, FIELDS)
    tl.store(out_ptr + fields * n + structs, tile, mask=mask)
    ### END SOLUTION


def to_arrays(structs: torch.Tensor) -> torch.Tensor:
    """An array of structs as a struct of arrays: each field's numbers side by side.

    Args:
        structs: [n, 8], contiguous, n >= 1, float32, float16 or bfloat16.

    Returns:
        [8, n], contiguous, the dtype of structs.
    """
    check_rows(structs=structs)
    if structs.shape[1] != FIELDS or not structs.is_contiguous():
        raise ValueError(
            f"structs must be [n, {FIELDS}], contiguous; got {list(structs.shape)} with strides "
            f"{structs.stride()}"
        )
    ### BEGIN SOLUTION: about 4 lines
    n = structs.shape[0]
    out = torch.empty((FIELDS, n), dtype=structs.dtype, device=structs.device)
    to_arrays_kernel[(triton.cdiv(n, 512),)](structs, out, n, FIELDS, BLOCK_SIZE=512)
    return out
    ### END SOLUTION


# (d) extra: softmax of a row that no registers hold


@triton.jit
def softmax_long_kernel(x_ptr, out_ptr, stride_xm, stride_om, n, BLOCK_SIZE: tl.constexpr):
    """One row a program, a block of BLOCK_SIZE at a time.

    ### BEGIN SOLUTION
    Maximum and sum in one pass: when a block raises the maximum from m to m', what was summed so
    far shrinks by e^(m - m'). The second pass reads the row again and writes it: three trips,
    where the simple way (maximum, sum, result) takes four. As long as the maximum is minus
    infinity nothing was summed, and -inf - -inf would poison the sum: subtract 0 then.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 16 lines
    row = tl.program_id(0).to(tl.int64)
    x_ptr += row * stride_xm
    out_ptr += row * stride_om
    highest = -float("inf")
    total = 0.0
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)  # (BLOCK_SIZE,)
        x = tl.load(x_ptr + offs, mask=offs < n, other=-float("inf")).to(tl.float32)  # read n
        higher = tl.maximum(highest, tl.max(x, axis=0))
        base = tl.where(higher == -float("inf"), 0.0, higher)
        total = total * tl.exp(highest - base) + tl.sum(tl.exp(x - base), axis=0)
        highest = higher
    for start in range(0, n, BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        x = tl.load(x_ptr + offs, mask=offs < n).to(tl.float32)  # read n again
        tl.store(out_ptr + offs, tl.exp(x - highest) / total, mask=offs < n)  # write n
    ### END SOLUTION


def softmax_long(x: torch.Tensor) -> torch.Tensor:
    """Softmax of each row, however long it is.

    Args:
        x: [rows, columns], float32, float16 or bfloat16. Rows may lie apart.

    Returns:
        [rows, columns], contiguous, the dtype of x.

    ### BEGIN SOLUTION
    The requests are 1.5 times the compulsory ones. In DRAM it is less: the rows under way at once,
    one or a few for each SM, may all fit the L2, and the second pass then reads them there.
    ### END SOLUTION
    """
    check_rows(x=x)
    ### BEGIN SOLUTION: about 5 lines
    rows, columns = x.shape
    out = torch.empty((rows, columns), dtype=x.dtype, device=x.device)
    softmax_long_kernel[(rows,)](
        *(x, out, x.stride(0), out.stride(0), columns), BLOCK_SIZE=8192, num_warps=8
    )
    return out
    ### END SOLUTION
