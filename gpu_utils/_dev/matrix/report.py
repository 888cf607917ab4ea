"""What the tests did in each environment, as a table, beside the differences that are known."""

import collections
import dataclasses
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gpu_utils._dev.suite import Outcome

__all__ = ["Cell", "Difference", "cell", "known", "skipped", "table", "unexplained"]

KNOWN = Path(__file__).with_name("known.toml")


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not the same on every Triton.

    `tests` are beginnings of test ids that fail for it; none where the instruments handle it.
    """

    triton: tuple[str, ...]
    what: str
    tests: tuple[str, ...] = ()

    def explains(self, triton: str, test: str) -> bool:
        return triton in self.triton and test.startswith(self.tests)


@dataclasses.dataclass(frozen=True)
class Cell:
    """How many tests of one folder passed, failed and were skipped in one environment."""

    passed: int
    failed: int
    skipped: int
    known: int  # of those that failed

    def __str__(self) -> str:
        """
        >>> print(Cell(12, 3, 1, known=2))
        12 passed, 1 skipped, 2 known, 1 failed
        """
        words = ("passed", "skipped", "known", "failed")
        counts = (self.passed, self.skipped, self.known, self.failed - self.known)
        told = [f"{count} {word}" for count, word in zip(counts, words, strict=True) if count]
        return ", ".join(told) or "no test"


def known(path: Path = KNOWN) -> tuple[Difference, ...]:
    """The differences as the table beside this module lists them."""
    listed = tomllib.loads(path.read_text("utf-8"))["difference"]
    return tuple(
        Difference(tuple(each["triton"]), each["what"], tuple(each.get("tests", ())))
        for each in listed
    )


def cell(triton: str, outcomes: Sequence[Outcome], differences: Iterable[Difference]) -> Cell:
    """Count the outcomes of one folder on one Triton."""
    states = [outcome.state for outcome in outcomes]
    failed = [outcome.name for outcome in outcomes if outcome.state == "failed"]
    foreseen = [name for name in failed if any(d.explains(triton, name) for d in differences)]
    return Cell(states.count("passed"), len(failed), states.count("skipped"), len(foreseen))


def unexplained(
    triton: str, outcomes: Iterable[Outcome], differences: Sequence[Difference]
) -> list[str]:
    """What is not as the table of differences says: failures it lacks, and passes it forbids."""
    found = []
    for outcome in outcomes:
        foreseen = any(each.explains(triton, outcome.name) for each in differences)
        if outcome.state == "failed" and not foreseen:
            found.append(f"{triton}: {outcome.name} failed {outcome.reason}".rstrip())
        elif outcome.state == "passed" and foreseen:
            found.append(f"{triton}: {outcome.name} passes, though known.toml says that it fails")
    return found


def skipped(triton: str, outcomes: Iterable[Outcome]) -> list[str]:
    """Why tests did not run on one Triton, a line a reason."""
    reasons = collections.Counter(each.reason for each in outcomes if each.state == "skipped")
    return [f"{triton}: {count} skipped: {reason}" for reason, count in reasons.items()]


def table(cells: Mapping[str, Mapping[str, Cell]], differences: Iterable[Difference]) -> list[str]:
    """Lines: a block for each environment with a line a folder, then what is known to differ.

    Args:
        cells: environment -> folder -> counts.
    """
    folders = list(dict.fromkeys(folder for row in cells.values() for folder in row))
    width = max(map(len, folders), default=0)
    lines = []
    for environment, row in cells.items():
        lines += [environment, *(f"  {folder:<{width}}  {row[folder]}" for folder in row), ""]
    lines.append("known differences:")
    for each in differences:
        fate = f"fails {', '.join(each.tests)}" if each.tests else "handled"
        lines.append(f"  {', '.join(each.triton)}: {each.what} ({fate})")
    return lines
