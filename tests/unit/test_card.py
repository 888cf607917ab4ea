"""The kernel card: what it says of kernels that are right, wrong, wasteful or too large."""

import dataclasses
import doctest
import html.parser
import importlib
import json
import re
import time

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import bench, card, specs
from gpu_utils.card import arguments, needs
from gpu_utils.roofline import Bound
from tests.unit.codegen.kernels import matmul as pipelined_matmul


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """Each kernel of this file is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIDGE_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@triton.jit
def axpby_kernel(a, x_ptr, b, y_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    mask = offs < n
    x = tl.load(x_ptr + offs, mask=mask)
    y = tl.load(y_ptr + offs, mask=mask)
    tl.store(out_ptr + offs, a * x + b * y, mask=mask)


def axpby(a, x, b, y, launches=1):
    out = torch.empty_like(x)
    for _ in range(launches):
        axpby_kernel[(triton.cdiv(x.numel(), 1024),)](a, x, b, y, out, x.numel(), 1024)
    return out


def axpby_reference(a, x, b, y):
    return a * x + b * y


def axpby_minus(a, x, b, y):
    return axpby(a, x, -b, y)


@triton.jit
def double_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, 2 * tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def double(x, out=None):
    out = torch.empty_like(x) if out is None else out
    double_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), 1024)
    return out


def double_reference(x):
    return x + x


@triton.jit
def past_the_end_kernel(x_ptr, out_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs))


def past_the_end(x):
    out = torch.empty_like(x)
    past_the_end_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, 1024)
    return out


@triton.jit
def relu_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    x = tl.load(x_ptr + offs, mask=offs < n)  # <b>&"'
    tl.store(out_ptr + offs, tl.where(x < 0, 0.0, x), mask=offs < n)


def relu(x):
    out = torch.empty_like(x)
    relu_kernel[(triton.cdiv(x.numel(), 1024),)](x, out, x.numel(), 1024)
    return out


@triton.jit
def matmul_kernel(a_ptr, b_ptr, c_ptr, N: tl.constexpr):
    rows = tl.arange(0, N)
    tile = rows[:, None] * N + rows[None, :]
    product = tl.dot(tl.load(a_ptr + tile), tl.load(b_ptr + tile))
    tl.store(c_ptr + tile, product.to(c_ptr.dtype.element_ty))


def matmul(a, b):
    c = torch.empty_like(a)
    matmul_kernel[(1,)](a, b, c, a.shape[0])
    return c


@triton.jit
def gather_kernel(table_ptr, index_ptr, out_ptr, COLUMNS: tl.constexpr):
    row, cols = tl.load(index_ptr + tl.program_id(0)), tl.arange(0, COLUMNS)
    value = tl.load(table_ptr + row * COLUMNS + cols)
    tl.store(out_ptr + tl.program_id(0) * COLUMNS + cols, value)


def gather(table, index):
    out = torch.empty(index.numel(), table.shape[1])
    gather_kernel[(index.numel(),)](table, index, out, table.shape[1])
    return out


@triton.jit
def misspelt_kernel(x_ptr, out_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs).squared())


def misspelt(x):
    out = torch.empty_like(x)
    misspelt_kernel[(1,)](x, out, 1024)
    return out


X, Y = torch.arange(4096, dtype=torch.float32), torch.ones(4096)


def lines(page):
    """The five lines; what the compiler decides is left out, as nbval leaves it out."""
    return re.sub("⟨[^⟩]*⟩", "⟨⟩", str(page)).splitlines()


def bare(fn, *args, **kwargs):
    """A card without compiling, for what only counting shows."""
    return card.study(fn, *args, targets=(), **kwargs)


class Reader(html.parser.HTMLParser):
    """Checks that tags nest, and keeps what a reader and a style sheet see."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], ""
        self.feed(page._repr_html_())
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", ["", ".arguments"])
def test_the_examples_hold(name):
    module = importlib.import_module(f"gpu_utils.card{name}")
    assert doctest.testmod(module).failed == 0


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


def test_two_studies_print_the_same_and_leave_the_arguments_alone():
    x = X.clone()
    pages = [card.study(double, x, x, targets=["sm_90"]) for _ in range(2)]
    assert torch.equal(x, X)  # in place, on a copy
    assert pages[0] == pages[1]
    assert pages[0]._repr_html_() == pages[1]._repr_html_()


def test_a_warm_study_is_fast():
    card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    began = time.perf_counter()
    card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert time.perf_counter() - began < 1  # 0.05 s on one core of a laptop


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


def half_written(x):
    out = torch.empty_like(x)
    double_kernel[(2,)](x, out, x.numel(), 1024)
    return out


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
    assert re.match(r"✗ right   test_card.py:\d+ in past_the_end_kernel, program \(0, 0, 0\): load "
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
    assert re.match(r"✗ right   test_card.py:\d+: AttributeError: .*squared", lines(page)[1])
    assert re.match(
        "✗ native  misspelt_kernel does not compile for sm_80, sm_90: .*squared", lines(page)[3]
    )
    assert "try: " in Reader(page).text


def test_launches_that_become_the_same_code_are_one():
    page = card.study(axpby, 2.0, X, -0.5, Y, launches=3, targets=["sm_90"])
    assert [(code.kernel, code.launches) for code in page.kernels] == [("axpby_kernel", 3)]
    assert lines(page)[2].endswith("x loaded 3.00x; y loaded 3.00x; out stored 3.00x")


def test_meta_tensors_are_compiled_and_not_run():
    page = card.study(double, torch.empty(2**24, device="meta"), targets=["sm_90"])
    assert lines(page)[1] == "○ right   not run: meta tensors hold no values"
    assert "LDG.E.128" in lines(page)[3]


def test_what_is_compiled_knows_the_alignment_of_these_very_arguments():
    view = torch.zeros(4097)[1:]
    page = card.study(double, view, targets=["sm_90"])
    # 4 bytes off: no wide load may be made of it; the result is aligned.
    assert "LDG.E, STG.E.128" in lines(page)[3]


def unfinished(x):
    raise NotImplementedError("yours to write")


@pytest.mark.parametrize(
    ("fn", "args", "options", "error", "said"),
    [
        (unfinished, (X,), {}, NotImplementedError, "yours to write"),
        (double, (), {}, TypeError, "missing 1 required positional argument"),
        (double_kernel, (X, X, 4096, 1024), {}, TypeError, "is a kernel; pass the function"),
        (double, (X,), {"targets": ["sm_91"]}, ValueError, "the known ones are sm_80"),
        (double, (X,), {"parts": ["h1000"]}, specs.UnknownPartError, "known: a10, a100"),
        (double, (X,), {"reference": unfinished}, NotImplementedError, "yours to write"),
    ],
)
def test_the_callers_own_errors_go_to_the_caller(fn, args, options, error, said):
    with pytest.raises(error, match=re.escape(said)):
        card.study(fn, *args, **{"targets": ("sm_90",), **options})


# What is compulsory, by hand.
@pytest.mark.parametrize(
    ("fn", "args", "nbytes"),
    [
        (double, (X, X.clone()), 2 * 16_384),  # into an argument
        (lambda x: double(x, x), (X,), 2 * 16_384),  # in place: read and written
        (lambda x: double(double(x)), (X,), 2 * 16_384),  # the one in between is not
        (gather, (torch.zeros(1000, 16), torch.tensor([3, 7])), 2 * 8 + 2 * 64 + 2 * 64),
        (torch.neg, (X,), 2 * 16_384),
        (torch.add, (X, torch.ones(1).expand(4096)), 2 * 16_384 + 4),  # one element, 4096 times
        (double, (torch.ones(8192)[::2].contiguous(),), 2 * 16_384),
    ],
)
def test_compulsory_bytes(fn, args, nbytes):
    assert bare(fn, *args).compulsory_bytes == nbytes


def test_no_flop_is_no_intensity():
    assert (
        lines(bare(relu, X))[0]
        == "relu: limited by memory: 0 FLOP COUNTED, nothing but bytes to move"
    )


def test_a_matrix_product_is_held_against_the_matrix_units():
    # 2 * 64^3 FLOP on 3 * 64 * 64 * 2 B are 21.3 FLOP/byte; the bf16 ridge is 989.4 / 3.35 = 295.
    a = torch.ones((64, 64), dtype=torch.bfloat16)
    page = bare(matmul, a, a.clone(), reference=torch.matmul)
    part = page.bounds[0]
    assert (part.dtype, part.intensity) == ("bf16", pytest.approx(64 / 3))
    assert lines(page)[0] == (
        "matmul: limited by memory: 21.3 FLOP/byte COUNTED, 13.8x below the bf16 ridge of "
        "295 FLOP/byte MODELLED on H100 SXM5 80GB"
    )


def test_above_the_ridge_arithmetic_is_the_limit():
    least = needs.Needs(nbytes=1000, flops={"fp32": 500, "bf16": 590_700}, elements=None)
    part = needs.bound(specs.get("h100 sxm"), least)
    page = dataclasses.replace(bare(double, X), bounds=(part,))
    assert lines(page)[0] == (
        "double: limited by arithmetic: 591 FLOP/byte COUNTED, 2.00x above the bf16 ridge of "
        "295 FLOP/byte MODELLED on H100 SXM5 80GB"
    )


def test_an_unknown_peak_is_shown():
    page = bare(double, X.double(), reference=double_reference)
    assert lines(page)[0] == (
        "double: what limits it is unknown: peak_flops_per_s['fp64'] of NVIDIA H100 SXM5 80GB "
        "(h100-sxm5-80gb) is unknown"
    )
    assert page.check.state == "agrees"
    assert "unknown" in Reader(page).text


def test_no_part_asked_for():
    assert "no part was asked for" in lines(bare(double, X, parts=()))[0]


class Gpu:
    """What a timing on an H100 would bring."""

    timing = bench.Timing(20e-9, 19e-9, 22e-9, 100, "cuda: NVIDIA H100 80GB HBM3", "events")


@pytest.fixture
def gpu(monkeypatch):
    # By name, since `card.study` is the function.
    study = importlib.import_module("gpu_utils.card.study")
    monkeypatch.setattr(study, "_on_gpu", lambda call: True)
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: Gpu.timing)


@pytest.mark.usefixtures("gpu")
def test_a_time_is_a_share_of_the_bound():
    # 49,152 B / 3.35e12 B/s = 14.67 ns; of 20 ns that is 73.4 %.
    page = bare(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert lines(page)[4] == (
        "△ fast    ≈ 20.0 ns MEASURED, ≈ 73.4 % of what H100 SXM5 80GB allows, 14.7 ns MODELLED"
    )
    assert card.Card.from_json(page.to_json()) == page


@pytest.mark.usefixtures("gpu")
def test_what_swings_or_was_slowed_is_said(monkeypatch):
    # (24 - 19) / 20 = 25 %
    note = "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap"
    timing = dataclasses.replace(Gpu.timing, p80_s=24e-9, note=note)
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
    assert lines(bare(axpby, 2.0, X, -0.5, Y))[4].endswith(
        "14.7 ns MODELLED; the times differ by ≈ 25.0 %: the clocks or the load are swinging; "
        "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap"
    )


@pytest.mark.usefixtures("gpu")
def test_a_time_that_beats_the_part_is_refused(monkeypatch):
    # Of the 49,152 B a third is written, which the L2 may still hold. The rest, 32,768 B, takes
    # 32,768 / 3.355e12 = 9.767 ns (3.355: half a unit more than the 3.35 of the sheet).
    def timed(nanoseconds):
        timing = dataclasses.replace(Gpu.timing, median_s=nanoseconds * 1e-9, cold=True)
        monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
        return bare(axpby, 2.0, X, -0.5, Y)

    page = timed(9.76)
    assert page.timing is None
    assert lines(page)[4].startswith(
        "○ fast    refused: it took ≈ 9.76 ns MEASURED, and NVIDIA H100 SXM5 80GB needs at least "
        "9.77 ns MODELLED for 49.2 kB, with every allowance made. Most likely fewer bytes move "
    )
    assert timed(9.78).timing is not None


@pytest.mark.usefixtures("gpu")
def test_what_is_wrong_is_not_timed():
    page = bare(axpby_minus, 2.0, Y, 0.5, Y, reference=axpby_reference)
    assert lines(page)[4] == "○ fast    not timed: what is wrong has no speed"


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_is_not_in_the_table(monkeypatch):
    timing = dataclasses.replace(Gpu.timing, device="cuda: NVIDIA T1000")
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: timing)
    fast = lines(bare(double, X))[4]
    assert fast == "△ fast    ≈ 20.0 ns MEASURED on cuda: NVIDIA T1000, whose bound is unknown"


PAGES = {
    "whole": lambda: card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference),
    "stopped": lambda: card.study(past_the_end, torch.ones(1000), targets=["sm_90"]),
    "refused": lambda: card.study(misspelt, torch.ones(1024), targets=["sm_90"]),
    "eager": lambda: card.study(axpby_reference, 2.0, X, -0.5, Y),
    "escaped": lambda: card.study(relu, X, targets=["sm_90"], name="<relu> & 'co'"),
    "empty": lambda: bare(double, X, parts=()),
}


@pytest.mark.parametrize("name", PAGES)
def test_json_round_trip(name):
    page = PAGES[name]()
    again = card.Card.from_json(page.to_json())
    assert again == page
    assert again._repr_html_() == page._repr_html_()
    assert json.loads(page.to_json())["schema"] == 1


def test_save(tmp_path):
    page = bare(double, X)
    page.save(tmp_path / "double.json")
    assert card.Card.from_json((tmp_path / "double.json").read_text("utf-8")) == page


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 0}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="no kernel card of schema 1"):
        card.Card.from_json(text)


@pytest.mark.parametrize("name", PAGES)
def test_html_is_sound_and_takes_its_colours_from_the_theme(name, tmp_path):
    page = PAGES[name]()
    seen = Reader(page)
    assert not seen.tags & {"script", "style", "img", "svg"}
    names = {key for key, _ in seen.attributes}
    assert names <= {"class", "role", "aria-label", "title", "style", "scope"}
    styles = ";".join(value for key, value in seen.attributes if key == "style")
    fixed = set(re.findall(r"#[0-9a-fA-F]{3,8}", re.sub(r"var\([^)]*\)", "", styles)))
    assert fixed <= {"#0072B2", "#D55E00", "#009E73", "#767676"}
    assert not re.search(r"\bblack|\bwhite(?!-space)|rgb|hsl|#(000|fff)", styles, re.IGNORECASE)
    assert "/tmp" not in page._repr_html_()
    assert "/home" not in page._repr_html_()


def test_html_says_in_words_what_it_says_in_colours():
    seen = Reader(PAGES["stopped"]())
    labels = [value for key, value in seen.attributes if key == "aria-label"]
    assert labels[:5] == ["kernel card of past_the_end", "failed", "unknown", "reached", "unknown"]


def test_html_escapes_source_and_names():
    seen = Reader(PAGES["escaped"]())
    assert "x = tl.load(x_ptr + offs, mask=offs < n)  # <b>&\"'" in seen.text
    assert "<relu> & 'co'" in seen.text


def test_html_folds_all_but_five_lines():
    page = PAGES["whole"]()
    unfolded = re.sub(r"<details.*?</details>", "", page._repr_html_())
    assert unfolded.count('role="listitem"') == 4
    seen = Reader(page)
    for title in ("By tensor", "By source line", "By target", "By part", "What is assumed"):
        assert title in seen.text
    for text in ("LDG.E.128", "buffer_load_dwordx4", "227 KiB", "14.7 ns", "B200", "whitepaper"):
        assert text in seen.text


def test_copies_keep_aliases_strides_and_alignment():
    base = torch.arange(12.0)
    wide, tail, whole = arguments.copies((base.view(3, 4).T, base[5:], [base]))
    assert wide.stride() == (1, 4)
    assert tail.data_ptr() % 64 == base[5:].data_ptr() % 64
    whole[0].fill_(7)
    assert wide[0, 0] == 7  # one storage still
    assert base[0] == 0  # and not the original
    odd = torch.frombuffer(bytearray(64), dtype=torch.uint8)[3:]
    assert arguments.copies(odd).data_ptr() % 64 == odd.data_ptr() % 64


def test_card_holds_plain_data_only():
    page = PAGES["whole"]()
    assert page.traffic.result is None
    assert isinstance(page.bounds[0].bound, Bound)
    assert not any(artifact.asm for code in page.kernels for artifact in code.built.values())
