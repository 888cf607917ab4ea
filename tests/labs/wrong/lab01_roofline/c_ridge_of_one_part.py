"""c/correct: the H100's ridge decides for every part."""

from gpu_utils.roofline import Bound

RIDGES = {"fp32": 66.9e12 / 3.35e12, "bf16": 989.4e12 / 3.35e12}


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "memory" if cost.flops <= RIDGES.get(dtype, 4) * cost.bytes else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
