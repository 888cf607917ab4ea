"""The roofline: what an operation costs, what a machine allows, and which of the two limits binds.

A cost is compulsory: the FLOPs of the operation itself, and each input read once and each output
written once. A kernel that moves more is measured against this, not excused by it.
"""

import dataclasses
import math
from typing import Literal

from gpu_utils.quantities import Label, Quantity
from gpu_utils.specs import GPUSpec

__all__ = [
    "BYTES_PER_ELEMENT",
    "Bound",
    "OpCost",
    "attainable_flops_per_s",
    "axpby_cost",
    "bound",
    "copy_cost",
    "elementwise_cost",
    "matmul_cost",
    "mlp_cost",
    "ridge_point",
    "softmax_cost",
]

BYTES_PER_ELEMENT = {
    "fp32": 4,
    "tf32": 4,  # stored as fp32; only the multiplier drops bits
    "bf16": 2,
    "fp16": 2,
    "fp8": 1,
    "int8": 1,
    "fp4": 0.5,  # without its block scales
}


@dataclasses.dataclass(frozen=True)
class OpCost:
    """The FLOPs that an operation must do and the bytes that it must move.

    Costs add up, as operations that run one after the other do.

    >>> OpCost(flops=6, bytes=24).intensity
    0.25
    >>> OpCost(6, 24) + OpCost(2, 8)
    OpCost(flops=8, bytes=32)
    """

    flops: float
    bytes: float

    def __post_init__(self) -> None:
        if not (0 <= self.flops < math.inf and 0 <= self.bytes < math.inf):
            raise ValueError(f"flops and bytes must be finite and not negative, got {self}")

    def __add__(self, other: "OpCost") -> "OpCost":
        return OpCost(self.flops + other.flops, self.bytes + other.bytes)

    @property
    def intensity(self) -> float:
        """FLOPs per byte moved; infinite if nothing is moved, NaN if nothing is done either."""
        if self.bytes:
            return self.flops / self.bytes
        return math.inf if self.flops else math.nan


@dataclasses.dataclass(frozen=True)
class Bound:
    """The least time that a machine needs for a cost, and what sets it.

    `time_s` is the larger of the two: the machine can move bytes and calculate at the same time.
    """

    time_s: float
    limiter: Literal["memory", "compute"]
    memory_time_s: float
    compute_time_s: float

    def __str__(self) -> str:
        memory, compute = (
            Quantity(time_s, "s", Label.MODELLED).text
            for time_s in (self.memory_time_s, self.compute_time_s)
        )
        total = Quantity(self.time_s, "s", Label.MODELLED)
        return f"{total}, {self.limiter}-bound (memory {memory}, compute {compute})"


def elementwise_cost(
    elements: int,
    *,
    inputs: int = 1,
    outputs: int = 1,
    flops_per_element: float = 1,
    dtype: str = "fp32",
) -> OpCost:
    """An operation that reads each input once and writes each output once, element by element.

    flops = elements * flops_per_element
    bytes = elements * (inputs + outputs) * bytes per element

    A sum of two vectors of 1000 float32: 1000 additions, 3 * 4 bytes an element.

    >>> elementwise_cost(1000, inputs=2)
    OpCost(flops=1000, bytes=12000)
    """
    _check_sizes(elements=elements)
    moved = elements * (inputs + outputs) * _bytes_per_element(dtype)
    return OpCost(elements * flops_per_element, moved)


def copy_cost(elements: int, dtype: str = "fp32") -> OpCost:
    """A copy: no FLOPs, one read and one write.

    bytes = 2 * elements * bytes per element

    >>> copy_cost(1000)
    OpCost(flops=0, bytes=8000)
    """
    return elementwise_cost(elements, flops_per_element=0, dtype=dtype)


def axpby_cost(elements: int, dtype: str = "fp32") -> OpCost:
    """a*x + b*y with numbers a and b: two products and a sum; x and y read, the result written.

    flops = 3 * elements
    bytes = 3 * elements * bytes per element

    In float32 that is 12 bytes for 3 FLOPs, whatever the length:

    >>> axpby_cost(1000), axpby_cost(1000).intensity
    (OpCost(flops=3000, bytes=12000), 0.25)
    """
    return elementwise_cost(elements, inputs=2, flops_per_element=3, dtype=dtype)


def softmax_cost(rows: int, columns: int, dtype: str = "fp32") -> OpCost:
    """A softmax over each row, read once and written once.

    Five FLOPs an element: compare for the maximum, subtract it, exp (counted as one), add to the
    sum, divide by it.

    flops = 5 * rows * columns
    bytes = 2 * rows * columns * bytes per element

    >>> softmax_cost(2, 1000), softmax_cost(2, 1000).intensity
    (OpCost(flops=10000, bytes=16000), 0.625)
    """
    _check_sizes(rows=rows, columns=columns)
    return elementwise_cost(rows * columns, flops_per_element=5, dtype=dtype)


def matmul_cost(m: int, n: int, k: int, dtype: str = "bf16") -> OpCost:
    """[M, K] @ [K, N]: a product and a sum for each of M*N*K, each matrix moved once.

    flops = 2 * M * N * K
    bytes = (M*K + K*N + M*N) * bytes per element

    A square one of side n has n/3 FLOP/byte in 16 bits; a vector times a matrix has about 1.

    >>> matmul_cost(3000, 3000, 3000).intensity
    1000.0
    >>> round(matmul_cost(1, 4096, 4096).intensity, 3)
    1.0
    """
    _check_sizes(m=m, n=n, k=k)
    return OpCost(2 * m * n * k, (m * k + k * n + m * n) * _bytes_per_element(dtype))


def mlp_cost(batch: int, d_model: int, d_hidden: int, dtype: str = "bf16") -> OpCost:
    """Two layers, [B, D] @ [D, H], an activation, [B, H] @ [H, D], with the hidden layer kept.

    The hidden layer is counted as never leaving the chip, and the activation as one FLOP.

    flops = 4 * B * D * H + B * H
    bytes = (2 * D * H + 2 * B * D) * bytes per element

    For few rows the weights are nearly all that moves, so the intensity is about B in 16 bits
    (at 256 it is 256 * H / (H + 256)):

    >>> mlp_cost(1, 10, 40)  # 4*400 + 40 FLOPs; (800 + 20) * 2 bytes
    OpCost(flops=1640, bytes=1640)
    >>> [round(mlp_cost(b, 4096, 16384).intensity) for b in (1, 16, 256)]
    [1, 16, 252]
    """
    _check_sizes(batch=batch, d_model=d_model, d_hidden=d_hidden)
    moved = (2 * d_model * d_hidden + 2 * batch * d_model) * _bytes_per_element(dtype)
    return OpCost(4 * batch * d_model * d_hidden + batch * d_hidden, moved)


def ridge_point(spec: GPUSpec, dtype: str) -> float:
    """The FLOP/byte at which the two limits of a machine meet: peak / memory bandwidth.

    >>> from gpu_utils import specs
    >>> round(ridge_point(specs.get("h100"), "bf16"))  # 989.4e12 / 3.35e12
    295
    """
    return spec.peak(dtype) / spec.require("memory_bandwidth_bytes_per_s")


def attainable_flops_per_s(intensity: float, spec: GPUSpec, dtype: str) -> float:
    """The roof above an intensity in FLOP/byte: min(peak, intensity * memory bandwidth).

    >>> from gpu_utils import specs
    >>> attainable_flops_per_s(1, specs.get("h100"), "bf16")  # one FLOP for each of 3.35e12 bytes
    3350000000000.0
    >>> attainable_flops_per_s(1000, specs.get("h100"), "bf16")
    989400000000000.0
    """
    if not intensity >= 0:
        raise ValueError(f"an intensity is FLOP/byte and not negative, got {intensity}")
    return min(spec.peak(dtype), intensity * spec.require("memory_bandwidth_bytes_per_s"))


def bound(cost: OpCost, spec: GPUSpec, dtype: str) -> Bound:
    """The least time for a cost on a machine: max(bytes / bandwidth, flops / peak).

    Launch, latency and caches are not in it, so a kernel may need longer and never less, unless
    its data is in a cache already.

    Args:
        cost: What must be done.
        spec: The machine.
        dtype: The type that is calculated in. An operation without matrix products runs on the
            plain cores, whatever it stores: its peak is that of "fp32".

    Raises:
        UnknownFigureError: The machine's peak for `dtype` or its bandwidth is unknown.

    >>> from gpu_utils import specs
    >>> print(bound(copy_cost(1_000_000), specs.get("h100"), "fp32"))  # 8e6 / 3.35e12 s
    2.39 µs MODELLED, memory-bound (memory 2.39 µs, compute 0 s)
    """
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter: Literal["memory", "compute"] = (
        "memory" if memory_time_s >= compute_time_s else "compute"
    )
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)


def _bytes_per_element(dtype: str) -> float:
    if dtype not in BYTES_PER_ELEMENT:
        known = ", ".join(BYTES_PER_ELEMENT)
        raise ValueError(f"unknown dtype {dtype!r}: expected one of {known}")
    return BYTES_PER_ELEMENT[dtype]


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
