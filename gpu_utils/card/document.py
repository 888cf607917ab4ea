"""The JSON form of a card: versioned, with the names of its attributes."""

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from gpu_utils.bench import Timing
from gpu_utils.codegen import Artifact
from gpu_utils.roofline import Bound
from gpu_utils.traffic import (
    Dram,
    EagerOp,
    LaunchTraffic,
    LineSectors,
    LineTraffic,
    SectorCount,
    Sectors,
    TensorDram,
    TensorTraffic,
    Traffic,
)

if TYPE_CHECKING:
    from gpu_utils.card.model import Card, KernelCode, PartBound, Recorded

__all__ = ["SCHEMA", "dump", "load"]

SCHEMA = 2  # raise it when a field comes, goes, or changes its meaning

Fields = dict[str, Any]


def dump(card: "Card") -> str:
    """A card as JSON. The counts, which the models hold too, are written once."""
    fields = dataclasses.asdict(card)
    if fields["traffic"]:
        del fields["traffic"]["result"]
    models = [fields["sectors"], *(part["dram"] for part in fields["bounds"])]
    for model in filter(None, models):
        del model["traffic"]
    return json.dumps({"schema": SCHEMA, **fields}, indent=1)


def load(text: str) -> "Card":
    """Read what `dump` wrote.

    Raises:
        ValueError: it is something else, or of another schema.
    """
    from gpu_utils.card.model import Card, Check

    fields = json.loads(text)
    schema = fields.pop("schema", None) if isinstance(fields, dict) else None
    if schema != SCHEMA:
        raise ValueError(
            f"this JSON is no kernel card of schema {SCHEMA}: study the kernel again, or read "
            "the card with the version that wrote it"
        )
    moved = fields["traffic"] and _traffic(fields["traffic"])
    return Card(
        **fields
        | {
            "check": Check(**fields["check"]),
            "traffic": moved,
            "targets": tuple(fields["targets"]),
            "kernels": tuple(map(_kernel, fields["kernels"])),
            "sectors": fields["sectors"] and _sectors(fields["sectors"], moved),
            "bounds": tuple(_part(part, moved) for part in fields["bounds"]),
            "timing": fields["timing"] and Timing(**fields["timing"]),
            "timed_on": fields["timed_on"] and _part(fields["timed_on"], moved),
            "recorded": tuple(map(_recorded, fields["recorded"])),
        }
    )


def _traffic(fields: Fields) -> Traffic:
    rows = {
        "eager_ops": tuple(EagerOp(**op) for op in fields["eager_ops"]),
        "launches": tuple(LaunchTraffic(**launch) for launch in fields["launches"]),
        "by_tensor": {k: TensorTraffic(**row) for k, row in fields["by_tensor"].items()},
        "by_line": {k: LineTraffic(**row) for k, row in fields["by_line"].items()},
        "written_inputs": tuple(fields["written_inputs"]),
    }
    return Traffic(**fields | rows)


def _kernel(fields: Fields) -> "KernelCode":
    from gpu_utils.card.model import KernelCode

    built = {target: Artifact.from_json(json.dumps(row)) for target, row in fields["built"].items()}
    return KernelCode(**fields | {"built": built})


def _sectors(fields: Fields, moved: Traffic) -> Sectors:
    return Sectors(fields["target"], tuple(map(_line, fields["lines"])), moved)


def _line(fields: Fields) -> LineSectors:
    widths = tuple(fields["count"]["width_bits"])
    return LineSectors(
        **fields | {"count": SectorCount(**fields["count"] | {"width_bits": widths})}
    )


def _part(fields: Fields, moved: Traffic | None) -> "PartBound":
    from gpu_utils.card.model import PartBound

    rows = {
        "bound": fields["bound"] and Bound(**fields["bound"]),
        "sources": tuple(fields["sources"]),
        "dram": fields["dram"] and _dram(fields["dram"], moved),
    }
    return PartBound(**fields | rows)


def _dram(fields: Fields, moved: Traffic | None) -> Dram:
    assert moved is not None
    rows = {
        "by_tensor": {name: TensorDram(**row) for name, row in fields["by_tensor"].items()},
        "assumptions": tuple(fields["assumptions"]),
        "traffic": moved,
    }
    return Dram(**fields | rows)


def _recorded(fields: Fields) -> "Recorded":
    from gpu_utils.card.model import Recorded

    rows = {
        "timing": Timing(**fields["timing"]),
        "bound": _part(fields["bound"], None),
        "changes": tuple(fields["changes"]),
    }
    return Recorded(**fields | rows)
