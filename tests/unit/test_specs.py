"""The hardware table against data sheets: the golden numbers here were typed from them by hand."""

import dataclasses
import datetime
import doctest
import tomllib
from pathlib import Path

import pytest

from gpu_utils import specs
from gpu_utils.specs import measured, model, table

PARTS = Path(specs.__file__).parent / "parts"
FILES = sorted(path for path in PARTS.glob("*.toml") if path.name != "sources.toml")


@pytest.mark.parametrize("module", [specs, measured, model, table])
def test_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("part", "bf16_tflops", "gb_per_s", "gb", "l2_mib", "sms", "watts", "target"),
    [
        # The dense columns. NVIDIA prints 1,979 for the H100 and H200 and 4,500 for the B200, with
        # sparsity and a footnote.
        ("a100-sxm-80gb", 312, 2039, 80, 40, 108, 400, "sm_80"),
        ("h100-sxm5-80gb", 989.4, 3350, 80, 50, 132, 700, "sm_90"),
        ("h200-sxm-141gb", 989, 4800, 141, 50, 132, 700, "sm_90"),
        ("b200-sxm", 2250, 7700, 180, 126.5, 148, 1000, "sm_100"),
        ("l4", 121, 300, 24, 48, 58, 72, "sm_89"),
        ("rtx-4090", 165.2, 1008, 24, 72, 128, 450, "sm_89"),
        ("mi300x", 1307.4, 5300, 192, 32, 304, 750, "gfx942"),
        ("b300", 2250, 7700, 270, 126, 148, 1100, "sm_103"),
        ("gb200", 2500, 8000, 186, 126, None, 1200, "sm_100"),
        ("rtx-5090", 209.5, 1792, 32, 96, 170, 575, "sm_120"),
        ("mi355x", 2500, 8000, 288, 32, 256, 1400, "gfx950"),
    ],
)
def test_golden_figures(part, bf16_tflops, gb_per_s, gb, l2_mib, sms, watts, target):
    spec = specs.get(part)
    assert spec.peak_flops_per_s["bf16"] == bf16_tflops * 1e12
    assert spec.peak_flops_per_s["fp16"] == bf16_tflops * 1e12
    assert spec.memory_bandwidth_bytes_per_s == gb_per_s * 1e9
    assert spec.memory_bytes == gb * 10**9
    assert spec.l2_bytes == l2_mib * 2**20  # a vendor's "MB" of L2 is a MiB: drivers report bytes
    assert (spec.sm_count, spec.tdp_w, spec.target) == (sms, watts, target)


@pytest.mark.parametrize(
    ("part", "flop_per_clock", "tensor_hz"),
    [
        # Dense tensor FLOP per clock and SM of each generation. A sparse peak would come out double
        # and a GeForce's fp16-accumulate peak too. The B200's clock is not its highest one.
        ("a100-sxm-80gb", 2048, 1.410e9),
        ("h100-sxm5-80gb", 4096, 1.830e9),
        ("h200-sxm-141gb", 4096, 1.830e9),
        ("b200-sxm", 8192, 1.856e9),
        ("l4", 1024, 2.040e9),
        ("rtx-4090", 512, 2.520e9),
        ("mi300x", 2048, 2.100e9),
        ("b300", 8192, 1.856e9),
        ("rtx-5090", 512, 2.407e9),
        ("mi355x", 4096, 2.400e9),
    ],
)
def test_peaks_are_dense_and_accumulate_in_fp32(part, flop_per_clock, tensor_hz):
    spec = specs.get(part)
    by_hand = spec.sm_count * flop_per_clock * tensor_hz
    assert spec.peak("bf16") == pytest.approx(by_hand, rel=0.01)
    assert spec.accumulate.get("bf16", "fp32") == "fp32"


def test_a_geforce_has_two_rates_and_the_key_says_which():
    spec = specs.get("rtx 4090")
    # Ada whitepaper, Appendix A, Table 2: 165.2 with fp32 accumulate, 330.3 with fp16 accumulate.
    # 330.4, the sparse rate of the first, looks like the second.
    assert spec.peak("fp16") == 165.2e12
    assert spec.accumulate["fp16"] == "fp32"
    assert spec.peak("fp16_acc_fp16") == 330.3e12
    assert spec.accumulate["fp16_acc_fp16"] == "fp16"
    # Before v2.02 the whitepaper gave 660.6 to fp8 with fp32 accumulate.
    assert spec.peak("fp8") == 330.3e12


def test_a_v100_has_fp16_tensor_cores_and_no_bf16():
    spec = specs.get("v100")
    # 8 tensor cores x 64 FMA x 2 FLOP = 1024 per clock and SM: 80 x 1024 x 1.53e9 = 125.3e12.
    assert spec.peak("fp16") == 125e12
    assert not {"bf16", "tf32", "fp8", "fp4"} & set(spec.peak_flops_per_s)
    assert spec.memory_bandwidth_bytes_per_s == 900e9
    assert (spec.l2_bytes, spec.sm_count, spec.launch_year) == (6 * 2**20, 80, 2018)


def test_a_newer_part_is_not_faster_at_everything():
    b200, b300 = specs.get("b200"), specs.get("b300")
    assert b300.peak("fp4") == 1.5 * b200.peak("fp4")
    assert b300.peak("int8") == b200.peak("int8") / 30


@pytest.mark.parametrize(
    ("part", "quantity", "how", "share"),
    [
        ("h100-sxm5-80gb", "bf16 matmul", "MAMF", 0.80),  # 794 / 989.4
        ("mi300x", "bf16 matmul", "MAMF", 0.51),  # 668 / 1307.4
        ("v100-sxm2-32gb", "memory bandwidth", "init", 0.99),  # 895 / 900
        ("h200-sxm-141gb", "memory bandwidth", "scale", 0.66),  # 3165 / 4800
    ],
)
def test_golden_shares_of_the_data_sheet(part, quantity, how, share):
    wanted = (part, quantity, how)
    (row,) = [a for a in specs.achieved() if (a.part, a.quantity, a.how) == wanted]
    assert round(row.share, 2) == share


def test_what_was_achieved_is_below_the_data_sheet_and_has_a_source():
    rows = specs.achieved()
    assert len({(row.part, row.quantity, row.how) for row in rows}) == len(rows)
    for row in rows:
        assert row.part in specs.names()
        assert row.quantity in {"bf16 matmul", "fp8 matmul", "memory bandwidth"}
        # Half is the worst that is known; less would be a wrong unit or a sparse peak.
        assert 0.5 < row.value / row.spec_value < 1
        assert row.trust == row.source.trust == "secondary"
        assert row.source.title


def test_an_accumulator_that_no_document_names_is_not_named():
    assert "bf16" not in specs.get("l4").accumulate


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row_has_a_source_and_a_trust(path):
    document = tomllib.loads(path.read_text("utf-8"))
    assert set(document) == {"name", "vendor", "peak_flops_per_s", "figures"}
    spec = specs.get(path.stem)
    for dtype, row in document["peak_flops_per_s"].items():
        _check_row(row, spec.sources[f"peak_flops_per_s.{dtype}"])
    for field, row in document["figures"].items():
        _check_row(row, spec.sources[field])


def _check_row(row, source):
    assert set(row) <= {"value", "source", "note", "accumulate"}
    assert source.title
    assert source.locator
    assert source.trust in {"primary", "vendor", "secondary", "derived"}
    assert isinstance(source.read, datetime.date)
    assert source.note or source.trust != "derived", "a derived figure shows its arithmetic"


def test_every_source_is_used():
    named = {
        row["source"]
        for path in FILES
        for kind in ("peak_flops_per_s", "figures")
        for row in tomllib.loads(path.read_text("utf-8"))[kind].values()
    }
    achieved = tomllib.loads((PARTS.parent / "achieved.toml").read_text("utf-8"))["achieved"]
    named |= {row["source"] for row in achieved}
    assert named == set(tomllib.loads((PARTS / "sources.toml").read_text("utf-8")))


@pytest.mark.parametrize("part", specs.names())
def test_magnitudes_are_those_of_a_gpu(part):
    # A figure in the wrong unit is off by 1000 at least.
    spec = specs.get(part)
    assert all(1e12 < peak < 1e17 for peak in spec.peak_flops_per_s.values())
    assert 1e11 < spec.memory_bandwidth_bytes_per_s < 1e14
    assert 1e10 < spec.memory_bytes < 1e12
    assert 1e6 < spec.l2_bytes < 1e9
    assert spec.boost_clock_hz is None or 1e9 < spec.boost_clock_hz < 4e9
    assert 2**16 <= spec.shared_bytes_per_sm <= 2**18
    assert 50 < spec.tdp_w < 2000
    assert 2017 <= spec.launch_year <= 2026


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("h100-sxm5-80gb", "h100-sxm5-80gb"),
        ("h100 sxm", "h100-sxm5-80gb"),
        ("H100", "h100-sxm5-80gb"),
        ("h100sxm", "h100-sxm5-80gb"),
        ("rtx4090", "rtx-4090"),
        ("RTX 4090", "rtx-4090"),
        ("4090", "rtx-4090"),
        ("mi300x", "mi300x"),
        ("MI300", "mi300x"),
        ("L4", "l4"),
        # As torch.cuda.get_device_name gives them.
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm5-80gb"),
        ("NVIDIA H200", "h200-sxm-141gb"),
        ("NVIDIA B200", "b200-sxm"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("AMD Instinct MI300X", "mi300x"),
        ("Tesla V100-SXM2-32GB", "v100-sxm2-32gb"),
        ("NVIDIA B300", "b300"),
        ("NVIDIA GB200", "gb200"),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("AMD Instinct MI355X", "mi355x"),
    ],
)
def test_get_is_forgiving(written, part):
    assert specs.get(written).id == part


@pytest.mark.parametrize(
    "written",
    [
        *("H100 PCIe", "H200 NVL", "A100-SXM4-40GB", "NVIDIA A100-PCIE-40GB", "MI300A", "GH200"),
        *("RTX 4090 Laptop GPU", "RTX 4090 D", "RTX 5080", "L40S", "GB300", "Tesla T4", "", "???"),
        *("Tesla V100-SXM2-16GB", "Tesla V100-PCIE-32GB", "RTX 5090 D", "MI350X"),
    ],
)
def test_get_never_takes_one_part_for_another(written):
    with pytest.raises(specs.UnknownPartError) as failure:
        specs.get(written)
    assert all(part in str(failure.value) for part in specs.names())


def test_an_unknown_part_names_the_nearest():
    for written, nearest in [("H100 PCIe", "h100-sxm5-80gb"), ("h1000", "h100-sxm5-80gb")]:
        with pytest.raises(specs.UnknownPartError, match=f"did you mean '{nearest}'"):
            specs.get(written)


def test_an_ambiguous_name_lists_the_candidates():
    with pytest.raises(specs.UnknownPartError, match="h100-sxm5-80gb, h200-sxm-141gb; say which"):
        specs.get("hopper")


def test_a_missing_figure_is_named_with_its_part():
    bare = specs.GPUSpec(id="mine", name="My Card")
    with pytest.raises(specs.UnknownFigureError, match=r"l2_bytes of My Card \(mine\) is unknown"):
        bare.require("l2_bytes")
    with pytest.raises(specs.UnknownFigureError, match=r"'bf16'.*of My Card.*known: none"):
        bare.peak("bf16")
    # An A100 has no fp8 mode: unknown, and not the fp16 rate in its place.
    with pytest.raises(specs.UnknownFigureError, match="known: bf16, fp16, tf32, fp32, int8"):
        specs.get("a100").peak("fp8")
    with pytest.raises(AttributeError):
        bare.require("l3_bytes")


def test_a_spec_cannot_be_changed_but_can_be_varied():
    spec = specs.get("h100")
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.sm_count = 1
    with pytest.raises(TypeError):
        spec.peak_flops_per_s["bf16"] = 1
    scaled = dataclasses.replace(spec, l2_bytes=4 * 2**20, sm_count=16)
    assert (scaled.l2_bytes, scaled.sm_count) == (4 * 2**20, 16)
    assert scaled.peak("bf16") == spec.peak("bf16")
    assert len({spec, specs.get("H100"), scaled}) == 2
