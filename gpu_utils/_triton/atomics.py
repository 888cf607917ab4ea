"""What an atomic operation does to a value, and how lanes that meet take their turns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gpu_utils._triton.bfloat16 import narrow, widen


def _add_bfloat16(old: np.ndarray, value: np.ndarray) -> np.ndarray:
    return narrow(widen(old) + widen(value))


def _exchange(old: np.ndarray, value: np.ndarray) -> np.ndarray:
    return value


def exchange_if(old: np.ndarray, expected: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Compare and swap."""
    return np.where(old == expected, value, old)


_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "ADD": np.add,
    "FADD": np.add,
    "MIN": np.minimum,
    "UMIN": np.minimum,
    "MAX": np.maximum,
    "UMAX": np.maximum,
    "AND": np.bitwise_and,
    "OR": np.bitwise_or,
    "XOR": np.bitwise_xor,
    "XCHG": _exchange,
}


def function(name: str, dtype: Any) -> Callable[..., np.ndarray]:
    """The operation of Triton's name on elements of its type."""
    if dtype.name == "bf16" and name != "XCHG":
        if name not in ("ADD", "FADD"):
            raise NotImplementedError(f"an atomic {name} of bfloat16")
        return _add_bfloat16
    if name not in _FUNCTIONS:
        raise NotImplementedError(f"an atomic {name}")
    return _FUNCTIONS[name]


def apply(
    memory: np.ndarray, index: np.ndarray, combine: Callable, operands: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Combine `memory[index]` with the operands, lane by lane; return what each lane found."""
    found = np.empty_like(memory, shape=index.shape)
    turns = _turns(index)
    for turn in range(int(turns.max(initial=0)) + 1):
        lanes = turns == turn
        place = index[lanes]
        found[lanes] = memory[place]
        memory[place] = combine(found[lanes], *(operand[lanes] for operand in operands))
    return found


def _turns(index: np.ndarray) -> np.ndarray:
    """How many earlier lanes ask for the same element."""
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    first = np.ones(index.size, dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    position = np.arange(index.size)
    turns = np.empty(index.size, dtype=np.int64)
    turns[order] = position - np.maximum.accumulate(np.where(first, position, 0))
    return turns
