"""What is expected of code: met, it is evidence; not met, it is a lesson."""

import dataclasses

import pytest
import torch

from gpu_utils import codegen
from tests.unit.codegen.kernels import TARGETS, matmul, meta

ARTIFACT = codegen.Artifact(
    target="sm_90",
    kernel="matmul_kernel",
    instructions={"HMMA.16816.F32.BF16": 64, "LDG.E.128": 8, "LDS.128": 32, "FADD": 3, "EXIT": 1},
    load_widths={128: 8},
    store_widths={},
    async_copy_widths={},
    registers=128,
    spill_bytes=40,
    local_bytes=48,
    shared_bytes=65536,
    num_warps=2,
    compiler="triton 3.7.1",
)


def refused(**wanted) -> str:
    with pytest.raises(AssertionError) as caught:
        codegen.expect(ARTIFACT, **wanted)
    return str(caught.value)


def test_what_is_met_is_one_line_with_the_counts_marked():
    assert codegen.expect(
        ARTIFACT,
        has=["HMMA", "global memory"],
        lacks=["HGMMA"],
        at_most={"FADD": 3},
        spill_bytes=64,
    ) == [
        "sm_90: fits, HMMA ⟨64⟩, global memory ⟨8⟩, no HGMMA, FADD ⟨3⟩, ⟨40 bytes spilled⟩ COMPILED"
    ]
    assert codegen.expect(ARTIFACT) == ["sm_90: fits COMPILED"]
    assert codegen.expect(ARTIFACT, has="HMMA", lacks="TMA") == [
        "sm_90: fits, HMMA ⟨64⟩, no TMA COMPILED"
    ]


def test_what_is_missing_names_what_is_in_its_place_and_what_to_try():
    assert refused(has=["HGMMA"]) == (
        "sm_90: matmul_kernel has no HGMMA, expected some; of matrix instructions it has "
        "64 x HMMA.16816.F32.BF16. Try: wgmma takes a BLOCK_M of at least 64 and at least 4 "
        "warps; else mma.sync (HMMA) is left, which reaches two thirds of its rate"
    )
    message = refused(has=["LDGSTS"])
    assert "of global memory instructions it has 8 x LDG.E.128. Try: load in a loop" in message
    assert "it has no special function instructions" in refused(has=["MUFU.EX2"])
    assert "Try: load through tl.make_tensor_descriptor" in refused(has=["TMA"])


def test_too_few_are_counted():
    assert "has 64 HMMA, expected at least 65" in refused(has={"HMMA": 65})
    codegen.expect(ARTIFACT, has={"HMMA": 64})


def test_what_should_not_be_there_is_listed():
    message = refused(lacks=["HMMA"])
    assert "matmul_kernel has 64 x HMMA.16816.F32.BF16, expected no HMMA. Try: " in message
    assert "has 3 x FADD, expected at most 2 float. Try: fold" in refused(at_most={"float": 2})


def test_an_instruction_of_no_class_is_asked_for_without_advice():
    assert refused(has=["SHFL"]) == "sm_90: matmul_kernel has no SHFL, expected some"


def test_spills_beyond_the_budget():
    assert refused(spill_bytes=32) == (
        "sm_90: matmul_kernel spills 40 bytes a thread from registers to memory, expected at most "
        "32. Try: a smaller block or more warps keep it in registers"
    )


def test_what_does_not_fit_is_told_in_tritons_words():
    large = dataclasses.replace(ARTIFACT, fits_message="out of resource: shared memory, ...")
    with pytest.raises(AssertionError, match="does not fit: out of resource: shared memory"):
        codegen.expect(large)
    assert codegen.expect(large, fits=False, has=["HMMA"]) == ["sm_90: HMMA ⟨64⟩ COMPILED"]


# One source, one list for each target: what a tensor core's instruction is called there.
NEEDS = {
    "sm_80": ["HMMA", "LDGSTS"],
    "sm_90": ["HGMMA", "LDGSTS"],
    "sm_100": ["UTCHMMA", "LDGSTS", "tensor memory"],
    "gfx942": ["v_mfma"],
}


def test_one_matmul_becomes_each_targets_own():
    a = meta(4096, 4096, dtype=torch.bfloat16)
    built = codegen.compile(matmul, a, a, target=TARGETS)
    for target, (artifact,) in built.items():
        (line,) = codegen.expect(artifact, has=NEEDS[target], lacks=["TMA"], spill_bytes=0)
        assert line.startswith(f"{target}: fits, {NEEDS[target][0]} ⟨")
    with pytest.raises(AssertionError, match=r"gfx942: .* no async copy, .* buffer_load_dwordx4"):
        codegen.expect(built["gfx942"][0], has=["async copy"])


@pytest.mark.parametrize(
    ("target", "wanted", "options"),
    [("sm_90", "HGMMA", {"BLOCK_M": 32}), ("sm_90", "HGMMA", {"BLOCK_M": 64, "num_warps": 2}),
     ("sm_100", "UTCHMMA", {"BLOCK_M": 32}), ("sm_100", "UTCHMMA", {"num_warps": 16})],
)  # fmt: skip
def test_the_advice_is_true(target, wanted, options):
    a = meta(4096, 4096, dtype=torch.bfloat16)
    (artifact,) = codegen.compile(matmul, a, a, target=target, BLOCK_N=64, **options)
    with pytest.raises(AssertionError, match=rf"no {wanted}, .* x HMMA.*BLOCK_M of at least 64"):
        codegen.expect(artifact, has=[wanted])
