"""Measure what the course itself costs in time: `make bench`.

    python -m gpu_utils._dev.bench [--only counting] [--json PATH]

One table on the screen, the same as JSON in build/bench.json. Nothing here passes or fails: times
depend on the machine and on what else it does, so the load is printed, and what swung says so.
"""

import argparse
import datetime
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpu_utils._dev.bench import calls, counting, programs, rows
from gpu_utils.course import units

__all__ = ["SECTIONS", "main"]

SECTIONS: Mapping[str, Callable[[], Iterator[rows.Row]]] = {
    "import": programs.importing,
    "verdict": programs.verdict,
    "notebook": programs.in_a_notebook,
    "counting": counting.counting,
    "compile": calls.compiling,
    "redraw": calls.redrawing,
}


def facts() -> dict[str, Any]:
    """What the times depend on."""
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "triton", "numpy")},
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def load() -> str:
    """How many processes wanted a core: over the last one and five minutes."""
    one, five, _ = os.getloadavg()
    return f"load average {one:.2f} over one minute, {five:.2f} over five"


def main(
    arguments: Sequence[str] | None = None,
    sections: Mapping[str, Callable[[], Iterator[rows.Row]]] = SECTIONS,
) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m gpu_utils._dev.bench", allow_abbrev=False)
    parser.add_argument("--only", action="append", choices=[*sections], help="one part; repeatable")
    default = units.root() / "build" / "bench.json"
    parser.add_argument("--json", type=Path, default=default, help="where the JSON goes")
    options = parser.parse_args(arguments)
    found = facts()
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    print(load())
    before, measured = os.getloadavg(), []
    for section in options.only or sections:
        print(f"\n{rows.head(section)}", flush=True)
        for row in sections[section]():
            measured.append(row)
            print(rows.line(row), flush=True)
    found["load_average"] = {"before": before, "after": os.getloadavg()}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(rows.as_json(measured, found), "utf-8")
    print(f"\n{load()}\n{options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
