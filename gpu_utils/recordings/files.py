"""Recording files: one JSON document a run, versioned, with an error for whatever is wrong."""

import dataclasses
import datetime
import functools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu_utils.bench import Ceilings, Comparison, Timing
from gpu_utils.parity import FACTS, Fingerprint
from gpu_utils.recordings.fields import Node, RecordingError
from gpu_utils.recordings.launched import Launched
from gpu_utils.recordings.model import Recording, Run

__all__ = ["FOLDER", "SCHEMA", "dump", "file_name", "load", "parse", "run_of"]

SCHEMA = 1  # raise it when a field changes its meaning
FOLDER = Path(__file__).parent / "data"


def load(folder: Path | None = None) -> tuple[Recording, ...]:
    """All recordings of a folder, by default those that come with the course; newest first.

    Raises:
        RecordingError: A file is damaged, foreign, or of a newer schema.
    """
    if folder is None:
        return _shipped()
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    found = [recording for file in files for recording in parse(_read(file), file.name)]
    return tuple(sorted(found, key=lambda recording: recording.run.date, reverse=True))


@functools.cache
def _shipped() -> tuple[Recording, ...]:
    return load(FOLDER)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RecordingError(f"{file.name}: this is no text in UTF-8 ({error.reason})") from error


def file_name(run: Run, of: str = "") -> str:
    """The name of a run's file: the day, the GPU and, if it is of one lab, the lab.

    >>> here = Fingerprint({"gpu.name": "NVIDIA H100 80GB HBM3"}, {})
    >>> file_name(Run(datetime.date(2026, 11, 24), "make gpu", here))
    '2026-11-24-nvidia-h100-80gb-hbm3.json'
    """
    return re.sub(r"[^a-z0-9]+", "-", f"{run.date} {run.device} {of}".lower()).strip("-") + ".json"


def dump(run: Run, recordings: Sequence[Recording]) -> str:
    """The document of a run, which `parse` reads.

    Raises:
        ValueError: A recording of another run, or a fingerprint with private facts.
    """
    private = [name for name in run.fingerprint.facts if FACTS[name].private]
    if private:
        raise ValueError(
            f"the fingerprint holds {', '.join(private)}: recordings are published, so take "
            "parity.fingerprint() without private=True"
        )
    if any(recording.run != run for recording in recordings):
        raise ValueError("a file holds the recordings of one run")
    document = {
        "schema": SCHEMA,
        "date": run.date.isoformat(),
        "command": run.command,
        "fingerprint": run.fingerprint.to_dict(),
        "ceilings": json.loads(run.ceilings.to_json()) if run.ceilings else None,
        "recordings": [_fields(recording) for recording in recordings],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _fields(recording: Recording) -> dict[str, Any]:
    fields: dict[str, Any] = {
        field.name: getattr(recording, field.name) for field in dataclasses.fields(recording)
    }
    del fields["run"]
    for name in ("arguments", "counters", "unknown"):
        fields[name] = None if fields[name] is None else dict(fields[name])
    fields["under_load"] = recording.under_load.to_dict()
    fields["timing"] = dataclasses.asdict(recording.timing)
    fields["peers"] = {name: dataclasses.asdict(peer) for name, peer in recording.peers.items()}
    fields["launches"] = [
        {**vars(launch), "arguments": dict(launch.arguments), "options": dict(launch.options)}
        for launch in recording.launches
    ]
    return fields


def parse(text: str, file: str) -> tuple[Recording, ...]:
    """The recordings of a document that `dump` wrote.

    Args:
        text: The document.
        file: What to call it in errors.

    Raises:
        RecordingError: With the file and the field that is wrong.
    """
    root = _root(text, file)
    run = _run(root)
    return tuple(_recording(node, run) for node in root["recordings"].items())


def run_of(text: str, file: str) -> Run:
    """The run of a document that `dump` wrote; for the rest see `parse`."""
    return _run(_root(text, file))


def _root(text: str, file: str) -> Node:
    try:
        root = Node(json.loads(text), file)
    except json.JSONDecodeError as error:
        raise RecordingError(f"{file}: line {error.lineno}: this is no JSON: {error.msg}") from None
    schema = root["schema"].of(int)
    if schema > SCHEMA:
        raise RecordingError(
            f"{file}: schema {schema} is newer than {SCHEMA}, which this version of the course "
            "reads: bring the course up to date"
        )
    if schema != SCHEMA:
        raise root["schema"].wrong(f"{SCHEMA}")
    return root


def _run(root: Node) -> Run:
    return Run(
        date=_date(root["date"]),
        command=root["command"].of(str),
        fingerprint=_fingerprint(root["fingerprint"]),
        ceilings=_ceilings(root["ceilings"]),
    )


def _date(node: Node) -> datetime.date:
    try:
        return datetime.date.fromisoformat(node.of(str))
    except ValueError:
        raise node.wrong("a day such as 2026-11-24") from None


def _fingerprint(node: Node) -> Fingerprint:
    return node.built(Fingerprint.from_dict, {"fields": node.of(dict)})


def _ceilings(node: Node) -> Ceilings | None:
    if node.missing:
        return None
    try:
        return Ceilings.from_json(json.dumps(node.of(dict)))
    except (TypeError, ValueError, KeyError) as error:
        raise node.wrong(f"ceilings ({error})") from error


def _recording(node: Node, run: Run) -> Recording:
    counters = node["counters"]
    return Recording(
        unit=node["unit"].of(str),
        function=node["function"].of(str),
        arguments=node["arguments"].of(dict),
        launches=tuple(_launched(launch) for launch in node["launches"].items()),
        timing=_timing(node["timing"]),
        peers={name: _comparison(peer) for name, peer in node["peers"].table().items()},
        load_bytes=node["load_bytes"].maybe(float),
        store_bytes=node["store_bytes"].maybe(float),
        flops=node["flops"].maybe(float),
        dtype=node["dtype"].of(str),
        counters=None if counters.missing else _numbers(counters),
        under_load=_fingerprint(node["under_load"]),
        unknown={name: reason.of(str) for name, reason in node["unknown"].table().items()},
        run=run,
    )


def _numbers(node: Node) -> Mapping[str, float]:
    return {name: value.of(float) for name, value in node.table().items()}


def _timing(node: Node) -> Timing:
    checked = {name: node[name].positive() for name in ("median_s", "p20_s", "p80_s")}
    checked["runs"] = node["runs"].of(int)
    checked |= {name: node[name].of(str) for name in ("device", "method")}
    rest = {name: field.value for name, field in node.table().items()}
    return node.built(Timing, rest | checked)


def _comparison(node: Node) -> Comparison:
    names = [name.of(str) for name in node["names"].items()]
    if len(names) != 2:
        raise node["names"].wrong("two names")
    return Comparison(
        **{name: node[name].positive() for name in ("ratio", "low", "high")},
        runs=node["runs"].of(int),
        a=_timing(node["a"]),
        b=_timing(node["b"]),
        names=(names[0], names[1]),
    )


def _launched(node: Node) -> Launched:
    grid = [size.of(int) for size in node["grid"].items()]
    if len(grid) != 3:
        raise node["grid"].wrong("three sizes")
    return Launched(
        kernel=node["kernel"].of(str),
        source=node["source"].of(str),
        grid=(grid[0], grid[1], grid[2]),
        arguments=node["arguments"].of(dict),
        options=node["options"].of(dict),
    )
