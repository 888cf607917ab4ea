"""What a machine allows: the ridge point, the roof above an intensity, the least time of a cost."""

import dataclasses
import math
from typing import Literal

from gpu_utils.quantities import Label, Quantity
from gpu_utils.roofline.cost import OpCost
from gpu_utils.specs import GPUSpec

__all__ = ["Bound", "attainable_flops_per_s", "bound", "ridge_point"]

Limiter = Literal["memory", "L2", "compute"]


@dataclasses.dataclass(frozen=True)
class Bound:
    """The least time that a machine needs for a cost, and what sets it.

    `time_s` is the largest of them: the machine can move bytes and calculate at the same time.
    `l2_time_s` is None where no requests to the L2 were given.
    """

    time_s: float
    limiter: Limiter
    memory_time_s: float
    compute_time_s: float
    l2_time_s: float | None = None

    def __str__(self) -> str:
        parts = {"memory": self.memory_time_s, "L2": self.l2_time_s, "compute": self.compute_time_s}
        times = ", ".join(
            f"{name} {Quantity(time_s, 's', Label.MODELLED).text}"
            for name, time_s in parts.items()
            if time_s is not None
        )
        return f"{Quantity(self.time_s, 's', Label.MODELLED)}, {self.limiter}-bound ({times})"


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


def bound(cost: OpCost, spec: GPUSpec, dtype: str, *, l2_bytes: float | None = None) -> Bound:
    """The least time for a cost on a machine: max(bytes / bandwidth, flops / peak).

    With the bytes that a kernel requests, which its L2 must deliver however few come from memory,
    also l2_bytes / L2 bandwidth: a tiled matrix product reads its operands once for each tile.

    Launch and latency are not in it, so a kernel may need longer and never less, unless its data
    is in a cache already.

    Args:
        cost: What must be done; its bytes are those that memory must move.
        spec: The machine.
        dtype: The type that is calculated in. An operation without matrix products runs on the
            plain cores, whatever it stores: its peak is that of "fp32".
        l2_bytes: What is requested from the L2, as `traffic` counts it.

    Raises:
        UnknownFigureError: The machine's peak for `dtype` or its bandwidth is unknown, or that of
            its L2 if `l2_bytes` is given: few documents name it.
        ValueError: `l2_bytes` is negative or not finite.

    >>> from gpu_utils import roofline, specs
    >>> print(bound(roofline.copy_cost(1_000_000), specs.get("h100"), "fp32"))  # 8e6 / 3.35e12 s
    2.39 µs MODELLED, memory-bound (memory 2.39 µs, compute 0 s)
    >>> print(bound(roofline.copy_cost(1_000_000), specs.get("a100"), "fp32", l2_bytes=72e6))
    9.97 µs MODELLED, L2-bound (memory 3.92 µs, L2 9.97 µs, compute 0 s)
    """
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    times: dict[Limiter, float] = {"memory": memory_time_s, "compute": compute_time_s}
    if l2_bytes is not None:
        if not 0 <= l2_bytes < math.inf:
            raise ValueError(f"l2_bytes must be finite and not negative, got {l2_bytes}")
        times["L2"] = l2_bytes / spec.require("l2_bandwidth_bytes_per_s")
    limiter = max(times, key=lambda name: times[name])  # of equal times, the first
    return Bound(times[limiter], limiter, memory_time_s, compute_time_s, times.get("L2"))
