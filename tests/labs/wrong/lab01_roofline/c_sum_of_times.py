"""c/correct: the times are added, as if the memory stopped while the cores calculate."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(memory_time_s + compute_time_s, limiter, memory_time_s, compute_time_s)
