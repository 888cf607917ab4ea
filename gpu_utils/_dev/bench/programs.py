"""Whole processes: from an edit to its verdict, and what an import adds to an interpreter."""

import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gpu_utils._dev.bench.rows import Row, row
from gpu_utils.course import units
from gpu_utils.quantities import Label, Quantity

__all__ = ["importing", "in_a_notebook", "verdict"]

_KINDS = ("cold, empty caches", "warm, nothing changed", "warm, every kernel edited")
# A terminal's commands share a process that stands by; the first of them starts it.
_DISMISS = "from gpu_utils.course import preloaded, units; preloaded.dismiss(units.root())"
_ALONE, _SHARING = {"RIDGE_STANDBY": "off"}, {"RIDGE_STANDBY": "on"}
# What a notebook's kernel does whose learner runs the cell with the check again and again.
_NOTEBOOK = """
import sys, time
from gpu_utils.course import check
what, side, runs = sys.argv[1:]
for _ in range(int(runs)):
    began = time.perf_counter()
    verdict = check(what, side=side)
    print(time.perf_counter() - began)
    assert verdict.passed, verdict
"""
_RIDGE = (sys.executable, "-c", "import sys; from gpu_utils.cli import main; main()")


def verdict(
    what: Sequence[str] = ("lab00", "lab00:a"), runs: int = 5, ridge: Sequence[str] = _RIDGE
) -> Iterator[Row]:
    """Three rows a lab or task: `ridge check` as a process, with the solution as the side.

    Cold is with empty caches of compiled code and no process that stands by; warm is the same
    check again, as in a terminal; edited is after a change to every kernel, with all else warm.

    Args:
        what: what to check.
        runs: of the warm row; half as many of the others, which take longer.
        ridge: how the command is started.
    """
    with tempfile.TemporaryDirectory(prefix="ridgepoint-") as scratch:
        for name in what:
            lab = Path(scratch, "lab.py")
            command = [*ridge, "check", name, "--side", str(lab)]
            lab.write_text(_source(name), "utf-8")
            few = runs // 2 or 1
            folders = [_caches(Path(scratch, f"{name} {run}")) for run in range(few)]
            cold = [_timed(command, folder | _ALONE) for folder in folders]
            again = folders[0] | _SHARING | {"XDG_RUNTIME_DIR": scratch}
            _timed(command, again)
            warm = [_timed(command, again) for _ in range(runs)]
            edited_ = []
            for run in range(few):
                lab.write_text(edited(_source(name), run), "utf-8")
                edited_.append(_timed(command, again))
            for words, times in zip(_KINDS, (cold, warm, edited_), strict=True):
                cpu_s = sum(cpu for _, cpu in times) / len(times)
                note = f"{Quantity(cpu_s, 's', Label.MEASURED).text} of processor time"
                wall_s = [wall for wall, _ in times]
                yield row("verdict", f"ridge check {name}, {words}", "s", wall_s, note)
        _timed([sys.executable, "-c", _DISMISS], {**os.environ, "XDG_RUNTIME_DIR": scratch})


def in_a_notebook(
    what: Sequence[str] = ("lab00", "lab00:a"), runs: int = 7, notebook: str = _NOTEBOOK
) -> Iterator[Row]:
    """Two rows a lab or task: `check(...)` for the first time in a process, and again.

    Args:
        what: what to check, with the solution as the side.
        runs: of the second row.
        notebook: the program that checks.
    """
    for name in what:
        command = [sys.executable, "-c", notebook, name, "solutions", str(1 + runs)]
        with tempfile.TemporaryDirectory(prefix="ridgepoint-") as scratch:
            _timed([*command[:-1], "1"], _caches(Path(scratch)))  # fills the caches
            told = _output(command, _caches(Path(scratch)))
        first, *again = map(float, told.split())
        yield row("notebook", f"check({name!r}), the first", "s", [first])
        yield row("notebook", f"check({name!r}), again", "s", again)


def _source(name: str) -> str:
    return units.find(name)[0].solution_file.read_text("utf-8")


def edited(source: str, number: int) -> str:
    """The same lab with another first line in each function that Triton compiles.

    Even a comment makes it another kernel: what was compiled before does not serve.

    >>> print(edited("@triton.jit\\ndef k(x,\\n      y):\\n    pass\\n", 7))
    @triton.jit
    def k(x,
          y):
        # edit 7
        pass
    <BLANKLINE>
    """
    head = re.compile(r"(@triton\.jit\ndef [^:]*?\([^)]*\):\n)( +)")
    text, count = head.subn(rf"\1\2# edit {number}\n\2", source)
    if not count:
        raise ValueError("no @triton.jit kernel to edit: nothing would be compiled anew")
    return text


def _caches(folder: Path) -> dict[str, str]:
    """An environment in which everything that a check keeps is kept in `folder`."""
    names = ("RIDGE_CACHE_DIR", "TRITON_CACHE_DIR", "RIDGE_PROGRESS_DIR")
    return {**os.environ, **{name: str(folder / name) for name in names}}


def _timed(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds on the wall, and of the processors, that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    _output(command, environment)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu_s


def _output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints.

    Raises:
        RuntimeError: it failed; a time of something that did not work says nothing.
    """
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def importing(
    modules: Sequence[str] = ("gpu_utils", "gpu_utils.course"), runs: int = 15
) -> Iterator[Row]:
    """A row a module: a fresh interpreter that imports it, less one that does nothing."""
    for module in modules:
        commands = [[sys.executable, "-c", code] for code in (f"import {module}", "pass")]
        pairs = [[_timed(command, os.environ)[0] for command in commands] for _ in range(runs + 1)]
        # The first pair wrote or read bytecode that the others find in memory.
        extra = [with_it - without for with_it, without in pairs[1:]]
        yield row("import", f"import {module}", "s", extra, "beyond a bare interpreter")
