"""Recording a case, on a stand-in for a GPU: the CPU, which torch is made to take for one.

What only a GPU can show is in tests/gpu.
"""

import types

import pytest
import torch

from gpu_utils import bench, codegen, recordings
from gpu_utils.recordings import AutotunedError, Case, NoGPUError, WrongResultError

N = 1000


def doubled(x):
    return x + x


def vector(device):
    return (torch.arange(float(N)),)  # a CPU tensor, whatever the device


@pytest.fixture
def pretended(monkeypatch):
    """A torch that finds a GPU, while all tensors stay on the CPU."""
    properties = types.SimpleNamespace(
        name="NVIDIA L4", major=8, minor=9, multi_processor_count=58, total_memory=24 * 10**9
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(codegen, "capture", lambda fn, *args: [])  # here nothing launches a kernel


@pytest.fixture
def case():
    return Case(
        doubled, vector, lambda x: 2 * x, loads={"x": 1}, stores={"out": 1}, flops=N,
        peers={"mul": lambda x: x * 2.0},
    )  # fmt: skip


def test_a_case_is_measured_beside_its_peers(pretended, case, run):
    found = recordings.record(case, "lab00", run, budget_s=0.02)
    assert (found.unit, found.function) == ("lab00", "doubled")
    assert found.arguments == {"x": {"dtype": "float32", "shape": [N]}}
    assert set(found.peers) == {"torch", "mul"}
    assert found.timing.median_s > 0
    for peer in found.peers.values():
        assert 0 < peer.low <= peer.ratio <= peer.high
    assert (found.load_bytes, found.store_bytes, found.flops) == (4 * N, 4 * N, N)
    assert found.counters is None
    assert found.unknown == {"counters": "ncu was not run: `make gpu` runs it"}
    assert "gpu.clock_sm_hz" in found.under_load.unknown
    assert recordings.parse(recordings.dump(run, [found]), "it") == (found,)


def test_what_is_wrong_has_no_speed(pretended, case, run, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("it was timed")

    monkeypatch.setattr(bench, "measure", forbidden)
    wrong = Case(lambda x: x + x + 1, vector, case.reference)
    with pytest.raises(WrongResultError, match=r"element 0 is 1\.0, expected 0\.0; 1000 of 1000"):
        recordings.record(wrong, "lab00", run)
    narrow = Case(lambda x: (x + x).half(), vector, case.reference)
    with pytest.raises(WrongResultError, match=r"returns .*float16.*, expected .*float32"):
        recordings.record(narrow, "lab00", run)


def test_what_an_autotuner_chose_is_not_recorded(pretended, case, run, monkeypatch):
    caught = [
        types.SimpleNamespace(name=name, tuned=tuned)
        for name, tuned in (("fill_kernel", False), ("sum_kernel", True), ("sum_kernel", True))
    ]
    monkeypatch.setattr(codegen, "capture", lambda fn, *args: caught)
    with pytest.raises(AutotunedError, match="doubled launches sum_kernel, which an autotuner"):
        recordings.record(case, "lab00", run, budget_s=0.01)


def test_integers_are_compared_exactly(pretended, run):
    integers = Case(lambda x: x + 1, lambda device: (torch.arange(N),), lambda x: x + 1)
    assert recordings.record(integers, "lab00", run, budget_s=0.01).load_bytes is None
    wrong = Case(lambda x: x + 2, lambda device: (torch.arange(N),), lambda x: x + 1)
    with pytest.raises(WrongResultError, match="element 0 is 2, expected 1"):
        recordings.record(wrong, "lab00", run)


def test_a_peer_that_fails_is_left_out_and_says_why(pretended, case, run):
    def broken(x):
        raise RuntimeError("no C compiler\nand a long story")

    found = recordings.record(case, "lab00", run, budget_s=0.01)
    more = recordings.with_peers(found, case, {"torch.compile": broken}, vector("cuda"), 0.01)
    assert set(more.peers) == set(found.peers)
    assert more.unknown["peers.torch.compile"] == "RuntimeError: no C compiler"


def test_a_run_begins_with_the_environment_and_then_knows_the_ceilings(pretended, run, monkeypatch):
    asked = []

    def ceilings(budget_s, **how):
        asked.append((budget_s, how))
        return run.ceilings

    monkeypatch.setattr(bench, "ceilings", ceilings)
    begun = recordings.begin("make gpu")
    assert (begun.device, begun.command, begun.ceilings) == ("NVIDIA L4", "make gpu", None)
    assert recordings.with_ceilings(begun, 7).ceilings == run.ceilings
    assert asked == [(7, {"device": "cuda", "fresh": True})]  # of this run, not kept from another


def test_a_time_that_the_memory_cannot_do_is_refused(pretended, case, run, monkeypatch):
    def measured(seconds):
        timing = bench.Timing(
            seconds, seconds, seconds, 99, "cuda: NVIDIA L4", "by hand", cold=True
        )
        monkeypatch.setattr(bench, "measure", lambda *_, **__: timing)
        return recordings.record(large, "lab00", run, budget_s=0.01)

    # 2^26 float32 read and written, so that nothing hides in a cache: 537 MB, 1.79 ms at 300 GB/s.
    large = Case(
        *(doubled, vector, case.reference), loads={"x": 2**26 / N}, stores={"out": 2**26 / N}
    )
    assert measured(2e-3).timing.median_s == 2e-3
    with pytest.raises(bench.ImplausibleTimingError):
        measured(1e-3)


def test_without_a_gpu_it_says_what_it_needs(case, run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for call in (
        lambda: recordings.record(case, "lab00", run),
        lambda: recordings.begin("it"),
        lambda: recordings.with_ceilings(run),
    ):
        with pytest.raises(NoGPUError, match=r"needs an NVIDIA or AMD GPU.*torch finds none here"):
            call()


def test_bytes_at_this_size(case):
    (x,) = vector("cpu")
    assert case.requested_bytes((x,), doubled(x)) == (4000, 4000)
    twice = Case(doubled, vector, doubled, loads={"x": 2.5})
    assert twice.requested_bytes((x,), doubled(x)) == (10_000, 0)
    assert Case(doubled, vector, doubled).requested_bytes((x,), x) is None
    with pytest.raises(ValueError, match="doubled has no tensor y; it has x, out"):
        Case(doubled, vector, doubled, loads={"y": 1}).requested_bytes((x,), x)
