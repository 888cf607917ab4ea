"""What `make gpu` found, as recordings and as a table in plain text."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpu_utils import recordings
from gpu_utils.quantities import Label, Quantity, text
from gpu_utils.recordings import Recording

__all__ = ["Stage", "failed", "recorded", "report"]

_HARMLESS = ("done", "not available")
_WRONG_TASKS = ("failed", "crashed", "timed out")
_WRONG_COUNTS = ("failed", "differs")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage: "done", "not available", "not run", "timed out", "crashed" or "failed", and why.

    `data` is what it had when it ended.
    """

    name: str
    state: str
    why: str
    seconds: float
    data: Mapping[str, Any]


def _data(stages: Sequence[Stage], name: str) -> Mapping[str, Any]:
    return next((stage.data for stage in stages if stage.name == name), {})


def failed(stages: Sequence[Stage]) -> bool:
    """Whether something was lost, was wrong, or disagreed with the counters."""
    tasks = _data(stages, "rungs").get("tasks", [])
    cases = _data(stages, "counters").get("cases", [])
    return (
        any(stage.state not in _HARMLESS for stage in stages)
        or any(task["state"] != "passed" for task in tasks)
        or any(case["state"] in _WRONG_COUNTS for case in cases)
        or bool(_data(stages, "peers").get("failed"))
    )


def recorded(stages: Sequence[Stage]) -> tuple[Recording, ...]:
    """The recordings of the run, with their counters where there are any."""
    document = _data(stages, "peers").get("document")
    if not document:
        return ()
    why = next((s.why for s in stages if s.name == "counters" and s.why), "not read in this run")
    cases = _data(stages, "counters").get("cases", [])
    return tuple(_with_counters(recording, cases, why)
                 for recording in recordings.parse(json.dumps(document), "the peers"))  # fmt: skip


def _with_counters(recording: Recording, cases: Sequence[Mapping], why: str) -> Recording:
    unknown = {name: reason for name, reason in recording.unknown.items() if name != "counters"}
    key = (recording.unit, recording.function, dict(recording.arguments))
    for case in cases:
        if (case["unit"], case["function"], case.get("arguments")) == key:
            if "counters" in case:
                return dataclasses.replace(recording, counters=case["counters"], unknown=unknown)
            why = case["said"]
    return dataclasses.replace(recording, unknown=unknown | {"counters": why})


def report(stages: Sequence[Stage]) -> str:
    """All of it, for a terminal or a file."""
    return "\n".join(line.rstrip() for line in _lines(stages))


def _lines(stages: Sequence[Stage]) -> Iterator[str]:
    for stage in stages:
        spent = Quantity(stage.seconds, "s", Label.MEASURED).text
        yield f"{stage.name:<10}{stage.state}, {spent}{f': {stage.why}' if stage.why else ''}"
    yield from _machine(_data(stages, "machine"))
    yield from _rungs(_data(stages, "rungs"))
    yield from _counters(_data(stages, "counters"))
    yield from _peers(recorded(stages), _data(stages, "peers").get("failed", {}))


def _machine(data: Mapping[str, Any]) -> Iterator[str]:
    if "run" in data:
        run = recordings.run_of(json.dumps(data["run"]), "the machine")
        yield from ("", f"machine: {run}", f"fingerprint {run.fingerprint}")
        yield from str(run.ceilings or "its ceilings were not measured").splitlines()


def _rungs(data: Mapping[str, Any]) -> Iterator[str]:
    tasks = data.get("tasks", [])
    if tasks:
        passed = sum(task["state"] == "passed" for task in tasks)
        yield from ("", f"rungs: {passed} of {text(len(tasks), 'tasks')} passed")
    for task in tasks:
        yield f"{task['unit']}:{task['task']:<4}{task['state']:<10}{task['title']}"
        for rung in task["rungs"]:
            if rung["rung"] == "fast" or rung["state"] in _WRONG_TASKS:
                said = (rung["message"] or "; ".join(rung["evidence"])).partition("\n")[0]
                yield f"    {rung['rung']:<9}{rung['state']}: {said}"


def _counters(data: Mapping[str, Any]) -> Iterator[str]:
    cases = data.get("cases", [])
    if cases:
        head = ("case", "loads", "DRAM reads", "", "stores", "DRAM writes", "", "")
        yield from ("", "counted bytes beside ncu's DRAM counters", _row(head))
    for case in cases:
        name = _name(case["unit"], case["function"], case.get("arguments", {}))
        if not case.get("requested") or "counters" not in case:
            yield f"{name:<34}{case['state']}: {case['said']}"
            continue
        loaded, stored = (Quantity(n, "B", Label.COUNTED).text for n in case["requested"])
        read, written = (Quantity(n, "B", Label.MEASURED).text for n in _dram(case["counters"]))
        ratios = (text(case[name], "x") if case[name] else "" for name in ("reads", "writes"))
        first, second = ratios
        yield _row((name, loaded, read, first, stored, written, second, case["state"]))
        if case["said"]:
            yield f"    {case['said']}"


def _dram(counters: Mapping[str, float]) -> tuple[float, float]:
    names = [name for name in counters if name.startswith("dram__bytes")]
    read, written = sorted(names)  # "..._read.sum" comes before "..._write.sum"
    return counters[read], counters[written]


def _name(unit: str, function: str, arguments: Mapping[str, Any]) -> str:
    """A case by its launcher and its numbers, which tell the cases of one launcher apart."""
    numbers = (f"{value:g}" for value in arguments.values() if isinstance(value, int | float))
    return " ".join([unit, function, *numbers])


def _row(cells: Sequence[str]) -> str:
    widths = (34, 10, 12, 9, 10, 13, 9, 0)
    return "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))


def _peers(found: Sequence[Recording], lost: Mapping[str, str]) -> Iterator[str]:
    if found or lost:
        yield from ("", "times, MEASURED; x is how many times as long a peer takes")
    for recording in found:
        time_s = Quantity(recording.timing.median_s, "s", Label.MEASURED).text
        share = share_of_roof(recording)
        roof = f", {text(share, '%')} of the measured roof" if share else ""
        yield f"{_name(recording.unit, recording.function, recording.arguments)}: {time_s}{roof}"
        for name, peer in recording.peers.items():
            theirs = Quantity(peer.b.median_s, "s", Label.MEASURED).text
            low, high = text(peer.low, "x"), text(peer.high, "x")
            yield f"    {name:<30}{theirs:<12}{text(peer.ratio, 'x')} (95 %: {low} to {high})"
        for name, why in recording.unknown.items():
            if name.startswith("peers."):
                yield f"    {name.removeprefix('peers.'):<30}not timed: {why}"
    for name, why in lost.items():
        yield f"{name}: not recorded: {why}"


def share_of_roof(recording: Recording) -> float | None:
    """The least time by the run's own ceilings, over the measured time; None if not known.

    Reads that are not paired with writes go at the read's rate, the rest at the copy's.
    """
    ceilings, loaded, stored = recording.run.ceilings, recording.load_bytes, recording.store_bytes
    if ceilings is None or loaded is None or stored is None:
        return None
    paired = 2 * min(loaded, stored)
    alone = loaded + stored - paired
    rate = ceilings.read_bytes_per_s if loaded > stored else ceilings.copy_bytes_per_s
    times = [paired / ceilings.copy_bytes_per_s + alone / rate]
    if recording.flops:
        if recording.dtype not in ceilings.flops_per_s:
            return None
        times.append(recording.flops / ceilings.flops_per_s[recording.dtype])
    return max(times) / recording.timing.median_s
