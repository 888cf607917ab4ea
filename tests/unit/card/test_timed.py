"""A time on a GPU: a share of the bound, or refused."""

import dataclasses

import pytest

from gpu_utils import bench, card
from tests.unit.card.kernels import (
    Gpu,
    X,
    Y,
    axpby,
    axpby_minus,
    axpby_reference,
    bare,
    double,
    lines,
)


@pytest.mark.usefixtures("gpu")
def test_a_time_is_a_share_of_the_bound():
    # 49,152 B / 3.35e12 B/s = 14.67 ns; of 20 ns that is 73.4 %.
    page = bare(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert lines(page)[4] == (
        "△ fast    ≈ 20.0 ns MEASURED, ≈ 73.4 % of what H100 SXM5 80GB allows, 14.7 ns MODELLED"
    )
    assert card.Card.from_json(page.to_json()) == page


@pytest.mark.usefixtures("gpu")
def test_what_swings_or_was_slowed_is_said(monkeypatch):
    # (24 - 19) / 20 = 25 %
    note = "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap"
    timing = dataclasses.replace(Gpu.timing, p80_s=24e-9, note=note)
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
    assert lines(bare(axpby, 2.0, X, -0.5, Y))[4].endswith(
        "14.7 ns MODELLED; the times differ by ≈ 25.0 %: the clocks or the load are swinging; "
        "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap"
    )


@pytest.mark.usefixtures("gpu")
def test_a_time_that_beats_the_part_is_refused(monkeypatch):
    # Of the 49,152 B a third is written, which the L2 may still hold. The rest, 32,768 B, takes
    # 32,768 / 3.355e12 = 9.767 ns (3.355: half a unit more than the 3.35 of the sheet).
    def timed(nanoseconds):
        timing = dataclasses.replace(Gpu.timing, median_s=nanoseconds * 1e-9, cold=True)
        monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
        return bare(axpby, 2.0, X, -0.5, Y)

    page = timed(9.76)
    assert page.timing is None
    assert lines(page)[4].startswith(
        "○ fast    refused: it took ≈ 9.76 ns MEASURED, and NVIDIA H100 SXM5 80GB needs at least "
        "9.77 ns MODELLED for 49.2 kB, with every allowance made. Most likely fewer bytes move "
    )
    assert timed(9.78).timing is not None


@pytest.mark.usefixtures("gpu")
def test_what_is_wrong_is_not_timed():
    page = bare(axpby_minus, 2.0, Y, 0.5, Y, reference=axpby_reference)
    assert lines(page)[4] == "○ fast    not timed: what is wrong has no speed"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_is_not_in_the_table(monkeypatch):
    timing = dataclasses.replace(Gpu.timing, device="cuda: NVIDIA T1000")
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
    fast = lines(bare(double, X))[4]
    assert fast == "△ fast    ≈ 20.0 ns MEASURED on cuda: NVIDIA T1000, whose bound is unknown"
