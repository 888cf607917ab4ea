"""Write labs/*.py from solutions/*.py: `python -m gpu_utils._dev.generate [--check]`."""

import sys

from gpu_utils.course import units
from gpu_utils.course.starter import starter


def stale() -> list[str]:
    """Labs whose file is not what their solution generates, as messages."""
    found = []
    for unit in units.units():
        text = starter(unit.solution_file.read_text("utf-8"), unit.solution_file.name)
        if not unit.lab_file.exists() or unit.lab_file.read_text("utf-8") != text:
            found.append(f"labs/{unit.lab_file.name} is not generated from its solution")
    return found


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        print("\n".join(stale()) or "every lab is as its solution generates it")
        return bool(stale())
    for unit in units.units():
        text = starter(unit.solution_file.read_text("utf-8"), unit.solution_file.name)
        unit.lab_file.write_text(text, "utf-8")
        print(f"labs/{unit.lab_file.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
