"""One walk: what it counts and models is what the lenses count and model one by one."""

import importlib

import pytest
import torch

from gpu_utils import card, codegen, specs, traffic
from tests.unit.card.kernels import (
    Reader,
    X,
    Y,
    again,
    axpby,
    bare,
    count,
    double,
    gather,
    lines,
    relu,
    strided,
)


@pytest.mark.parametrize("fn", [double, strided, again])
def test_is_what_the_lenses_see(fn):
    page = card.study(fn, X, targets=["sm_90"])
    assert page.traffic == traffic.count(fn, X)
    for part in page.bounds:
        assert part.dram == traffic.dram(fn, X, spec=part.part)
    artifacts = codegen.compile(fn, X, target="sm_90")
    assert page.sectors == traffic.sectors(fn, X, artifacts=artifacts)


def test_the_kernels_are_interpreted_once(monkeypatch):
    walk = importlib.import_module("gpu_utils.card.walk")
    runs = []
    monkeypatch.setattr(walk, "run", lambda *args, **kw: runs.append(1) or run(*args, **kw))
    run = traffic.lens.run
    card.study(axpby, 2.0, X, -0.5, Y, targets=["sm_90"])
    assert runs == [1]


def test_sectors_are_of_the_target_of_the_first_part():
    page = card.study(double, X, targets=["sm_90", "gfx942"], parts=["mi300x"])
    assert page.sectors.target == "gfx942"
    assert bare(double, X).sectors is None


def test_a_part_whose_caches_are_unknown():
    page = bare(double, X, parts=["tpu-v5e"])
    assert page.bounds[0].dram is None
    assert "unknown: l2_count" in Reader(page).text


def test_meta_tensors_are_counted_by_their_addresses():
    # 2^20 floats are 4,194,304 B, read and written.
    page = bare(double, torch.empty(2**20, device="meta"))
    assert page.traffic.total_bytes == page.compulsory_bytes == 8_388_608
    assert lines(page)[:3] == [
        "double: limited by memory: 0.125 FLOP/byte COUNTED, 160x below the fp32 ridge of "
        "20.0 FLOP/byte MODELLED on H100 SXM5 80GB",
        "○ right   not run: meta tensors hold no values",
        "✓ lean    8.39 MB COUNTED, 1.00x the compulsory bytes, 8 B/element",
    ]


def test_addresses_that_need_data_are_not_counted():
    page = bare(gather, torch.empty(8, 16), torch.empty(2, dtype=torch.int64, device="meta"))
    assert page.traffic is None
    assert lines(page)[2].startswith("○ lean    not counted: kernels.py:")
    assert "index" in lines(page)[2]


def test_launches_that_depend_on_what_kernels_compute():
    def twice(x):
        out = torch.zeros_like(x)
        double(x, out)
        return relu(out) if out[1] else out  # zero as long as no kernel runs

    page = card.study(twice, X, targets=["sm_90"])
    assert page.sectors is None
    assert "Sectors are not modelled: artifacts are of the launches ['double_kernel'], but fn " in (
        Reader(page).text
    )
    assert lines(page)[1].startswith("○ right   no reference")


def test_the_tables_show_what_was_modelled():
    # 512 sectors of 32 B for 512 floats of x: 1.00x of its 16,384 B, of which 2,048 B were asked.
    text = Reader(card.study(strided, X, targets=["sm_90"])).text
    assert "DRAM of H100 SXM5 80GB" in text
    assert "x16.4 kB2.05 kB, 0.125x–16.4 kB, 1.00x" in text
    assert "out2.05 kB–2.05 kB, 1.00x2.05 kB, 1.00x" in text
    assert "18.4 kB, 4.50x" in text  # by part
    assert "sectors filled" in text
    assert "each distinct sector of an access reaches the L2 once" in text


def test_atomics_have_a_column_where_there_are_some():
    page = bare(count, torch.arange(1024) % 16)
    # 1024 additions of 4 B to 16 bins of 4 B: asked for 64 times over, loaded and stored.
    assert "bins64 B" not in Reader(bare(double, X)).text
    assert "out64 B4.10 kB, 64.0x4.10 kB, 64.0x1.02 k" in Reader(page).text
    assert "atomics" not in Reader(bare(double, X)).text


def test_the_parts_are_those_of_the_table():
    assert {specs.get(part).id for part in card.PARTS} == set(card.PARTS)
