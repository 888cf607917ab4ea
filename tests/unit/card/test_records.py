"""Recorded runs on a card: the solution's, by their own row, and never as current when stale."""

import dataclasses
import datetime
import importlib

import pytest
import torch

from gpu_utils import card, codegen, recordings
from gpu_utils.bench import Timing
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings import Launched, Recording, Run
from tests.unit.card.kernels import Reader, X, bare, double, lines

N = 2**26
H100 = {"gpu.name": "NVIDIA H100 80GB HBM3", "torch.version": "2.11.0", "triton.version": "3.6.0"}


@pytest.fixture
def recording():
    """2^26 floats read and written, 536,870,912 B, which takes an H100 160.3 us at 3.35e12 B/s."""
    x = torch.empty(N, device="meta")
    return Recording(
        unit="lab00",
        function="double",
        arguments={"x": recordings.described(x)},
        launches=tuple(map(Launched.of, codegen.capture(double, x))),
        timing=Timing(200e-6, 199e-6, 201e-6, 900, "cuda: NVIDIA H100 80GB HBM3", "CUDA events"),
        peers={},
        load_bytes=4.0 * N,
        store_bytes=4.0 * N,
        flops=N,
        dtype="fp32",
        counters=None,
        under_load=Fingerprint({}, {}),
        unknown={},
        run=Run(datetime.date(2026, 11, 24), "make gpu", Fingerprint(H100, {})),
    )


WHERE = "on NVIDIA H100 80GB HBM3, 2026-11-24"


def on(recording, gpu):
    facts = Fingerprint({**H100, "gpu.name": gpu}, {})
    return dataclasses.replace(recording, run=dataclasses.replace(recording.run, fingerprint=facts))


def test_a_fresh_run_is_the_solutions_and_a_share_of_its_bound(recording):
    page = bare(double, X, recorded=[card.recorded(recording, ())])
    # 160.26 / 200
    assert lines(page)[4] == (
        f"○ fast    no GPU here; the solution of lab00 took 200 µs RECORDED {WHERE}, for "
        "float32 (67108864,): 80.1 % of what H100 SXM5 80GB allows, 160 µs MODELLED"
    )
    assert "Recorded the solution of lab00 RECORDED" in Reader(page).text
    assert "2026-11-24torch 2.11.0, triton 3.6.0fresh" in Reader(page).text
    assert "x: float32 (67108864,)200 µs80.1 % of H100 SXM5 80GB" in Reader(page).text


def test_a_stale_run_says_so_and_gives_no_number(recording):
    changes = ("the source of double_kernel has changed",)
    page = bare(double, X, recorded=[card.recorded(recording, changes)])
    assert lines(page)[4] == (
        f"○ fast    no GPU here; the run of the solution of lab00 {WHERE}, is stale: the source of "
        "double_kernel has changed"
    )
    assert "stale: the source of double_kernel has changed" in Reader(page).text


@pytest.mark.usefixtures("gpu")
def test_a_measured_time_stands_alone_on_its_line(recording):
    page = bare(double, X, recorded=[card.recorded(recording, ())])
    assert "MEASURED" in lines(page)[4]
    assert "RECORDED" not in str(page)
    assert "200 µs" in Reader(page).text


def test_what_holds_comes_first_then_what_ran_on_the_cards_part(recording):
    a100 = card.recorded(on(recording, "NVIDIA A100-SXM4-80GB"), ())
    h100 = card.recorded(recording, ())
    stale = dataclasses.replace(h100, changes=("the grid was (1, 1, 1) and is (2, 1, 1)",))
    page = bare(double, X, recorded=[stale, a100, h100])
    assert page.recorded == (h100, a100, stale)
    assert card.Card.from_json(page.to_json()) == page


def test_a_gpu_or_bytes_that_are_unknown_bound_nothing(recording):
    strange = card.recorded(on(recording, "NVIDIA T1000"), ())
    silent = card.recorded(dataclasses.replace(recording, load_bytes=None), ())
    page = bare(double, X, recorded=[silent, strange])
    assert lines(page)[4].endswith(f"200 µs RECORDED {WHERE}, for float32 (67108864,)")
    assert "unknown: its bytes were not recorded" in Reader(page).text
    assert "unknown: the table of parts lacks it" in Reader(page).text


def test_by_default_the_runs_of_that_name_with_these_arguments_are_found(recording, monkeypatch):
    shipped = [recording]
    # By name, since `recordings.find` is the function.
    finder = importlib.import_module("gpu_utils.recordings.find")
    monkeypatch.setattr(finder, "load", lambda folder: shipped)
    x = torch.empty(N, device="meta")
    [found] = card.records.found("double", {"x": x}, codegen.capture(double, x))
    assert found.changes == ()
    assert list(card.records.found("double", {"x": X}, codegen.capture(double, X))) == []
    shipped[:] = [dataclasses.replace(recording, launches=recording.launches * 2)]
    [found] = card.records.found("double", {"x": x}, codegen.capture(double, x))
    assert found.changes == ("2 kernels were launched and 1 are",)
    assert list(card.records.found("double", {"x": x}, None)) == []
