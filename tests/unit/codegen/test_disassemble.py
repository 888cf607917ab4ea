"""Reading SASS and AMD assembly, on lines as the tools print them."""

import pytest

from gpu_utils.codegen import disassemble

SASS = """
	.section	.text.kernel,"ax",@progbits
        .other          kernel,@"STO_CUDA_ENTRY STV_DEFAULT"
.text.kernel:
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0110*/              @!P0 LDG.E.128 R4, desc[UR4][R8.64] ;
        /*0120*/               @P1 LDG.E.U16.CONSTANT R5, desc[UR4][R8.64] ;
        /*0130*/                   LDG.E R6, desc[UR4][R8.64+0x800] ;
        /*0140*/             @!UPT UIADD3 URZ, URZ, URZ, URZ ;
        /*0150*/                   LDGSTS.E.BYPASS.LTC128B.128 [R3], desc[UR4][R2.64], P0 ;
        /*0160*/                   STG.E.EF.64 desc[UR4][R2.64], R4 ;
        /*0170*/              @UP0 UTMALDG.2D [UR8], [UR6] ;
        /*0180*/                   BRA `(.L_x_0) ;
.L_x_0:
"""

AMDGCN = """
kernel:                                 ; @kernel
	s_load_dwordx4 s[8:11], s[0:1], 0x0
	v_add_u32_e32 v3, s2, v0
	buffer_load_dwordx4 v[2:5], v0, s[4:7], 0 offen
	buffer_load_dwordx4 v1, s[8:11], 0 offen lds
	global_load_lds_dwordx4 v[0:1], off
	global_load_short_d16_hi v2, v[0:1], off
	global_load_ubyte v2, v[0:1], off       ; a comment with lds
	global_store_dword v[0:1], v2, off
	; global_load_dword is only talked about here
	v_mfma_f32_32x32x8_bf16_1k a[0:15], v[2:3], v[4:5], a[0:15]
"""

METADATA = """
amdhsa.kernels:
  - .agpr_count:     0
    .name:           other
    .private_segment_fixed_size: 8
    .vgpr_count:     7
  - .agpr_count:     4
    .name:           kernel
    .private_segment_fixed_size: 272
    .sgpr_count:     24
    .vgpr_count:     128
    .vgpr_spill_count: 68
"""


def test_sass_instructions_with_their_modifiers():
    found = disassemble.sass_instructions(SASS)
    assert found == {
        "LDC": 1,
        "LDG.E.128": 1,
        "LDG.E.U16.CONSTANT": 1,
        "LDG.E": 1,
        "UIADD3": 1,
        "LDGSTS.E.BYPASS.LTC128B.128": 1,
        "STG.E.EF.64": 1,
        "UTMALDG.2D": 1,
        "BRA": 1,
    }


def test_widths_of_sass():
    found = disassemble.widths(disassemble.sass_instructions(SASS))
    assert found.loads == {16: 1, 32: 1, 128: 1}
    assert found.stores == {64: 1}
    assert found.async_copies == {128: 1}  # 128, not the 128 of its prefetch hint LTC128B


def test_amd_instructions_drop_the_encoding_and_mark_loads_to_lds():
    found = disassemble.amdgcn_instructions(AMDGCN)
    assert found["v_add_u32"] == 1
    assert found["buffer_load_dwordx4"] == found["buffer_load_dwordx4.lds"] == 1
    assert found["global_load_ubyte"] == 1
    assert "global_load_dword" not in found


def test_widths_of_amd():
    found = disassemble.widths(disassemble.amdgcn_instructions(AMDGCN))
    assert found.loads == {8: 1, 16: 1, 128: 1}  # not s_load, which fetches the arguments
    assert found.stores == {32: 1}
    assert found.async_copies == {128: 2}


@pytest.mark.parametrize(
    ("name", "bits"),
    [("LDG.E.S8", 8), ("LDG.E", 32), ("LDG.E.64.STRONG.GPU", 64), ("LDG.E.ENL2.256", 256)],
)
def test_width_of_a_load(name, bits):
    assert disassemble.widths({name: 3}).loads == {bits: 3}


def test_amd_resources_are_those_of_the_kernel_asked_for():
    assert disassemble.amdgcn_resources(METADATA, "kernel") == disassemble.Resources(128, 272)
    with pytest.raises(RuntimeError, match="does not describe absent"):
        disassemble.amdgcn_resources(METADATA, "absent")


def test_a_tool_that_fails_says_why():
    with pytest.raises(RuntimeError, match="nvdisasm failed"):
        disassemble.sass(b"not a cubin")
