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
    """One row a program, in one block: BLOCK_SIZE is n rounded up to a power of two."""
    # TODO: about 7 lines


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Softmax of each row: e^(x - max) / sum of e^(x - max).

    Args:
        x: [rows, columns], 1 to 16384 columns, float32, float16 or bfloat16. Rows may lie apart
            (any x.stride(0)).

    Returns:
        [rows, columns], contiguous, the dtype of x.
    """
    check_rows(MOST_COLUMNS, x=x)
    # TODO: about 6 lines
    raise NotImplementedError("softmax")


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
    """summed = x + residual, out = summed / sqrt(mean(summed^2) + eps) * weight; a row each."""
    # TODO: about 10 lines


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
    # TODO: about 8 lines
    raise NotImplementedError("add_rmsnorm")


# (c) extra: an array of structs to a struct of arrays


@triton.jit
def to_arrays_kernel(structs_ptr, out_ptr, n, FIELDS: tl.constexpr, BLOCK_SIZE: tl.constexpr):
    """A block of BLOCK_SIZE structs a program: out[f, i] = structs[i, f]."""
    # TODO: about 6 lines


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
    # TODO: about 4 lines
    raise NotImplementedError("to_arrays")


# (d) extra: softmax of a row that no registers hold


@triton.jit
def softmax_long_kernel(x_ptr, out_ptr, stride_xm, stride_om, n, BLOCK_SIZE: tl.constexpr):
    """One row a program, a block of BLOCK_SIZE at a time."""
    # TODO: about 16 lines


def softmax_long(x: torch.Tensor) -> torch.Tensor:
    """Softmax of each row, however long it is.

    Args:
        x: [rows, columns], float32, float16 or bfloat16. Rows may lie apart.

    Returns:
        [rows, columns], contiguous, the dtype of x.
    """
    check_rows(x=x)
    # TODO: about 5 lines
    raise NotImplementedError("softmax_long")
