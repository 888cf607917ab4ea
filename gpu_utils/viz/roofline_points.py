"""Where operations stand under the roofs of parts: the numbers behind the picture."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from gpu_utils import specs
from gpu_utils.quantities import Label, Quantity
from gpu_utils.roofline import OpCost, bound, ridge_point
from gpu_utils.specs import GPUSpec, UnknownPartError

if TYPE_CHECKING:
    from gpu_utils.traffic import Traffic  # importing it would import torch

__all__ = ["Answer", "Point", "Roof", "answers", "known", "roofs", "standing", "timed_on"]

# Clocks and load swing by a few per cent; what is faster than its roof by more was not measured.
SWING = 1.05


@dataclasses.dataclass(frozen=True)
class Point:
    """An operation, or a kernel that was counted and perhaps timed.

    Args:
        name: What the picture and its text call it.
        flops: Floating-point operations.
        bytes: What must move between memory and chip at least: each distinct byte once.
        label: How flops and bytes are known.
        dtype: Whose peak limits its arithmetic; None is the picture's. "fp32" is the plain cores.
        time_s: What one run took.
        part: Where that was timed, as `specs.get` takes it, or the id of a `GPUSpec` of your own.
        asked_bytes: What its kernels asked for, if that was counted: caches may serve the rest.

    >>> Point("axpby", flops=3000, bytes=12000).intensity
    0.250 FLOP/byte MODELLED
    """

    name: str
    flops: float
    bytes: float
    label: Label = Label.MODELLED
    dtype: str | None = None
    time_s: float | None = None
    part: str | None = None
    asked_bytes: float | None = None

    def __post_init__(self) -> None:
        OpCost(self.flops, self.bytes)  # refuses what is negative or not finite
        if not (self.flops or self.bytes):
            raise ValueError(f"{self.name} neither calculates nor moves anything: no roof is its")
        if self.time_s is not None and not 0 < self.time_s < math.inf:
            raise ValueError(f"the time of {self.name} must be above 0 s, got {self.time_s}")
        if (self.time_s is None) != (self.part is None):
            raise ValueError(
                f"{self.name}: a time belongs to the part that it was measured on; give both, as "
                'in time_s=1.2e-3, part="h100", or neither'
            )

    @classmethod
    def of(
        cls,
        name: str,
        what: "OpCost | Traffic",
        *,
        dtype: str | None = None,
        time_s: float | None = None,
        part: str | None = None,
    ) -> "Point":
        """The point of a modelled cost, or of a kernel's counted traffic.

        A kernel without matrix products runs on the plain cores, whatever it stores, so its
        dtype is "fp32" unless you say otherwise.

        >>> from gpu_utils.roofline import matmul_cost
        >>> Point.of("square", matmul_cost(3000, 3000, 3000)).intensity
        1,000 FLOP/byte MODELLED
        """
        if isinstance(what, OpCost):
            label, asked, moved = Label.MODELLED, None, what.bytes
        else:
            label, asked = Label.COUNTED, what.total_bytes
            moved = what.unique_bytes + what.eager_bytes
            dtype = dtype or (None if what.dot_flops else "fp32")
        return cls(name, what.flops, moved, label, dtype, time_s, part, asked)

    @functools.cached_property
    def intensity(self) -> Quantity:
        """FLOP per byte moved."""
        return Quantity(OpCost(self.flops, self.bytes).intensity, "FLOP/byte", self.label)


@dataclasses.dataclass(frozen=True)
class Roof:
    """What one part allows in one dtype.

    A figure with a source is CITED. One without counts as MEASURED: a `GPUSpec` of your own holds
    what you timed.
    """

    spec: GPUSpec
    dtype: str

    @property
    def name(self) -> str:
        """The part's name without its vendor's."""
        return self.spec.name.removeprefix("NVIDIA ").removeprefix("AMD ")

    @property
    def unknown(self) -> str:
        """Which of its figures is unknown; empty if it can be drawn."""
        if self.dtype not in self.spec.peak_flops_per_s:
            return f"no {self.dtype} peak of it is known"
        if self.spec.memory_bandwidth_bytes_per_s is None:
            return "no memory bandwidth of it is known"
        return ""

    @functools.cached_property
    def peak(self) -> Quantity:
        """FLOP/s, however many FLOP there are a byte."""
        label = self._known(f"peak_flops_per_s.{self.dtype}")
        return Quantity(self.spec.peak(self.dtype), "FLOP/s", label)

    @functools.cached_property
    def bandwidth(self) -> Quantity:
        """Bytes/s between memory and chip."""
        field = "memory_bandwidth_bytes_per_s"
        return Quantity(self.spec.require(field), "B/s", self._known(field))

    @functools.cached_property
    def ridge(self) -> Quantity:
        """The FLOP/byte at which the two meet."""
        return Quantity(ridge_point(self.spec, self.dtype), "FLOP/byte", self.derived)

    @functools.cached_property
    def derived(self) -> Label:
        """What a number is that is computed from its figures."""
        measured = Label.MEASURED in (self.peak.label, self.bandwidth.label)
        return Label.MEASURED if measured else Label.MODELLED

    def _known(self, field: str) -> Label:
        return Label.CITED if field in self.spec.sources else Label.MEASURED


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a point comes to on one part.

    Attributes:
        limiter: Which of the limits binds.
        attainable: The roof above the point, in FLOP/s.
        least: The least time.
        reached: FLOP/s of the run that was timed; None without one.
        share: Of the attainable that was reached; without a time, of the peak that is attainable.
    """

    point: Point
    roof: Roof
    limiter: Literal["memory", "L2", "compute"]
    attainable: Quantity
    least: Quantity
    reached: Quantity | None
    share: Quantity


def known(quantity: Quantity) -> float:
    """The value of a quantity that is known."""
    assert quantity.value is not None
    return quantity.value


def roofs(parts: Sequence[str | GPUSpec], dtype: str) -> tuple[Roof, ...]:
    """One roof a part, in the order given, each part once.

    Raises:
        UnknownPartError: No part or several have a name that was given.
    """
    found = [part if isinstance(part, GPUSpec) else specs.get(part) for part in parts]
    return tuple(Roof(spec, dtype) for spec in {spec.id: spec for spec in found}.values())


def answers(points: Sequence[Point], parts: Sequence[Roof]) -> tuple[Answer, ...]:
    """What each point comes to on each part; one that was timed, on its own part only.

    Raises:
        ValueError: A time that beats its roof, or of a part that is not among `parts`.
    """
    return tuple(
        _answer(point, roof)
        for point in points
        for roof in standing(point, parts)
        if point.bytes and not roof.unknown
    )


def timed_on(point: Point, spec: GPUSpec) -> bool:
    """Whether this is the part that a point was timed on."""
    if point.part is None or point.part in (spec.id, spec.name):
        return point.part is not None
    try:
        return specs.get(point.part).id == spec.id
    except UnknownPartError:
        return False


def standing(point: Point, parts: Sequence[Roof]) -> tuple[Roof, ...]:
    """The roofs that a point stands under: its own part's if it was timed, in its own dtype.

    Raises:
        ValueError: It was timed on a part that is not among `parts`.
    """
    theirs = [roof for roof in parts if point.part is None or timed_on(point, roof.spec)]
    if point.part is not None and not theirs:
        shown = ", ".join(roof.spec.id for roof in parts) or "no part"
        raise ValueError(
            f"{point.name} was timed on {point.part!r}, and what is drawn is {shown}: add it to "
            "parts, or write it as it is written there"
        )
    return tuple(dataclasses.replace(roof, dtype=point.dtype or roof.dtype) for roof in theirs)


def _answer(point: Point, roof: Roof) -> Answer:
    least = bound(OpCost(point.flops, point.bytes), roof.spec, roof.dtype)
    attainable = Quantity(point.flops / least.time_s, "FLOP/s", roof.derived)
    reached, share = None, Quantity(known(attainable) / known(roof.peak), "%", roof.derived)
    if point.time_s is not None:
        share = Quantity(least.time_s / point.time_s, "%", Label.MEASURED)
        reached = Quantity(point.flops / point.time_s, "FLOP/s", Label.MEASURED)
        if point.time_s * SWING < least.time_s:
            raise ValueError(_too_fast(point, roof, least.limiter, share))
    time = Quantity(least.time_s, "s", roof.derived)
    return Answer(point, roof, least.limiter, attainable, time, reached, share)


def _too_fast(point: Point, roof: Roof, limiter: str, share: Quantity) -> str:
    likely = {
        "memory": "its data was still in a cache: use more than the L2 holds, or flush it between "
        "runs; or fewer bytes move than were given",
        "compute": f"it calculates in a faster type than {roof.dtype}, or does fewer FLOP than "
        "were given",
    }
    return (
        f"{point.name} took {Quantity(point.time_s, 's', Label.MEASURED).text}, {share.text} of "
        f"what {roof.name} allows: expected at most 100 %. Most likely {likely[limiter]}; or the "
        "clock was read before the GPU had finished"
    )
