"""What others measured on real parts: the ceilings below the data sheets' ceilings."""

import dataclasses
import functools
import importlib.resources
import tomllib
from typing import Literal

from gpu_utils.specs.model import GPUSpec, Source, Trust
from gpu_utils.specs.table import get, source

__all__ = ["Achieved", "achieved"]

Quantity = Literal["bf16 matmul", "fp8 matmul", "memory bandwidth"]

_FILE = importlib.resources.files(__package__) / "achieved.toml"


@dataclasses.dataclass(frozen=True)
class Achieved:
    """One published measurement.

    Args:
        part: The id of the part, as `specs.get` takes it.
        quantity: What was measured.
        value: FLOP/s of a matmul, bytes/s of memory.
        how: What ran: "MAMF" (the best matmul of a search over shapes), "init" (stores only) or
            "scale" (as many loads as stores).
        source: Who published it.
    """

    part: str
    quantity: Quantity
    value: float
    how: str
    source: Source

    @property
    def trust(self) -> Trust:
        """How far to trust it, in the words of `Source`."""
        return self.source.trust

    @property
    def spec_value(self) -> float:
        """The data sheet's figure for the same quantity."""
        part: GPUSpec = get(self.part)
        if self.quantity == "memory bandwidth":
            return float(part.require("memory_bandwidth_bytes_per_s"))
        return part.peak(self.quantity.removesuffix(" matmul"))

    @property
    def share(self) -> float:
        """The measurement as a share of the data sheet's figure."""
        return self.value / self.spec_value


@functools.cache
def achieved() -> tuple[Achieved, ...]:
    """All published measurements that the course shows.

    >>> [f"{row.share:.2f}" for row in achieved() if row.part == "h100-sxm5-80gb"]
    ['0.80', '0.71']
    """
    rows = tomllib.loads(_FILE.read_text(encoding="utf-8"))["achieved"]
    return tuple(Achieved(**row | {"source": source(row["source"])}) for row in rows)
