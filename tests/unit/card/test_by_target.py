"""What unfolds by target: occupancy and classes of instructions, marked for nbval."""

import dataclasses

from gpu_utils import card
from tests.unit.card.kernels import Reader, X, double


def page(**fields):
    """A card whose code for sm_90 has these fields."""
    studied = card.study(double, X, targets=["sm_90"])
    [code] = studied.kernels
    built = {"sm_90": dataclasses.replace(code.built["sm_90"], **fields)}
    return dataclasses.replace(studied, kernels=(dataclasses.replace(code, built=built),))


def test_occupancy_and_its_limiter():
    # 168 registers: floor(512 / 168) = 3 warps in each of 4 partitions, 12 of 64. In blocks of 4.
    seen = Reader(page(registers=168, num_warps=4, shared_bytes=0))
    assert "occupancy⟨18.8 %⟩⟨3 blocks an SM⟩limited by ⟨registers⟩" in seen.text
    assert "By target ⟨168 registers⟩ COMPILED, ⟨18.8 %⟩ occupancy on sm_90" in seen.text


def test_instructions_without_a_row_are_summed_by_class():
    seen = Reader(page(instructions={"LDG.E": 1, "FADD": 8, "BAR.SYNC": 1, "IADD3": 2, "EXIT": 1}))
    assert "other instructions⟨1 barrier⟩⟨8 float⟩⟨2 integer⟩⟨1 other⟩" in seen.text
    assert "LDG.E ⟨1⟩" in seen.text


def test_a_block_that_does_not_fit_has_no_occupancy():
    # 228 KiB with 1 KiB of reserve are more than the SM's 228 KiB.
    seen = Reader(page(shared_bytes=228 * 1024, fits_message="out of resource"))
    assert "⟨0 %⟩⟨0 blocks an SM⟩limited by ⟨shared memory⟩" in seen.text
