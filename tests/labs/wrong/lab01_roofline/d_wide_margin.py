"""d/correct: 6 % above the roof is believed."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Ceilings:
    read_bytes_per_s: float
    copy_bytes_per_s: float
    flops_per_s: float


@dataclasses.dataclass(frozen=True)
class Reached:
    limiter: str
    share: float


class ImplausibleError(ValueError):
    pass


def check_positive(**values):
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def reached(time_s, flops, read_bytes, written_bytes, ceilings):
    check_positive(time_s=time_s, **dataclasses.asdict(ceilings))
    paired = 2 * min(read_bytes, written_bytes)
    rest = read_bytes + written_bytes - paired
    reads_more = read_bytes > written_bytes
    rest_rate = ceilings.read_bytes_per_s if reads_more else ceilings.copy_bytes_per_s
    memory_time_s = paired / ceilings.copy_bytes_per_s + rest / rest_rate
    compute_time_s = flops / ceilings.flops_per_s
    limiter = "memory" if memory_time_s >= compute_time_s else "compute"
    share = max(memory_time_s, compute_time_s) / time_s
    if share > 1.1:
        raise ImplausibleError(
            f"{share:.0%} of the {limiter} roof: in a cache, removed as dead code, or a wrong count"
        )
    return Reached(limiter, share)
