"""c/correct: the limiter is the limit that has room."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "compute" if memory_time_s >= compute_time_s else "memory"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
