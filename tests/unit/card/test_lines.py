"""The five lines, of kernels that are right, wrong, wasteful or too large."""

import re

import pytest
import torch

from gpu_utils import card
from tests.unit.card.kernels import (
    Reader,
    X,
    Y,
    axpby,
    axpby_minus,
    axpby_reference,
    bare,
    double,
    double_reference,
    half_written,
    lines,
    misspelt,
    past_the_end,
    strided,
)
from tests.unit.codegen.kernels import matmul as pipelined_matmul


def test_the_five_lines_of_axpby():
    # 4096 floats: x and y read, out written, 3 * 4 B * 4096 = 49,152 B; 3 * 4096 FLOP on them are
    # 0.25 FLOP/byte. An H100 calculates 66.9e12 FLOP/s in fp32 and moves 3.35e12 B/s: its ridge is
    # 19.97, and 19.97 / 0.25 = 79.9.
    page = card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert lines(page) == [
        "axpby: limited by memory: 0.250 FLOP/byte COUNTED, 79.9x below the fp32 ridge of "
        "20.0 FLOP/byte MODELLED on H100 SXM5 80GB",
        "✓ right   agrees with axpby_reference in every element, for these arguments",
        "✓ lean    49.2 kB COUNTED, 1.00x the compulsory bytes, 12 B/element",
        "✓ native  sm_90: LDG.E.128, STG.E.128, ⟨⟩ COMPILED; fits sm_80, sm_90, sm_100, gfx942",
        "○ fast    no GPU here; no recording yet",
    ]
    assert page.traffic.total_bytes == page.compulsory_bytes == 49_152
    assert page.arguments == {"a": "2.0", "x": "float32 (4096,)", "b": "-0.5",
                              "y": "float32 (4096,)"}  # fmt: skip
    assert repr(page) == str(page)


def test_a_wrong_kernel_says_where_and_keeps_its_other_lines():
    page = bare(axpby_minus, 2.0, Y, 0.5, Y.clone(), reference=axpby_reference)
    assert lines(page)[1] == (
        "✗ right   out differs from axpby_reference: element 0 is 1.5, expected 2.5; "
        "4096 of 4096 are wrong."
    )
    assert lines(page)[2].startswith("✓ lean    49.2 kB COUNTED")


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (lambda x: x[1:], "out differs from the reference: it is float32 (4096,), expected"),
        (lambda x: x.double(), "it is float32 (4096,), expected float64 (4096,)"),
        (lambda x: (x, x), "it returns 1 tensors, and the reference returns 2"),
    ],
)
def test_a_result_of_another_kind(reference, said):
    assert said in lines(bare(double, X, reference=reference))[1]


def test_integers_are_compared_exactly():
    x = torch.arange(5, dtype=torch.int32)
    assert bare(double, x, reference=double_reference).check.state == "agrees"
    wrong = bare(double, x, reference=lambda x: x + x + (x == 3).int())
    assert "element 3 is 6, expected 7; 1 of 5 are wrong" in wrong.check.message


def test_without_a_reference_nothing_is_claimed():
    assert lines(bare(double, X))[1] == "○ right   no reference was given"


def test_memory_that_was_never_written():
    page = bare(half_written, X)
    # the second half of 4096 floats: 2048 * 4 B
    assert lines(page)[1] == (
        "○ right   no reference was given; 8.19 kB COUNTED of out were never written"
    )


def test_an_eager_function_has_no_kernel_to_speak_of():
    # a * x and b * y read and write 16,384 B each, their sum reads two and writes one: 7 times.
    page = card.study(axpby_reference, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert lines(page) == [
        "axpby_reference: launches no Triton kernel; torch's own are counted in bytes, not in FLOP",
        "✓ right   agrees with axpby_reference in every element, for these arguments",
        "△ lean    115 kB COUNTED, 2.33x the compulsory bytes, 28 B/element; 115 kB by torch: "
        "aten.mul x 2, aten.add",
        "○ native  no Triton kernel to compile",
        "○ fast    no GPU here; no recording yet",
    ]


def test_torch_beside_a_kernel_is_named():
    # contiguous reads 4096 floats and writes them; the kernel then moves 3 times 16,384 B.
    page = bare(lambda x, y: axpby(2.0, x.contiguous(), 1.0, y), torch.ones(8192)[::2], Y)
    assert (page.traffic.total_bytes, page.compulsory_bytes) == (5 * 16_384, 3 * 16_384)
    assert lines(page)[2].endswith("32.8 kB by torch: aten.clone; 16.4 kB through x#2, a temporary")


def test_out_of_bounds_is_shown_and_the_code_is_still_there():
    page = card.study(past_the_end, torch.ones(1000), reference=torch.clone, targets=["sm_90"])
    first, right, lean, native, fast = lines(page)
    assert (
        first == "past_the_end: what limits it is unknown, since its traffic could not be counted"
    )
    assert re.match(r"✗ right   kernels.py:\d+ in past_the_end_kernel, program \(0, 0, 0\): load "
                    r"outside x: lane 1000 asks for element 1000", right)  # fmt: skip
    assert lean == "○ lean    not counted"
    assert native == "✓ native  sm_90: LDG.E.128, STG.E.128, ⟨⟩ COMPILED; fits sm_90"
    assert fast == "○ fast    no GPU here; no recording yet"


def test_a_block_that_needs_too_much_shared_memory():
    # A stage of [128, 64] and [64, 128] bf16 is 32 KiB: four of them are 128 KiB at most, which a
    # block of sm_90 can have (227 KiB), and more than gfx942's 64 KiB even where one is spared.
    a = torch.ones((256, 256), dtype=torch.bfloat16)
    page = card.study(pipelined_matmul, a, a, num_stages=4, targets=["sm_90", "gfx942"])
    assert lines(page)[3] == (
        "✗ native  matmul_kernel does not fit: on gfx942 a program needs ⟨⟩ COMPILED shared memory "
        "of 64.0 KiB CITED; fits sm_90"
    )
    assert "✗ does not fit" in Reader(page).text


def test_a_kernel_that_does_not_compile_for_any_target():
    page = card.study(misspelt, torch.ones(1024), targets=["sm_80", "sm_90"])
    assert re.match(r"✗ right   kernels.py:\d+: AttributeError: .*squared", lines(page)[1])
    assert re.match(
        "✗ native  misspelt_kernel does not compile for sm_80, sm_90: .*squared", lines(page)[3]
    )
    assert "try: " in Reader(page).text


def test_launches_that_become_the_same_code_are_one():
    page = card.study(axpby, 2.0, X, -0.5, Y, launches=3, targets=["sm_90"])
    assert [(code.kernel, code.launches) for code in page.kernels] == [("axpby_kernel", 3)]
    # The second and the third launch find all in the L2.
    assert lines(page)[2].endswith(
        "x loaded 3.00x; y loaded 3.00x; out stored 3.00x; DRAM moves 49.2 kB MODELLED, 1.00x, on "
        "H100 SXM5 80GB"
    )


def test_sectors_that_are_used_in_part():
    # Of 4096 floats each eighth: 512 of 4 B are loaded and stored. Each lane's sector is its own:
    # DRAM reads 512 * 32 B and writes 512 * 4 B, 18,432 B, 4.5 times what is compulsory.
    page = card.study(strided, X, targets=["sm_90"])
    assert lines(page)[2:4] == [
        "△ lean    4.10 kB COUNTED, 1.00x the compulsory bytes; DRAM moves 18.4 kB MODELLED, "
        "4.50x, on H100 SXM5 80GB",
        "△ native  sm_90: LDG.E, STG.E.128, ⟨⟩ COMPILED; fits sm_90; x fills ⟨⟩ MODELLED of its "
        "sectors",
    ]
    assert "x fills ⟨12.5 %⟩ MODELLED" in str(page)


def test_a_sector_at_the_end_is_no_waste():
    # 97 floats end in a sector that they fill by an eighth. A thread owns four of them and loads
    # one at a time, since 97 is no multiple of 16: a warp's lanes are 16 B apart.
    lean, native = lines(card.study(double, torch.ones(97), targets=["sm_90"]))[2:4]
    assert lean == "✓ lean    776 B COUNTED, 1.00x the compulsory bytes, 8 B/element"
    assert native.startswith("△ native  sm_90: LDG.E, STG.E, ⟨⟩ COMPILED; fits sm_90; x fills ⟨⟩")


def test_an_argument_that_is_written_into_is_named():
    assert lines(bare(double, X, X.clone()))[1].endswith("; writes into out")
