"""The parts that the course shows, read from the files beside this module."""

import difflib
import functools
import importlib.resources
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from gpu_utils.specs.model import GPUSpec, Source

__all__ = ["UnknownPartError", "fitting", "get", "names", "source"]

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
    that a driver reports all do. A word that a part does not have rules it out, so that "H100 NVL"
    is not taken for the SXM part; nor is a number cut short, so that "H20" is not taken for an H200
    and "L40" not for an L40S. "H100" and "A100" alone mean the parts that most people mean.

    Raises:
        UnknownPartError: No part or several have this name; the message lists them.

    >>> get("h100 sxm").id, get("RTX4090").id, get("NVIDIA A100-SXM4-80GB").id
    ('h100-sxm5-80gb', 'rtx-4090', 'a100-sxm-80gb')
    """
    found = [spec for spec in fitting(name) if _is_called(spec, name)] or fitting(name)
    if len(found) == 1:
        return found[0]
    if found:
        candidates = ", ".join(spec.id for spec in found)
        raise UnknownPartError(f"{name!r} could be any of {candidates}; say which")
    nearest = _nearest(name)
    hint = f"did you mean {nearest!r}? " if nearest else ""
    raise UnknownPartError(f"no part is called {name!r}: {hint}known: {', '.join(_load())}")


def fitting(name: str) -> list[GPUSpec]:
    """All parts that `name` does not rule out, however it is written."""
    words = _words(name)
    return [
        spec
        for spec in _load().values()
        if _is_called(spec, name) or (words and all(_has(spec, word) for word in words))
    ]


def source(key: str, note: str = "") -> Source:
    """The source that the tables name by `key`."""
    return Source(**_sources()[key], note=note)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _is_called(spec: GPUSpec, name: str) -> bool:
    return "".join(_words(name)) in {
        "".join(_words(known)) for known in (spec.id, spec.name, *_also()[spec.id])
    }


def _has(spec: GPUSpec, word: str) -> bool:
    """Whether a part has a word, or its id begins with it where it is written without breaks."""
    known = _words(f"{spec.id} {spec.name} {spec.architecture} {spec.memory_type}")
    return any(_means(word, have) for have in known) or _begins(word, _words(spec.id))


def _means(word: str, have: str) -> bool:
    """Letters may be cut short ("sxm" for "sxm5"), never a number ("h20" for "h200")."""
    return word == have or (word.isalpha() and have.startswith(word))


def _begins(word: str, parts: list[str]) -> bool:
    """Whether `word` is the first of `parts` run together, as "h100sxm" is."""
    for index, part in enumerate(parts):
        before = "".join(parts[:index])
        if word.startswith(before) and _means(word.removeprefix(before), part):
            return True
    return False


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
def _also() -> Mapping[str, list[str]]:
    """Names that a driver or a person uses and that the part's own words do not give."""
    return {part: _read(f"{part}.toml").get("also", []) for part in _load()}


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
