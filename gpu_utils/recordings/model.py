"""A recording and the run that it was made in."""

import dataclasses
import datetime
import types
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gpu_utils.bench import Ceilings, Comparison, Timing
from gpu_utils.parity import Fingerprint
from gpu_utils.quantities import Label, Quantity
from gpu_utils.recordings.launched import Launched

if TYPE_CHECKING:
    from gpu_utils._triton.launches import Launch

__all__ = ["Recording", "Run"]


@dataclasses.dataclass(frozen=True)
class Run:
    """Where and when: what all recordings of one file share.

    Args:
        date: The day, UTC.
        command: What was typed.
        fingerprint: The environment; never one with private facts.
        ceilings: What that machine reached that day; None if it was not measured.
    """

    date: datetime.date
    command: str
    fingerprint: Fingerprint
    ceilings: Ceilings | None = None

    @property
    def device(self) -> str:
        """The name of the GPU."""
        return str(self.fingerprint.facts.get("gpu.name") or "an unknown GPU")

    def __str__(self) -> str:
        facts = self.fingerprint.facts
        versions = (f"{p} {facts.get(f'{p}.version') or 'unknown'}" for p in ("torch", "triton"))
        return f"{self.device}, {self.date}, {', '.join(versions)}"


@dataclasses.dataclass(frozen=True)
class Recording:
    """What one launcher did with one set of arguments.

    Args:
        unit: The lab whose solution it is, such as "lab00".
        function: The launcher's name.
        arguments: Its arguments, as `recordings.described` tells them.
        launches: What it launched.
        timing: How long one call took.
        peers: The launcher beside others for the same, by name; "torch" is the reference, eager.
        load_bytes, store_bytes: What its kernels ask for, COUNTED; None if not told.
        flops: What the operation calculates; None if not told.
        dtype: The peak that bounds the FLOP.
        counters: Hardware counters by name, summed over the call's kernels, in base units (bytes,
            seconds, hertz); None if they could not be read.
        under_load: The GPU's clocks, throttling and power while it worked.
        unknown: Why, for what is missing: "counters", or "peers.torch.compile".
        run: Where and when.
    """

    unit: str
    function: str
    arguments: Mapping[str, Any] = dataclasses.field(hash=False)
    launches: tuple[Launched, ...]
    timing: Timing
    peers: Mapping[str, Comparison] = dataclasses.field(hash=False)
    load_bytes: float | None
    store_bytes: float | None
    flops: float | None
    dtype: str
    counters: Mapping[str, float] | None = dataclasses.field(hash=False)
    under_load: Fingerprint
    unknown: Mapping[str, str] = dataclasses.field(hash=False)
    run: Run

    def __post_init__(self) -> None:
        for field in ("arguments", "peers", "counters", "unknown"):
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, types.MappingProxyType(dict(value)))

    def changes(self, launches: "Sequence[Launch]") -> tuple[str, ...]:
        """What differs between what was recorded and what is launched now; empty if nothing.

        Args:
            launches: What the launcher launches now for the recorded arguments, as
                `codegen.capture` catches it.
        """
        now = [Launched.of(launch) for launch in launches]
        if len(now) != len(self.launches):
            return (f"{len(self.launches)} kernels were launched and {len(now)} are",)
        pairs = zip(now, self.launches, strict=True)
        return tuple(clause for new, old in pairs for clause in new.changes(since=old))

    def stale(self, launches: "Sequence[Launch]") -> bool:
        """Whether the kernels, their constants or their options have changed since."""
        return bool(self.changes(launches))

    def said(self, launches: "Sequence[Launch]") -> str:
        """The recording in one sentence, which says so if it is stale."""
        changes = self.changes(launches)
        return f"{self}; stale: {', '.join(changes)}" if changes else str(self)

    def __str__(self) -> str:
        middle, low, high = (
            Quantity(value, "s", Label.RECORDED)
            for value in (self.timing.median_s, self.timing.p20_s, self.timing.p80_s)
        )
        told = ", ".join(map(_short, self.arguments.values()))
        return (
            f"{self.unit} {self.function}({told}): {middle} (p20 {low.text}, p80 {high.text}) on "
            f"{self.run}"
        )


def _short(value: Any) -> str:
    if isinstance(value, Mapping) and {"dtype", "shape"} <= value.keys():
        return f"{value['dtype']} {list(value['shape'])}"
    return str(value)
