"""The parts that the course shows, read from the files beside this module."""

import difflib
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from gpu_utils.specs.model import GPUSpec, Source

__all__ = ["UnknownPartError", "get", "names", "source"]

_PARTS = importlib.resources.files(__package__) / "parts"
_SOURCES = "sources.toml"


class UnknownPartError(LookupError):
    """No part, or more than one, goes by the name that was given."""


def names() -> tuple[str, ...]:
    """The ids of all known parts, in alphabetical order.

    >>> "h100-sxm5-80gb" in names()
    True
    """
    return tuple(_load())


def get(name: str) -> GPUSpec:
    """The part that `name` means, however it is written.

    Case, spaces and punctuation do not matter. An id, a word that only one part has, and the name
    that a driver reports all do. A word that a part does not have rules it out, so that "H100 PCIe"
    is not taken for the SXM part.

    Raises:
        UnknownPartError: No part or several have this name; the message lists them.

    >>> get("h100 sxm").id, get("RTX4090").id, get("NVIDIA A100-SXM4-80GB").id
    ('h100-sxm5-80gb', 'rtx-4090', 'a100-sxm-80gb')
    """
    parts = _load()
    words = _words(name)
    exact = [spec for spec in parts.values() if "".join(words) in _exact_names(spec)]
    found = exact or [spec for spec in parts.values() if words and _has_all(spec, words)]
    if len(found) == 1:
        return found[0]
    if found:
        candidates = ", ".join(spec.id for spec in found)
        raise UnknownPartError(f"{name!r} could be any of {candidates}; say which")
    nearest = _nearest(name)
    hint = f"did you mean {nearest!r}? " if nearest else ""
    raise UnknownPartError(f"no part is called {name!r}: {hint}known: {', '.join(parts)}")


def source(key: str, note: str = "") -> Source:
    """The source that the tables name by `key`."""
    return Source(**_sources()[key], note=note)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _exact_names(spec: GPUSpec) -> set[str]:
    return {"".join(_words(spec.id)), "".join(_words(spec.name))}


def _has_all(spec: GPUSpec, words: list[str]) -> bool:
    """Whether every word begins a word of the part, or begins its id written without breaks."""
    known = _words(f"{spec.id} {spec.name} {spec.architecture} {spec.memory_type}")
    known.append("".join(_words(spec.id)))
    return all(any(have.startswith(word) for have in known) for word in words)


def _nearest(name: str) -> str | None:
    """The part that shares most words with `name`, else the one that is spelled most like it."""
    words, parts = set(_words(name)), names()
    shared = {part: len(words & set(_words(part))) for part in parts}
    best = max(parts, key=lambda part: shared[part])
    if shared[best]:
        return best
    wanted = "".join(_words(name))
    # Cut to equal length, so that "h1000" is near "h100sxm580gb".
    beginnings = {"".join(_words(part))[: len(wanted)]: part for part in parts}
    near = difflib.get_close_matches(wanted, beginnings, n=1)
    return beginnings[near[0]] if near else None


@functools.cache
def _load() -> Mapping[str, GPUSpec]:
    files = sorted(entry.name for entry in _PARTS.iterdir() if entry.name.endswith(".toml"))
    return {
        file.removesuffix(".toml"): _spec(file.removesuffix(".toml"), _read(file))
        for file in files
        if file != _SOURCES
    }


@functools.cache
def _sources() -> dict[str, Any]:
    return _read(_SOURCES)


def _read(file: str) -> dict[str, Any]:
    return tomllib.loads((_PARTS / file).read_text(encoding="utf-8"))


def _spec(id: str, document: dict[str, Any]) -> GPUSpec:
    peaks, figures = document["peak_flops_per_s"], document["figures"]
    rows = figures | {f"peak_flops_per_s.{dtype}": row for dtype, row in peaks.items()}
    return GPUSpec(
        id=id,
        name=document["name"],
        vendor=document["vendor"],
        peak_flops_per_s={dtype: row["value"] for dtype, row in peaks.items()},
        accumulate={d: row["accumulate"] for d, row in peaks.items() if "accumulate" in row},
        sources={field: source(row["source"], row.get("note", "")) for field, row in rows.items()},
        **{field: row["value"] for field, row in figures.items()},
    )
