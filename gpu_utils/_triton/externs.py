"""NumPy stand-ins for the functions of libdevice, by their names there."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def _torch(function: Callable[..., torch.Tensor]) -> Callable[..., np.ndarray]:
    """A function that torch has and NumPy has not."""

    def call(*args: np.ndarray) -> np.ndarray:
        return function(*(torch.from_numpy(np.ascontiguousarray(x)) for x in args)).numpy()

    return call


def _round_away(x: np.ndarray) -> np.ndarray:
    """Half away from zero, as C does; NumPy rounds half to even."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


_UNARY: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in (
        "abs", "floor", "ceil", "trunc", "rint", "sqrt", "cbrt", "exp", "exp2", "expm1", "log",
        "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "isnan", "isinf",
        "signbit",
    )},
    **{name: getattr(np, f"arc{name[1:]}") for name in (
        "asin", "acos", "atan", "asinh", "acosh", "atanh",
    )},
    **{name: _torch(getattr(torch.special, special)) for name, special in {
        "erf": "erf", "erfc": "erfc", "erfcx": "erfcx", "erfinv": "erfinv", "lgamma": "gammaln",
        "normcdf": "ndtr", "normcdfinv": "ndtri", "cyl_bessel_i0": "i0", "cyl_bessel_i1": "i1",
        "j0": "bessel_j0", "j1": "bessel_j1", "y0": "bessel_y0", "y1": "bessel_y1",
    }.items()},
    "exp10": lambda x: np.power(x.dtype.type(10), x),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "rcbrt": lambda x: 1 / np.cbrt(x),
    "sinpi": lambda x: np.sin(np.pi * x),
    "cospi": lambda x: np.cos(np.pi * x),
    "round": _round_away,
    "isfinite": np.isfinite,
    "saturate": lambda x: np.clip(np.nan_to_num(x, nan=0.0), 0, 1),
    "rcp_rn": lambda x: 1 / x,
    "sqrt_rn": np.sqrt,
    "rsqrt_rn": lambda x: 1 / np.sqrt(x),
    "popc": np.bitwise_count,
}  # fmt: skip
_ALIASES = {"i0": "cyl_bessel_i0", "i1": "cyl_bessel_i1", "pown": "pow", "powi": "pow",
            "finite": "isfinite", "llrint": "rint", "nearbyint": "rint", "llround": "round",
            "fdivide": "div_rn", "scalbn": "ldexp", "llabs": "abs"}  # fmt: skip
_OTHERS: dict[str, Callable[..., Any]] = {
    "div_rn": np.divide,
    "add_rn": np.add,
    "sub_rn": np.subtract,
    "mul_rn": np.multiply,
    "fma": lambda x, y, z: x * y + z,
    "fma_rn": lambda x, y, z: x * y + z,
    "pow": np.power,
    "fmod": np.fmod,
    "atan2": np.arctan2,
    "hypot": np.hypot,
    "rhypot": lambda x, y: 1 / np.hypot(x, y),
    "copysign": np.copysign,
    "nextafter": np.nextafter,
    "fdim": lambda x, y: np.where(x > y, x - y, 0),
    "ldexp": np.ldexp,
}
_FUNCTIONS = _UNARY | _OTHERS
# One instruction of the special function unit, or a sequence around one.
SPECIAL = frozenset((
    "exp", "exp2", "exp10", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinpi",
    "cospi", "sinh", "cosh", "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2",
    "sqrt", "sqrt_rn", "rsqrt", "rsqrt_rn", "cbrt", "rcbrt", "pow", "hypot", "rhypot",
    "erf", "erfc", "erfcx", "erfinv", "lgamma", "normcdf", "normcdfinv", "cyl_bessel_i0",
    "cyl_bessel_i1", "j0", "j1", "y0", "y1",
))  # fmt: skip


_ROUNDINGS = {"rn": np.rint, "rz": np.trunc, "rd": np.floor, "ru": np.ceil}
_TO_INTEGER = re.compile(r"(?:float|double)2(?:int|uint|ll|ull)_(r[nzdu])")


def name_of(symbol: str) -> str:
    """The function behind a symbol.

    >>> [name_of(x) for x in ("__nv_tanhf", "__nv_fast_expf", "__ocml_exp2_f32", "__nv_fmaf_rn")]
    ['tanh', 'exp', 'exp2', 'fma_rn']
    """
    name = re.sub(r"^__(nv|ocml|triton_hip)_", "", symbol)
    name = re.sub(r"_f(16|32|64)$", "", name).removeprefix("fast_")
    name = re.sub(r"^(fma)f_", r"\1_", name)
    shorter = (name.removesuffix("f"), name.removesuffix("d"), name[1:])
    for candidate in (name, *shorter, name[1:].removesuffix("f")):
        candidate = _ALIASES.get(candidate, candidate)
        if candidate in _FUNCTIONS:
            return candidate
    return name


def function(name: str) -> Callable[..., Any]:
    """The stand-in for a function of libdevice."""
    if found := _TO_INTEGER.fullmatch(name):
        return _ROUNDINGS[found[1]]
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    raise NotImplementedError(
        f"libdevice's {name} has no stand-in in the interpreter: write it with tl's own "
        "operations, or compile the kernel without counting it"
    )
