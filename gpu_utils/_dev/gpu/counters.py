"""Hardware counters through ncu: its command line, its CSV, and what counted bytes say to them."""

import csv
import dataclasses
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = [
    "DRAM",
    "LABEL",
    "Comparison",
    "NcuError",
    "NcuRefusedError",
    "command",
    "compare",
    "explain",
    "find_ncu",
    "parse",
    "total",
]

LABEL = "ridge-case-"  # an NVTX range named so, with the case's number, encloses each case
# Bytes at the memory: two generations of names. Which one a chip has, ncu knows.
DRAM = (
    ("dram__bytes_read.sum", "dram__bytes_write.sum"),
    ("dram__bytes_op_read.sum", "dram__bytes_op_write.sum"),
)
_OTHERS = (
    "gpu__time_duration.sum",
    "sm__cycles_elapsed.avg.per_second",
    "lts__t_sectors_srcunit_tex_op_read.sum",
    "lts__t_sectors_srcunit_tex_op_write.sum",
)
_RATES = (".per_second", ".pct", ".ratio")  # no sum over kernels
# What ncu prints before a unit, and the units that it prints: its prefixes are decimal.
_PREFIXES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_TIMES = {"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3,
          "s": 1.0, "second": 1.0}  # fmt: skip
_READ_TOLERANCE = 0.03
_WRITE_TOLERANCE = 0.03
_L2_SIZES = 4  # from here on a stream cannot hide in the L2
_INSTALLED = ("/usr/local/cuda/bin/ncu", "/opt/nvidia/nsight-compute/*/ncu")


class NcuError(RuntimeError):
    """ncu gave no counters; the message says why and what helps."""


class NcuRefusedError(NcuError):
    """This machine does not let ncu read counters."""


def find_ncu() -> Path | None:
    """The profiler, on the PATH or where CUDA installs it."""
    if found := shutil.which("ncu"):
        return Path(found)
    for pattern in _INSTALLED:
        places = sorted(Path("/").glob(pattern.lstrip("/")))
        if places:
            return places[-1]
    return None


def command(ncu: Path, log: Path, dram: tuple[str, str], program: Sequence[str]) -> list[str]:
    """The command that profiles `program`, which starts and stops the profiler by itself.

    Clocks are left alone: ncu's default would lock them to their base. Caches are emptied before
    each kernel, so that every byte comes from memory.
    """
    return [
        *(str(ncu), "--csv", "--page", "raw", "--print-units", "base", "--print-fp"),
        *("--metrics", ",".join([*dram, *_OTHERS]), "--nvtx", "--profile-from-start", "off"),
        *("--cache-control", "all", "--clock-control", "none", "--replay-mode", "kernel"),
        *("--target-processes", "all", "--log-file", str(log), *program),
    ]


def explain(said: str) -> NcuError:
    """Why ncu gave no counters, from what it said."""
    if "ERR_NVGPUCTRPERM" in said:
        return NcuRefusedError(
            "the driver gives hardware counters to administrators only (ERR_NVGPUCTRPERM): run as "
            "root, give the container CAP_SYS_ADMIN, or ask the administrator to set "
            "NVreg_RestrictProfilingToAdminUsers=0"
        )
    errors = [line.removeprefix("==ERROR==").strip() for line in said.splitlines()
              if line.startswith("==ERROR==")]  # fmt: skip
    if any("LibraryNotLoaded" in line for line in errors):
        return NcuRefusedError(f"ncu cannot reach the driver, as in some sandboxes: {errors[0]}")
    return NcuError(f"ncu: {errors[0]}" if errors else "ncu printed no counters")


def parse(lines: Iterable[str]) -> dict[int, list[dict[str, float]]]:
    """The counters of each kernel, in base units, by the number of its case.

    ncu's CSV has a row of names, a row of units and a row a kernel; lines of its own messages stand
    before and between.

    Raises:
        NcuError: There is no such table, or it does not say in which range a kernel ran.
    """
    text = [line for line in lines if line.startswith('"')]
    rows = list(csv.reader(text))
    if len(rows) < 2 or "Kernel Name" not in rows[0]:
        raise NcuError("ncu printed no table of kernels")
    names, units, *kernels = rows
    ranges = [i for i, name in enumerate(names) if name.startswith("thread Domain:Push/Pop_Range")]
    if not ranges:
        raise NcuError("ncu's table has no column of NVTX ranges, which tell the cases apart")
    found: dict[int, list[dict[str, float]]] = {}
    for row in kernels:
        label = re.search(rf"{LABEL}(\d+)", row[ranges[0]])
        if label is None:
            continue
        counted = {
            name: value
            for name, unit, cell in zip(names, units, row, strict=True)
            if "__" in name and (value := _base(cell, unit)) is not None
        }
        found.setdefault(int(label[1]), []).append(counted)
    return found


def _base(cell: str, unit: str) -> float | None:
    """A value in bytes, seconds, hertz or a count; None where ncu has none ("n/a").

    >>> _base("268,435,456", "byte"), _base("268.435456", "Mbyte"), _base("2", "byte/second")
    (268435456.0, 268435456.0, 2.0)
    >>> _base("2", "ms"), _base("n/a", ""), _base("1.98", "Ghz")
    (0.002, None, 1980000000.0)
    """
    try:
        value = float(cell.replace(",", ""))
    except ValueError:
        return None
    return value * _factor(unit.strip().lower())


def _factor(unit: str) -> float:
    amount, _, per = unit.partition("/")
    divided = _TIMES.get(per, 1.0)
    if amount in _TIMES:
        return _TIMES[amount] / divided
    for base in ("byte", "hz"):
        if amount.endswith(base):
            return _PREFIXES[amount.removesuffix(base)] / divided
    return 1.0 / divided


def total(kernels: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The counters of a call: sums over its kernels; of a rate, the longest kernel's."""
    longest = max(kernels, key=lambda kernel: kernel.get("gpu__time_duration.sum", 0.0))
    names = dict.fromkeys(name for kernel in kernels for name in kernel)
    return {
        name: longest.get(name, 0.0)
        if name.endswith(_RATES)
        else sum(kernel.get(name, 0.0) for kernel in kernels)
        for name in names
    }


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Counted bytes beside the memory's own counters.

    Attributes:
        state: "agrees", "differs", or "too small" for the rule.
        said: What differs, or why the rule does not apply.
        reads, writes: counter over count; None where nothing was counted.
    """

    state: str
    said: str
    reads: float | None
    writes: float | None


def compare(
    load_bytes: float, store_bytes: float, counters: Mapping[str, float], l2_bytes: float
) -> Comparison:
    """Set counted bytes of a stream beside the memory's counters.

    Every byte that is loaded once must come from an emptied memory system, so reads agree within
    3 %. What is written last may stay in the L2, so writes may be less by its size.

    Raises:
        KeyError: There are no DRAM counters.
    """
    read_name, write_name = next(pair for pair in DRAM if pair[0] in counters)
    read, written = counters[read_name], counters[write_name]
    reads = read / load_bytes if load_bytes else None
    writes = written / store_bytes if store_bytes else None
    least = _L2_SIZES * l2_bytes
    if load_bytes + store_bytes < least:
        said = f"moves {load_bytes + store_bytes:.3g} bytes; {_L2_SIZES} L2 sizes are {least:.3g}"
        return Comparison("too small", said, reads, writes)
    wrong = []
    if abs(read - load_bytes) > _READ_TOLERANCE * load_bytes:
        wrong.append(f"{read:.4g} bytes read, {load_bytes:.4g} counted")
    if not store_bytes - l2_bytes <= written <= (1 + _WRITE_TOLERANCE) * store_bytes:
        wrong.append(f"{written:.4g} bytes written, {store_bytes:.4g} counted")
    return Comparison("differs" if wrong else "agrees", "; ".join(wrong), reads, writes)
