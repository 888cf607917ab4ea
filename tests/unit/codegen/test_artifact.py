import dataclasses

import pytest

from gpu_utils.codegen import Artifact

ARTIFACT = Artifact(
    target="sm_90",
    kernel="copy_kernel",
    instructions={"LDG.E": 1, "LDG.E.128": 2, "LDG.E.128.CONSTANT": 4, "LDGSTS.E.128": 8,
                  "STG.E.128": 16},
    load_widths={32: 1, 128: 6},
    store_widths={128: 16},
    async_copy_widths={128: 8},
    registers=18,
    spill_bytes=0,
    local_bytes=0,
    shared_bytes=1024,
    num_warps=4,
    compiler="triton 3.7.1, ptxas 12.8",
    asm={"ptx": "// text"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("instruction", "count"),
    [("LDG", 7), ("LDG.E", 7), ("LDG.E.128", 6), ("LDG.E.12", 0), ("LD", 0), ("LDGSTS", 8),
     ("HMMA", 0)],
)  # fmt: skip
def test_count_goes_by_whole_words(instruction, count):
    assert ARTIFACT.count(instruction) == count


def test_count_of_amd_instructions():
    amd = dataclasses.replace(
        ARTIFACT, instructions={"v_mfma_f32_32x32x8_bf16": 3, "v_mul_f32": 1, "v_mfma_f64_x": 5}
    )
    assert amd.count("v_mfma") == 8
    assert amd.count("v_mfma_f32") == 3
    assert amd.opcodes["v_mfma_f32_32x32x8_bf16"] == 3


SOFTMAX = {
    "MUFU.EX2": 16,
    "MUFU.RCP": 1,
    "FADD.FTZ": 32,
    "FFMA": 8,
    "STS": 1,
    "LDS": 2,
    "BAR.SYNC": 3,
}


def test_classes_count_what_instructions_are_for():
    softmax = dataclasses.replace(ARTIFACT, instructions=SOFTMAX)
    assert softmax.classes == {
        "special function": 17, "shared memory": 3, "barrier": 3, "float": 40,
    }  # fmt: skip
    assert softmax.special_functions == {"EX2": 16, "RCP": 1}
    assert softmax.count("special function") == 17
    assert softmax.select("float") == {"FADD.FTZ": 32, "FFMA": 8}


def test_special_functions_have_one_name_on_both_vendors():
    amd = dataclasses.replace(
        ARTIFACT, instructions={"v_exp_f32": 16, "v_rcp_f32": 1, "v_exp_f16": 2}
    )
    assert amd.special_functions == {"EX2": 18, "RCP": 1}


def test_occupancy_is_that_of_its_block():
    # 4 warps of 18 registers: all but free. 1 KiB and the reserve of 1 KiB: 228 / 2 = 114 blocks.
    # The 64 warps of an SM hold 16 blocks of 4.
    found = ARTIFACT.occupancy
    assert (found.blocks_per_sm, found.limiter, found.share) == (16, "warps", 1.0)
    # Tensor memory: 512 columns in blocks of 256.
    tensor = dataclasses.replace(ARTIFACT, target="sm_100", tensor_memory_columns=256)
    assert (tensor.occupancy.blocks_per_sm, tensor.occupancy.limiter) == (2, "tensor memory")
    # An AMD wavefront has 64 lanes: 8 of them are 512 threads, and 4 blocks of 8 fill 32 places.
    amd = dataclasses.replace(ARTIFACT, target="gfx942", num_warps=8, shared_bytes=0)
    assert (amd.occupancy.blocks_per_sm, amd.occupancy.warps_per_sm) == (4, 32)


def test_opcodes_sum_over_modifiers():
    assert ARTIFACT.opcodes == {"LDG": 7, "LDGSTS": 8, "STG": 16}


def test_json_round_trip():
    again = Artifact.from_json(ARTIFACT.to_json())
    assert again == ARTIFACT
    assert again.asm == ARTIFACT.asm
    assert again.load_widths == {32: 1, 128: 6}  # the keys are numbers again


def test_json_without_its_texts():
    assert Artifact.from_json(ARTIFACT.to_json(with_asm=False)).asm == {}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"target": "sm_90"}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match=r"not an artifact|Expecting value"):
        Artifact.from_json(text)


def test_fits_follows_the_message():
    assert ARTIFACT.fits
    assert not dataclasses.replace(ARTIFACT, fits_message="out of resource").fits


def test_repr_is_two_lines_with_what_varies_marked():
    assert repr(ARTIFACT) == (
        "copy_kernel for sm_90: loads ⟨6 x 128 bit, 1 x 32 bit⟩, stores ⟨16 x 128 bit⟩, "
        "async copies ⟨8 x 128 bit⟩ COMPILED\n"
        "    ⟨18 registers⟩, ⟨0 bytes spilled⟩, ⟨1.02 k bytes shared⟩"
    )
