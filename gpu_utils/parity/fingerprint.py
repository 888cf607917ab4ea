"""What was read, as one value that can be stored beside every measurement."""

import dataclasses
import hashlib
import json
import types
from collections.abc import Mapping
from typing import Any

from gpu_utils.parity.facts import FACTS, Fact, Unknown, Value
from gpu_utils.quantities import text

__all__ = ["SCHEMA", "Fingerprint"]

SCHEMA = 1  # raise it when a fact changes its meaning
_SHOWN = ("gpu.name", "driver.version", "torch.version", "torch.cuda", "triton.version",
          "triton.ptxas", "python.version", "host.cpu")  # fmt: skip


@dataclasses.dataclass(frozen=True, repr=False)
class Fingerprint:
    """The facts of one environment.

    Args:
        facts: By the names of `parity.FACTS`. None is unknown, or what does not exist there, as
            CUDA's version on AMD.
        unknown: Why, for each fact that could not be read.

    >>> here = Fingerprint({"gpu.name": "NVIDIA L4", "gpu.ecc": None}, {"gpu.ecc": "no NVML"})
    >>> Fingerprint.from_json(here.to_json()) == here
    True
    """

    facts: Mapping[str, Value] = dataclasses.field(hash=False)
    unknown: Mapping[str, str] = dataclasses.field(hash=False)

    def __post_init__(self) -> None:
        strange = sorted({*self.facts, *self.unknown} - FACTS.keys())
        if strange:
            raise ValueError(f"not a fact of parity.FACTS: {', '.join(strange)}")
        guessed = [name for name in self.unknown if self.facts.get(name) is not None]
        if guessed:
            raise ValueError(f"{guessed[0]} is known and unknown: drop the reason or the value")
        for field in ("facts", "unknown"):
            object.__setattr__(self, field, types.MappingProxyType(dict(getattr(self, field))))

    @property
    def hash(self) -> str:
        """16 hexadecimal digits over the facts that make two runs incomparable where they differ.

        Clocks and temperatures of the moment do not count; versions count by their minor.
        """
        counted = {
            name: _compared(fact, self.facts.get(name))
            for name, fact in FACTS.items()
            if fact.policy == "block" and not fact.momentary
        }
        return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        facts = {name: _plain(value) for name, value in self.facts.items()}
        return {"schema": SCHEMA, "facts": facts, "unknown": dict(self.unknown)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Fingerprint":
        """Read what `to_dict` made.

        Raises:
            ValueError: It is no fingerprint, or one of a newer schema.
        """
        if not isinstance(fields, Mapping) or not {"schema", "facts", "unknown"} <= fields.keys():
            raise ValueError("this is no fingerprint: expected schema, facts and unknown")
        if fields["schema"] != SCHEMA:
            raise ValueError(
                f"the fingerprint has schema {fields['schema']!r}, and this version of the course "
                f"reads {SCHEMA}: read it with the version that wrote it"
            )
        if not all(isinstance(fields[name], Mapping) for name in ("facts", "unknown")):
            raise ValueError("this is no fingerprint: facts and unknown are tables by name")
        facts = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in fields["facts"].items()
        }
        return cls(facts, fields["unknown"])

    def to_json(self) -> str:
        """One line of JSON, which `from_json` reads."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, line: str) -> "Fingerprint":
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is not the JSON of a fingerprint.
        """
        return cls.from_dict(json.loads(line))

    def __str__(self) -> str:
        known = [f"{name} {self.facts[name]}" for name in _SHOWN if self.facts.get(name)]
        missing = text(len(self.unknown), "facts") if self.unknown else "nothing"
        return f"{self.hash}: {', '.join(known)}; {missing} unknown"

    def __repr__(self) -> str:
        return f"Fingerprint({self})"


def split(reading: Mapping[str, Value | Unknown]) -> Fingerprint:
    """A fingerprint of what was read and of what could not be."""
    unknown = {name: v.reason for name, v in reading.items() if isinstance(v, Unknown)}
    facts = {name: None if isinstance(v, Unknown) else v for name, v in reading.items()}
    return Fingerprint(facts, unknown)


def _plain(value: Value) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _compared(fact: Fact, value: Value) -> Any:
    """A value as it counts for the hash.

    >>> _compared(Fact("block", "minor"), "2.11.0+cu130")
    '2.11'
    >>> _compared(Fact("block", "2 digits"), 85_017_493_504)
    '8.5e+10'
    """
    if fact.compared == "minor" and isinstance(value, str):
        return ".".join(value.partition("+")[0].split(".")[:2])
    if fact.compared == "2 digits" and isinstance(value, int):
        return f"{value:.1e}"
    return _plain(value)
