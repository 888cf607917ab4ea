"""The 8-bit floating-point formats, as bits to values and back.

Decoding is exact. Encoding rounds to nearest even and saturates: what is too large, infinity
included, becomes the largest finite number, as in the `cvt.rn.satfinite` that Triton emits for
NVIDIA. On AMD a bit of the mode register chooses between that and NaN; here it saturates too.
"""

import dataclasses
import functools
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Format:
    """Sign, exponent and mantissa in one byte.

    Args:
        mantissa: its bits.
        bias: of the exponent.
        infinite: IEEE's infinities; otherwise the largest exponent holds numbers.
        unsigned_zero: 0x80 is NaN, and there is no negative zero and no other NaN.
    """

    mantissa: int
    bias: int
    infinite: bool = False
    unsigned_zero: bool = False


# Triton's names: OCP's E5M2 and E4M3, and the FNUZ variants of gfx942.
FORMATS = {
    "fp8e5": Format(2, 15, infinite=True),
    "fp8e4nv": Format(3, 7),
    "fp8e5b16": Format(2, 16, unsigned_zero=True),
    "fp8e4b8": Format(3, 8, unsigned_zero=True),
}


def is_float8(dtype: Any) -> bool:
    """Whether a Triton scalar type is an 8-bit float."""
    return dtype.name.startswith("fp8")


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise NotImplementedError(
            f"the interpreter has no {name}: use {', '.join(FORMATS)}, or convert outside"
        )
    return FORMATS[name]


@functools.cache
def _values(name: str) -> np.ndarray:
    """The value of each of the 256 bit patterns, float32."""
    form = _format(name)
    bits = np.arange(256)
    exponent = (bits & 0x7F) >> form.mantissa
    fraction = (bits & ((1 << form.mantissa) - 1)) / (1 << form.mantissa)
    scale = 2.0 ** (np.maximum(exponent, 1) - form.bias)
    values = np.where(exponent == 0, fraction, 1 + fraction) * scale
    values[bits >= 0x80] *= -1
    top = exponent == 0x7F >> form.mantissa
    if form.unsigned_zero:
        values[0x80] = np.nan
    elif form.infinite:
        values[top] = np.where(fraction == 0, np.copysign(np.inf, values), np.nan)[top]
    else:
        values[(bits & 0x7F) == 0x7F] = np.nan
    return values.astype(np.float32)


@functools.cache
def _midpoints(name: str) -> np.ndarray:
    """Halfway between neighbours among the finite numbers from zero upward."""
    positive = _values(name)[:0x80].astype(np.float64)
    finite = positive[np.isfinite(positive)]
    return (finite[1:] + finite[:-1]) / 2


def decode(bits: np.ndarray, name: str) -> np.ndarray:
    """uint8 bit patterns -> float32, exact."""
    return _values(name).take(bits)


def encode(values: np.ndarray, name: str) -> np.ndarray:
    """Floating point -> uint8 bit patterns, to nearest even, saturating; NaN stays NaN.

    >>> [hex(code) for code in encode(np.array([1.0, -1e9, np.nan], np.float32), "fp8e4nv")]
    ['0x38', '0xfe', '0x7f']
    """
    form, midpoints = _format(name), _midpoints(name)
    size = np.abs(values).astype(np.float64)
    # A value on a midpoint lies left of it in one search and right of it in the other.
    low, high = (np.searchsorted(midpoints, size, side) for side in ("left", "right"))
    code = np.where(low % 2 == 0, low, high)
    sign = np.where(np.signbit(values) & ~(form.unsigned_zero & (code == 0)), 0x80, 0)
    nan = 0x80 if form.unsigned_zero else 0x7F
    return np.where(np.isnan(values), nan, code | sign).astype(np.uint8)
