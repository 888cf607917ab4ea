"""What a card holds: plain data, with a text, an HTML and a JSON form."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from gpu_utils.bench import Timing
from gpu_utils.card import lines, page
from gpu_utils.codegen import Artifact
from gpu_utils.roofline import Bound
from gpu_utils.traffic import EagerOp, LaunchTraffic, LineTraffic, TensorTraffic, Traffic

__all__ = ["Card", "Check", "KernelCode", "PartBound"]

SCHEMA = 1  # raise it when a field changes its meaning


@dataclasses.dataclass(frozen=True)
class Check:
    """What came of running it: "agrees", "wrong", "not compared", or "stopped" on the way."""

    state: Literal["agrees", "wrong", "not compared", "stopped"]
    message: str


@dataclasses.dataclass(frozen=True)
class KernelCode:
    """One launch's code. Launches that come out the same for every target are one.

    Attributes:
        kernel: its name.
        launches: how many launches became this code.
        built: target -> what the compiler made, without its texts.
        refused: target -> why there is no code for it.
    """

    kernel: str
    launches: int
    built: Mapping[str, Artifact]
    refused: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class PartBound:
    """The least time on one part, MODELLED; `bound` is None, with the reason, if unknown.

    Attributes:
        part, name, target: its id, its name, and what is compiled for it.
        dtype: whose peak limits the arithmetic; "fp32" and "fp64" are the plain cores.
        intensity: counted FLOP of that kind per compulsory byte.
        ridge: the FLOP/byte at which the part's two limits meet.
        sources: the documents that its bandwidth and its peak are read from.
    """

    part: str
    name: str
    target: str = ""
    dtype: str = ""
    intensity: float | None = None
    ridge: float | None = None
    bound: Bound | None = None
    sources: tuple[str, ...] = ()
    unknown: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class Card:
    """One kernel through all lenses. Prints as five lines; in a notebook the rest unfolds.

    Attributes:
        name: what was studied.
        arguments: parameter -> its dtype and shape, or its value.
        check: whether it is right.
        traffic: COUNTED, without the result; None if it stopped on the way.
        compulsory_bytes: distinct bytes of the arguments that are used and of the results.
        elements: of the result, if no argument has more; bytes an element are then telling.
        targets: what it was compiled for.
        kernels: COMPILED, one entry for each different launch.
        uncompiled: why there are no kernels, if there are none.
        bounds: MODELLED, one entry a part.
        timing, timed_on: MEASURED, and the bound on that device if its part is known.
        untimed: why there is no timing, if there is none.
    """

    name: str
    arguments: Mapping[str, str]
    check: Check
    traffic: Traffic | None
    compulsory_bytes: int | None
    elements: int | None
    targets: tuple[str, ...]
    kernels: tuple[KernelCode, ...]
    uncompiled: str
    bounds: tuple[PartBound, ...]
    timing: Timing | None
    timed_on: PartBound | None
    untimed: str

    def __str__(self) -> str:
        return "\n".join(map(str, lines.five(self)))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return page.page(self)

    def to_json(self) -> str:
        """Return the card as JSON, with the same names as its attributes."""
        fields = dataclasses.asdict(self)
        if self.traffic:
            del fields["traffic"]["result"]
        return json.dumps({"schema": SCHEMA, **fields}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not the JSON of a card.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict) or fields.pop("schema", None) != SCHEMA:
            raise ValueError(
                f"this JSON is no kernel card of schema {SCHEMA}: study the kernel again, or read "
                "the card with the version that wrote it"
            )
        fields["check"] = Check(**fields["check"])
        fields["traffic"] = fields["traffic"] and _traffic(fields["traffic"])
        fields["targets"] = tuple(fields["targets"])
        fields["kernels"] = tuple(map(_kernel, fields["kernels"]))
        fields["bounds"] = tuple(map(_part, fields["bounds"]))
        fields["timing"] = fields["timing"] and Timing(**fields["timing"])
        fields["timed_on"] = fields["timed_on"] and _part(fields["timed_on"])
        return cls(**fields)

    def save(self, path: str | Path) -> None:
        """Write the card's JSON to a file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")


def _traffic(fields: dict[str, Any]) -> Traffic:
    fields["eager_ops"] = tuple(EagerOp(**op) for op in fields["eager_ops"])
    fields["launches"] = tuple(LaunchTraffic(**launch) for launch in fields["launches"])
    fields["by_tensor"] = {k: TensorTraffic(**row) for k, row in fields["by_tensor"].items()}
    fields["by_line"] = {k: LineTraffic(**row) for k, row in fields["by_line"].items()}
    fields["written_inputs"] = tuple(fields.get("written_inputs", ()))
    return Traffic(**fields)


def _kernel(fields: dict[str, Any]) -> KernelCode:
    built = {target: Artifact.from_json(json.dumps(row)) for target, row in fields["built"].items()}
    return KernelCode(**{**fields, "built": built})


def _part(fields: dict[str, Any]) -> PartBound:
    bound = fields["bound"] and Bound(**fields["bound"])
    return PartBound(**{**fields, "bound": bound, "sources": tuple(fields["sources"])})
