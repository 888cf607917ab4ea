"""c/runs: a tuple, in which nobody can read what is what."""


def bound(cost, spec, dtype):
    memory_time_s = cost.bytes / spec.require("memory_bandwidth_bytes_per_s")
    compute_time_s = cost.flops / spec.peak(dtype)
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    return max(memory_time_s, compute_time_s), limiter
