"""What only a GPU can show of recordings: compiled solutions right, timed, under their roofs."""

import pytest
import torch

from gpu_utils import codegen, recordings
from gpu_utils._dev.gpu import report
from gpu_utils.course import cases, units

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]


@pytest.fixture(scope="module")
def run():
    return recordings.with_ceilings(recordings.begin("pytest tests/gpu"), 5)


def test_the_fingerprint_knows_the_gpu(run):
    facts = run.fingerprint.facts
    assert facts["gpu.name"] == torch.cuda.get_device_name()
    assert facts["gpu.sm_count"] > 0
    assert facts["gpu.l2_bytes"] > 0
    assert "gpu.uuid" not in facts


def test_the_ceilings_are_below_ten_terabytes_a_second_and_above_a_tenth(run):
    assert 1e11 < run.ceilings.copy_bytes_per_s < 1e13
    assert run.ceilings.flops_per_s["bf16"] > run.ceilings.flops_per_s["fp32"]


@pytest.mark.parametrize("unit", units.units(), ids=lambda unit: unit.name)
def test_each_case_is_right_and_below_its_roof(unit, run):
    for case in cases.cases(unit):
        found = recordings.record(case, unit.name, run, budget_s=0.3)
        share = report.share_of_roof(found)
        assert share is None or 0.1 < share < 1.1, f"{case.name}: {share:.0%} of its roof"
        now = codegen.capture(case.function, *case.arguments("meta"))
        assert found.changes(now) == (), "meta tensors launch what real ones launched"
        assert recordings.parse(recordings.dump(run, [found]), "it") == (found,)
