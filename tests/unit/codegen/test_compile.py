"""What real kernels become on each target; the numbers are worked out in the comments."""

import json
import subprocess
import sys

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import codegen
from tests.unit.codegen.kernels import (
    TARGETS,
    copy,
    copy_kernel,
    matmul,
    matmul_descriptors,
    meta,
    softmax,
)

NVIDIA = TARGETS[:3]


def only(artifacts):
    (artifact,) = artifacts
    return artifact


def test_aligned_copy_moves_128_bits_at_a_time():
    built = codegen.compile(copy, meta(2**24), target=TARGETS)
    # 1024 floats / (4 warps x 32 lanes) = 8 floats = 32 B a lane = two accesses of 16 B.
    for target in NVIDIA:
        artifact = only(built[target])
        assert artifact.load_widths == {128: 2}
        assert artifact.store_widths == {128: 2}
        assert artifact.count("LDG.E.128") == artifact.opcodes["LDG"] == 2
    # An AMD warp has 64 lanes: 4 floats a lane, one access.
    amd = only(built["gfx942"])
    assert amd.load_widths == amd.store_widths == {128: 1}
    # A tensor under 2 GiB is reached through a buffer descriptor.
    assert amd.count("buffer_load_dwordx4") == 1
    assert set(only(built["sm_90"]).asm) == {"ttgir", "ptx", "sass"}
    assert set(amd.asm) == {"ttgir", "amdgcn"}


def test_bf16_halves_the_accesses_and_keeps_their_width():
    artifact = only(codegen.compile(copy, meta(2**24, dtype=torch.bfloat16), target="sm_90"))
    # 8 elements of 2 B a lane: one access of 16 B.
    assert artifact.load_widths == artifact.store_widths == {128: 1}


def test_a_size_that_no_16_divides_costs_the_width():
    # 4099 = 256 x 16 + 3: the mask may end anywhere, so each float is loaded by itself.
    built = codegen.compile(copy, meta(4099), target=TARGETS)
    for target in NVIDIA:
        assert only(built[target]).load_widths == {32: 8}
    assert only(built["gfx942"]).load_widths == {32: 4}


def test_one_element_a_lane_is_32_bits_wide():
    # 128 floats / 128 lanes = one float each.
    built = codegen.compile(copy, meta(2**24), BLOCK_SIZE=128, num_warps=4, target=TARGETS)
    for artifacts in built.values():
        assert only(artifacts).load_widths == only(artifacts).store_widths == {32: 1}


def test_a_misaligned_pointer_loses_its_width_and_no_other():
    # x starts 4 bytes after a multiple of 16; y is a tensor of its own.
    built = codegen.compile(copy, meta(2**24 + 1)[1:], target=TARGETS)
    for target in NVIDIA:
        assert only(built[target]).load_widths == {32: 8}
        assert only(built[target]).store_widths == {128: 2}
    assert only(built["gfx942"]).load_widths == {32: 4}
    assert only(built["gfx942"]).store_widths == {128: 1}


def test_cpu_tensors_compile_like_meta_tensors_of_their_alignment():
    x = torch.empty(4096 + 1)
    assert only(codegen.compile(copy, x[:4096], target="sm_90")).load_widths == {128: 2}
    assert only(codegen.compile(copy, x[1:], target="sm_90")).load_widths == {32: 8}


@pytest.fixture(scope="module")
def matmuls():
    a = meta(4096, 4096, dtype=torch.bfloat16)
    return lambda targets, **options: codegen.compile(matmul, a, a, target=targets, **options)


def test_each_target_uses_its_matrix_instruction(matmuls):
    built = matmuls(TARGETS)
    sm_80, sm_90, sm_100, gfx942 = (only(built[target]) for target in TARGETS)
    # HMMA.16816 computes 16 x 8 x 16: (128/16) x (128/8) x (64/16) = 512 a tile, 8 warps.
    assert sm_80.count("HMMA.16816") == 64
    # One HGMMA.64x128x16 serves 4 warps: (128/64) x (64/16) = 8 a tile, 2 groups of warps.
    assert sm_90.count("HGMMA.64x128x16") == 4
    assert sm_100.opcodes["UTCHMMA"] > 0
    assert sm_100.tensor_memory_columns > 0
    assert gfx942.count("v_mfma") > 0
    others = {"sm_80": ("HGMMA", "UTCHMMA"), "sm_90": ("HMMA", "UTCHMMA"), "sm_100": ("HMMA",)}
    for target, absent in others.items():
        assert not any(only(built[target]).count(opcode) for opcode in absent)


def test_a_pipelined_loop_copies_asynchronously_where_the_part_can(matmuls):
    built = matmuls(TARGETS)
    # A tile of A is 128 x 64 x 2 B = 16 KiB; 256 lanes x 16 B = 4 KiB, so 4 copies, and 4 for
    # B. They stand in the code 3 times: for 2 stages before the loop, and in the loop.
    for target in ("sm_80", "sm_90"):
        assert only(built[target]).async_copy_widths == {128: 24}
        assert only(built[target]).load_widths == {}
    assert only(built["gfx942"]).async_copy_widths == {}
    assert set(only(built["gfx942"]).load_widths) == {128}


def test_too_much_shared_memory_is_refused_in_tritons_words(matmuls):
    built = matmuls(["sm_90", "gfx942"], num_stages=4)
    sm_90, gfx942 = only(built["sm_90"]), only(built["gfx942"])
    # A stage is (128 x 64 + 64 x 128) x 2 B = 32 KiB. sm_90 holds 4, gfx942 one fewer.
    assert (sm_90.shared_bytes, gfx942.shared_bytes) == (131072, 98304)
    assert sm_90.fits
    assert sm_90.fits_message == ""
    assert not gfx942.fits
    assert gfx942.fits_message.startswith(
        "out of resource: shared memory, Required: 98304, Hardware limit: 65536."
    )
    assert "does not fit" in repr(gfx942)


def test_too_few_registers_spill():
    # 8192 floats / 128 lanes = 64 floats a lane, which 32 registers cannot hold.
    x = meta(64, 8192)
    free = only(codegen.compile(softmax, x, target="sm_90"))
    starved = only(codegen.compile(softmax, x, target="sm_90", maxnreg=32))
    assert free.spill_bytes == 0
    assert free.registers > 64
    assert starved.registers <= 32
    # At least the values that are left over live in local memory, each stored once or more.
    assert starved.local_bytes >= (64 - 32) * 4
    assert starved.spill_bytes >= starved.local_bytes
    assert starved.count("local memory") > 0
    assert starved.opcodes["STL"] > 0


@triton.jit
def sine_kernel(x_ptr, y_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    tl.store(y_ptr + offs, tl.sin(tl.load(x_ptr + offs)))


def test_an_array_in_local_memory_is_no_spill():
    # The slow path of a sine indexes 7 words of a product with 2 / pi at run time. No register
    # can be indexed, so they lie in local memory (until Triton 3.9, which selects among them).
    def sine():
        sine_kernel[(1,)](meta(128), meta(128), BLOCK_SIZE=128)

    artifact = only(codegen.compile(sine, target="sm_90"))
    assert artifact.spill_bytes == 0
    assert (artifact.local_bytes >= 7 * 4) == (artifact.count("STL") > 0)


def test_special_functions_by_name():
    # Softmax of 1024 in 4 warps: 8 exponentials a lane of 32, 4 of 64; and a division.
    built = codegen.compile(softmax, meta(64, 1024), target=["sm_90", "gfx942"])
    assert only(built["sm_90"]).special_functions["EX2"] == 8
    assert only(built["gfx942"]).special_functions["EX2"] == 4
    for (artifact,) in built.values():
        assert artifact.special_functions["RCP"] >= 1
        assert artifact.classes["float"] > artifact.classes["special function"]


def test_descriptors_are_copied_by_tma_where_there_is_one():
    a = meta(1024, 1024, dtype=torch.bfloat16)
    built = codegen.compile(matmul_descriptors, a, a, target=TARGETS)
    for target in ("sm_90", "sm_100"):
        codegen.expect(only(built[target]), has=["UTMALDG", "UTMASTG", "SYNCS"], lacks=["LDGSTS"])
    codegen.expect(only(built["sm_80"]), has=["HMMA"], lacks=["TMA"])
    codegen.expect(only(built["gfx942"]), has=["v_mfma"], lacks=["TMA"])


def test_one_artifact_per_launch_in_their_order():
    def two(x):
        softmax(x)
        copy(x)

    first, second = codegen.compile(two, meta(64, 1024), target="sm_90")
    assert (first.kernel, second.kernel) == ("softmax_kernel", "copy_kernel")
    assert first.opcodes["MUFU"] >= 8  # 1024 / 128 exponentials a lane
    assert "MUFU" not in second.opcodes


def test_a_repeated_launch_and_a_repeated_target_compile_once():
    built = codegen.compile(copy, meta(2**24), launches=3, target=["sm_90", "SM90", "sm_90a"])
    assert list(built) == ["sm_90"]
    first, second, third = built["sm_90"]
    assert first == second == third


tuned_copy_kernel = triton.autotune(
    [triton.Config({"BLOCK_SIZE": 128 * lanes}, num_warps=4) for lanes in (1, 4)], key=["N"]
)(copy_kernel)


def test_the_first_configuration_stands_for_an_autotuned_kernel():
    def tuned(x):
        y = torch.empty_like(x)
        tuned_copy_kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK_SIZE"]),)](
            x, y, x.numel()
        )

    # 128 floats / 128 lanes: one float each.
    assert only(codegen.compile(tuned, meta(2**24), target="sm_90")).load_widths == {32: 1}


def test_a_loop_over_configurations_is_a_table_of_what_fits():
    a = meta(4096, 4096, dtype=torch.bfloat16)
    fits = {
        stages: {
            target: artifact.fits
            for target, (artifact,) in codegen.compile(
                matmul, a, a, BLOCK_N=256, num_stages=stages, target=["sm_90", "sm_89"]
            ).items()
        }
        for stages in (3, 4)
    }
    # A stage is (128 x 64 + 64 x 256) x 2 B = 48 KiB: on sm_90 3 and 4 of them are 144 and 192 of
    # 227 KiB; mma.sync keeps one stage in registers, which leaves 96 and 144 of 99 KiB.
    assert fits == {3: {"sm_90": True, "sm_89": True}, 4: {"sm_90": True, "sm_89": False}}


def test_artifacts_name_their_compiler():
    built = codegen.compile(copy, meta(2**24), target=["sm_90", "gfx942"])
    assert only(built["sm_90"]).compiler.startswith(f"triton {triton.__version__}, ptxas 1")
    assert only(built["gfx942"]).compiler == f"triton {triton.__version__}"


def test_nothing_launched():
    def forgot(x):
        return x + 1

    with pytest.raises(ValueError, match="forgot launched no Triton kernel"):
        codegen.compile(forgot, meta(16), target="sm_90")


def test_a_kernel_instead_of_its_launcher():
    with pytest.raises(TypeError, match="copy_kernel is a kernel; pass the function"):
        codegen.compile(copy_kernel, meta(16), target="sm_90")


def test_an_unknown_target_is_told_before_the_launcher_runs():
    def launcher():
        raise AssertionError

    with pytest.raises(ValueError, match=r"no target is called 'sm_91'.*sm_90 \(H100, H200\)"):
        codegen.compile(launcher, target="sm_91")


def test_the_driver_is_restored():
    before = triton.runtime.driver._active
    codegen.compile(copy, meta(2**24), target="sm_90")
    with pytest.raises(codegen.CompileError):
        codegen.compile(copy, meta(2**24), num_warps=3, target="sm_90")
    assert triton.runtime.driver._active is before


def test_importing_the_lens_imports_neither_torch_nor_triton():
    code = (
        "import json, sys, gpu_utils.codegen; "
        "print(json.dumps([n for n in ('torch', 'triton') if n in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == []
