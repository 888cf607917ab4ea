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
    """Each program sums BLOCK_M rows, in blocks of BLOCK_K; w[m, k] is at m * stride_wm + k.

    ### BEGIN SOLUTION
    The accumulator is as large as the block: each lane adds up what it meets, in float32, and
    only after the loop do the lanes of a row come together. A reduction in every step of the loop
    would make the threads wait for each other once a block instead of once.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 10 lines
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    acc = tl.zeros((BLOCK_M, BLOCK_K), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)  # (BLOCK_K,)
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        w_ptrs = w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :]
        acc += tl.load(w_ptrs, mask=mask, other=0.0)  # read M * K elements
    tl.store(out_ptr + offs_m, tl.sum(acc, 1), mask=offs_m < M)  # write M elements
    ### END SOLUTION


def row_sum(w: torch.Tensor) -> torch.Tensor:
    """The sum of each row, accumulated in float32.

    Args:
        w: [M, K] float16 or bfloat16, K of any length; rows may lie apart.

    Returns:
        [M] float32: a sum of halves need not fit a half.

    ### BEGIN SOLUTION
    4 rows of 1024 columns over 4 warps are 32 halves a thread, four loads of 128 bits under way
    at once. One read of w and M * 4 bytes written: 1/2 FLOP/byte, memory on every part.
    ### END SOLUTION
    """
    check_layout(w)
    ### BEGIN SOLUTION: about 5 lines
    M, K = w.shape
    out = torch.empty(M, dtype=torch.float32, device=w.device)
    grid = (triton.cdiv(M, 4),)
    row_sum_kernel[grid](w, out, M, K, w.stride(0), BLOCK_M=4, BLOCK_K=1024)
    return out
    ### END SOLUTION


# (b) gemv


@triton.jit
def gemv_kernel(
    w_ptr, x_ptr, out_ptr, M, K, stride_wm, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr
):
    """Each program multiplies BLOCK_M rows with x.

    ### BEGIN SOLUTION
    A weight is needed by one program only and is read once. x is needed by all of them: each
    reads it anew, and all but the first find it in the L2, where 16 KB of it stay. The BLOCK_M
    rows of a program share what it reads.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 11 lines
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    acc = tl.zeros((BLOCK_M, BLOCK_K), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)  # (BLOCK_K,)
        x = tl.load(x_ptr + offs_k, mask=offs_k < K, other=0.0)  # from the L2 but once
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        w_ptrs = w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :]
        w = tl.load(w_ptrs, mask=mask, other=0.0)  # read M * K elements
        acc += w.to(tl.float32) * x.to(tl.float32)[None, :]
    tl.store(out_ptr + offs_m, tl.sum(acc, 1), mask=offs_m < M)  # write M elements
    ### END SOLUTION


def gemv(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """w @ x, multiplied and accumulated in float32, rounded once.

    Args:
        w: [M, K] float16 or bfloat16; rows may lie apart.
        x: [K], contiguous, the dtype of w.

    Returns:
        [M], the dtype of x.

    ### BEGIN SOLUTION
    One FLOP a byte. A product of matrices would use each weight for many columns; here tensor
    cores would have nothing to do, and the plain cores have time to spare.
    ### END SOLUTION
    """
    check_layout(w, columns=x)
    ### BEGIN SOLUTION: about 5 lines
    M, K = w.shape
    out = torch.empty(M, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(M, 4),)
    gemv_kernel[grid](w, x, out, M, K, w.stride(0), BLOCK_M=4, BLOCK_K=1024)
    return out
    ### END SOLUTION


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
    """As (b), with weights of 8 bits: the scale of a row multiplies its finished sum.

    ### BEGIN SOLUTION
    What travels is 1 byte a weight; what is multiplied is float32. The widening happens in
    registers, after the trip, so it costs instructions and no bytes. A row has one scale, so
    scaling the sum is one product a row; scaling each weight first would be K of them.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 12 lines
    offs_m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)  # (BLOCK_M,)
    acc = tl.zeros((BLOCK_M, BLOCK_K), dtype=tl.float32)
    for start in range(0, K, BLOCK_K):
        offs_k = start + tl.arange(0, BLOCK_K)  # (BLOCK_K,)
        x = tl.load(x_ptr + offs_k, mask=offs_k < K, other=0.0)  # from the L2 but once
        mask = (offs_m < M)[:, None] & (offs_k < K)[None, :]
        w_ptrs = w_ptr + offs_m[:, None] * stride_wm + offs_k[None, :]
        w = tl.load(w_ptrs, mask=mask, other=0)  # read M * K bytes
        acc += int8_to_float32(w) * x.to(tl.float32)[None, :]
    scale = tl.load(scale_ptr + offs_m, mask=offs_m < M, other=0.0)  # read M elements
    tl.store(out_ptr + offs_m, tl.sum(acc, 1) * scale, mask=offs_m < M)  # write M elements
    ### END SOLUTION


def gemv_w8a16(w_int8: torch.Tensor, scale: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(scale[:, None] * w_int8) @ x: weights of 8 bits, activations of 16, accumulated in float32.

    Args:
        w_int8: [M, K] int8; rows may lie apart.
        scale: [M] float32, contiguous: one number a row.
        x: [K] float16 or bfloat16, contiguous.

    Returns:
        [M], the dtype of x.

    ### BEGIN SOLUTION
    At 8192 x 8192 it reads 67.1 MB where (b) reads 134 MB, and nothing else changes: half the
    bytes are half the time wherever memory is the limit. 4 x 1024 int8 over 4 warps are 32 a
    thread, two loads of 128 bits; an MI300X has 256 threads, and one load each.
    ### END SOLUTION
    """
    check_layout(w_int8, columns=x, rows=scale)
    ### BEGIN SOLUTION: about 5 lines
    M, K = w_int8.shape
    out = torch.empty(M, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(M, 4),)
    gemv_w8a16_kernel[grid](w_int8, scale, x, out, M, K, w_int8.stride(0), BLOCK_M=4, BLOCK_K=1024)
    return out
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    Every expert must be stored, whether this batch uses it or not: capacity counts all
    parameters, bandwidth only those that are read.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 14 lines
    for name, value in (("batch", batch), ("context", context)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    parameters = (
        model.embedding_parameters
        + model.shared_parameters
        + model.experts * model.expert_parameters
    )
    cached = 2 * model.layers * model.kv_heads * model.head_dim * batch * context
    stored = (parameters + cached) * BYTES_PER_ELEMENT[dtype]
    gpus = 1
    while stored > gpus * USABLE * spec.require("memory_bytes"):
        gpus *= 2
    return gpus
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    At batch 1 this is bandwidth over bytes of weights, and nothing else. The batch shares the
    weights, so their part of the time per token falls until the FLOP catch up; the caches are not
    shared, so theirs stays, and with long contexts it is what is left.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 14 lines
    gpus, nbytes = gpus_needed(model, spec, batch, context, dtype), BYTES_PER_ELEMENT[dtype]
    bandwidth = gpus * spec.require("memory_bandwidth_bytes_per_s")
    peak = gpus * spec.peak(dtype)
    touched = model.experts * (1 - (1 - model.active / model.experts) ** batch)
    read = model.shared_parameters + touched * model.expert_parameters
    used = model.shared_parameters + model.active * model.expert_parameters
    products_s = max(read * nbytes / bandwidth, 2 * used * batch / peak)
    tokens = batch * context
    cached = 2 * model.layers * model.kv_heads * model.head_dim * tokens
    scores = 4 * model.layers * model.heads * model.head_dim * tokens
    attention_s = max(cached * nbytes / bandwidth, scores / peak)
    return batch / (products_s + attention_s)
    ### END SOLUTION


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

    ### BEGIN SOLUTION
    Fair to both sides: a change from fp8 to fp4 doubles the FLOP/s and halves the bytes. A
    comparison that credits only one of the two has its verdict before it looks at the data.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 10 lines
    if predictor not in PREDICTORS:
        raise ValueError(f"unknown predictor {predictor!r}: expected one of {PREDICTORS}")
    if predictor == "FLOP/s":
        return row.spec.peak(row.dtype)
    if predictor == "capacity":
        return row.spec.require("memory_bytes")
    bandwidth = row.spec.require("memory_bandwidth_bytes_per_s")
    if predictor == "bandwidth":
        return bandwidth
    return bandwidth / BYTES_PER_ELEMENT[row.dtype]
    ### END SOLUTION


def pairs(rows: Sequence[MLPerfResult]) -> list[tuple[MLPerfResult, MLPerfResult]]:
    """Every two rows that may be compared, once: same round, same model, same scenario.

    In any order, and either of the two first. Between rounds the software changes.

    ### BEGIN SOLUTION
    A year of software made the same H100 faster by more than an H200 is faster than an H100: two
    rows of different rounds say nothing about hardware. The lesson shows both figures.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 6 lines
    return [
        (one, other)
        for place, one in enumerate(rows)
        for other in rows[place + 1 :]
        if (one.round, one.model, one.scenario) == (other.round, other.model, other.scenario)
    ]
    ### END SOLUTION


def typical_error(compared: Sequence[tuple[MLPerfResult, MLPerfResult]], predictor: str) -> float:
    """By what factor a predicted ratio of two rows is typically off; 1 is perfect.

    Of each pair, the measured ratio is that of row.tokens_per_s_per_gpu and the predicted one that
    of `figure`. The error of a pair is log(measured / predicted); the result is exp of the root of
    the mean of their squares.

    Raises:
        ValueError: no pairs; a verdict from an empty selection is none.

    ### BEGIN SOLUTION
    Logarithms, so that twice too much and half too much count the same, and so that it does not
    matter which of the two rows stands first.
    ### END SOLUTION
    """
    ### BEGIN SOLUTION: about 8 lines
    if not compared:
        raise ValueError("compared must not be empty: there is nothing to judge by")
    squares = []
    for one, other in compared:
        measured = other.tokens_per_s_per_gpu / one.tokens_per_s_per_gpu
        predicted = figure(predictor, other) / figure(predictor, one)
        squares.append(math.log(measured / predicted) ** 2)
    return math.exp(math.sqrt(sum(squares) / len(squares)))
    ### END SOLUTION
