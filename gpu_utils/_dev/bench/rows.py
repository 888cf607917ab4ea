"""What a benchmark says: a row of the table, with its median and how much it swung."""

import dataclasses
import json
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from gpu_utils.quantities import Label, Quantity

__all__ = ["Row", "as_json", "head", "line", "row"]

SCHEMA = 1
SWING = 0.2  # of the median: above it the clocks or the load of the machine were swinging
_HEAD = ("median", "p20", "p80", "runs", "")
_WIDTHS = (46, 19, 10, 10, 4)


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing that was measured, `runs` times.

    `unit` is "s", or "x" for the ratio of two times that were taken in one run. A fifth of the
    runs was below `p20`, a fifth above `p80`.
    """

    section: str
    name: str
    unit: str
    median: float
    p20: float
    p80: float
    runs: int
    note: str = ""

    @property
    def swings(self) -> bool:
        """Whether the machine was too restless for the median to mean much."""
        return self.p80 - self.p20 > SWING * self.median


def row(section: str, name: str, unit: str, samples: Sequence[float], note: str = "") -> Row:
    """Reduce samples to a row.

    >>> row("import", "gpu_utils", "s", [0.3, 0.1, 0.2, 0.5, 0.4, 0.6]).median
    0.35
    """
    ordered = sorted(samples)
    last = len(ordered) - 1
    low, high = (ordered[round(share * last)] for share in (0.2, 0.8))
    middle = statistics.median(ordered)
    return Row(section, name, unit, middle, low, high, len(ordered), note)


def head(section: str) -> str:
    """The line above a section's rows."""
    return _padded(section, *_HEAD)


def line(found: Row) -> str:
    """A row as a line of the table."""
    middle, low, high = (
        Quantity(value, found.unit, Label.MEASURED)
        for value in (found.median, found.p20, found.p80)
    )
    swing = "swings: load or clocks moved" if found.swings else ""
    notes = "; ".join(note for note in (found.note, swing) if note)
    return _padded(found.name, str(middle), low.text, high.text, str(found.runs), notes)


def _padded(*cells: str) -> str:
    *columns, last = cells
    padded = [text.ljust(width) for text, width in zip(columns, _WIDTHS, strict=True)]
    return "  ".join([*padded, last]).rstrip()


def as_json(rows: Iterable[Row], facts: dict[str, Any]) -> str:
    """The rows and what they were measured on, for programs that compare two of these."""
    listed = [
        {**dataclasses.asdict(row), "swings": row.swings, "label": str(Label.MEASURED)}
        for row in rows
    ]
    return json.dumps({"schema": SCHEMA, **facts, "rows": listed}, indent=1) + "\n"
