"""Lab 03: one trip of the weights, and whether the bandwidth that carries them predicts a model.

Lesson: notebooks/03_decode_bandwidth.ipynb. About 95 minutes; the core task (c) about 25, and (a)
and (b) lead up to it.

Write your code where a TODO stands, save, and run the checks in
labs/lab03_decode_bandwidth.ipynb, or in a terminal:

    ridge check lab03        all tasks
    ridge check lab03:c      one task
    ridge hint lab03:c       the first of three hints

Decoding multiplies a matrix of weights with one vector, over and over. Each weight is used once,
so the kernels of (a), (b) and (c) are as fast as memory delivers. (d) and (e) are plain Python.
"""

import dataclasses
import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from gpu_utils.roofline import BYTES_PER_ELEMENT
from gpu_utils.specs import GPUSpec, MLPerfResult


def row_sum_reference(w: torch.Tensor) -> torch.Tensor:
    """What (a) must be close to."""
    return w.to(torch.promote_types(w.dtype, torch.float32)).sum(1)


def gemv_reference(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """What (b) must be close to: calculated in float32, rounded once."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return (w.to(wide) @ x.to(wide)).to(x.dtype)


def gemv_w8a16_reference(
    w_int8: torch.Tensor, scale: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """What (c) must be close to."""
    wide = torch.promote_types(x.dtype, torch.float32)
    return ((w_int8.to(wide) @ x.to(wide)) * scale.to(wide)).to(x.dtype)


def check_layout(
    w: torch.Tensor, *, columns: torch.Tensor | None = None, rows: torch.Tensor | None = None
) -> None:
    """Refuse what this lab's kernels do not promise; given, and called first in each launcher.

    A matrix may be part of a wider one, so that its rows lie apart (`w.stride(0)`), but the
    elements of a row are neighbours. `columns` and `rows` are contiguous vectors, with one number
    for each column or row of w.
    """
    if w.dim() != 2 or 0 in w.shape or w.stride(1) != 1:
        raise ValueError(
            f"w must be [M, K], both at least 1, with neighbours in each row; got shape "
            f"{tuple(w.shape)} with strides {w.stride()}: take w.contiguous()"
        )
    if w.shape[0] * w.stride(0) >= 2**31:
        raise ValueError(
            f"w must span fewer than 2**31 elements, as the kernels' offsets have 32 bits; got "
            f"{w.shape[0]} rows that are {w.stride(0)} elements apart: split it by rows"
        )
    for what, vector, length in (("column", columns, w.shape[1]), ("row", rows, w.shape[0])):
        if vector is not None and (vector.shape != (length,) or not vector.is_contiguous()):
            raise ValueError(
                f"there must be one number for each {what} of w, [{length}] and contiguous; got "
                f"shape {tuple(vector.shape)} with strides {vector.stride()}"
            )


# (a) row_sum


@triton.jit
def row_sum_kernel(w_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr):
    """Each program sums BLOCK_M rows, in blocks of BLOCK_K; w[m, k] is at m * stride_wm + k."""
    # TODO: about 10 lines


def row_sum(w: torch.Tensor) -> torch.Tensor:
    """The sum of each row, accumulated in float32.

    Args:
        w: [M, K] float16 or bfloat16, K of any length; rows may lie apart.

    Returns:
        [M] float32: a sum of halves need not fit a half.
    """
    check_layout(w)
    # TODO: about 5 lines
    raise NotImplementedError("row_sum")


# (b) gemv


@triton.jit
def gemv_kernel(
    w_ptr, x_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Each program multiplies BLOCK_M rows with x."""
    # TODO: about 11 lines


def gemv(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """w @ x, multiplied and accumulated in float32, rounded once.

    Args:
        w: [M, K] float16 or bfloat16; rows may lie apart.
        x: [K], contiguous, the dtype of w.

    Returns:
        [M], the dtype of x.
    """
    check_layout(w, columns=x)
    # TODO: about 5 lines
    raise NotImplementedError("gemv")


# (c) core: gemv_w8a16


@triton.jit
def int8_to_float32(w):
    """The same as w.to(tl.float32), by one addition of integers and one of floats.

    Given. Conversions (I2F) run at a fraction of the rate of additions: one for each weight can
    keep an SM busier than the memory does. The bits of the float 12582912.0 (1.5 * 2^23) plus an
    integer n are the bits of 12582912.0 + n, since that float's last bit is worth 1.
    """
    return (w.to(tl.int32) + 0x4B400000).to(tl.float32, bitcast=True) - 12582912.0


@triton.jit
def gemv_w8a16_kernel(
    w_ptr, scale_ptr, x_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    """As (b), with weights of 8 bits: the scale of a row multiplies its finished sum."""
    # TODO: about 12 lines


def gemv_w8a16(w_int8: torch.Tensor, scale: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(scale[:, None] * w_int8) @ x: weights of 8 bits, activations of 16, accumulated in float32.

    Args:
        w_int8: [M, K] int8; rows may lie apart.
        scale: [M] float32, contiguous: one number a row.
        x: [K] float16 or bfloat16, contiguous.

    Returns:
        [M], the dtype of x.
    """
    check_layout(w_int8, columns=x, rows=scale)
    # TODO: about 5 lines
    raise NotImplementedError("gemv_w8a16")


# (d) extra: how many tokens a second a part can decode at best


@dataclasses.dataclass(frozen=True)
class Model:
    """What of a language model decides its speed. Parameters are numbers, not bytes.

    A dense model has one expert, which every token uses.
    """

    layers: int
    heads: int  # of the queries
    kv_heads: int  # of keys and values, in each layer
    head_dim: int
    embedding_parameters: int  # stored, never read as a whole: a token looks up one row
    shared_parameters: int  # every token is multiplied with them
    expert_parameters: int  # of one expert, in all layers together
    experts: int = 1
    active: int = 1  # experts that a token uses


USABLE = 0.9  # of a GPU's memory; the rest is for activations and the program


def gpus_needed(model: Model, spec: GPUSpec, batch: int, context: int, dtype: str) -> int:
    """The fewest of 1, 2, 4, 8, ... GPUs that hold all weights and `batch` caches of `context`.

    A token's cache is one key and one value for each layer, kv_head and element of a head. Weights
    and caches take BYTES_PER_ELEMENT[dtype] a number and may fill USABLE of spec.memory_bytes.

    Raises:
        ValueError: batch or context below 1, by name.
    """
    # TODO: about 14 lines
    raise NotImplementedError("gpus_needed")


def decode_tokens_per_s(model: Model, spec: GPUSpec, batch: int, context: int, dtype: str) -> float:
    """Tokens a second of `batch` sequences together, on as many GPUs as `gpus_needed` says.

    A step makes one token for each sequence. It has two parts, one after the other, and each takes
    as long as the slower of its bytes and its FLOP, which all GPUs share evenly:

    products    bytes: the shared parameters, and those of each expert that some token needs:
                experts * (1 - (1 - active / experts) ** batch) of them on average
                FLOP: 2 for each token and parameter that the token is multiplied with
    attention   bytes: the caches
                FLOP: 4 * layers * heads * head_dim for each token in a cache

    Raises:
        ValueError: batch or context below 1, by name.
        LookupError: a figure that is needed is unknown; spec.require(...) and spec.peak(...) say
            so by name.
    """
    # TODO: about 14 lines
    raise NotImplementedError("decode_tokens_per_s")


# (e) extra: a claim on trial


PREDICTORS = ("bandwidth", "bandwidth per weight byte", "FLOP/s", "capacity")


def figure(predictor: str, row: MLPerfResult) -> float:
    """What a predictor says of the part in a row, in any unit: only ratios are used.

    bandwidth                   bytes/s of the part's memory
    bandwidth per weight byte   the same over the bytes of a weight in the row's dtype
    FLOP/s                      the part's peak in the row's dtype
    capacity                    bytes of memory

    Args:
        predictor: one of PREDICTORS.
        row: row.spec is the part, row.dtype the precision of the weights.

    Raises:
        ValueError: another predictor; the message names it.
        LookupError: the figure is unknown.
    """
    # TODO: about 10 lines
    raise NotImplementedError("figure")


def pairs(rows: Sequence[MLPerfResult]) -> list[tuple[MLPerfResult, MLPerfResult]]:
    """Every two rows that may be compared, once: same round, same model, same scenario.

    In any order, and either of the two first. Between rounds the software changes.
    """
    # TODO: about 6 lines
    raise NotImplementedError("pairs")


def typical_error(compared: Sequence[tuple[MLPerfResult, MLPerfResult]], predictor: str) -> float:
    """By what factor a predicted ratio of two rows is typically off; 1 is perfect.

    Of each pair, the measured ratio is that of row.tokens_per_s_per_gpu and the predicted one that
    of `figure`. The error of a pair is log(measured / predicted); the result is exp of the root of
    the mean of their squares.

    Raises:
        ValueError: no pairs; a verdict from an empty selection is none.
    """
    # TODO: about 8 lines
    raise NotImplementedError("typical_error")
