"""How numbers print: expected texts are worked out by hand."""

import doctest
import math
import re
from pathlib import Path

import numpy as np
import pytest

from gpu_utils import quantities
from gpu_utils.quantities import Label, Quantity, text

SANITISE = Path(__file__).parents[1] / "nbval_sanitize.cfg"


def test_the_docstrings_run():
    assert doctest.testmod(quantities).failed == 0


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        # Three significant digits, and decimal: 1 GiB = 1.073741824e9 bytes is not 1.00 GB.
        (2**30, "B", "1.07 GB"),
        (12288, "B", "12.3 kB"),
        (3350e9, "B/s", "3.35 TB/s"),
        (989.4e12, "FLOP/s", "989 TFLOP/s"),
        (2250e12, "FLOP/s", "2.25 PFLOP/s"),
        (1410e6, "Hz", "1.41 GHz"),
        (2_000_000, "OP/s", "2.00 MOP/s"),
        (700, "W", "700 W"),
        # Integers below 1000 are exact, floats are not known to be.
        (12, "B/element", "12 B/element"),
        (999, "B", "999 B"),
        (np.int64(7), "B", "7 B"),
        (12.0, "B", "12.0 B"),
        (0.5, "B/element", "0.500 B/element"),
        # Nothing, unknown, negative, infinite, not a number.
        (0, "B", "0 B"),
        (0.0, "s", "0 s"),
        (-0.0, "FLOP", "0 FLOP"),
        (None, "B/s", "unknown"),
        (-1.2e9, "B", "-1.20 GB"),
        (math.inf, "FLOP/byte", "∞ FLOP/byte"),
        (-math.inf, "B/s", "-∞ B/s"),
        (math.nan, "s", "NaN s"),
        # At a border the value is rounded before its unit is chosen.
        (999.4, "B", "999 B"),
        (999.95, "", "1.00 k"),
        (2**20, "iB", "1.00 MiB"),
        (2**20 - 2**10, "iB", "1,020 KiB"),
        (999_499, "B", "999 kB"),
        (999_950, "B", "1.00 MB"),
        (0.99996e-3, "s", "1.00 ms"),
        (59.94, "s", "59.9 s"),
        (59.96, "s", "1.00 min"),
        (3599.9, "s", "1.00 h"),
        # Time, down to parts of a nanosecond and up to days.
        (4.2e-6, "s", "4.20 µs"),
        (3.7e-10, "s", "370 ps"),
        (90, "s", "1.50 min"),
        (54 * 86400, "s", "54.0 d"),
        # Ratios take no prefix.
        (295.343, "FLOP/byte", "295 FLOP/byte"),
        (1365.33, "FLOP/byte", "1,370 FLOP/byte"),
        (1 / 12, "FLOP/byte", "0.0833 FLOP/byte"),
        # Counts, of things too.
        (16_777_216, "", "16.8 M"),
        (128, "", "128"),
        (4096, "programs", "4.10 k programs"),
        (2730.4, "tokens/s", "2.73 k tokens/s"),
        # A share is a fraction; so is "times as much".
        (0.125, "%", "12.5 %"),
        (1, "%", "100 %"),
        (0.99996, "%", "100 %"),
        (0, "%", "0 %"),
        (2.0, "x", "2.00x"),
        (1, "x", "1x"),
    ],
)
def test_text(value, unit, expected):
    assert text(value, unit) == expected


@pytest.mark.parametrize("unit", ["GB", "ms", "TFLOP/s", "B/", "/s", "b", "MiB", "FLOPS", "B/ms"])
def test_a_unit_that_is_unknown_or_hides_a_factor_is_refused(unit):
    with pytest.raises(ValueError, match=re.escape(repr(unit))):
        text(1, unit)
    with pytest.raises(ValueError, match="without a prefix"):
        Quantity(1, unit, Label.CITED)


def test_the_six_labels():
    assert [str(label) for label in Label] == [
        "MEASURED",
        "RECORDED",
        "COUNTED",
        "COMPILED",
        "MODELLED",
        "CITED",
    ]
    assert all(label.meaning for label in Label)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (Label.MEASURED, "≈ 1.23 GB MEASURED"),
        (Label.RECORDED, "1.23 GB RECORDED"),
        (Label.COUNTED, "1.23 GB COUNTED"),
        (Label.COMPILED, "⟨1.23 GB⟩ COMPILED"),
        (Label.MODELLED, "1.23 GB MODELLED"),
        (Label.CITED, "1.23 GB CITED"),
    ],
)
def test_a_quantity_says_how_it_is_known_and_marks_what_varies(label, expected):
    quantity = Quantity(1.23e9, "B", label)
    assert str(quantity) == repr(quantity) == expected
    assert f"{quantity:>24}" == expected.rjust(24)
    rich = quantity._repr_html_()
    assert f'<span class="{label.lower()}">{quantity.text}</span>' in rich
    assert f">{label}</span>" in rich


def test_what_is_unknown_has_no_label():
    unknown = Quantity(None, "s", Label.MEASURED)
    assert str(unknown) == "unknown"
    assert unknown._repr_html_() == '<span class="unknown">unknown</span>'


def test_no_raw_digits_reach_a_saved_output():
    # A notebook saves repr beside the rich view; both are compared.
    quantity = Quantity(0.00123456789, "s", Label.MEASURED)
    assert "56789" not in repr(quantity) + quantity._repr_html_()


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Quantity(999e-6, "s", Label.MEASURED), Quantity(1.01e-3, "s", Label.MEASURED)),
        (Quantity(0.4, "s", Label.MEASURED), Quantity(75.0, "s", Label.MEASURED)),
        (Quantity(15.4e9, "B/s", Label.MEASURED), Quantity(1.2e12, "B/s", Label.MEASURED)),
        (Quantity(1.23e-13, "FLOP/s", Label.MEASURED), Quantity(6e11, "FLOP/s", Label.MEASURED)),
        (Quantity(0.25, "FLOP/byte", Label.MEASURED), Quantity(1365, "FLOP/byte", Label.MEASURED)),
        (Quantity(0.5, "%", Label.MEASURED), Quantity(1, "%", Label.MEASURED)),
        (Quantity(2.5, "x", Label.MEASURED), Quantity(1250.0, "x", Label.MEASURED)),
        (Quantity(40, "registers", Label.COMPILED), Quantity(168, "registers", Label.COMPILED)),
        (Quantity(0, "B", Label.COMPILED), Quantity(49152, "B", Label.COMPILED)),
    ],
)
def test_what_varies_compares_equal_once_sanitised(one, other, rich):
    rules = re.findall(r"^regex: (.*)$\n^replace: (.*)$", SANITISE.read_text("ascii"), re.MULTILINE)

    def sanitised(quantity):
        output = quantity._repr_html_() if rich else f"took {quantity}, it says"
        for regex, replacement in rules:
            output = re.sub(regex, replacement, output)
        return output

    assert str(one) != str(other)
    assert sanitised(one) == sanitised(other)
