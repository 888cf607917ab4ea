"""Run the instruments' tests on every Triton that they support: `make matrix`, `make canary`.

    python -m gpu_utils._dev.matrix [--canary] [--only 3.6.0] [TEST ...]

Each Triton has an environment of its own in build/matrix/, made at the first run (about 1.5 GB and
a few minutes each) and kept. The canary is the newest torch and Triton that pip finds. Neither
runs in CI: both depend on what others release.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gpu_utils._dev import install, suite
from gpu_utils._dev.matrix import report
from gpu_utils._dev.matrix.environments import CANARY, MATRIX, Environment, prepare

__all__ = ["TESTS", "main"]

ROOT = Path(__file__).resolve().parents[3]
# All that leans on Triton: its insides, the lenses, the recordings that know a kernel by its
# source, and the card that joins them. A path that is not there (yet) is left out.
TESTS = (
    "tests/unit/_triton",
    "tests/unit/traffic",
    "tests/unit/codegen",
    "tests/unit/others",
    "tests/unit/recordings",
    "tests/unit/card",
)
_PYTEST = ("-q", "--no-header", "--tb=short", "-p", "no:cacheprovider")


def run(python: Path, tests: str) -> list[suite.Outcome]:
    """Run one folder of tests with that Python, away from the user's caches and settings."""
    with tempfile.TemporaryDirectory(prefix="ridgepoint-") as temporary:
        scratch = Path(temporary)
        environment = suite.environment_of(ROOT, scratch)
        events = scratch / "events.jsonl"
        return suite.run_pytest(ROOT, [*_PYTEST, tests], environment, events, str(python))


def versions(python: Path) -> dict[str, str]:
    """What an environment holds, by pip's own records."""
    code = (
        "from importlib.metadata import version as v; "
        "print(*(f'{n} {v(n)}' for n in ('triton', 'torch', 'numpy')), sep='\\n')"
    )
    told = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return dict(line.split() for line in told.stdout.splitlines())


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare, run, and print; 0 only if nothing happened that known.toml does not say."""
    parser = argparse.ArgumentParser(prog="python -m gpu_utils._dev.matrix", allow_abbrev=False)
    parser.add_argument("--canary", action="store_true", help="the newest torch and Triton")
    numbers = [each.triton for each in MATRIX]
    parser.add_argument("--only", action="append", choices=numbers, help="this Triton; repeatable")
    parser.add_argument("tests", nargs="*", default=None, help="instead of the usual ones")
    options = parser.parse_args(arguments)
    chosen = [each for each in MATRIX if each.triton in (options.only or numbers)]
    folders = options.tests or [path for path in TESTS if (ROOT / path).exists()]
    try:
        lines = judge([CANARY] if options.canary else chosen, folders)
    except install.Refusal as refusal:
        print(f"matrix: {refusal}", file=sys.stderr)
        return 1
    return int(bool(lines))


def judge(environments: Sequence[Environment], folders: Sequence[str]) -> list[str]:
    """Run the folders in each environment, print the table; return what is not as known."""
    differences = report.known()
    cells: dict[str, dict[str, report.Cell]] = {}
    news, skipped = [], []
    for wanted in environments:
        python = prepare(wanted, ROOT / "build" / "matrix" / wanted.name, ROOT / "pyproject.toml")
        found = versions(python)
        title = ", ".join(f"{name} {version}" for name, version in found.items())
        cells[title] = {}
        for folder in folders:
            print(f"\n{title}: {folder}", flush=True)
            outcomes = run(python, folder)
            cells[title][folder] = report.cell(found["triton"], outcomes, differences)
            news += report.unexplained(found["triton"], outcomes, differences)
            skipped += report.skipped(found["triton"], outcomes)
    print("\n".join(["", *report.table(cells, differences), *skipped]))
    print("\n".join(["", *(news or ["nothing but what known.toml says"])]))
    return news


if __name__ == "__main__":
    sys.exit(main())
