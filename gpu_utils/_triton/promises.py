"""Hints to the compiler, held to their word."""

from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl

from gpu_utils._triton.frames import kernel_line, short_name


class FalsePromise(ValueError):
    """A hint to the compiler that does not hold: on a GPU the code would be wrong."""


def _multiples(rows: np.ndarray, value: int) -> bool:
    # Promised of the first element of each run of consecutive ones.
    starts = np.ones(rows.shape, dtype=bool)
    starts[:, 1:] = np.diff(rows, axis=1) != 1
    return bool((rows[starts] % value == 0).all())


def _contiguous(rows: np.ndarray, value: int) -> bool:
    groups = rows[:, : rows.shape[1] // value * value].reshape(-1, value)
    return bool((np.diff(groups, axis=1) == 1).all())


def _constant(rows: np.ndarray, value: int) -> bool:
    groups = rows[:, : rows.shape[1] // value * value].reshape(-1, value)
    return bool((groups == groups[:, :1]).all())


_PROMISES = {"multiple_of": _multiples, "max_contiguous": _contiguous, "max_constancy": _constant}


def keep(scope: Any) -> None:
    """Check the hints that stock interpretation only stores: the compiler believes them."""

    def checked(name: str, holds: Callable[[np.ndarray, int], bool]) -> Callable:
        def hint(input: Any, values: Any, **_: Any) -> Any:
            data = input.handle.data if isinstance(input, tl.tensor) else np.array([input])
            given = values if isinstance(values, (list, tuple)) else [values]
            for axis, value in enumerate(given):
                wanted = int(value.value if isinstance(value, tl.constexpr) else value)
                rows = np.moveaxis(data.astype(np.int64), axis, -1).reshape(-1, data.shape[axis])
                if wanted > 1 and not holds(rows, wanted):
                    file, line = kernel_line()
                    raise FalsePromise(
                        f"{short_name(file)}:{line}: tl.{name}(..., {wanted}) is false here "
                        f"(values begin {rows.ravel()[:4].tolist()}): the compiler would believe it"
                    )
            return input

        return hint

    for name, holds in _PROMISES.items():
        for module in (tl, tl.core):
            scope.set_attr(module, name, checked(name, holds))
