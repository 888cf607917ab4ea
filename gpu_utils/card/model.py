"""What a card holds: plain data, with a text, an HTML and a JSON form."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gpu_utils.bench import Timing
from gpu_utils.card import document, lines, page
from gpu_utils.codegen import Artifact
from gpu_utils.roofline import Bound
from gpu_utils.traffic import Dram, Sectors, Traffic

__all__ = ["Card", "Check", "KernelCode", "PartBound", "Recorded"]


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
        sources: the documents that its bandwidths and its peak are read from.
        unknown: why there is no bound, if there is none.
        dram: what its DRAM moves for the kernels; None, with the reason, if that is not modelled.
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
    dram: Dram | None = None
    unmodelled: str = ""


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A recorded run of a lab's solution, RECORDED: never of the callable that a card is about.

    Attributes:
        whose: "the solution of lab00".
        arguments: parameter -> its dtype and shape, or its value, in that run.
        where: the GPU and the day.
        versions: of what it ran with.
        timing: of one call.
        bound: on that GPU, for the bytes that were recorded.
        changes: what has changed since, which makes it stale; empty if nothing has.
    """

    whose: str
    arguments: Mapping[str, str]
    where: str
    versions: str
    timing: Timing
    bound: PartBound
    changes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, repr=False)
class Card:
    """One kernel through all lenses. Prints as five lines; in a notebook the rest unfolds.

    Attributes:
        name: what was studied.
        arguments: parameter -> its dtype and shape, or its value.
        check: whether it is right.
        traffic: COUNTED, without the result; None, with the reason, if it could not be counted.
        compulsory_bytes: distinct bytes of the arguments that are used and of the results.
        elements: of the result, if no argument has more; bytes an element are then telling.
        targets: what it was compiled for.
        kernels: COMPILED, one entry for each different launch.
        uncompiled: why there are no kernels, if there are none.
        sectors: MODELLED, by the code for one target; None, with the reason, if they are not.
        bounds: MODELLED, one entry a part.
        timing, timed_on: MEASURED, and the bound on that device if its part is known.
        untimed: why there is no timing, if there is none.
        recorded: RECORDED runs, the one to show first, first.
    """

    name: str
    arguments: Mapping[str, str]
    check: Check
    traffic: Traffic | None
    uncounted: str
    compulsory_bytes: int | None
    elements: int | None
    targets: tuple[str, ...]
    kernels: tuple[KernelCode, ...]
    uncompiled: str
    sectors: Sectors | None
    unsectored: str
    bounds: tuple[PartBound, ...]
    timing: Timing | None
    timed_on: PartBound | None
    untimed: str
    recorded: tuple[Recorded, ...] = ()

    def __str__(self) -> str:
        return "\n".join(map(str, lines.five(self)))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return page.page(self)

    def to_json(self) -> str:
        """Return the card as JSON, with the same names as its attributes."""
        return document.dump(self)

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is not the JSON of a card, or of another version's.
        """
        return document.load(text)

    def save(self, path: str | Path) -> None:
        """Write the card's JSON to a file."""
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")
