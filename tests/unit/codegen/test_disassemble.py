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


SPILLED = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'softmax_kernel' for 'sm_90a'
ptxas info    : Function properties for softmax_kernel
    760 bytes stack frame, 1072 bytes spill stores, 1316 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 760 bytes cumulative stack size
"""

SINE = """
ptxas-blackwell info    : Function properties for sine_kernel
    32 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas-blackwell info    : Used 51 registers, used 0 barriers, 32 bytes cumulative stack size
"""

CALLS = """
ptxas info    : Function properties for kernel
    16 bytes stack frame, 12 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 24 bytes cumulative stack size
ptxas info    : Function properties for helper
    8 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads
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
    # 68 spilled registers of 4 bytes are its 272 bytes of scratch.
    expected = disassemble.Resources(registers=128, spill_bytes=272, local_bytes=272)
    assert disassemble.amdgcn_resources(METADATA, "kernel") == expected
    with pytest.raises(RuntimeError, match="does not describe absent"):
        disassemble.amdgcn_resources(METADATA, "absent")


def test_ptxas_says_what_spilled_and_what_is_local_besides():
    spilled = disassemble.ptxas_resources(SPILLED)
    assert spilled == disassemble.Resources(registers=32, spill_bytes=1072, local_bytes=760)
    sine = disassemble.ptxas_resources(SINE)
    assert sine == disassemble.Resources(registers=51, spill_bytes=0, local_bytes=32)


def test_what_a_called_function_spills_counts():
    assert disassemble.ptxas_resources(CALLS) == disassemble.Resources(40, 12 + 8, 24)


@pytest.mark.parametrize("log", ["", "ptxas info    : Used 12 registers, used 0 barriers"])
def test_a_log_that_names_nothing_is_refused(log):
    with pytest.raises(RuntimeError, match="ptxas -v names no registers"):
        disassemble.ptxas_resources(log)


def test_a_tool_that_fails_says_why():
    with pytest.raises(RuntimeError, match="nvdisasm failed"):
        disassemble.sass(b"not a cubin")
