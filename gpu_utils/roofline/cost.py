"""What an operation costs: so many FLOPs and so many bytes."""

import dataclasses
import math

__all__ = ["BYTES_PER_ELEMENT", "OpCost", "bytes_per_element", "check_sizes"]

BYTES_PER_ELEMENT = {
    "fp32": 4,
    "tf32": 4,  # stored as fp32; only the multiplier drops bits
    "bf16": 2,
    "fp16": 2,
    "fp8": 1,
    "int8": 1,
    "fp4": 0.5,  # without its block scales
}


@dataclasses.dataclass(frozen=True)
class OpCost:
    """The FLOPs that an operation must do and the bytes that it must move.

    Costs add up, as operations that run one after the other do.

    >>> OpCost(flops=6, bytes=24).intensity
    0.25
    >>> OpCost(6, 24) + OpCost(2, 8)
    OpCost(flops=8, bytes=32)
    """

    flops: float
    bytes: float

    def __post_init__(self) -> None:
        if not (0 <= self.flops < math.inf and 0 <= self.bytes < math.inf):
            raise ValueError(f"flops and bytes must be finite and not negative, got {self}")

    def __add__(self, other: "OpCost") -> "OpCost":
        return OpCost(self.flops + other.flops, self.bytes + other.bytes)

    @property
    def intensity(self) -> float:
        """FLOPs per byte moved; infinite if nothing is moved, NaN if nothing is done either."""
        if self.bytes:
            return self.flops / self.bytes
        return math.inf if self.flops else math.nan


def bytes_per_element(dtype: str) -> float:
    """The bytes that one element takes in memory.

    Raises:
        ValueError: The dtype is unknown; the message lists those that are known.
    """
    if dtype not in BYTES_PER_ELEMENT:
        known = ", ".join(BYTES_PER_ELEMENT)
        raise ValueError(f"unknown dtype {dtype!r}: expected one of {known}")
    return BYTES_PER_ELEMENT[dtype]


def check_sizes(**sizes: int) -> None:
    """Refuse a size below 1, by its name."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
