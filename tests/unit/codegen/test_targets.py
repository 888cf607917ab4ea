import pytest

from gpu_utils.codegen import targets


@pytest.mark.parametrize("spelling", ["sm_90", "SM_90", "sm90", "sm-90", "sm 90", "sm_90a"])
def test_spelling_is_forgiven(spelling):
    assert targets.get(spelling).name == "sm_90"


def test_a_target_is_its_own_name():
    assert targets.get(targets.get("GFX942")).name == "gfx942"


@pytest.mark.parametrize("unknown", ["sm_9", "sm", "", "gfx9", "9"])
def test_an_unknown_target_lists_the_known(unknown):
    with pytest.raises(ValueError, match=r"known ones are sm_80 \(A100\).*gfx942 \(MI300X"):
        targets.get(unknown)


def test_a_part_is_told_its_target():
    with pytest.raises(ValueError, match="h100 is a part, its target is 'sm_90'"):
        targets.get("h100")


# KiB per block: CUDA C++ Programming Guide, Technical Specifications per Compute Capability;
# AMD CDNA3 and CDNA4 instruction set guides (64 KB and 160 KB of LDS).
@pytest.mark.parametrize(
    ("name", "kib"),
    [("sm_80", 163), ("sm_89", 99), ("sm_90", 227), ("sm_100", 227), ("sm_120", 99),
     ("gfx942", 64), ("gfx950", 160)],
)  # fmt: skip
def test_shared_memory_limits(name, kib):
    assert targets.get(name).shared_limit_bytes == kib * 1024


def test_the_table_is_whole():
    for name, target in targets.TARGETS.items():
        assert target.name == name
        assert target.parts
        assert target.source
        assert target.warp_size == {"NVIDIA": 32, "AMD": 64}[target.vendor]
