"""Tiles drawn and explored: the formula against hand arithmetic and against compiled code."""

import dataclasses
import re

import pytest
import torch

from gpu_utils import codegen, specs
from gpu_utils.course import units
from gpu_utils.course.lab import Lab
from gpu_utils.viz import explore_tiles, roofline_lines, tiling
from gpu_utils.viz.tile_answers import Tile

PARTS = {"a100": "sm_80", "h100": "sm_90", "b200": "sm_100", "mi300x": "gfx942"}


def by_part(drawing):
    return {each.spec.target: each for each in drawing.answers}


def test_intensity_and_requests_by_hand():
    tile = Tile(128, 256, 64, 8, 4, size=1000)
    # 2 * 128 * 256 FLOP for (128 + 256) * 2 bytes in each step of 1
    assert tile.intensity == 65_536 / 768
    # a for each of ceil(1000 / 256) = 4 columns of tiles, b for each of ceil(1000 / 128) = 8 rows
    assert tile.requested_bytes == 1000 * 1000 * (4 + 8) * 2
    assert tile.stage_bytes == (128 + 256) * 64 * 2


def test_what_fits_an_h100_and_not_an_rtx_4090():
    found = by_part(tiling(128, 256, 64, 8, 4))
    # 4 stages of 48 KiB where wgmma reads shared memory, 3 where mma.sync and MFMA do not.
    assert {target: each.shared_bytes // 1024 for target, each in found.items()} == {
        "sm_80": 144, "sm_90": 192, "sm_100": 192, "sm_89": 144, "gfx942": 144,
    }  # fmt: skip
    refused = {target for target, each in found.items() if each.refused}
    assert refused == {"sm_89", "gfx942"}
    assert found["sm_89"].refused == "needs 144 KiB, has 99.0 KiB: no launch"


def test_a_small_tile_is_bound_by_the_l2():
    # 64 x 64 has 32 FLOP/byte; an A100's ridge to its L2 is 312e12 / 7219e9 = 43.
    small, large = (by_part(tiling(side, side, 64, 4, 3))["sm_80"].bound for side in (64, 128))
    assert (small.limiter, large.limiter) == ("L2", "compute")
    # 2 * 8192^3 / 32 bytes at 7219e9 B/s
    assert small.time_s == pytest.approx(2 * 8192**3 / 32 / 7219e9)
    assert by_part(tiling())["sm_90"].bound.l2_time_s is None  # no document gives an H100's


def test_sums_live_in_registers_or_in_tensor_memory():
    found = by_part(tiling(256, 256, 32, 8, 2))
    # 65,536 sums over 256 threads are 256 registers of 255; over an MI300X's 512, 128.
    assert found["sm_90"].accumulators == 256
    assert "256 registers" in found["sm_90"].refused
    assert found["gfx942"].accumulators == 128
    assert found["sm_100"].accumulators == 0
    assert not found["sm_100"].refused


@pytest.mark.parametrize(
    "cut",
    [(128, 128, 64, 8, 3), (128, 256, 64, 8, 4), (32, 64, 64, 4, 3), (128, 32, 32, 4, 2)],
    ids=str,
)  # fmt: skip
def test_the_formula_says_what_the_compiler_does(cut):
    """Shared memory as compiled; registers and programs on the side that "at most" promises."""
    block_m, block_n, block_k, warps, stages = cut
    lab = Lab(units.find("lab04")[0].solution_file)
    config = lab.Config(block_m, block_n, block_k, 8, warps, stages)
    a, b = (torch.empty(4096, 4096, dtype=torch.bfloat16, device="meta") for _ in range(2))
    built = codegen.compile(lab.matmul, a, b, None, None, config, target=[*PARTS.values()])
    for target, said in by_part(tiling(*cut, parts=[*PARTS])).items():
        (artifact,) = built[target]
        # tcgen05 keeps a few words of its own, barriers and an address.
        assert 0 <= artifact.shared_bytes - said.shared_bytes <= 64
        assert artifact.fits == ("no launch" not in said.refused)
        assert artifact.registers >= said.accumulators
        if artifact.fits:
            assert artifact.occupancy.blocks_per_sm <= said.living.blocks_per_sm


def test_parts_that_are_not_modelled_are_refused():
    with pytest.raises(ValueError, match=r"V100.*modelled are sm_80"):
        tiling(parts=["v100"])
    with pytest.raises(specs.UnknownPartError):
        tiling(parts=["no such part"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"block_m": 48}, "block_m must be a power of two of at least 16, got 48"),
        ({"block_k": 8}, "block_k must be"),
        ({"warps": 3}, "warps must be 1, 2, 4, 8 or 16, got 3"),
        ({"stages": 1}, "stages must be at least 2"),
        ({"size": 0}, "size must be at least 1"),
    ],
)
def test_says_what_it_can_be_told(given, says):
    with pytest.raises(ValueError, match=says):
        explore_tiles(**given)


def test_the_explorer_draws_what_the_plain_function_draws():
    explorer = explore_tiles(stages=4)
    plain = tiling(stages=4)
    picture, answer, _ = explorer.widget.children[-3:]
    assert repr(explorer) == str(plain)
    assert picture.value == plain.svg
    assert answer.value == roofline_lines.drawn(plain.lines)
    explorer.controls["block_n"].value = 256
    assert repr(explorer) == str(tiling(128, 256, stages=4))
    assert "RTX 4090: needs 144 KiB, has 99.0 KiB: no launch" in picture.value
    for name, control in explorer.controls.items():
        assert re.fullmatch(rf"{name}: .+", control.tooltip)


def test_a_part_of_ones_own_can_be_drawn():
    # half an RTX 4090's SMs change neither what fits nor what lives on one
    half = dataclasses.replace(specs.get("rtx 4090"), sm_count=64, name="half")
    assert "half: 64.0 KiB of 99.0 KiB" in str(tiling(parts=[half]))
