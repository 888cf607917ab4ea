"""The stages of `make gpu`, each run in a process of its own by `gpu_utils._dev.gpu`.

    python -m gpu_utils._dev.gpu.stages NAME FOLDER SECONDS

A stage writes what it has to FOLDER/stage-NAME.json after each step, so that an end at any moment
loses one step at most.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpu_utils import recordings
from gpu_utils._dev.gpu import counters as ncu
from gpu_utils.course import units
from gpu_utils.recordings import Case, Recording, Run

__all__ = ["STAGES", "NotAvailable", "main", "partial"]

Save = Callable[[dict[str, Any]], None]
COMMAND = "make gpu"
_CEILINGS_S = 15.0
_COMPILE_LIMIT_S = 40.0  # for torch.compile of one reference
_MARGIN_S = 3.0  # to say that ncu took too long


class NotAvailable(RuntimeError):
    """The machine lacks what a stage needs: said, and no failure."""


def partial(folder: Path, name: str) -> Path:
    """Where a stage keeps what it has."""
    return folder / f"stage-{name}.json"


def machine(save: Save, folder: Path, limit_s: float) -> None:
    """The fingerprint, then the ceilings."""
    run = recordings.begin(COMMAND)
    save({"run": json.loads(recordings.dump(run, []))})
    run = recordings.with_ceilings(run, min(_CEILINGS_S, limit_s / 3))
    save({"run": json.loads(recordings.dump(run, []))})


def rungs(save: Save, folder: Path, limit_s: float) -> None:
    """Every solution up its ladder; the fast rungs run where there is a GPU."""
    from gpu_utils.course.check import judge

    verdicts: list[dict[str, Any]] = []
    for unit in units.units():
        found = judge(unit, unit.tasks, ["solutions"])
        verdicts += [verdict.to_dict() for verdict in found]
        print("\n".join(line for verdict in found for line in verdict.lines()), flush=True)
        save({"tasks": verdicts})


def counters(save: Save, folder: Path, limit_s: float) -> None:
    """What the memory's counters say of each case."""
    import torch

    path = ncu.find_ncu()
    if torch.version.hip:
        raise NotAvailable("ncu reads NVIDIA's counters, and this is an AMD GPU")
    if path is None:
        raise NotAvailable("there is no ncu: it comes with the CUDA toolkit (Nsight Compute)")
    properties = torch.cuda.get_device_properties(0)
    newer = properties.major == 12  # consumer Blackwell: the second names first
    deadline = time.monotonic() + limit_s - _MARGIN_S
    names = ncu.DRAM[::-1] if newer else ncu.DRAM
    for attempt, dram in enumerate(names, start=1):
        try:
            listed, found = profile(path, dram, deadline - time.monotonic())
        except ncu.NcuRefusedError as error:
            raise NotAvailable(str(error)) from None
        except ncu.NcuError as error:
            if attempt < len(names) and "metric" in str(error).lower():
                continue  # a name that this chip does not have
            raise
        save({"cases": [_counted(case, number, found, properties.L2_cache_size)
                        for number, case in enumerate(listed)]})  # fmt: skip
        return


def profile(
    path: Path, dram: tuple[str, str], limit_s: float
) -> tuple[list[dict[str, Any]], dict[int, list[dict[str, float]]]]:
    """Run all cases under ncu.

    Returns:
        What the cases are, and the counters of their kernels by the case's number.

    Raises:
        NcuError: There are no counters.
    """
    with tempfile.TemporaryDirectory(prefix="ridge-ncu-") as scratch:
        log, listed = Path(scratch, "ncu.csv"), Path(scratch, "cases.json")
        program = [sys.executable, "-m", "gpu_utils._dev.gpu.profiled", str(listed)]
        line = ncu.command(path, log, dram, program)
        print(" ".join(ncu.command(Path("ncu"), Path("LOG"), dram, ["python ..."])))
        try:
            done = subprocess.run(
                line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            raise ncu.NcuError("ncu was still at work when its time was up") from None
        said = log.read_text("utf-8", "replace") if log.exists() else ""
        try:
            found = ncu.parse(said.splitlines())
        except ncu.NcuError:
            print(done.stdout, done.stderr, sep="\n", flush=True)
            raise ncu.explain("\n".join((said, done.stdout, done.stderr))) from None
        return json.loads(listed.read_text("utf-8")) if listed.exists() else [], found


def _counted(
    case: dict[str, Any], number: int, found: dict[int, list[dict[str, float]]], l2_bytes: int
) -> dict[str, Any]:
    if "failed" in case:
        return case | {"state": "failed", "said": case["failed"]}
    if not found.get(number):
        return case | {"state": "failed", "said": "ncu saw no kernel of this case"}
    counters = ncu.total(found[number])
    told = case | {"counters": counters, "kernels": len(found[number])}
    if case["requested"] is None:
        return told | {"state": "not compared", "said": "its traffic depends on caches"}
    if not any(pair[0] in counters for pair in ncu.DRAM):
        return told | {"state": "failed", "said": "ncu gave no DRAM counters"}
    loaded, stored = case["requested"]
    compared = ncu.compare(loaded, stored, counters, l2_bytes)
    return told | vars(compared)


def peers(save: Save, folder: Path, limit_s: float) -> None:
    """Each case beside its peers: the recordings, still without counters."""
    from gpu_utils.course.cases import cases

    run = _run(folder)
    made: list[tuple[Case, Recording]] = []
    failed: dict[str, str] = {}

    def keep() -> None:
        document = recordings.dump(run, [recording for _, recording in made])
        save({"document": json.loads(document), "failed": failed})

    for unit in units.units():
        for number, case in enumerate(cases(unit), start=1):
            try:
                made.append((case, recordings.record(case, unit.name, run)))
                print(made[-1][1], flush=True)
            except Exception as error:  # one case that fails must not cost the others theirs
                failed[f"{unit.name} {case.name}, case {number}"] = recordings.first_line(error)
            keep()
    for place, (case, recording) in enumerate(made):  # last: it takes long, and may not work
        made[place] = (case, _with_compiled(case, recording))
        keep()


def _run(folder: Path) -> Run:
    """The run that the first stage began; one without ceilings if it did not come so far."""
    path = partial(folder, "machine")
    if path.exists():
        data = json.loads(path.read_text("utf-8")).get("data", {})
        if "run" in data:
            return recordings.run_of(json.dumps(data["run"]), path.name)
    return recordings.begin(COMMAND)


def _with_compiled(case: Case, recording: Recording) -> Recording:
    with _alarm(_COMPILE_LIMIT_S):
        compiled = {"torch.compile": recordings.compiled_peer(case)}
        return recordings.with_peers(recording, case, compiled, case.arguments("cuda"))


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in Python code that takes longer."""

    def ring(*_: Any) -> None:
        raise TimeoutError(f"still at work after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# The most valuable first.
STAGES: dict[str, Callable[[Save, Path, float], None]] = {
    "machine": machine,
    "rungs": rungs,
    "counters": counters,
    "peers": peers,
}


def main(arguments: Sequence[str]) -> int:
    """Run one stage; the parent reads its file, whatever becomes of this process."""
    name, folder, limit_s = arguments[0], Path(arguments[1]), float(arguments[2])
    path = partial(folder, name)
    kept: dict[str, Any] = {"state": "running", "why": "", "data": {}}

    def write(**changes: Any) -> None:
        kept.update(changes)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(kept), encoding="utf-8")
        os.replace(fresh, path)

    write()
    try:
        STAGES[name](lambda data: write(data=data), folder, limit_s)
    except NotAvailable as error:
        write(state="not available", why=str(error))
    except Exception as error:
        write(state="failed", why=recordings.first_line(error))
        raise
    else:
        write(state="done")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
