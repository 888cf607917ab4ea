"""Recorded runs of solutions, as a card shows them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_utils import recordings, specs
from gpu_utils.card.model import PartBound, Recorded
from gpu_utils.card.needs import Needs, bound
from gpu_utils.recordings import Recording
from gpu_utils.specs import UnknownPartError

__all__ = ["found", "in_order", "recorded"]

_VERSIONS = ("torch", "triton")


def recorded(recording: Recording, changes: Sequence[str]) -> Recorded:
    """A recording as a card shows it.

    Args:
        recording: what to show.
        changes: how what it recorded differs from what the solution launches now.
    """
    run, facts = recording.run, recording.run.fingerprint.facts
    versions = (f"{name} {facts.get(f'{name}.version', 'unknown')}" for name in _VERSIONS)
    return Recorded(
        whose=f"the solution of {recording.unit}",
        arguments={name: _described(value) for name, value in recording.arguments.items()},
        where=f"{run.device}, {run.date}",
        versions=", ".join(versions),
        timing=recording.timing,
        bound=_bound(recording),
        changes=tuple(changes),
    )


def found(name: str, given: Mapping[str, Any], launches: Sequence | None) -> Iterator[Recorded]:
    """The recorded runs with these arguments of a launcher of that name.

    Args:
        name: the launcher's.
        given: parameter -> argument.
        launches: what it launches now; None, and nothing is found, if that is not known.
    """
    for recording in recordings.find(name, given) if launches else ():
        yield recorded(recording, recording.changes(launches or ()))


def in_order(runs: Sequence[Recorded], part: str) -> tuple[Recorded, ...]:
    """What to show first, first: what still holds, then what ran on that part, then the newest."""
    return tuple(sorted(runs, key=lambda run: (bool(run.changes), run.bound.part != part)))


def _bound(recording: Recording) -> PartBound:
    """The bound on the GPU that it ran on, for what was recorded of its work."""
    device = recording.run.device
    try:
        spec = specs.get(device).per_device()
    except UnknownPartError:
        return PartBound("", device, unknown="the table of parts lacks it")
    loaded, stored = recording.load_bytes, recording.store_bytes
    if loaded is None or stored is None:
        return PartBound(spec.id, spec.name, unknown="its bytes were not recorded")
    flops = {recording.dtype: int(recording.flops or 0)}
    return bound(spec, Needs(int(loaded + stored), flops, elements=None))


def _described(value: Any) -> str:
    """What `recordings.described` made of an argument, as `arguments.described` writes it.

    >>> _described({"dtype": "float32", "shape": [8, 2]}), _described(0.5)
    ('float32 (8, 2)', '0.5')
    """
    if isinstance(value, Mapping) and {"dtype", "shape"} <= value.keys():
        return f"{value['dtype']} {tuple(value['shape'])}"
    return str(value)
