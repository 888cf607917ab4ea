"""c/safe: what is unknown is taken for infinitely fast."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak_flops_per_s.get(dtype, float("inf"))
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
