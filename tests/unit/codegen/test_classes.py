"""What instructions are for; the names are those that the compilers emit for real kernels."""

import pytest

from gpu_utils.codegen import classes

MEANT = {
    "matrix": "HMMA.16816.F32.BF16 IMMA.16832.S8.S8 QMMA.16832.F32.E4M3.E4M3 DMMA.8x8x4 "
    "HGMMA.64x128x16.F32.BF16 QGMMA.64x128x32.F32.E4M3.E4M3 IGMMA.64x128x32.S8.S8 "
    "UTCHMMA UTCHMMA.2CTA UTCQMMA UTCIMMA UTCOMMA "
    "v_mfma_f32_32x32x8_bf16 v_mfma_f32_32x32x64_f8f6f4 v_smfmac_f32_16x16x32_f16 "
    "v_wmma_f32_16x16x16_bf16",
    "special function": "MUFU.EX2 MUFU.EX2.F16 MUFU.RCP64H MUFU.TANH v_exp_f32 v_log_f32 v_rcp_f64 "
    "v_rcp_iflag_f32 v_rsq_f32 v_sqrt_f32 v_sin_f32 v_cos_f16",
    "async copy": "LDGSTS.E.BYPASS.LTC128B.128 buffer_load_dwordx4.lds buffer_load_dword.lds "
    "global_load_lds_dwordx4",
    "TMA": "UTMALDG.2D UTMASTG.2D UTMAREDG.2D.ADD UTMAPF UTMACMDFLUSH UBLKCP.S.G UBLKRED UBLKPF",
    "global memory": "LDG.E.128 LD.E STG.E.EF.64 ST.E RED.E.ADD REDG.E.ADD.STRONG.GPU ATOM.E.ADD "
    "ATOMG.E.ADD.STRONG.GPU global_load_dwordx4 global_store_short_d16_hi global_atomic_add_f32 "
    "buffer_load_dwordx4 buffer_store_dword buffer_atomic_add flat_load_dword",
    "shared memory": "LDS.128 STS.U16 LDSM.16.M88.4 STSM.16.MT88.4 ATOMS.OR ds_read_b128 "
    "ds_write2st64_b64 ds_read_b64_tr_b16 ds_add_u32",
    "tensor memory": "LDTM.x64 STTM.16dp32bit_t0_t15.x32 UTCCP.T.S",
    "local memory": "LDL.LU.64 STL.64 scratch_load_dwordx4 scratch_store_dword",
    "barrier": "BAR.SYNC.DEFER_BLOCKING WARPSYNC.ALL SYNCS.PHASECHK.TRANS64.TRYWAIT DEPBAR.LE "
    "LDGDEPBAR ARRIVES.LDGSTSBAR.64 WARPGROUP.DEPBAR.LE UTCBAR UCGABAR_ARV s_barrier",
    "float": "FFMA FADD.FTZ FMUL FMNMX3 FSETP.GTU.AND FFMA2 FMUL2 FADD2 FADD32I HFMA2.BF16_V2 "
    "HADD2.F32 HMNMX2 HSETP2.GT DFMA DADD UFMUL v_fma_f32 v_pk_mul_f32 v_pk_fma_f16 v_max3_f32 "
    "v_cmp_gt_f32 v_add_f32_dpp v_ldexp_f32 v_div_scale_f32 v_fmac_f64",
    "integer": "IADD3 IADD3.X IMAD IMAD.WIDE.U32 IMAD.SHL.U32 LEA.HI.X SHF.R.U32.HI LOP3.LUT "
    "ISETP.GE.AND VIADD VIMNMX VIADDMNMX UIADD3 UIMAD UISETP.NE.U32.AND ULEA ULOP3.LUT USHF.L.U32 "
    "UFLO.U32 SGXT POPC v_add_u32 v_lshl_add_u64 v_mad_u64_u32 v_and_b32_sdwa v_cmp_lt_i64 "
    "s_add_u32 s_lshl_b64 s_and_b64 s_cmp_lt_i32 s_mul_hi_u32",
    "other": "EXIT BRA MOV IMAD.MOV.U32 S2R ULDC.64 LDC LDCU.64 SEL FSEL PRMT SHFL.BFLY REDUX.SUM "
    "F2FP.BF16.F32.PACK_AB I2F.RP F2I.FTZ.U32.TRUNC.NTZ ELECT USETMAXREG.DEALLOC.CTAPOOL "
    "FENCE.VIEW.ASYNC.S CCTL.IVALL BSSY UMOV R2UR PLOP3.LUT s_load_dwordx4 s_waitcnt s_mov_b32 "
    "s_and_saveexec_b64 s_cbranch_scc0 s_cselect_b32 s_endpgm v_mov_b32_dpp v_cndmask_b32 "
    "v_cvt_f32_i32 v_cvt_pk_bf16_f32 v_perm_b32 v_readfirstlane_b32 v_accvgpr_read_b32 "
    "ds_bpermute_b32 ds_swizzle_b32 buffer_inv",
}


@pytest.mark.parametrize(
    ("name", "meant"), [(name, meant) for meant, names in MEANT.items() for name in names.split()]
)
def test_each_instruction_is_of_its_class(name, meant):
    assert classes.class_of(name) == meant


def test_every_class_is_tested():
    assert list(MEANT) == [*classes.CLASSES, classes.OTHER]


@pytest.mark.parametrize(
    ("name", "function"),
    [("MUFU.EX2", "EX2"), ("MUFU.EX2.F16", "EX2"), ("MUFU.RCP64H", "RCP"), ("MUFU.RSQ64H", "RSQ"),
     ("MUFU.SIN", "SIN"), ("v_exp_f32", "EX2"), ("v_log_f32", "LG2"), ("v_rcp_iflag_f32", "RCP"),
     ("v_rsq_f64", "RSQ"), ("v_sqrt_f16", "SQRT"), ("v_sin_f32", "SIN"), ("v_cos_f32", "COS"),
     ("v_tanh_f32", "TANH")],
)  # fmt: skip
def test_special_functions_in_nvidias_letters(name, function):
    assert classes.special_function(name) == function


def test_classes_add_up_to_all_instructions():
    instructions = {name: 1 for names in MEANT.values() for name in names.split()}
    assert sum(classes.by_class(instructions).values()) == len(instructions)
