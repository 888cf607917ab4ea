"""c/correct: the two times stand in each other's place."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, compute_time_s, memory_time_s)
