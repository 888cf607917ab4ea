"""Blocks per SM, worked out by hand in the comments."""

import re

import pytest

from gpu_utils import codegen
from gpu_utils.occupancy import ARCHITECTURES, Occupancy, limits, occupancy
from tests.unit.codegen.kernels import copy, meta

KIB = 1024


# NVIDIA, Programming Guide, Technical Specifications per Compute Capability, and CCCL's
# arch_traits.h: shared memory of an SM and of a block in KiB, warps and blocks of an SM.
@pytest.mark.parametrize(
    ("target", "sm_kib", "block_kib", "warps", "blocks"),
    [("sm_80", 164, 163, 64, 32), ("sm_89", 100, 99, 48, 24), ("sm_90", 228, 227, 64, 32),
     ("sm_100", 228, 227, 64, 32), ("sm_120", 100, 99, 48, 24)],
)  # fmt: skip
def test_what_an_nvidia_sm_has(target, sm_kib, block_kib, warps, blocks):
    sm = limits(target)
    assert (sm.shared_bytes, sm.shared_bytes_per_block) == (sm_kib * KIB, block_kib * KIB)
    assert (sm.warps, sm.blocks, sm.warp_size) == (warps, blocks, 32)
    assert sm.source


# AMD: 8 wavefronts on each of 4 SIMDs; 16 barriers. LDS: 64 KB (CDNA3), 160 KB (CDNA4).
@pytest.mark.parametrize(("target", "kib"), [("gfx942", 64), ("gfx950", 160)])
def test_what_an_amd_compute_unit_has(target, kib):
    unit = limits(target)
    assert (unit.shared_bytes, unit.shared_bytes_per_block) == (kib * KIB, kib * KIB)
    assert (unit.warps, unit.blocks, unit.lone_blocks, unit.warp_size) == (32, 16, 32, 64)
    assert "CDNA" in unit.source


def test_the_matmul_of_an_h100():
    # 108 registers x 32 lanes = 3,456 a warp, rounded up to 256: 3,584. A sub-partition's 16,384
    # hold 4 warps, four of them 16; blocks of 8 warps: 2.
    # 96 KiB and the reserve of 1 KiB: 228 / 97 = 2.35, so 2 as well. 16 of 64 warps are 25 %.
    assert occupancy("sm_90", registers=108, threads=256, shared_bytes=96 * KIB) == Occupancy(
        blocks_per_sm=2,
        warps_per_sm=16,
        share=0.25,
        limiter="registers and shared memory",
        limits={"registers": 2, "shared memory": 2, "warps": 8, "blocks": 32},
    )


def test_the_same_matmul_on_an_a100():
    # 178 x 32 = 5,696 -> 5,888 a warp: 2 in a sub-partition, 8 in an SM, one block of 8 warps.
    # 64 KiB + 1 KiB: 164 / 65 = 2. 8 of 64 warps are 12.5 %.
    found = occupancy("sm_80", registers=178, threads=256, shared_bytes=64 * KIB)
    assert (found.blocks_per_sm, found.share, found.limiter) == (1, 0.125, "registers")
    assert found.limits["shared memory"] == 2


@pytest.mark.parametrize(
    ("registers", "blocks"),
    [
        (32, 16),  # 32 x 32 = 1,024: 16 warps in a sub-partition, 64 in an SM, 16 blocks of 4
        (33, 12),  # 1,056 -> 1,280: 12 warps, 48, 12 blocks
        (40, 12),  # 1,280 exactly
        (41, 10),  # 1,312 -> 1,536: 10 warps (10.67), 40, 10 blocks
        (128, 4),  # 4,096: 4 warps, 16, 4 blocks
        (255, 2),  # 8,160 -> 8,192: 2 warps, 8, 2 blocks
    ],
)
def test_registers_come_in_256_a_warp_and_warps_in_sub_partitions(registers, blocks):
    assert occupancy("sm_90", registers, 128, 0).limits["registers"] == blocks


def test_registers_that_one_pool_would_hold_and_four_do_not():
    # 168 x 32 = 5,376 a warp. One pool of 65,536 would hold 12 warps, so 4 blocks of 3; but each
    # sub-partition holds 3 (16,384 / 5,376 = 3.05): the same 12. With 184 x 32 = 5,888, a pool
    # would hold 11 warps, 3 blocks of 3; four sub-partitions hold 2 each: 8 warps, 2 blocks.
    assert occupancy("sm_90", 168, 96, 0).blocks_per_sm == 4
    assert occupancy("sm_90", 184, 96, 0).blocks_per_sm == 2


def test_shared_memory_is_rounded_up_with_its_reserve():
    # (100 KiB / 4 blocks) - 1 KiB = 24,576 bytes. One byte more is 25,601 -> 25,728, of which
    # 102,400 bytes hold 3.98.
    assert occupancy("sm_89", 16, 32, 24_576).blocks_per_sm == 4
    assert occupancy("sm_89", 16, 32, 24_577).blocks_per_sm == 3
    assert occupancy("sm_89", 16, 32, 24_577).limiter == "shared memory"


def test_threads_are_rounded_up_to_warps():
    # 33 threads are 2 warps: 64 / 2 = 32 blocks, as many as an SM takes: a tie of two.
    found = occupancy("sm_90", 16, 33, 0)
    assert (found.blocks_per_sm, found.warps_per_sm, found.share) == (32, 64, 1.0)
    assert found.limiter == "warps and blocks"
    # One warp a block: 32 blocks leave half of the 64 warps unused.
    assert occupancy("sm_90", 16, 32, 0).share == 0.5
    assert occupancy("sm_90", 16, 32, 0).limiter == "blocks"
    # 48 / 32 warps: one block of 1,024 threads on a consumer part, and a third stays empty.
    assert occupancy("sm_89", 16, 1024, 0).share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("target", "registers", "threads", "shared_bytes", "columns", "limiter"),
    [
        ("sm_89", 32, 128, 99 * KIB + 1, 0, "shared memory"),  # + 1 KiB > 100 KiB
        ("gfx942", 32, 256, 64 * KIB + 1, 0, "shared memory"),
        ("sm_90", 32, 1025, 0, 0, "warps"),  # a block has 1,024 threads at most
        ("sm_90", 72, 1024, 0, 0, "registers"),  # 2,304: 7 a sub-partition, 28 of the 32 warps
        ("sm_100", 32, 128, 0, 513, "tensor memory"),
        ("sm_90", 32, 128, 0, 32, "tensor memory"),  # Hopper has none
    ],
)
def test_a_block_that_does_not_fit(target, registers, threads, shared_bytes, columns, limiter):
    found = occupancy(target, registers, threads, shared_bytes, columns)
    assert (found.blocks_per_sm, found.warps_per_sm, found.share) == (0, 0, 0.0)
    assert found.limiter == limiter


def test_tensor_memory_is_handed_out_in_powers_of_two():
    # 512 columns: 4 blocks of 128, but 2 of 129, which take 256; and 16 of 1, which take 32.
    for columns, blocks in ((128, 4), (129, 2), (512, 1), (1, 16)):
        assert occupancy("sm_100", 16, 32, 0, columns).limits["tensor memory"] == blocks
    assert "tensor memory" not in occupancy("sm_100", 16, 32, 0).limits


@pytest.mark.parametrize(
    ("registers", "wavefronts"),
    [(64, 8), (65, 7), (72, 7), (73, 6), (80, 6), (128, 4), (129, 3), (208, 2), (256, 2), (257, 1),
     (512, 1)],
)  # fmt: skip
def test_amds_registers_come_in_eights_out_of_512(registers, wavefronts):
    # 65 -> 72: 512 / 72 = 7.1 wavefronts on a SIMD. A block of 4 puts one on each of the 4 SIMDs.
    found = occupancy("gfx942", registers, threads=256, shared_bytes=0)
    assert found.warps_per_sm == 4 * wavefronts
    assert found.share == wavefronts / 8


def test_an_amd_block_lives_whole_or_not_at_all():
    # 129 -> 136 registers: 3 wavefronts on a SIMD, 12 on the compute unit: one block of 8 (not
    # 1.5), so 2 wavefronts on a SIMD.
    found = occupancy("gfx950", registers=129, threads=512, shared_bytes=0)
    assert (found.blocks_per_sm, found.warps_per_sm) == (1, 8)
    # A block of one wavefront takes no barrier: 32 of them. Of two it does: 16, also 32 wavefronts.
    assert occupancy("gfx942", 32, 64, 0).blocks_per_sm == 32
    assert occupancy("gfx942", 32, 128, 0).limiter == "warps and blocks"


def test_lds_comes_in_units():
    # CDNA3: 64 KiB in units of 512 bytes: 3 blocks of 21,504; a byte more takes 22,016, 2.98.
    assert occupancy("gfx942", 32, 256, 21_504).limits["shared memory"] == 3
    assert occupancy("gfx942", 32, 256, 21_505).limits["shared memory"] == 2
    # CDNA4: 160 KiB in units of 1,280 bytes: 128 units, 4 blocks of 32 = 40,960 bytes.
    assert occupancy("gfx950", 32, 256, 40_960).limits["shared memory"] == 4
    assert occupancy("gfx950", 32, 256, 40_961).limits["shared memory"] == 3
    assert "shared memory" not in occupancy("gfx942", 32, 256, 0).limits


@pytest.mark.parametrize("target", ["gfx942", "gfx950"])
@pytest.mark.parametrize("block", [1024, 32768, 65536])
def test_amds_compiler_says_the_same_of_kernels_without_lds(target, block):
    # 4 wavefronts a block. LLVM's comment is in wavefronts a SIMD, from the registers alone.
    (artifact,) = codegen.compile(copy, meta(2**24), BLOCK_SIZE=block, target=target)
    said = re.search(r"; Occupancy: (\d+)", artifact.asm["amdgcn"])
    assert artifact.shared_bytes == 0
    assert artifact.num_warps == 4
    assert artifact.occupancy.warps_per_sm == 4 * int(said[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sm_91", 32, 128, 0), "target 'sm_91' has no known limits; expected one of sm_80"),
        (("sm_90", 0, 128, 0), "registers must be between 1 and 255, got 0"),
        (("sm_90", 256, 128, 0), "registers must be between 1 and 255, got 256"),
        (("gfx942", 513, 128, 0), "registers must be between 1 and 512, got 513"),
        (("sm_90", 32, 0, 0), "threads must be at least 1, got 0"),
        (("sm_90", 32, 128, -1), "shared_bytes must be at least 0, got -1"),
        (("sm_100", 32, 128, 0, -1), "tensor_memory_columns must be at least 0, got -1"),
    ],
)
def test_what_no_kernel_can_have_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        occupancy(*arguments)


@pytest.mark.parametrize("value", [1.5, "32", None, True])
def test_what_is_no_integer_is_refused_by_name(value):
    with pytest.raises(TypeError, match="registers must be an integer, got"):
        occupancy("sm_90", value, 128, 0)


def test_every_target_that_is_compiled_for_has_limits():
    assert set(codegen.targets.TARGETS) == set(ARCHITECTURES)
