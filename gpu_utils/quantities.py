"""Numbers as the course prints them: a value, its unit, and how it is known.

Every number that a lesson, a card or an error shows goes through this module: decimal units, three
significant digits, and one of six labels. Values that differ from machine to machine (MEASURED) or
from compiler to compiler (COMPILED) carry a mark, so that a comparison of saved outputs can tell
them from values that must not change; `tests/nbval_sanitize.cfg` knows the marks.
"""

import dataclasses
import enum
import html
import math
import numbers
import re
from typing import Any

__all__ = ["Label", "Quantity", "text"]

_DECIMAL = tuple((1e3**power, prefix) for power, prefix in enumerate(("", *"kMGTPE")))
_TIME = (
    (1e-12, "ps"),
    (1e-9, "ns"),
    (1e-6, "µs"),
    (1e-3, "ms"),
    (1.0, "s"),
    (60.0, "min"),
    (3600.0, "h"),
    (86400.0, "d"),
)
# On-chip memories are built and documented in powers of two: 228 KiB shared memory, 50 MiB L2.
_BINARY = tuple((1024.0**power, prefix) for power, prefix in enumerate(("B", "KiB", "MiB", "GiB")))
_SYMBOLS = ("B", "FLOP", "OP", "Hz", "W", "J")
# Three letters at least, in lower case, so that "GB" and "ms", which hide a factor, are refused.
_NOUN = re.compile(r"[a-z][a-z -]*[a-z]{2}")


class Label(enum.StrEnum):
    """How a number is known. The six are never mixed."""

    MEASURED = "MEASURED"
    RECORDED = "RECORDED"
    COUNTED = "COUNTED"
    COMPILED = "COMPILED"
    MODELLED = "MODELLED"
    CITED = "CITED"

    @property
    def meaning(self) -> str:
        """One line that a reader can be shown beside the label."""
        return _MEANINGS[self]

    @property
    def badge(self) -> str:
        """The label in HTML, as it stands beside a number."""
        # JupyterLab's own variables, so that the badge follows the theme; the word is the signal.
        style = (
            "font-size:70%;padding:0 .35em;border-radius:.3em;vertical-align:middle;"
            "border:1px solid var(--jp-border-color1,#888);color:var(--jp-content-font-color2,#666)"
        )
        return f'<span class="label" style="{style}" title="{self.meaning}">{self}</span>'


_MEANINGS = {
    Label.MEASURED: "timed on this machine, now",
    Label.RECORDED: "measured on another machine, whose record is kept",
    Label.COUNTED: "counted exactly while the kernel was interpreted",
    Label.COMPILED: "read from compiled code; holds for one version of the compiler",
    Label.MODELLED: "computed under stated assumptions",
    Label.CITED: "taken from a document",
}


@dataclasses.dataclass(frozen=True, repr=False)
class Quantity:
    """A number that says its unit and how it is known.

    It prints the same everywhere: `str`, `repr` and the rich view show the rounded value, never
    the raw one, so that a notebook's saved output holds nothing that cannot be compared.

    Args:
        value: In the unit without a prefix (bytes, seconds, a fraction for "%"); None is unknown.
        unit: As `text` takes it.
        label: How the value is known.

    >>> Quantity(1.23e9, "B", Label.COUNTED)
    1.23 GB COUNTED
    >>> Quantity(1.234e-3, "s", Label.MEASURED)
    ≈ 1.23 ms MEASURED
    >>> Quantity(40, "registers", Label.COMPILED)
    ⟨40 registers⟩ COMPILED
    >>> Quantity(None, "B", Label.CITED)
    unknown
    """

    value: float | None
    unit: str
    label: Label

    def __post_init__(self) -> None:
        text(self.value, self.unit)  # a wrong unit fails where it is written, not where it prints

    @property
    def text(self) -> str:
        """The value and its unit, marked if it varies, without the label."""
        plain = text(self.value, self.unit)
        if self.value is None:
            return plain
        if self.label is Label.MEASURED:
            return f"≈ {plain}"
        if self.label is Label.COMPILED:
            return f"⟨{plain}⟩"
        return plain

    def __str__(self) -> str:
        # What is not known was not measured, counted or cited either.
        return self.text if self.value is None else f"{self.text} {self.label}"

    def __repr__(self) -> str:
        return str(self)

    def __format__(self, spec: str) -> str:
        """Pad as a string does, so that a quantity fits a column of a table."""
        return format(str(self), spec)

    def _repr_html_(self) -> str:
        kind = "unknown" if self.value is None else self.label.lower()
        number = f'<span class="{kind}">{html.escape(self.text)}</span>'
        return number if self.value is None else f"{number} {self.label.badge}"


def text(value: float | None, unit: str = "") -> str:
    """Write a value with three significant digits, in decimal units.

    Args:
        value: In the unit without a prefix; None is unknown. Integers below 1000 stay exact.
        unit: "s" for time; "iB" for on-chip memory, in KiB and MiB; "B", "FLOP", "OP", "Hz", "W",
            "J" or a noun in lower case ("runs"), each also per something ("B/s", "FLOP/byte",
            "tokens/s"); "" for a count; "%" and "x" (times as much) for fractions. Totals and
            rates per second get a prefix, other ratios none.

    Returns:
        Text such as "3.35 TB/s".

    Raises:
        ValueError: The unit is none of these, or hides a factor ("GB", "ms").

    >>> text(3.35e12, "B/s"), text(12, "B/element"), text(989.4e12, "FLOP/s")
    ('3.35 TB/s', '12 B/element', '989 TFLOP/s')
    >>> text(999.95), text(0.875, "%"), text(2.0, "x"), text(1365.3, "FLOP/byte")
    ('1.00 k', '87.5 %', '2.00x', '1,370 FLOP/byte')
    >>> text(233_472, "iB"), text(52_428_800, "iB")
    ('228 KiB', '50.0 MiB')
    >>> text(0.0000042, "s"), text(0, "s"), text(None, "s"), text(float("inf"), "FLOP/byte")
    ('4.20 µs', '0 s', 'unknown', '∞ FLOP/byte')
    """
    glued = _check(unit)
    if value is None:
        return "unknown"
    if unit == "x":
        return _digits(value) + unit
    if unit == "%":
        return f"{_digits(float(value) * 100)} %"
    if unit == "s":
        return _on_ladder(float(value), _TIME, zero="s")
    if unit == "iB":
        return _on_ladder(float(value), _BINARY, zero="B")
    if "/" in unit and not unit.endswith("/s"):
        return f"{_digits(value)} {unit}"
    rungs = tuple((f, p + unit if glued else f"{p} {unit}".strip()) for f, p in _DECIMAL)
    if _is_small_integer(value):
        return f"{int(value)} {unit}".strip()
    return _on_ladder(float(value), rungs, zero=unit)


def _check(unit: str) -> bool:
    """Whether a prefix is glued to this unit (GB) or stands alone (k runs); refuse unknown ones."""
    if unit in ("", "s", "%", "x", "iB"):
        return False
    head, slash, per = unit.partition("/")
    symbol = head in _SYMBOLS
    known = symbol or _NOUN.fullmatch(head)
    if known and (not slash or per == "s" or _NOUN.fullmatch(per)):
        return symbol
    raise ValueError(
        f"unknown unit {unit!r}: expected 's', '%', 'x', '' or one of {', '.join(_SYMBOLS)} or a "
        "noun in lower case, alone or per something ('B/s', 'FLOP/byte', 'tokens/s'); "
        "give values without a prefix (bytes, not GB; seconds, not ms)"
    )


def _on_ladder(value: float, rungs: tuple[tuple[float, str], ...], zero: str) -> str:
    """The value on the highest rung whose factor it reaches after rounding."""
    if value == 0 or not math.isfinite(value):
        return f"{_digits(value)} {zero}".strip()
    factor, unit = rungs[0]
    shown = value / factor
    for next_factor, next_unit in rungs[1:]:
        # Rounded before it climbs: 999.95 is 1.00 k, not 1000; 59.96 s is 1.00 min, not 60.0 s.
        # Or as it is: 1024 KiB, which rounds to 1020, is 1.00 MiB.
        if max(abs(_rounded(shown)), abs(shown)) * factor < next_factor * (1 - 1e-9):
            break
        factor, unit = next_factor, next_unit
        shown = math.copysign(max(1.0, abs(value) / factor), value)
    return f"{_digits(shown)} {unit}".strip()


def _is_small_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and abs(int(value)) < 1000


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def _digits(value: float) -> str:
    """Three significant digits, without a unit."""
    if _is_small_integer(value):
        return str(int(value))
    number = float(value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    number = _rounded(number)
    if number == 0:
        return "0"
    if not 1e-3 <= abs(number) < 1e6:
        return f"{number:.2e}"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    return f"{number:,.{decimals}f}"
