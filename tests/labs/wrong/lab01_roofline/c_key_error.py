"""c/safe: a dtype without a peak ends in a KeyError that does not name the part."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak_flops_per_s[dtype]
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
