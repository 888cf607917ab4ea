"""Layouts read from TTGIR's text, against bases worked out by hand and Triton's own."""

import itertools

import numpy as np
import pytest
import triton.experimental.gluon.language as gl
from triton._C.libtriton import gluon_ir, ir

from gpu_utils.traffic import layout


def attribute(kind: str, **fields) -> str:
    """The text of a layout, as TTGIR has it."""
    inside = ", ".join(
        f"{name} = {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in fields.items()
    )
    return f"#ttg.{kind}<{{{inside}}}>"


def blocked(size, threads, warps, order) -> str:
    return attribute(
        "blocked", sizePerThread=size, threadsPerWarp=threads, warpsPerCTA=warps, order=order
    )


def test_blocked_by_hand():
    # 8 x 64 elements. A thread has 1 x 4 of them: columns 0, 1, 2, 3: register bits 1 and 2.
    # A warp is 2 x 16 threads, the columns first: its lane bits step columns by 4, 8, 16, 32, and
    # then rows by 1. Two warps lie below each other: 2 rows on. So 4 rows are used, and the tile
    # repeats once more 4 rows further down, in a third register bit.
    parsed = layout.parse(blocked([1, 4], [2, 16], [2, 1], [1, 0]), (8, 64))
    assert parsed.registers == ((0, 1), (0, 2), (4, 0))
    assert parsed.lanes == ((0, 4), (0, 8), (0, 16), (0, 32), (1, 0))
    assert parsed.warps == ((2, 0),)
    elements = parsed.elements()
    assert elements.shape == (2, 32, 8)
    assert sorted(elements.ravel()) == list(range(8 * 64))  # each element once
    # Warp 1, lane 17 (column step 4 and row 1), register 6 (column 2 and row 4): row 2 + 1 + 4,
    # column 4 + 2.
    assert elements[1, 17, 6] == 7 * 64 + 6


def test_a_block_smaller_than_the_warps_is_held_by_many():
    # 32 elements, four warps of 32 lanes: each warp holds them all, the first one owns them.
    parsed = layout.parse(blocked([1], [32], [4], [0]), (32,))
    assert parsed.warps == ((0,), (0,))
    assert (parsed.elements() == np.arange(32)[None, :, None]).all()
    owned = parsed.elements(owners_only=True)
    assert (owned[0].ravel() == np.arange(32)).all()
    assert (owned[1:] == -1).all()


def test_slice_drops_an_axis():
    # Rows of the layout of the first test: lane bit 4 and the warp bit are all that moves a row.
    parent = blocked([1, 4], [2, 16], [2, 1], [1, 0])
    parsed = layout.parse(attribute("slice", dim=1, parent=parent), (8,))
    assert parsed.lanes == ((0,), (0,), (0,), (0,), (1,))
    assert parsed.warps == ((2,),)
    assert parsed.elements().shape == (2, 32, 2)  # rows 4 apart; columns are not told apart


def test_linear():
    text = attribute(
        "linear", register=[[1, 0], [0, 1]], lane=[[0, 2], [0, 4], [2, 0]], warp=[[4, 0]], block=[]
    )
    parsed = layout.parse(text, (8, 8))
    assert parsed.elements()[1, 5, 3] == (4 ^ 2 ^ 1) * 8 + (2 ^ 1)


def test_an_unknown_kind_is_none():
    parent = blocked([1], [32], [4], [0])
    text = attribute("dot_op", opIdx=0, parent=parent)
    assert layout.parse(text, (32,)) is None
    assert layout.parse(attribute("slice", dim=0, parent=text), (32,)) is None


class Triton:
    """Triton's own conversion to linear layouts."""

    def __init__(self) -> None:
        self.context = ir.context()  # the builder does not keep it alive
        ir.load_dialects(self.context)
        self.builder = gluon_ir.GluonOpBuilder(self.context)
        self.module = self.builder.create_module()

    def check(self, ours: layout.Layout, theirs, shape) -> None:
        linear = self.builder.to_linear_layout(theirs._to_ir(self.builder), list(shape))

        def bases(table):
            return tuple(tuple(basis) for basis in table)

        def distinct(registers):
            # Loads leave out registers that repeat an element, as Triton 3.9 does from the start.
            return tuple(basis for basis in registers if any(basis))

        assert distinct(ours.registers) == distinct(bases(linear.reg_bases))
        assert ours.lanes == bases(linear.lane_bases)
        assert ours.warps == bases(linear.warp_bases)


@pytest.fixture(scope="module")
def theirs():
    return Triton()


@pytest.mark.parametrize("shape", [(64, 64), (128, 32), (16, 256), (8, 8), (1, 128)])
@pytest.mark.parametrize("order", [[1, 0], [0, 1]])
@pytest.mark.parametrize(
    ("size", "threads", "warps"),
    [([1, 8], [4, 8], [4, 1]), ([4, 1], [16, 4], [1, 8]), ([2, 2], [8, 8], [2, 2])],
)
def test_blocked_as_triton_has_it(theirs, shape, order, size, threads, warps):
    ours = layout.parse(blocked(size, threads, warps, order), shape)
    theirs.check(ours, gl.BlockedLayout(size, threads, warps, order), shape)
    for axis in (0, 1):
        text = attribute("slice", dim=axis, parent=blocked(size, threads, warps, order))
        sliced = gl.SliceLayout(axis, gl.BlockedLayout(size, threads, warps, order))
        one = (shape[1 - axis],)
        theirs.check(layout.parse(text, one), sliced, one)


@pytest.mark.parametrize("shape", [(128, 128), (64, 256), (256, 64)])
@pytest.mark.parametrize(("version", "instruction"), [(2, [16, 8]), (3, [16, 64, 16])])
@pytest.mark.parametrize("warps", [[4, 1], [2, 4], [8, 1]])
def test_nvidia_accumulators_as_triton_has_them(theirs, shape, version, instruction, warps):
    if version == 3 and warps[0] % 4:
        warps = [4, 2]  # a warpgroup is four warps below each other
    text = attribute(
        "nvidia_mma",
        versionMajor=version,
        versionMinor=0,
        warpsPerCTA=warps,
        instrShape=instruction,
    )
    their = gl.NVMMADistributedLayout([version, 0], warps, instruction)
    theirs.check(layout.parse(text, shape), their, shape)


@pytest.mark.parametrize("shape", [(128, 128), (64, 256)])
@pytest.mark.parametrize(
    ("transposed", "instruction", "warps"),
    list(itertools.product([True, False], [[32, 32, 8], [16, 16, 16]], [[2, 4], [4, 1]])),
)
def test_amd_accumulators_as_triton_has_them(theirs, shape, transposed, instruction, warps):
    text = attribute(
        "amd_mfma",
        version=3,
        warpsPerCTA=warps,
        instrShape=instruction,
        isTransposed=transposed,
    )
    their = gl.amd.AMDMFMALayout(
        version=3, warps_per_cta=warps, instr_shape=instruction, transposed=transposed
    )
    theirs.check(layout.parse(text, shape), their, shape)
