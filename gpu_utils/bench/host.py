"""What the system says of this machine's memory and processor; None where it does not say."""

import contextlib
import platform
from pathlib import Path

__all__ = ["ASSUMED_CACHE_BYTES", "ASSUMED_FREE_BYTES", "cache_bytes", "free_bytes", "processor"]

ASSUMED_CACHE_BYTES, ASSUMED_FREE_BYTES = 32 * 2**20, 2**30  # where the system does not say

_CPUS = Path("/sys/devices/system/cpu")


def cache_bytes(cpus: Path = _CPUS) -> int | None:
    """The last-level caches that Linux reports, all of them: a chiplet has one of its own."""
    last: dict[tuple[int, str], int] = {}
    for index in cpus.glob("cpu[0-9]*/cache/index*"):
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            level, shared, size = (
                (index / name).read_text("ascii").strip()
                for name in ("level", "shared_cpu_list", "size")
            )
            factor = {"K": 2**10, "M": 2**20, "G": 2**30}[size[-1]]
            last[int(level), shared] = int(size[:-1]) * factor
    highest = max((level for level, _ in last), default=0)
    return sum(size for (level, _), size in last.items() if level == highest) or None


def free_bytes() -> int | None:
    """Memory that is free by Linux's account, and by the container's limit if there is one."""
    free = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
        group = Path("/sys/fs/cgroup")
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free.append(max(limit - used, 1))
    return min(free, default=None)


def processor() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
