"""The program that ncu profiles: every case once, after a call that compiles it.

    python -m gpu_utils._dev.gpu.profiled CASES.json

It writes what each case is, by its number, to the file, and encloses its call in an NVTX range of
that number.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from gpu_utils._dev.gpu.counters import LABEL
from gpu_utils.course import units
from gpu_utils.course.cases import cases
from gpu_utils.recordings import Case, described, first_line

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run all cases under the profiler that started this process."""
    listed: list[dict[str, Any]] = []
    every = [(unit.name, case) for unit in units.units() for case in cases(unit)]
    for number, (unit, case) in enumerate(every):
        listed.append({"unit": unit, "function": case.name} | _profile(number, case))
        Path(arguments[0]).write_text(json.dumps(listed), encoding="utf-8")
        torch.cuda.empty_cache()
    return 0


def _profile(number: int, case: Case) -> dict[str, Any]:
    try:
        arguments = case.arguments("cuda")
        out = case.function(*arguments)
        requested = case.requested_bytes(arguments, out)
        torch.cuda.synchronize()
        torch.cuda.profiler.start()
        torch.cuda.nvtx.range_push(f"{LABEL}{number}")
        case.function(*arguments)
        torch.cuda.synchronize()
        torch.cuda.nvtx.range_pop()
        torch.cuda.profiler.stop()
    except Exception as error:  # one case that fails must not cost the others their counters
        return {"failed": first_line(error)}
    named = {name: described(value) for name, value in case.named(arguments).items()}
    return {"arguments": named, "requested": requested}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
