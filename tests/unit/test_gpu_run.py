"""`make gpu`, as far as it goes without a GPU: stages that crash and hang, ncu played by a script.

The CSV that the script prints has the shape of Nsight Compute's: its own messages, a row of names,
a row of units, a row a kernel, numbers with thousands separators.
"""

import dataclasses
import datetime
import doctest
import json
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import torch

from gpu_utils import recordings
from gpu_utils._dev.gpu import __main__ as gpu
from gpu_utils._dev.gpu import counters as gpu_counters
from gpu_utils._dev.gpu import profiled as gpu_profiled
from gpu_utils._dev.gpu import report as gpu_report
from gpu_utils._dev.gpu import stages as gpu_stages
from gpu_utils.bench import Ceilings, Comparison, Timing
from gpu_utils.course import units
from gpu_utils.course.verdict import RungVerdict, TaskVerdict
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings import Case

ROOT = units.root()
RANGE = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
NAMES = ("ID", "Process ID", "Process Name", "Host Name", "Kernel Name", "Context", "Stream",
         "Block Size", "Grid Size", "Device", "CC", RANGE, "dram__bytes_read.sum",
         "dram__bytes_write.sum", "gpu__time_duration.sum",
         "sm__cycles_elapsed.avg.per_second")  # fmt: skip
UNITS = ("",) * 12 + ("byte", "byte", "ns", "hz")
MIB = 2**20
L2 = 50 * MIB  # an H100's
COUNT = 2**28  # bytes of 2^26 float32, five times that L2


def row(number, kernel, *values):
    label = f"<default domain>:ridge-case-{number}:none:none:none:none:ASCII:ridge-case-{number}"
    head = ("0", "77", "python3", "127.0.0.1", kernel, "1", "7", "(128, 1, 1)", "(65536, 1, 1)",
            "0", "9.0", label)  # fmt: skip
    return (*head, *values)


def table(*rows, names=NAMES, units=UNITS):
    lines = [",".join(f'"{cell}"' for cell in line) for line in (names, units, *rows)]
    return ["==PROF== Connected to process 77 (/usr/bin/python3)", *lines,
            "==PROF== Disconnected from process 77"]  # fmt: skip


# ncu's table.


def test_counters_by_case_in_base_units():
    found = gpu_counters.parse(table(
        row(0, "copy_kernel", "268,435,456", "219,000,000", "178,400", "1,755,000,000.5"),
        row(2, "axpby_kernel", "536870912", "n/a", "270,000", "1.7e9"),
    ))  # fmt: skip
    assert set(found) == {0, 2}
    (copy,) = found[0]
    assert copy["dram__bytes_read.sum"] == 268_435_456
    assert copy["gpu__time_duration.sum"] == pytest.approx(178.4e-6)
    assert copy["sm__cycles_elapsed.avg.per_second"] == 1_755_000_000.5
    assert "dram__bytes_write.sum" not in found[2][0]  # n/a is unknown, and no zero


@pytest.mark.parametrize(
    ("cell", "unit", "value"),
    [
        ("268.435456", "Mbyte", 268_435_456.0),  # ncu's prefixes are decimal
        ("1.5", "Gbyte", 1.5e9),
        ("1", "Kbyte", 1000.0),
        ("3.35", "Tbyte/second", 3.35e12),
        ("3.35", "byte/ns", 3.35e9),
        ("178.4", "us", 178.4e-6),
        ("178.4", "usecond", 178.4e-6),
        ("2", "msecond", 2e-3),
        ("1.755", "Ghz", 1.755e9),
        ("1.755", "cycle/nsecond", 1.755e9),
        ("8,388,608", "sector", 8_388_608.0),
        ("97.5", "%", 97.5),
        ("", "byte", None),
        ("n/a", "byte", None),
    ],
)
def test_units(cell, unit, value):
    assert gpu_counters._base(cell, unit) == (value if value is None else pytest.approx(value))


def test_kernels_outside_every_range_belong_to_no_case():
    stranger = list(row(0, "fill_kernel", "1", "1", "1", "1"))
    stranger[11] = ""
    assert gpu_counters.parse(table(stranger)) == {}


def test_case_12_is_not_case_1():
    assert set(gpu_counters.parse(table(row(12, "k", "1", "1", "1", "1")))) == {12}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no table"),
        (["==ERROR== something"], "no table"),
        (['"a","b"', '"c","d"'], "no table"),
        (table(names=NAMES[:11] + NAMES[12:], units=UNITS[1:]), "no column of NVTX ranges"),
    ],
)
def test_no_table(lines, message):
    with pytest.raises(gpu_counters.NcuError, match=message):
        gpu_counters.parse(lines)


def test_several_kernels_are_summed_and_of_a_rate_the_longest_counts():
    rate = "sm__cycles_elapsed.avg.per_second"
    kernels = [
        {"dram__bytes_read.sum": 100.0, "gpu__time_duration.sum": 3e-6, rate: 1.7e9},
        {"dram__bytes_read.sum": 50.0, "gpu__time_duration.sum": 1e-6, rate: 1.1e9},
    ]
    assert gpu_counters.total(kernels) == {
        "dram__bytes_read.sum": 150.0,
        "gpu__time_duration.sum": pytest.approx(4e-6),
        rate: 1.7e9,
    }


def test_doctests():
    assert doctest.testmod(gpu_counters).failed == 0


# Counted bytes beside them. COUNT is 268,435,456 each way; 3 % of it is 8,053,063.


@pytest.mark.parametrize(
    ("read", "written", "state"),
    [
        (COUNT, COUNT, "agrees"),
        (COUNT + 8_000_000, COUNT, "agrees"),
        (COUNT - 8_000_000, COUNT, "agrees"),
        (COUNT + 8_100_000, COUNT, "differs"),
        (COUNT - 8_100_000, COUNT, "differs"),
        (2 * COUNT, COUNT, "differs"),  # it reads twice
        (COUNT, COUNT - L2, "agrees"),  # the last 50 MiB stay in the L2
        (COUNT, COUNT - L2 - 1, "differs"),
        (COUNT, COUNT + 8_000_000, "agrees"),
        (COUNT, COUNT + 8_100_000, "differs"),
        (COUNT, 0, "differs"),
    ],
)
def test_the_rule_for_a_stream(read, written, state):
    counters = {"dram__bytes_read.sum": read, "dram__bytes_write.sum": written}
    found = gpu_counters.compare(COUNT, COUNT, counters, L2)
    assert found.state == state
    assert bool(found.said) is (state == "differs")
    assert found.reads == read / COUNT


def test_the_newer_names_of_the_counters():
    counters = {"dram__bytes_op_read.sum": COUNT, "dram__bytes_op_write.sum": COUNT}
    assert gpu_counters.compare(COUNT, COUNT, counters, L2).state == "agrees"


def test_what_fits_four_times_into_the_l2_proves_nothing():
    counters = {"dram__bytes_read.sum": 0.0, "dram__bytes_write.sum": 0.0}
    found = gpu_counters.compare(100 * MIB, 100 * MIB - 1, counters, L2)
    assert (found.state, found.said) == (
        "too small", "moves 2.1e+08 bytes; 4 L2 sizes are 2.1e+08"
    )  # fmt: skip


def test_a_sum_writes_next_to_nothing():
    counters = {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 0.0}
    found = gpu_counters.compare(COUNT, 0, counters, L2)
    assert (found.state, found.writes) == ("agrees", None)


# ncu itself, played by a script.

PLAYED = """#!{python}
import json, sys
log, program = sys.argv[sys.argv.index("--log-file") + 1], sys.argv[-1]
open({seen!r}, "a").write(json.dumps(sys.argv) + "\\n")
metrics = sys.argv[sys.argv.index("--metrics") + 1]
open(program, "w").write({cases!r})
answers = json.loads({answers!r})
text = answers["op" if "bytes_op_read" in metrics else "plain"]
open(log, "w").write(text)
sys.exit(0 if text.count("==ERROR==") == 0 else 1)
"""
CASES = [
    {"unit": "lab00", "function": "copy", "arguments": {"x": 1}, "requested": [COUNT, COUNT]},
    {"unit": "lab00", "function": "gemm", "arguments": {"x": 1}, "requested": None},
    {"unit": "lab00", "function": "lost", "arguments": {"x": 1}, "requested": [COUNT, COUNT]},
    {"unit": "lab01", "function": "broken", "failed": "OutOfMemoryError: 3 TB"},
]
AGREES = table(
    row(0, "copy_kernel", "268,500,000", "225,000,000", "178,400", "1.7e9"),
    row(1, "gemm_kernel", "1", "1", "1", "1"),
)


@pytest.fixture
def ncu(tmp_path, monkeypatch):
    """Put a stand-in for ncu in place; it answers by the metrics that it is asked for."""

    def play(plain, op="==ERROR== Failed to find metric dram__bytes_op_read.sum"):
        path, answers = tmp_path / "ncu", json.dumps({"plain": plain, "op": op})
        path.write_text(
            PLAYED.format(python=sys.executable, seen=str(tmp_path / "seen"), answers=answers,
                          cases=json.dumps(CASES))
        )  # fmt: skip
        path.chmod(0o755)
        monkeypatch.setattr(gpu_counters, "find_ncu", lambda: path)

    return play


@pytest.fixture
def h100(monkeypatch):
    properties = types.SimpleNamespace(major=9, minor=0, L2_cache_size=L2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    return properties


def run_counters(tmp_path):
    saved = []
    gpu_stages.counters(saved.append, tmp_path, 30.0)
    return saved[-1]["cases"]


def test_the_stage_of_the_counters(ncu, h100, tmp_path):
    ncu("\n".join(AGREES))
    cases = run_counters(tmp_path)
    assert [(case["function"], case["state"], case["said"]) for case in cases] == [
        ("copy", "agrees", ""),
        ("gemm", "not compared", "its traffic depends on caches"),
        ("lost", "failed", "ncu saw no kernel of this case"),
        ("broken", "failed", "OutOfMemoryError: 3 TB"),
    ]
    assert cases[0]["counters"]["dram__bytes_write.sum"] == 225_000_000
    (command,) = map(json.loads, (tmp_path / "seen").read_text().splitlines())
    told = " ".join(command)
    for option in ("--cache-control all", "--clock-control none", "--print-units base", "--nvtx"):
        assert option in told
    assert "127.0.0.1" not in json.dumps(cases)  # ncu's table names the host


def test_a_chip_with_the_other_names(ncu, h100, tmp_path):
    names = tuple(name.replace("bytes_", "bytes_op_") for name in NAMES)
    lines = table(row(0, "copy_kernel", COUNT, COUNT, "1", "1"), names=names)
    ncu(plain="==ERROR== Failed to find metric dram__bytes_read.sum", op="\n".join(lines))
    assert run_counters(tmp_path)[0]["state"] == "agrees"
    assert len((tmp_path / "seen").read_text().splitlines()) == 2
    h100.major = 12  # consumer Blackwell has these names: they are tried first
    assert run_counters(tmp_path)[0]["state"] == "agrees"
    assert len((tmp_path / "seen").read_text().splitlines()) == 3


DENIED = (
    "==ERROR== ERR_NVGPUCTRPERM - The user does not have permission to access NVIDIA GPU "
    "Performance Counters on the target device 0."
)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (DENIED, "administrators only.*CAP_SYS_ADMIN"),
        ("==ERROR== Failed to initialize the profiler: LibraryNotLoaded", "some sandboxes"),
    ],
)
def test_counters_that_a_machine_denies_are_explained(ncu, h100, tmp_path, said, why):
    ncu(said)
    with pytest.raises(gpu_stages.NotAvailable, match=why):
        run_counters(tmp_path)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("==ERROR== The application returned an error code (1).", "ncu: The application returned"),
        ("==PROF== Connected to process 77\n==WARNING== No kernels were profiled.", "no counters"),
        ("==ERROR== Failed to find metric gpu__x", "Failed to find metric dram__bytes_op_read"),
    ],
)
def test_an_ncu_that_fails_is_a_failure(ncu, h100, tmp_path, said, why):
    ncu(said)
    with pytest.raises(gpu_counters.NcuError, match=why):
        run_counters(tmp_path)


def test_no_ncu_and_no_nvidia(h100, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_counters, "find_ncu", lambda: None)
    with pytest.raises(gpu_stages.NotAvailable, match="there is no ncu: it comes with the CUDA"):
        run_counters(tmp_path)
    monkeypatch.setattr(torch.version, "hip", "6.4")
    with pytest.raises(gpu_stages.NotAvailable, match="an AMD GPU"):
        run_counters(tmp_path)


def test_an_ncu_that_hangs(tmp_path):
    path = tmp_path / "ncu"
    path.write_text("#!/bin/sh\nexec sleep 30\n")
    path.chmod(0o755)
    with pytest.raises(gpu_counters.NcuError, match="still at work when its time was up"):
        gpu_stages.profile(path, gpu_counters.DRAM[0], 0.3)


def test_the_profiled_program(tmp_path, monkeypatch):
    told = []
    for module, name in (("profiler", "start"), ("profiler", "stop"), ("nvtx", "range_pop")):
        monkeypatch.setattr(getattr(torch.cuda, module), name, lambda name=name: told.append(name))
    monkeypatch.setattr(torch.cuda.nvtx, "range_push", told.append)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)

    def ones(device):
        return (torch.ones(10),)

    def doubled(x):
        told.append("call")
        return x + x

    def broken(x):
        raise RuntimeError("no memory\nmore")

    listed = [Case(doubled, ones, doubled, loads={"x": 1}, stores={"out": 1}),
              Case(broken, ones, doubled)]  # fmt: skip
    unit = units.find("lab00")[0]
    monkeypatch.setattr(gpu_profiled.units, "units", lambda: (unit,))
    monkeypatch.setattr(gpu_profiled, "cases", lambda unit: listed)
    gpu_profiled.main([str(tmp_path / "cases.json")])
    assert told == ["call", "start", "ridge-case-0", "call", "range_pop", "stop"]
    assert json.loads((tmp_path / "cases.json").read_text()) == [
        {"unit": "lab00", "function": "doubled", "requested": [40, 40],
         "arguments": {"x": {"dtype": "float32", "shape": [10]}}},
        {"unit": "lab00", "function": "broken", "failed": "RuntimeError: no memory"},
    ]  # fmt: skip


# Stages as processes.

STAGE = """
import json, os, sys, time
from pathlib import Path
path = Path(sys.argv[2], f"stage-{sys.argv[1]}.json")
path.write_text(json.dumps({"state": "running", "why": "", "data": {"first": 1}}))
print("said by the stage", flush=True)
"""


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """Run a stage whose program is STAGE and what is given."""

    def run(then, limit_s=20.0):
        program = tmp_path / "program.py"
        program.write_text(STAGE + then)
        monkeypatch.setattr(
            gpu, "_command", lambda name, folder, s: [sys.executable, str(program), name, folder, s]
        )
        return gpu.run_stage("rungs", tmp_path, limit_s)

    return run


def test_a_stage_that_ends_well(stage, tmp_path):
    found = stage('path.write_text(json.dumps({"state": "done", "why": "", "data": {"all": 2}}))')
    assert (found.state, found.why, found.data) == ("done", "", {"all": 2})
    assert "said by the stage" in (tmp_path / "log.txt").read_text()


def test_a_crash_keeps_what_there_was(stage):
    found = stage("import ctypes; ctypes.string_at(0)")
    assert (found.state, found.why) == ("crashed", "the process was ended by SIGSEGV")
    assert found.data == {"first": 1}


def test_an_exit_keeps_what_there_was(stage):
    found = stage("sys.exit(3)")
    assert (found.state, found.data) == ("crashed", {"first": 1})
    assert found.why == "the process ended with exit code 3: see log.txt"


def test_a_hang_is_ended_with_all_that_it_started(stage, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "_GOODBYE_S", 0.2)
    began = time.monotonic()
    found = stage(
        "import signal, subprocess; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n",
        limit_s=2.0,
    )
    assert time.monotonic() - began < 20
    assert (found.state, found.data) == ("timed out", {"first": 1})
    assert found.why == "still at work after 2 s; what it had is kept"
    until = time.monotonic() + 10  # a killed process takes a moment to go
    while is_running(int((tmp_path / "child").read_text())):
        assert time.monotonic() < until


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stage_that_is_interrupted_may_put_things_in_order(stage, tmp_path):
    found = stage(
        "try:\n    time.sleep(60)\n"
        f"finally:\n    Path({str(tmp_path / 'order')!r}).write_text('put')\n",
        limit_s=2.0,
    )
    assert found.state == "timed out"
    assert (tmp_path / "order").read_text() == "put"


def test_a_real_stage_without_a_gpu_fails_and_says_what_it_needs(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here: tests/gpu runs the stages")
    found = gpu.run_stage("machine", tmp_path, 60.0)
    assert found.state == "failed"
    assert "NoGPUError: a recording needs an NVIDIA or AMD GPU" in found.why


def test_the_fingerprint_is_kept_before_the_ceilings_are_measured(run, tmp_path, monkeypatch):
    def hangs(run, budget_s):
        raise KeyboardInterrupt

    bare = dataclasses.replace(run, ceilings=None)
    monkeypatch.setattr(recordings, "begin", lambda command: bare)
    monkeypatch.setattr(recordings, "with_ceilings", hangs)
    saved = []
    with pytest.raises(KeyboardInterrupt):
        gpu_stages.machine(saved.append, tmp_path, 60.0)
    assert recordings.run_of(json.dumps(saved[-1]["run"]), "it") == bare
    stage = gpu_report.Stage("machine", "timed out", "", 1.0, saved[-1])
    assert "its ceilings were not measured" in gpu_report.report([stage])


def test_a_stage_says_that_something_is_missing(tmp_path, monkeypatch):
    def missing(save, folder, limit_s):
        save({"half": 1})
        raise gpu_stages.NotAvailable("there is no ncu")

    monkeypatch.setitem(gpu_stages.STAGES, "counters", missing)
    assert gpu_stages.main(["counters", str(tmp_path), "10"]) == 0
    kept = json.loads(gpu_stages.partial(tmp_path, "counters").read_text())
    assert kept == {"state": "not available", "why": "there is no ncu", "data": {"half": 1}}


# The peers: each case and its recording, on the CPU taken for a GPU.


@pytest.fixture
def run():
    ceilings = Ceilings(4e12, 3e12, {"fp32": 5e13}, "fp32", (), "cuda: NVIDIA H100", 0.1)
    here = Fingerprint({"gpu.name": "NVIDIA H100 80GB HBM3"}, {})
    return recordings.Run(datetime.date(2026, 11, 24), "make gpu", here, ceilings)


def a_recording(run, function="copy", unit="lab00", arguments=None):
    second = Timing(2e-4, 2e-4, 2e-4, 99, "cuda: NVIDIA H100", "by hand")
    third = Timing(3e-4, 3e-4, 3e-4, 99, "cuda: NVIDIA H100", "by hand")
    return recordings.Recording(
        unit=unit, function=function, arguments=arguments or {"x": 1}, launches=(), timing=second,
        peers={"torch": Comparison(1.5, 1.4, 1.6, 50, second, third, ("copy", "clone"))},
        load_bytes=3e8, store_bytes=3e8, flops=1e9, dtype="fp32",
        counters=None, under_load=run.fingerprint, unknown={"counters": "not yet"}, run=run,
    )  # fmt: skip


def test_the_stage_of_the_peers_keeps_each_case_as_it_ends(run, tmp_path, monkeypatch):
    unit = units.find("lab00")[0]
    monkeypatch.setattr(gpu_stages.units, "units", lambda: (unit,))

    def first(x):
        return x

    def second(x):
        return x

    listed = [Case(fn, lambda device: (1,), first) for fn in (first, second)]
    monkeypatch.setattr("gpu_utils.course.cases.cases", lambda unit: listed)

    def record(case, unit, run):
        if case.name == "second":
            raise recordings.WrongResultError("second is wrong on this GPU\nat length")
        return a_recording(run, case.name)

    def with_peers(recording, case, peers, arguments):
        assert set(peers) == {"torch.compile"}
        raise AssertionError("the rest of this stage is lost")

    monkeypatch.setattr(recordings, "record", record)
    monkeypatch.setattr(recordings, "with_peers", with_peers)
    monkeypatch.setattr(recordings, "compiled_peer", lambda case: case.reference)
    begun = {"data": {"run": json.loads(recordings.dump(run, []))}}
    gpu_stages.partial(tmp_path, "machine").write_text(json.dumps(begun))
    saved = []
    with pytest.raises(AssertionError, match="is lost"):
        gpu_stages.peers(saved.append, tmp_path, 60.0)
    assert saved[-1]["failed"] == {
        "lab00 second, case 2": "WrongResultError: second is wrong on this GPU"
    }
    (kept,) = recordings.parse(json.dumps(saved[-1]["document"]), "it")
    assert kept == a_recording(run, "first")


def test_a_compiler_that_takes_too_long_is_stopped():
    with pytest.raises(TimeoutError, match=r"still at work after 0\.05 s"), gpu_stages._alarm(0.05):
        time.sleep(20)


def test_the_stage_of_the_rungs_keeps_each_lab_as_it_ends(tmp_path, monkeypatch):
    def judge(unit, tasks, sides):
        assert sides == ["solutions"]
        if unit.name == "lab01":
            raise KeyboardInterrupt
        passed = (RungVerdict("fast", "passed", evidence=("≈ 0.99x clone MEASURED",)),)
        return [TaskVerdict(unit.name, "solutions", "a", "copy", passed)]

    monkeypatch.setattr(sys.modules["gpu_utils.course.check"], "judge", judge)
    saved = []
    with pytest.raises(KeyboardInterrupt):
        gpu_stages.rungs(saved.append, tmp_path, 60.0)
    assert [task["unit"] for task in saved[-1]["tasks"]] == ["lab00"]


# The report.


@pytest.fixture
def stages(run):
    rung = {
        "rung": "fast",
        "state": "passed",
        "message": "",
        "evidence": ["≈ 0.99x clone MEASURED"],
    }
    task = {"unit": "lab00", "task": "a", "title": "copy", "state": "passed", "rungs": [rung]}
    counted = {
        "unit": "lab00", "function": "copy", "arguments": {"x": 1}, "requested": [COUNT, COUNT],
        "counters": {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 2.2e8},
        "state": "agrees", "said": "", "reads": 1.0, "writes": 2.2e8 / COUNT,
    }  # fmt: skip
    document = json.loads(recordings.dump(run, [a_recording(run), a_recording(run, "axpby")]))
    return [
        gpu_report.Stage(
            "machine", "done", "", 20.0, {"run": json.loads(recordings.dump(run, []))}
        ),
        gpu_report.Stage("rungs", "done", "", 30.0, {"tasks": [task]}),
        gpu_report.Stage("counters", "done", "", 40.0, {"cases": [counted]}),
        gpu_report.Stage("peers", "done", "", 50.0, {"document": document, "failed": {}}),
    ]


def test_the_counters_join_the_recording_of_their_case(stages):
    copy, axpby = gpu_report.recorded(stages)
    assert copy.counters == {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 2.2e8}
    assert copy.unknown == {}
    assert axpby.counters is None
    assert axpby.unknown == {"counters": "not read in this run"}


def test_without_counters_the_reason_stands_in_the_recording(stages):
    stages[2] = gpu_report.Stage("counters", "not available", "there is no ncu", 1.0, {})
    assert {r.unknown["counters"] for r in gpu_report.recorded(stages)} == {"there is no ncu"}


def test_the_report(stages):
    said = gpu_report.report(stages)
    for line in (
        "machine   done, ≈ 20.0 s",
        "machine: NVIDIA H100 80GB HBM3, 2026-11-24, torch unknown, triton unknown",
        "rungs: 1 of 1 tasks passed",
        "    fast     passed: ≈ 0.99x clone MEASURED",
        f"{'lab00 copy 1':<34}268 MB    ≈ 268 MB    1.00x    268 MB    "
        "≈ 220 MB     0.820x   agrees",
        # By hand: 6e8 B / 3e12 B/s = 200 µs, 1e9 / 5e13 = 20 µs; the time is 200 µs.
        "lab00 copy 1: ≈ 200 µs, 100 % of the measured roof",
        "    torch                         ≈ 300 µs    1.50x (95 %: 1.40x to 1.60x)",
    ):
        assert line in said.splitlines(), f"{line!r} is not in\n{said}"
    assert not gpu_report.failed(stages)


@pytest.mark.parametrize(
    "worse",
    [
        lambda stages: stages.append(gpu_report.Stage("x", "timed out", "", 1.0, {})),
        lambda stages: stages.append(gpu_report.Stage("x", "not run", "", 1.0, {})),
        lambda stages: stages[1].data["tasks"][0].update(state="failed"),
        lambda stages: stages[2].data["cases"][0].update(state="differs"),
        lambda stages: stages[3].data["failed"].update(copy="WrongResultError"),
    ],
)
def test_a_failure_is_no_success(stages, worse):
    worse(stages)
    assert gpu_report.failed(stages)


def test_no_ncu_is_no_failure(stages):
    stages[2] = gpu_report.Stage("counters", "not available", "there is no ncu", 1.0, {})
    assert not gpu_report.failed(stages)


@pytest.mark.parametrize("lost", range(4))
def test_each_stage_can_be_lost(stages, lost):
    name = stages[lost].name
    stages[lost] = gpu_report.Stage(name, "crashed", "the process was ended by SIGSEGV", 1.0, {})
    assert f"{name:<10}crashed, ≈ 1.00 s: the process was ended by SIGSEGV" in (
        gpu_report.report(stages).splitlines()
    )
    assert gpu_report.failed(stages)


def test_the_share_of_the_roof_is_unknown_without_its_figures(run):
    whole = a_recording(run)
    assert gpu_report.share_of_roof(whole) == pytest.approx(1.0)
    for missing in (
        dataclasses.replace(whole, load_bytes=None),
        dataclasses.replace(whole, dtype="fp8"),
        dataclasses.replace(whole, run=dataclasses.replace(run, ceilings=None)),
    ):
        assert gpu_report.share_of_roof(missing) is None
    # A sum reads 3e8 bytes and writes none, at the read's 4e12 B/s: 75 µs of 200.
    sum_ = dataclasses.replace(whole, store_bytes=0, flops=None)
    assert gpu_report.share_of_roof(sum_) == pytest.approx(0.375)


# The command.


def test_the_command_writes_everything_and_stops_at_its_budget(
    stages, tmp_path, monkeypatch, capsys
):
    known = {stage.name: stage for stage in stages}
    monkeypatch.setattr(gpu, "_why_no_gpu", lambda: "")
    given = {}

    def run_stage(name, folder, limit_s):
        given[name] = limit_s
        return known[name]

    monkeypatch.setattr(gpu, "run_stage", run_stage)
    assert gpu.main(["--minutes", "10", "--out", str(tmp_path / "out")]) == 0
    # Shares of 600 s: 15 %, 40 %, 25 %, and all that is left.
    assert given == {
        "machine": 90.0, "rungs": 240.0, "counters": 150.0, "peers": pytest.approx(600, abs=5)
    }  # fmt: skip
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {
        "log.txt",
        "report.txt",
        "results.json",
        "2026-11-24-nvidia-h100-80gb-hbm3.json",
    }
    assert len(recordings.load(tmp_path / "out" / "none")) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [stage["state"] for stage in results["stages"]] == ["done"] * 4
    assert "rungs: 1 of 1 tasks passed" in capsys.readouterr().out

    assert gpu.main(["--minutes", "0.1", "--out", str(tmp_path / "short")]) == 1
    results = json.loads((tmp_path / "short" / "results.json").read_text())
    assert {stage["why"] for stage in results["stages"]} == {"the budget was used up"}


def test_one_stage_alone(stages, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "_why_no_gpu", lambda: "")
    monkeypatch.setattr(gpu, "run_stage", lambda name, folder, limit_s: stages[1])
    assert gpu.main(["--only", "rungs", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert [stage["name"] for stage in results["stages"]] == ["rungs"]


BLOCKED = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""
ABSENT = {"jupyterlab", "ipywidgets", "IPython", "ipykernel", "rich", "typer", "nbval", "nbformat",
          "nbclient", "pynvml", "matplotlib", "playwright", "yaml"}  # fmt: skip


def test_it_needs_torch_triton_and_pytest_alone():
    code = BLOCKED.format(absent=ABSENT) + (
        "from gpu_utils._dev.gpu import __main__, profiled\n"
        "import gpu_utils.course.check, gpu_utils.course.ladder, gpu_utils.course.rungs\n"
        "from gpu_utils.course import cases, units\n"
        "print(sum(len(cases.cases(unit)) for unit in units.units()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5


def test_without_a_gpu_the_command_says_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("OUT", str(tmp_path / "out"))
    assert gpu.main([]) == 2
    said = capsys.readouterr().err
    assert "make gpu needs a GPU that torch can use, and there is none here: torch 2." in said
    assert "Nothing is installed." in said
    assert not (tmp_path / "out").exists()


def test_without_torch_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu._why_no_gpu().startswith("torch cannot be imported")


def test_make_gpu_installs_nothing():
    done = subprocess.run(
        ["make", "-n", "gpu", "PYTHON=python3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-3:] == ["python3", "-m", "gpu_utils._dev.gpu"]
    assert "install" not in done.stdout
