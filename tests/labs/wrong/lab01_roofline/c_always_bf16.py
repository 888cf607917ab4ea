"""c/correct: the tensor cores' peak for everything."""

from gpu_utils.roofline import Bound


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / max(spec.peak(dtype), spec.peak_flops_per_s.get("bf16", 0))
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return Bound(max(memory_time_s, compute_time_s), limiter, memory_time_s, compute_time_s)
