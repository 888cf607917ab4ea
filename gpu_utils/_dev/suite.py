"""Run what CI runs, on a copy of the course, and count: the second half of `make test`.

    python -m gpu_utils._dev.suite [--unit 04] [pytest arguments]
    python -m gpu_utils._dev.suite --lint

A learner's half-solved lab is not a fault of the course. So labs/ and notebooks/ are judged as
git has them staged, everything else as it lies in the folder, and nothing here is touched.

The last line is `N passed, N failed, N skipped`; an error counts as failed. The module is also
the pytest plugin that counts, in the child process, into a file: what a dying child leaves there
still counts.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Outcome",
    "environment_of",
    "judged_copy",
    "main",
    "read_outcomes",
    "run_pytest",
    "summary",
]

ROOT = Path(__file__).resolve().parents[2]
AS_STAGED = ("labs", "notebooks")
NOT_COURSE = (".git", ".venv", "__pycache__", "*.egg-info", ".ipynb_checkpoints", ".*_cache")

# Fast tests first. Any other folder of tests/ runs after these: none is silently left out.
ORDER = ("tests/unit", "tests/labs", "tests/notebooks", "notebooks", "labs", "solutions")
LINT = (
    ("ruff", "check", "--output-format=concise", "."),
    ("ruff", "format", "--check", "--output-format=concise", "."),
    ("mypy",),
)
PYTEST = (
    *("-q", "--no-header", "--continue-on-collection-errors", "-p", "no:cacheprovider"),
    # test_sides.py climbs these for every side: labs, solutions and the wrong answers.
    "--ignore-glob=tests/labs/test_lab*.py",
    *("--nbval", "--nbval-current-env", "--nbval-cell-timeout=120"),
    *("--nbval-sanitize-with", "tests/nbval_sanitize.cfg"),
)
# A file's tests stay together: they share fixtures, and a notebook's cells their kernel. More
# than four of these processes would ask a laptop for more memory than it may have.
SIDE_BY_SIDE = ("--numprocesses", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile")

# A user's settings that would change what the tests see.
DROPPED = re.compile(
    r"(GIT|JUPYTER|PYTEST|RIDGE|TRITON)_.*|PYTHONPATH|PYTHONSTARTUP|IPYTHONDIR|COLUMNS|LINES"
    r"|FORCE_COLOR|CLICOLOR_FORCE|MPLBACKEND|DISPLAY|WAYLAND_DISPLAY"
)
EVENTS = "RIDGE_SUITE_EVENTS"
UNIT = "RIDGE_SUITE_UNIT"


@dataclass(frozen=True)
class Outcome:
    """What became of one test: passed, failed or skipped, and why if not passed."""

    name: str
    state: str
    reason: str = ""


# The judged copy.


def _git(root: Path, *arguments: str, stdin: str | None = None) -> str | None:
    """Ask git about the repository at root; None if there is no git or no such repository."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=root,
            env=environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
    except FileNotFoundError:
        return None
    return answer.stdout if answer.returncode == 0 else None


def _files(listing: str | None) -> list[str]:
    return [name for name in (listing or "").split("\0") if name]


def judged_copy(root: Path, copy: Path) -> str:
    """Copy what is judged.

    Args:
        root: the course.
        copy: a folder that does not exist yet.

    Returns:
        A sentence that says what was taken.

    Raises:
        SystemExit: git cannot write out labs/ and notebooks/, as in an unfinished merge.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or Path(top.rstrip("\n")).resolve() != root.resolve():
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COURSE))
        return "Judging the folder as it is: git knows no repository here."
    staged = _files(_git(root, "ls-files", "-z", "--cached", "--", *AS_STAGED))
    edited = _files(_git(root, "diff", "--name-only", "-z", "--", *AS_STAGED))
    others = ("ls-files", "-z", "--others", "--exclude-standard")
    untracked = _files(_git(root, *others, "--", *AS_STAGED))
    for name in {*_files(_git(root, "ls-files", "-z", "--cached")), *_files(_git(root, *others))}:
        source, target = root / name, copy / name
        if (staged and name.startswith(tuple(f"{part}/" for part in AS_STAGED))) or not (
            source.is_file() or source.is_symlink()
        ):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
    if not staged:
        return "Judging the folder as it is: git has no labs/ or notebooks/ staged yet."
    write_out = ("checkout-index", "-z", "--stdin", f"--prefix={copy}/")
    if _git(root, *write_out, stdin="\0".join(staged)) is None:
        raise SystemExit("git cannot write out labs/ and notebooks/: `git status` shows why.")
    left_out = f"{len(edited)} edited and {len(untracked)} new files there are not judged"
    return f"Judging labs/ and notebooks/ as git has them staged ({left_out}), the rest as it is."


def environment_of(copy: Path, scratch: Path) -> dict[str, str]:
    """Return the environment of every child: the copy's code, and no one's settings or caches."""
    kept = {name: value for name, value in os.environ.items() if not DROPPED.fullmatch(name)}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")]),
        "PYTHONPATH": str(copy),
        "RIDGE_PROGRESS_DIR": str(scratch / "progress"),
        "RIDGE_CACHE_DIR": str(scratch / "cache"),
        "TRITON_CACHE_DIR": str(scratch / "triton"),
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter" / "config"),
        "JUPYTER_DATA_DIR": str(scratch / "jupyter" / "data"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "jupyter" / "runtime"),
    }


# In the child: the plugin that counts.


def pytest_configure(config: Any) -> None:
    """Count into the file that the parent reads, if a parent asked for it."""
    if EVENTS in os.environ and not hasattr(config, "workerinput"):  # xdist's workers report here
        config.pluginmanager.register(_Recorder(Path(os.environ[EVENTS])), "ridge-recorder")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Keep the tests of one unit: those that name lab04 or 04_slug."""
    if unit := os.environ.get(UNIT):
        names = re.compile(rf"lab{unit}(?!\d)|(?<!\d){unit}_")
        others = [item for item in items if not names.search(item.nodeid)]
        items[:] = [item for item in items if names.search(item.nodeid)]
        config.hook.pytest_deselected(items=others)


class _Recorder:
    """Writes one JSON line an event, so that nothing is lost when the process dies."""

    def __init__(self, events: Path) -> None:
        self.events = events

    def _write(self, name: str, state: str, reason: str = "") -> None:
        with self.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, state, reason]) + "\n")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._write(nodeid, "started")

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.skipped or report.failed or report.when == "call":
            self._write(report.nodeid, report.outcome, _reason(report))

    def pytest_collectreport(self, report: Any) -> None:
        if report.skipped or report.failed:
            self._write(report.nodeid or "collection", report.outcome, _reason(report))

    def pytest_sessionfinish(self) -> None:
        self._write("session", "ended")


def _reason(report: Any) -> str:
    """Say why a test was skipped; a failure has been shown in full."""
    if not report.skipped:
        return ""
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    return str(report.longrepr[-1]).removeprefix("Skipped: ")


# In the parent: running and counting.


def read_outcomes(events: Iterable[str]) -> list[Outcome]:
    """Reduce the recorder's lines to one outcome a test; a test without an end failed."""
    outcomes: dict[str, Outcome] = {}
    started: list[str] = []
    ended = False
    for name, state, reason in map(json.loads, events):
        if state == "started":
            started.append(name)
        elif state == "ended":
            ended = True
        elif name not in outcomes or outcomes[name].state != "failed":
            outcomes[name] = Outcome(name, state, reason)
    for name in started:
        if name not in outcomes:
            outcomes[name] = Outcome(name, "failed", "it began and never ended")
    if started and not ended:
        outcomes[started[-1]] = Outcome(started[-1], "failed", "the test process died here")
    return list(outcomes.values())


def run_pytest(
    course: Path,
    arguments: Sequence[str],
    environment: dict[str, str],
    events: Path,
    python: str = sys.executable,
) -> list[Outcome]:
    """Run pytest in a child, in the course's folder; nothing run, or no clean end, is a failure."""
    command = [python, "-m", "pytest", "-p", "gpu_utils._dev.suite", *arguments]
    environment = {**environment, EVENTS: str(events)}
    code = subprocess.run(command, cwd=course, env=environment, stdin=subprocess.DEVNULL).returncode
    outcomes = read_outcomes(events.read_text("utf-8").splitlines()) if events.exists() else []
    failed = any(outcome.state == "failed" for outcome in outcomes)
    if all(outcome.state == "skipped" for outcome in outcomes) and not failed:
        outcomes.append(Outcome("pytest", "failed", f"no test ran (exit status {code})"))
    elif code != 0 and not failed:
        outcomes.append(Outcome("pytest", "failed", f"it stopped with exit status {code}"))
    return outcomes


def run_lint(course: Path, environment: dict[str, str]) -> list[Outcome]:
    """Run ruff and mypy; each of their commands counts as one test."""
    outcomes = []
    for tool in LINT:
        command = [sys.executable, "-m", *tool]
        done = subprocess.run(command, cwd=course, env=environment, stdin=subprocess.DEVNULL)
        state = "passed" if done.returncode == 0 else "failed"
        fix = "`make fix` repairs much of it" if tool[0] == "ruff" else "see above"
        outcomes.append(Outcome(" ".join(tool), state, fix))
    return outcomes


def summary(outcomes: Iterable[Outcome]) -> list[str]:
    """Say what failed outside a test, what was skipped and why; the last line is the count."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    skipped: dict[str, list[str]] = {}
    lines = []
    for outcome in outcomes:
        counts[outcome.state] += 1
        if outcome.state == "skipped":
            skipped.setdefault(outcome.reason, []).append(outcome.name)
        elif outcome.state == "failed" and outcome.reason:
            lines.append(f"failed: {outcome.name}: {outcome.reason}")
    for reason, names in skipped.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"skipped: {reason} ({names[0]}{more})")
    return [*lines, ", ".join(f"{count} {state}" for state, count in counts.items())]


def _paths(course: Path, arguments: Sequence[str]) -> list[str]:
    """Return where pytest looks, unless the arguments say where."""
    if any((course / argument.partition("::")[0]).exists() for argument in arguments):
        return []
    rest = [path.parent for path in sorted(course.glob("tests/*/test_*.py"))]
    rest += sorted(course.glob("tests/test_*.py"))
    every = dict.fromkeys([*ORDER, *(str(path.relative_to(course)) for path in rest)])
    return [path for path in every if (course / path).exists()]


def _checked_unit(course: Path, text: str) -> str:
    """Turn 4, 04 or lab04 into 04; an unknown unit lists the known ones."""
    unit = text.removeprefix("lab").zfill(2)
    stems = [path.name for path in course.glob("notebooks/[0-9]*_*.ipynb")]
    stems += [path.name.removeprefix("lab") for path in course.glob("labs/lab[0-9]*_*.py")]
    known = sorted({stem.partition("_")[0] for stem in stems})
    if unit not in known:
        raise SystemExit(f"There is no unit {text}; there are: {', '.join(known) or 'none'}.")
    return unit


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge the course; return 0 only if something ran and nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m gpu_utils._dev.suite", allow_abbrev=False)
    parser.add_argument("--unit", help="run one unit, such as 04")
    parser.add_argument("--lint", action="store_true", help="only ruff and mypy, here")
    options, rest = parser.parse_known_args(arguments)
    # What a shell starts in the background ignores interrupts, and so would the tests of them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="ridgepoint-") as temporary:
        scratch = Path(temporary).resolve()
        course = ROOT if options.lint else scratch / "course"
        environment = environment_of(course, scratch)
        if not options.lint:
            print(judged_copy(ROOT, course), flush=True)
        if options.unit:
            environment[UNIT] = _checked_unit(course, options.unit)
        whole = not (options.unit or rest)
        outcomes = run_lint(course, environment) if options.lint or whole else []
        if not options.lint:
            chosen = [*PYTEST, *([] if rest else SIDE_BY_SIDE), *_paths(course, rest), *rest]
            outcomes += run_pytest(course, chosen, environment, scratch / "events.jsonl")
    print("\n".join(summary(outcomes)), flush=True)
    return int(any(outcome.state == "failed" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
