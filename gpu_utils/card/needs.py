"""What an operation needs at least, read off what was counted, and a part's bound for it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch

from gpu_utils import roofline
from gpu_utils.card import arguments
from gpu_utils.card.model import PartBound
from gpu_utils.specs import GPUSpec, UnknownFigureError
from gpu_utils.traffic import Dram, Traffic

__all__ = ["Needs", "bound", "needs"]

# Whose peak a matrix product of this dtype has; Triton multiplies float32 as tf32.
_MATRIX_PEAK = {
    torch.float64: "fp64",
    torch.float32: "tf32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float8_e4m3fn: "fp8",
    torch.float8_e5m2: "fp8",
    torch.int8: "int8",
}


@dataclasses.dataclass(frozen=True)
class Needs:
    """Compulsory bytes, and counted FLOP by the peak that bounds them.

    `elements` are the result's, if it is one tensor and no argument has more. Of the bytes, those
    `read` and `written` are sure to move; what is only torch's to touch may be less than counted.
    """

    nbytes: int
    flops: Mapping[str, int]
    elements: int | None
    read: int = 0
    written: int = 0


def needs(moved: Traffic, given: Mapping[str, Any], counted: Any) -> Needs:
    """What a callable needs.

    Args:
        moved: what was counted.
        given: parameter -> argument.
        counted: the copies of the arguments that it was counted on.
    """
    read, written, by_torch = _bytes(moved, given, counted)
    flops, elements = _flops(moved, given), _elements(moved, given)
    return Needs(read + written + by_torch, flops, elements, read, written)


def _bytes(moved: Traffic, given: Mapping[str, Any], counted: Any) -> tuple[int, int, int]:
    """Distinct bytes of the arguments that are used and of the results; of no temporary.

    Read by kernels; written by kernels or as a result; of what only torch touched.

    Of an argument that kernels touch: what they load and what they store of it, since a gather
    need not read its whole table and an update in place reads and writes. One that only torch
    touched is counted whole.
    """
    torch_works = any(op.kind != "fill" for op in moved.eager_ops)
    read = written = by_torch = 0
    for name, row in moved.by_tensor.items():
        if name.partition("[")[0] in given and "#" not in name:
            read += row.unique_load_bytes
            written += row.unique_store_bytes
            if torch_works and not row.unique_load_bytes + row.unique_store_bytes:
                by_torch += row.nbytes
    # By the storage itself: a meta tensor has no address.
    own = {tensor.untyped_storage()._cdata for tensor in arguments.tensors(counted)}
    results = {
        (
            tensor.untyped_storage()._cdata,
            tensor.storage_offset(),
            tensor.shape,
            tensor.stride(),
        ): arguments.distinct_bytes(tensor)
        for tensor in arguments.tensors(moved.result)
        if tensor.untyped_storage()._cdata not in own
    }
    return read, written + sum(results.values()), by_torch


def _flops(moved: Traffic, given: Mapping[str, Any]) -> dict[str, int]:
    """Matrix products go by the dtype of the largest argument, the rest by the plain cores."""
    known = [tensor for tensor in arguments.tensors(given) if tensor.dtype in _MATRIX_PEAK]
    largest = max(known, key=torch.Tensor.numel, default=None)
    matrix = "fp32" if largest is None else _MATRIX_PEAK[largest.dtype]
    products = {matrix: moved.dot_flops} if moved.dot_flops else {}
    rest = moved.flops - moved.dot_flops
    plain = "fp64" if matrix == "fp64" and rest else "fp32"
    return products if products and not rest else {plain: rest, **products}


def _elements(moved: Traffic, given: Mapping[str, Any]) -> int | None:
    results = [tensor.numel() for tensor in arguments.tensors(moved.result)]
    largest = max((tensor.numel() for tensor in arguments.tensors(given)), default=0)
    return results[0] if len(results) == 1 and results[0] >= max(largest, 1) else None


def bound(spec: GPUSpec, needs: Needs | None, dram: Dram | None = None) -> PartBound:
    """The bound on one part: the kinds of work overlap, and the slowest decides.

    Args:
        spec: one device of the part.
        needs: what the operation needs; None if that is not known.
        dram: what was modelled on the part; what its L2 is asked for can bound the time too.
    """
    part = PartBound(spec.id, spec.name, spec.target or "", dram=dram)
    if needs is None or not needs.nbytes:
        why = "it moves nothing" if needs else "its traffic could not be counted"
        return dataclasses.replace(part, unknown=why)
    try:
        l2_bytes = _l2_bytes(spec, dram) if dram else None
        bounds = {
            dtype: roofline.bound(
                roofline.OpCost(flops, needs.nbytes), spec, dtype, l2_bytes=l2_bytes
            )
            for dtype, flops in needs.flops.items()
        }
    except UnknownFigureError as error:
        return dataclasses.replace(part, unknown=str(error).partition(": ")[0])
    dtype = max(bounds, key=lambda dtype: bounds[dtype].compute_time_s)
    fields = ["memory_bandwidth_bytes_per_s", f"peak_flops_per_s.{dtype}"]
    fields += ["l2_bandwidth_bytes_per_s"] if l2_bytes is not None else []
    sources = [spec.sources[field] for field in fields if field in spec.sources]
    return dataclasses.replace(
        part,
        dtype=dtype,
        intensity=needs.flops[dtype] / needs.nbytes,
        ridge=roofline.ridge_point(spec, dtype),
        bound=bounds[dtype],
        sources=tuple(dict.fromkeys(f"{source.title} ({source.trust})" for source in sources)),
    )


def _l2_bytes(spec: GPUSpec, dram: Dram) -> int | None:
    """What the L2 is asked for, where that takes longer than what DRAM moves for it.

    None where DRAM takes longer, since a kernel that waits for DRAM does not wait for the L2, and
    where the L2's bandwidth is unknown.
    """
    if spec.l2_bandwidth_bytes_per_s is None:
        return None
    dram_time_s = dram.total_bytes / spec.require("memory_bandwidth_bytes_per_s")
    return dram.l2_bytes if dram.l2_bytes / spec.l2_bandwidth_bytes_per_s > dram_time_s else None
