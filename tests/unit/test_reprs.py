"""What a lens found, as the last line of a notebook's cell shows it: labelled, and marked."""

import dataclasses
import re

import torch

from gpu_utils import codegen, occupancy, traffic
from gpu_utils.bench import Comparison, Timing
from tests.unit.card.kernels import double
from tests.unit.test_suite import sanitized

X = torch.ones(1024)


def test_counts_are_a_table():
    shown = repr(traffic.count(double, X))
    assert shown.splitlines()[0].endswith("bytes, COUNTED")
    assert re.search(r"^x +4,096 +0 +4,096$", shown, re.MULTILINE)
    assert "tensor([" not in shown  # of what it returned
    assert sanitized(shown) == shown  # compared to the byte


def test_dram_bytes_are_a_table_with_its_assumptions():
    shown = repr(traffic.dram(double, X, spec="h100"))
    assert shown.splitlines()[0].endswith("DRAM bytes, MODELLED")
    assert "assumes: NVIDIA H100 SXM5 80GB: one L2 of 50.0 MiB" in shown
    assert sanitized(shown) == shown


def test_sectors_are_marked_where_a_compiler_chose_the_layout(tmp_path, monkeypatch):
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(tmp_path))
    artifacts = codegen.compile(double, X, target="sm_90")
    found = traffic.sectors(double, X, artifacts=artifacts)
    shown = repr(found)
    assert shown.splitlines()[0].endswith("MODELLED on sm_90")
    other = tuple(
        dataclasses.replace(line, count=traffic.SectorCount(32, 512, 4096, (32,), "contiguity"))
        for line in found.lines
    )
    another = repr(dataclasses.replace(found, lines=other))
    assert another != shown
    assert sanitized(another) == sanitized(shown)


def test_sectors_by_contiguity_depend_on_no_compiler():
    shown = repr(traffic.sectors(double, X))
    assert sanitized(shown) == shown
    assert "100.0%   contiguity" in shown


def test_occupancy_is_one_marked_line():
    found = occupancy.occupancy("sm_90", registers=108, threads=256, shared_bytes=96 * 1024)
    assert repr(found) == (
        "⟨an SM holds 2 of these blocks: 16 warps, 25.0 %; limited by registers and shared "
        "memory⟩ MODELLED"
    )
    assert sanitized(repr(found)) == "COMPILEDMODELLED"


def test_a_comparison_is_marked_throughout():
    def compared(ratio):
        timing = Timing(ratio * 1e-3, 1e-3, 1.01e-3, 90, "cpu", "by hand")
        return repr(Comparison(ratio, ratio - 0.1, ratio + 0.1, 90, timing, timing))

    assert "≈ 1.50x MEASURED the speed of b (95 %: ≈ 1.40x to ≈ 1.60x)" in compared(1.5)
    assert sanitized(compared(1.5)) == sanitized(compared(2.5)) != compared(2.5)
