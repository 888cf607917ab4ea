"""Gluon kernels compile for the target that they were written for, and for no other."""

import pytest

from gpu_utils import codegen
from tests.unit.codegen.gluon_kernels import blackwell, hopper


def test_a_hopper_kernel_on_hopper():
    (artifact,) = codegen.compile(hopper, target="sm_90")
    # 64 x 64 x 64 by one warp group, in steps of 16: HGMMA.64x64x16 four times.
    assert artifact.classes["matrix"] == artifact.count("HGMMA.64x64x16") == 4
    assert artifact.shared_bytes >= 64 * 64 * 2  # the tile in fp16
    assert artifact.fits
    assert artifact.occupancy.blocks_per_sm >= 1


def test_a_blackwell_kernel_on_blackwell():
    (artifact,) = codegen.compile(blackwell, target="sm_100")
    # A float32 tile of 128 lanes x 64 columns: 64 of the 512 columns, so 8 blocks at most.
    assert artifact.tensor_memory_columns == 64
    assert artifact.occupancy.limits["tensor memory"] == 8
    codegen.expect(artifact, has=["LDTM", "STTM"], lacks=["matrix"], spill_bytes=0)


@pytest.mark.parametrize(
    ("fn", "instruction", "target"),
    [(hopper, "wgmma", "sm_80"), (hopper, "wgmma", "sm_100"), (hopper, "wgmma", "sm_120"),
     (blackwell, "tcgen05", "sm_80"), (blackwell, "tcgen05", "sm_90")],
)  # fmt: skip
def test_it_is_refused_by_name_elsewhere(fn, instruction, target):
    with pytest.raises(codegen.CompileError) as caught:
        codegen.compile(fn, target=target)
    error = caught.value
    assert (error.kernel, error.target) == (f"{fn.__name__}_kernel", target)
    assert instruction in error.reason
    assert error.hint.startswith(f"{target} does not have this instruction")
