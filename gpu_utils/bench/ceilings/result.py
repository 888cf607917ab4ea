"""What a machine reaches: plain data that prints, and that goes to JSON and back."""

import dataclasses
import json
import math
import textwrap
import types
from collections.abc import Mapping

from gpu_utils.quantities import Label, Quantity
from gpu_utils.specs import GPUSpec

__all__ = ["Ceilings", "CeilingsError", "SweepPoint"]


class CeilingsError(RuntimeError):
    """The machine could not be measured."""


@dataclasses.dataclass(frozen=True)
class SweepPoint:
    """One product [M, K] @ [K, N] of the sweep.

    Args:
        batch: M, the rows that share one read of the weights.
        time_s: The best of several runs.
        flops: 2 * M * N * K.
        bytes: Each matrix once: (M*K + K*N + M*N) times the bytes of an element.
    """

    batch: int
    time_s: float
    flops: float
    bytes: float


@dataclasses.dataclass(frozen=True, repr=False)
class Ceilings:
    """What a CPU or a GPU reaches. Every figure is MEASURED.

    Args:
        read_bytes_per_s: A sum over an array or, on a CPU, a matrix times a vector if that is
            faster.
        copy_bytes_per_s: A copy, bytes in plus bytes out.
        flops_per_s: A square matrix product, by dtype: "fp32", "bf16", "fp16", and on a GPU "tf32"
            and "fp8". A dtype that the device lacks, or that is too slow to time, is left out.
        sweep_dtype: The dtype with the most FLOP/s, whose matrix product is native here.
        sweep: Products with the same width and a growing batch; of a CPU only.
        device: What was measured.
        spread: The largest (p80 - p20) / median among the repeats of one measurement.
        note: What to know beside the numbers; empty if nothing.
        write_bytes_per_s: Filling an array; None if it was not measured.
    """

    read_bytes_per_s: float
    copy_bytes_per_s: float
    flops_per_s: Mapping[str, float] = dataclasses.field(hash=False)
    sweep_dtype: str
    sweep: tuple[SweepPoint, ...]
    device: str
    spread: float
    note: str = ""
    write_bytes_per_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "flops_per_s", types.MappingProxyType(dict(self.flops_per_s)))
        rates = [self.read_bytes_per_s, self.copy_bytes_per_s, *self.flops_per_s.values()]
        rates += [] if self.write_bytes_per_s is None else [self.write_bytes_per_s]
        if not all(0 < rate < math.inf for rate in rates):
            raise ValueError(f"each ceiling must be positive and finite, got {rates}")
        if self.sweep_dtype not in self.flops_per_s:
            raise ValueError(
                f"the sweep is in {self.sweep_dtype!r}, expected a dtype with a ceiling: "
                f"{', '.join(self.flops_per_s) or 'none'}"
            )

    def as_spec(self, name: str = "this machine") -> GPUSpec:
        """The same figures as a part, to set beside others in `roofline`.

        The bandwidth is that of a copy, as most kernels read and write. It has no sources: print
        its figures as MEASURED. What only reads, as the first points of the sweep nearly do, is
        bound by `read_bytes_per_s`, which may be higher.

        >>> mine = Ceilings(20e9, 15e9, {"fp32": 3e11}, "fp32", (), "by hand", 0.0)
        >>> mine.as_spec().memory_bandwidth_bytes_per_s, mine.as_spec().peak("fp32")
        (15000000000.0, 300000000000.0)
        """
        return GPUSpec(
            id="-".join(name.lower().split()),
            name=name,
            peak_flops_per_s=self.flops_per_s,
            memory_bandwidth_bytes_per_s=self.copy_bytes_per_s,
        )

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["flops_per_s"] = dict(self.flops_per_s)
        fields["sweep"] = [dataclasses.asdict(point) for point in self.sweep]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, line: str) -> "Ceilings":
        """Read what `to_json` wrote."""
        fields = json.loads(line)
        return cls(**fields | {"sweep": tuple(SweepPoint(**point) for point in fields["sweep"])})

    def __repr__(self) -> str:
        """One ceiling a line, and the note; no raw digits, which would differ in every notebook."""
        rates = (
            ("read", self.read_bytes_per_s, "B/s"),
            ("write", self.write_bytes_per_s, "B/s"),
            ("copy", self.copy_bytes_per_s, "B/s"),
            *((dtype, rate, "FLOP/s") for dtype, rate in self.flops_per_s.items()),
        )
        said = [f"{name:<6}{Quantity(rate, unit, Label.MEASURED)}" for name, rate, unit in rates]
        return "\n".join([*said, *textwrap.wrap(self.note, 88)])
