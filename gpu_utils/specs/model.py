"""What is known of a part, and where each figure comes from."""

import dataclasses
import datetime
import types
from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["GPUSpec", "Source", "UnknownFigureError"]

Trust = Literal["primary", "vendor", "secondary", "derived"]


class UnknownFigureError(LookupError):
    """A figure was needed that no document we read gives, or that the part does not have."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The document that one figure was read from.

    Args:
        title: The document.
        locator: Page, table, address or commit.
        trust: "primary" (read directly), "vendor" (a vendor's figure as others quote it),
            "secondary" (a third party's word) or "derived" (arithmetic, shown in the note).
        read: The day on which it was read.
        note: What to know about this figure: conflicts, conditions, arithmetic.
    """

    title: str
    locator: str
    trust: Trust
    read: datetime.date
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GPUSpec:
    """A part's figures. Unknown is None, never a guess.

    Peaks are dense, per GPU, and accumulate in float32 where the document says: `accumulate` names
    the type, and lacks a dtype whose document does not. A rate for another accumulator has a key of
    its own, such as "fp16_acc_fp16". Only arithmetic on matrices reaches the peak of a 16-bit or
    narrower type; "fp32" is the rate of the plain cores.

    Args:
        id: The key of the part, such as "h100-sxm5-80gb".
        name: The name to print.
        peak_flops_per_s: FLOP/s (operations for "int8") by dtype.
        accumulate: The accumulator's type by dtype.
        memory_bytes: As printed by the vendor, with a GB of 1e9 bytes.
        sm_count: Streaming multiprocessors; compute units on AMD.
        shared_bytes_per_sm: Shared memory (LDS on AMD) of one of these.
        sources: The source of each figure, by field; of a peak, by "peak_flops_per_s.bf16".

    >>> this = GPUSpec(id="mine", name="this laptop", memory_bandwidth_bytes_per_s=15e9)
    >>> this.require("memory_bandwidth_bytes_per_s")
    15000000000.0
    >>> this.require("l2_bytes")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    gpu_utils.specs.model.UnknownFigureError: l2_bytes of this laptop (mine) is unknown: no ...
    """

    id: str
    name: str
    vendor: str = ""
    architecture: str | None = None
    target: str | None = None
    launch_year: int | None = None
    sm_count: int | None = None
    boost_clock_hz: float | None = None
    peak_flops_per_s: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    accumulate: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)
    memory_type: str | None = None
    memory_bytes: int | None = None
    memory_bandwidth_bytes_per_s: float | None = None
    l2_bytes: int | None = None
    shared_bytes_per_sm: int | None = None
    tdp_w: float | None = None
    sources: Mapping[str, Source] = dataclasses.field(
        default_factory=dict, hash=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for field in ("peak_flops_per_s", "accumulate", "sources"):
            frozen = types.MappingProxyType(dict(getattr(self, field)))
            object.__setattr__(self, field, frozen)

    def require(self, field: str) -> Any:
        """The figure of `field`, or an error that says which figure of which part is missing.

        Raises:
            UnknownFigureError: The figure is unknown.
            AttributeError: There is no such field.
        """
        value = getattr(self, field)
        if value is None:
            raise UnknownFigureError(
                f"{field} of {self.name} ({self.id}) is unknown: no document that was read gives "
                "it; take another part, or dataclasses.replace(spec, ...) with a value you trust"
            )
        return value

    def peak(self, dtype: str) -> float:
        """The dense peak for `dtype` in FLOP/s.

        Raises:
            UnknownFigureError: The part has no such mode, or no document that was read gives it.
        """
        if dtype not in self.peak_flops_per_s:
            raise UnknownFigureError(
                f"peak_flops_per_s[{dtype!r}] of {self.name} ({self.id}) is unknown: the part has "
                "no such mode or no document that was read gives it; known: "
                f"{', '.join(self.peak_flops_per_s) or 'none'}"
            )
        return self.peak_flops_per_s[dtype]
