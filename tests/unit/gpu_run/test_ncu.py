"""The stage of the counters, with ncu played by a script; its CSV has the shape of the real one."""

import json
import sys
import types

import pytest
import torch

from gpu_utils._dev.gpu import counters as gpu_counters
from gpu_utils._dev.gpu import profiled as gpu_profiled
from gpu_utils._dev.gpu import stages as gpu_stages
from gpu_utils.course import units
from gpu_utils.recordings import Case
from tests.unit.gpu_run.ncu_table import COUNT, L2, NAMES, row, table

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
