"""What a drawn kernel may do to its values: each operation as Triton's text and torch's function.

The two are each other's twin; where Triton's meaning is not torch's, the function follows Triton.
"""

from collections.abc import Callable
from typing import Any

import torch

Expression = tuple[Any, ...]  # ("leaf", 0), ("const", 1.5) or (operation, Expression, ...)

TRITON = {
    torch.float32: "tl.float32",
    torch.float16: "tl.float16",
    torch.bfloat16: "tl.bfloat16",
    torch.float8_e4m3fn: "tl.float8e4nv",
    torch.float8_e5m2: "tl.float8e5",
    torch.int8: "tl.int8",
    torch.int32: "tl.int32",
    torch.int64: "tl.int64",
}
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
EIGHT_BITS = (torch.float8_e4m3fn, torch.float8_e5m2)


def _through(dtype: torch.dtype) -> tuple[str, Callable]:
    """A cast there and back."""
    return f"{{}}.to({TRITON[dtype]}).to(ct)", lambda x: x.to(dtype).to(x.dtype)


# Operation -> its text, and what torch calls it. Text and function are each other's twin.
_ANY: dict[str, tuple[str, Callable]] = {
    "add": ("({} + {})", torch.add),
    "sub": ("({} - {})", torch.sub),
    "mul": ("({} * {})", torch.mul),
    "min": ("tl.minimum({}, {})", torch.minimum),
    "max": ("tl.maximum({}, {})", torch.maximum),
    "larger": ("larger({}, {})", torch.maximum),  # a function that the kernel calls
    "where": ("tl.where({} > {}, {}, {})", lambda a, b, c, d: torch.where(a > b, c, d)),
}
_SIGNED: dict[str, tuple[str, Callable]] = {
    **_ANY,
    "abs": ("tl.abs({})", torch.abs),
    "neg": ("(-{})", lambda x: 0 - x),  # so Triton defines it: minus 0.0 is 0.0
}
_EXACT_FLOAT: dict[str, tuple[str, Callable]] = {
    **_SIGNED,
    "div": ("({} / (tl.abs({}) + 1.0))", lambda a, b: a / (b.abs() + 1)),
    "floor": ("tl.floor({})", torch.floor),
    "clamp": ("tl.clamp({}, -1.5, 2.0)", lambda x: x.clamp(-1.5, 2.0)),
    "through fp16": _through(torch.float16),
    "through bf16": _through(torch.bfloat16),
    "through int32": _through(torch.int32),  # cuts the fraction off
}
_INTEGER: dict[str, tuple[str, Callable]] = {
    **_SIGNED,
    "and": ("({} & {})", torch.bitwise_and),
    "or": ("({} | {})", torch.bitwise_or),
    "xor": ("({} ^ {})", torch.bitwise_xor),
    "shl": ("({} << 3)", lambda x: x << 3),
    "shr": ("({} >> 2)", lambda x: x >> 2),
    # As in C: towards zero, and the remainder has the sign of what is divided.
    "floordiv": ("({} // 7)", lambda x: torch.div(x, 7, rounding_mode="trunc")),
    "mod": ("({} % 7)", lambda x: torch.fmod(x, 7)),
    "through int8": _through(torch.int8),
}
_SMOOTH: dict[str, tuple[str, Callable]] = {
    **{name: _ANY[name] for name in ("add", "sub", "mul", "min", "max", "larger")},
    "abs": _SIGNED["abs"],
    "exp": ("tl.exp(-tl.abs({}))", lambda x: torch.exp(-x.abs())),
    "exp2": ("tl.exp2(-tl.abs({}))", lambda x: torch.exp2(-x.abs())),
    "log": ("tl.log(tl.abs({}) + 1.0)", lambda x: torch.log(x.abs() + 1)),
    "sqrt": ("tl.sqrt(tl.abs({}) + 1.0)", lambda x: torch.sqrt(x.abs() + 1)),
    "rsqrt": ("tl.rsqrt(tl.abs({}) + 1.0)", lambda x: torch.rsqrt(x.abs() + 1)),
    "sigmoid": ("tl.sigmoid({})", torch.sigmoid),
    "sin": ("tl.sin({})", torch.sin),
    "erf": ("tl.erf({})", torch.erf),
}
OPERATIONS = {**_EXACT_FLOAT, **_INTEGER, **_SMOOTH}


def allowed(compute: torch.dtype, smooth: bool) -> list[str]:
    """What may be done in a dtype, bit for bit or, if `smooth`, to a tolerance."""
    if smooth:
        return list(_SMOOTH)
    if compute is torch.float32:
        return list(_EXACT_FLOAT)
    return list({torch.int32: _INTEGER, torch.int8: _ANY}.get(compute, _SIGNED))


def operations(node: Expression) -> set[str]:
    """The names of all that an expression does."""
    parts = (part for part in node[1:] if isinstance(part, tuple))
    return {node[0]}.union(*map(operations, parts))
