"""What is known of a part, and where each figure comes from."""

import dataclasses
import datetime
import types
from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["GPUSpec", "Source", "UnknownFigureError"]

Trust = Literal["primary", "vendor", "secondary", "derived"]
# What each device of a part has an equal share of; power and silicon are the package's.
_SHARED = (
    "sm_count",
    "memory_bytes",
    "memory_bandwidth_bytes_per_s",
    "l2_bytes",
    "l2_count",
    "l2_bandwidth_bytes_per_s",
    "memory_side_cache_bytes",
)


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
        sm_count: Streaming multiprocessors; compute units on AMD. None where there are neither.
        memory_bytes: As printed by the vendor, with a GB of 1e9 bytes.
        l2_bytes: Of the whole part. `l2_count` private caches hold it in equal shares: one that
            all SMs share on NVIDIA, eight on an MI300X, where what one die reads another cannot
            find in its own.
        l2_bandwidth_bytes_per_s: Reads from all of the L2, at the boost clock.
        memory_side_cache_bytes: The cache behind the L2 that all of a part shares (AMD's Infinity
            Cache); 0 if there is none.
        shared_bytes_per_sm: Shared memory (LDS on AMD) of one SM.
        exp2_per_clock_per_sm: Results of exp2 from the special-function units of one SM.
        tdp_w: Of the part alone: not of a superchip, a board or a rack.
        transistors: Of all dies of the part.
        die_area_mm2: Of all dies of the part.
        devices: As how many devices a program sees the part. The figures are those of the whole;
            `per_device` has those of one.
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
    l2_count: int | None = None
    l2_bandwidth_bytes_per_s: float | None = None
    memory_side_cache_bytes: int | None = None
    shared_bytes_per_sm: int | None = None
    exp2_per_clock_per_sm: int | None = None
    tdp_w: float | None = None
    transistors: float | None = None
    die_area_mm2: float | None = None
    devices: int = 1
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

    def per_device(self) -> "GPUSpec":
        """What one of the devices has that a program sees: an equal share of the whole.

        A kernel runs on one device, so a bound for it needs these. Power, transistors and area
        belong to the package and are unknown for its devices. A part of one device is itself.

        >>> whole = GPUSpec(id="pair", name="a pair", devices=2, peak_flops_per_s={"fp16": 8e12})
        >>> whole.per_device().name, whole.per_device().peak("fp16")
        ('a pair (one of 2 devices)', 4000000000000.0)
        """
        if self.devices == 1:
            return self
        shares = {field: _share(getattr(self, field), self.devices) for field in _SHARED}
        return dataclasses.replace(
            self,
            id=f"{self.id}-device",
            name=f"{self.name} (one of {self.devices} devices)",
            peak_flops_per_s={d: peak / self.devices for d, peak in self.peak_flops_per_s.items()},
            **shares | dict.fromkeys(("tdp_w", "transistors", "die_area_mm2")) | {"devices": 1},
        )


def _share(figure: Any, devices: int) -> Any:
    """An equal share; what is counted or stored stays a whole number."""
    if figure is None:
        return None
    return figure // devices if isinstance(figure, int) else figure / devices
