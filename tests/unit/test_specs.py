"""The hardware table against data sheets: the golden numbers here were typed from them by hand."""

import dataclasses
import datetime
import doctest
import tomllib
from pathlib import Path

import pytest

from gpu_utils import specs
from gpu_utils.specs import devices, measured, model, table

PARTS = Path(specs.__file__).parent / "parts"
FILES = sorted(path for path in PARTS.glob("*.toml") if path.name != "sources.toml")


@pytest.mark.parametrize("module", [specs, devices, measured, model, table])
def test_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("part", "bf16_tflops", "gb_per_s", "gb", "l2_mib", "sms", "watts", "target"),
    [
        # The dense columns. NVIDIA prints 1,979 for the H100 and H200 and 4,500 for the B200, with
        # sparsity and a footnote.
        ("a100-sxm-40gb", 312, 1555, 40, 40, 108, 400, "sm_80"),
        ("a100-sxm-80gb", 312, 2039, 80, 40, 108, 400, "sm_80"),
        ("h100-sxm5-80gb", 989.4, 3350, 80, 50, 132, 700, "sm_90"),
        ("h100-pcie-80gb", 756, 2000, 80, 50, 114, 350, "sm_90"),
        ("h200-sxm-141gb", 989, 4800, 141, 60, 132, 700, "sm_90"),
        ("b200-sxm", 2250, 7700, 180, 126.5, 148, 1000, "sm_100"),
        ("l4", 121, 300, 24, 48, 58, 72, "sm_89"),
        ("rtx-4090", 165.2, 1008, 24, 72, 128, 450, "sm_89"),
        ("mi300x", 1307.4, 5300, 192, 32, 304, 750, "gfx942"),
        ("b300", 2250, 7700, 270, 126, 148, 1100, "sm_103"),
        ("gb200", 2500, 8000, 186, 126, 152, 1200, "sm_100"),
        ("gb300", 2500, 8000, 279, None, 152, 1400, "sm_103"),
        ("l40s", 362.05, 864, 48, None, 142, 350, "sm_89"),
        ("a10", 125, 600, 24, None, 72, 150, "sm_86"),
        ("rtx-3090", 71, 936, 24, 6, 82, 350, "sm_86"),
        ("rtx-5090", 209.5, 1792, 32, 96, 170, 575, "sm_120"),
        ("rtx-pro-6000-blackwell", 503.8, 1792, 96, 128, 188, 600, "sm_120"),
        ("gh200", 989, 4000, 96, None, 132, None, "sm_90"),
        ("mi210", 181, 1638.4, 64, 8, 104, 300, "gfx90a"),
        ("mi250x", 383, 3276.8, 128, 16, 220, 560, "gfx90a"),
        ("mi325x", 1307.4, 6000, 256, 32, 304, 1000, "gfx942"),
        ("mi355x", 2516.6, 8000, 288, 32, 256, 1400, "gfx950"),
        ("rx-7900-xtx", 122.8, 960, 24, 6, 96, 355, "gfx1100"),
    ],
)
def test_golden_figures(part, bf16_tflops, gb_per_s, gb, l2_mib, sms, watts, target):
    spec = specs.get(part)
    assert spec.peak_flops_per_s["bf16"] == bf16_tflops * 1e12
    assert spec.peak_flops_per_s["fp16"] == bf16_tflops * 1e12
    assert spec.memory_bandwidth_bytes_per_s == gb_per_s * 1e9
    assert spec.memory_bytes == gb * 10**9
    # A vendor's "MB" of L2 is a MiB: drivers report bytes.
    assert spec.l2_bytes == (None if l2_mib is None else l2_mib * 2**20)
    assert (spec.sm_count, spec.tdp_w, spec.target) == (sms, watts, target)


@pytest.mark.parametrize(
    ("part", "bf16_tflops", "gb_per_s", "gb"),
    [
        ("tpu-v4", 275, 1200, 32),
        ("tpu-v5e", 197, 819, 16),
        ("tpu-v5p", 459, 2760, 95),
        ("tpu-v6e", 918, 1638, 32),
        ("tpu-v7", 2307, 7370, 192),
        ("gaudi3", 1677, 3700, 128),  # 8 engines x 65,536 FMA x 2 x 1.6e9 = 1678e12
        ("trainium2", 667, 2900, 96),
    ],
)
def test_golden_figures_of_what_is_no_gpu(part, bf16_tflops, gb_per_s, gb):
    spec = specs.get(part)
    assert spec.peak("bf16") == bf16_tflops * 1e12
    assert spec.memory_bandwidth_bytes_per_s == gb_per_s * 1e9
    assert spec.memory_bytes == gb * 10**9
    # They have no SMs, and Triton's targets do not know them.
    assert spec.sm_count is spec.target is spec.exp2_per_clock_per_sm is None


@pytest.mark.parametrize(
    ("part", "transistors", "area_mm2"),
    [
        ("v100", 21.1e9, 815),
        ("a100", 54.2e9, 826),
        ("h100", 80e9, 814),
        ("h200", 80e9, 814),
        ("l4", 35.8e9, 294.5),
        ("rtx 4090", 76.3e9, 608.5),
        ("rtx 5090", 92.2e9, 750),
        ("t4", 13.6e9, 545),
        # NVIDIA says "two reticle-sized dies", AMD gives no sum: what is printed elsewhere (800,
        # 1,060 and 1,017) is a guess.
        ("b200", 208e9, None),
        ("gb200", 208e9, None),
        ("b300", 208e9, None),
        ("mi300x", 153e9, None),
        ("mi325x", 153e9, None),
        ("mi355x", 185e9, None),
        ("tpu-v5e", None, None),
    ],
)
def test_silicon(part, transistors, area_mm2):
    spec = specs.get(part)
    assert (spec.transistors, spec.die_area_mm2) == (transistors, area_mm2)


def test_power_is_that_of_the_part():
    # 450 to 1000 W is a GH200 with its CPU; Google measured 90 to 192 W and promises nothing.
    for part in ("gh200", "tpu-v4", "trainium2"):
        with pytest.raises(specs.UnknownFigureError, match="tdp_w"):
            specs.get(part).require("tdp_w")


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
        ("a100-sxm-40gb", 2048, 1.410e9),
        ("h100-pcie-80gb", 4096, 1.620e9),
        ("gh200", 4096, 1.830e9),
        ("l40s", 1024, 2.520e9),  # 366.4; NVIDIA prints 362.05
        ("a10", 1024, 1.695e9),
        ("rtx-3090", 512, 1.695e9),
        ("rtx-pro-6000-blackwell", 1024, 2.617e9),  # the RTX 5090's die at full rate
        ("mi210", 1024, 1.700e9),
        ("mi250x", 1024, 1.700e9),
        ("mi325x", 2048, 2.100e9),
        ("rx-7900-xtx", 512, 2.500e9),
    ],
)
def test_peaks_are_dense_and_accumulate_in_fp32(part, flop_per_clock, tensor_hz):
    spec = specs.get(part)
    by_hand = spec.sm_count * flop_per_clock * tensor_hz
    assert spec.peak("bf16") == pytest.approx(by_hand, rel=0.013)
    assert spec.accumulate.get("bf16", "fp32") == "fp32"


# What documents print with structured sparsity, in 1e12 a second.
SPARSE = {
    ("a100-sxm-40gb", "bf16"): 624,
    ("a100-sxm-80gb", "bf16"): 624,
    ("a100-sxm-80gb", "tf32"): 312,
    ("a100-sxm-80gb", "int8"): 1248,
    ("h100-sxm5-80gb", "bf16"): 1979,
    ("h100-sxm5-80gb", "fp8"): 3958,
    ("h100-sxm5-80gb", "tf32"): 989,
    ("h100-pcie-80gb", "bf16"): 1513,
    ("h100-pcie-80gb", "fp8"): 3026,
    ("h200-sxm-141gb", "bf16"): 1979,
    ("h200-sxm-141gb", "fp8"): 3958,
    ("gh200", "bf16"): 1979,
    ("gh200", "fp8"): 3958,
    ("b200-sxm", "bf16"): 4500,
    ("b200-sxm", "fp8"): 9000,
    ("b200-sxm", "fp4"): 18000,
    ("b200-sxm", "tf32"): 2200,
    ("gb200", "bf16"): 5000,
    ("gb200", "fp8"): 10000,
    ("gb200", "fp4"): 20000,
    ("b300", "bf16"): 4500,
    ("b300", "fp8"): 9000,
    ("l4", "bf16"): 242,
    ("l4", "fp8"): 485,
    ("l40s", "fp8"): 1466,
    ("l40s", "tf32"): 366,
    ("a10", "bf16"): 250,
    ("a10", "tf32"): 125,
    ("a10", "int8"): 500,
    ("rtx-3090", "bf16"): 142,
    ("rtx-3090", "int8"): 568,
    ("rtx-4090", "bf16"): 330.4,
    ("rtx-4090", "fp8"): 660.6,
    ("rtx-4090", "fp16_acc_fp16"): 660.6,
    ("rtx-4090", "int8"): 1321.2,
    ("rtx-5090", "bf16"): 419,
    ("rtx-5090", "fp4"): 3352,
    ("rtx-pro-6000-blackwell", "fp4"): 4000,
    ("mi325x", "bf16"): 2614.9,
    ("mi325x", "fp8"): 5229.8,
    ("mi355x", "bf16"): 5033.2,
    ("mi355x", "fp8"): 10066.4,
    ("mi355x", "int8"): 10066.4,
}


@pytest.mark.parametrize(("part", "dtype"), SPARSE)
def test_no_sparse_peak_is_sold_as_dense(part, dtype):
    # 0.3 % is what the data sheets' rounding makes of it: 485 for 2 x 242.
    assert 2 * specs.get(part).peak(dtype) == pytest.approx(SPARSE[part, dtype] * 1e12, rel=0.003)


@pytest.mark.parametrize(
    ("part", "dtype", "dense", "sparse"),
    [
        # Where halving the headline gives a wrong number.
        ("b300", "fp4", 13500, 18000),
        ("gb300", "fp4", 15000, 20000),
        ("l40s", "bf16", 362.05, 733),
    ],
)
def test_sparse_is_not_always_twice_dense(part, dtype, dense, sparse):
    assert specs.get(part).peak(dtype) == dense * 1e12
    assert sparse / dense != pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("part", "figure", "board", "gpus"),
    [
        ("gb200", "bf16", 5e15, 2),  # a superchip
        ("gb200", "fp4", 720e15, 72),  # a rack, dense
        ("gb200", "memory_bandwidth_bytes_per_s", 576e12, 72),
        ("gb300", "fp4", 1080e15, 72),
        ("gb300", "bf16", 180e15, 72),
        ("gb300", "memory_bandwidth_bytes_per_s", 576e12, 72),
        ("b300", "fp4", 108e15, 8),  # an HGX board
        ("b200-sxm", "fp8", 36e15, 8),
        ("h100-sxm5-80gb", "memory_bytes", 640e9, 8),  # a DGX
        ("mi355x", "memory_bandwidth_bytes_per_s", 64e12, 8),
        ("mi325x", "memory_bytes", 2048e9, 8),
    ],
)
def test_figures_are_per_gpu(part, figure, board, gpus):
    spec = specs.get(part)
    value = spec.peak_flops_per_s.get(figure) or spec.require(figure)
    assert value == pytest.approx(board / gpus)


def test_an_mi250x_is_two_devices():
    # 383 TFLOP/s, 3.28 TB/s and 128 GB are both dies'; 766 bf16 would count both twice.
    whole = specs.get("mi250x")
    one = whole.per_device()
    assert (whole.devices, one.devices) == (2, 1)
    assert one.peak("bf16") == 191.5e12
    assert one.memory_bandwidth_bytes_per_s == 1638.4e9
    assert (one.sm_count, one.memory_bytes, one.l2_count) == (110, 64 * 10**9, 1)
    assert (one.l2_bytes, one.l2_bandwidth_bytes_per_s) == (8 * 2**20, 6.96e12)
    assert one.tdp_w is one.transistors is None
    assert "one of 2 devices" in one.name
    # The same die as an MI210's, with six compute units more.
    assert one.peak("bf16") / one.sm_count == pytest.approx(181e12 / 104, rel=0.001)
    assert specs.get("mi300x").per_device() is specs.get("mi300x")


def test_an_mi300x_has_eight_l2_caches_and_one_behind():
    for part in ("mi300x", "mi325x", "mi355x"):
        spec = specs.get(part)
        assert (spec.l2_count, spec.l2_bytes // spec.l2_count) == (8, 4 * 2**20)
        assert spec.memory_side_cache_bytes == 256 * 2**20
    # 8 dies x 16 channels x 128 bytes x 2.1 GHz = 34.4e12, and at 2.4 GHz 39.3e12.
    assert specs.get("mi300x").l2_bandwidth_bytes_per_s == 34.4e12
    assert specs.get("mi355x").l2_bandwidth_bytes_per_s == 39.3e12


def test_an_nvidia_part_has_one_l2():
    with_l2 = [s for s in map(specs.get, specs.names()) if s.vendor == "NVIDIA" and s.l2_bytes]
    assert len(with_l2) >= 12
    assert {spec.l2_count for spec in with_l2} == {1}
    # 5120 bytes per clock x 1.41 GHz and 2048 x 1.53 GHz.
    assert specs.get("a100").l2_bandwidth_bytes_per_s == 7219e9
    assert specs.get("v100").l2_bandwidth_bytes_per_s == 3133e9
    with pytest.raises(specs.UnknownFigureError, match="l2_bandwidth_bytes_per_s of NVIDIA H100"):
        specs.get("h100").require("l2_bandwidth_bytes_per_s")


def test_exp_grew_once():
    rate = {part: specs.get(part).exp2_per_clock_per_sm for part in specs.names()}
    assert {rate[part] for part in ("a100-sxm-80gb", "h100-sxm5-80gb", "b200-sxm", "rtx-4090")} == {
        16
    }
    assert rate["b300"] == rate["gb300"] == 32
    assert rate["mi300x"] is None


@pytest.mark.parametrize(("part", "whole"), [("rtx-3090", 71), ("rtx-4090", 165.2)])
def test_a_geforce_halves_for_fp32_accumulation(part, whole):
    spec = specs.get(part)
    assert spec.peak("bf16") == spec.peak("fp16") == whole * 1e12
    assert spec.peak("fp16_acc_fp16") == pytest.approx(2 * spec.peak("fp16"), rel=0.001)
    assert spec.accumulate["bf16"] == spec.accumulate["fp16"] == "fp32"
    assert "bf16_acc_bf16" not in spec.peak_flops_per_s  # there is no such mode


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
    assert set(document) - {"also"} == {"name", "vendor", "peak_flops_per_s", "figures"}
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
    runs = tomllib.loads((PARTS.parent / "throughput.toml").read_text("utf-8"))
    named |= {*runs["mlperf"].values(), runs["served"]["source"], runs["single_user"]["source"]}
    assert named == set(tomllib.loads((PARTS / "sources.toml").read_text("utf-8")))


MAGNITUDES = {
    "memory_bandwidth_bytes_per_s": (1e11, 1e14),
    "memory_bytes": (1e10, 1e12),
    "l2_bytes": (1e6, 1e9),
    "l2_count": (1, 8),
    "l2_bandwidth_bytes_per_s": (1e12, 1e14),
    "memory_side_cache_bytes": (0, 2**28),
    "boost_clock_hz": (1e9, 4e9),
    "shared_bytes_per_sm": (2**16, 2**18),
    "exp2_per_clock_per_sm": (16, 32),
    "tdp_w": (50, 2000),
    "transistors": (1e10, 1e12),
    "die_area_mm2": (100, 1000),
    "launch_year": (2017, 2026),
}


@pytest.mark.parametrize("part", specs.names())
def test_magnitudes_are_those_of_a_gpu(part):
    # A figure in the wrong unit is off by 1000 at least.
    spec = specs.get(part)
    assert spec.memory_bandwidth_bytes_per_s is not None
    assert spec.memory_bytes is not None
    assert all(1e12 < peak < 1e17 for peak in spec.peak_flops_per_s.values())
    for field, (least, most) in MAGNITUDES.items():
        value = getattr(spec, field)
        assert value is None or least <= value <= most, field


def test_the_table_has_every_part_that_the_course_names():
    assert len(specs.names()) == 32
    assert all(specs.get(part).id == part for part in specs.names())
    assert {specs.get(part).vendor for part in specs.names()} == {
        *("NVIDIA", "AMD", "Google", "Intel", "AWS")
    }


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
        ("NVIDIA A100-SXM4-40GB", "a100-sxm-40gb"),
        ("NVIDIA H100 PCIe", "h100-pcie-80gb"),
        ("NVIDIA GH200 480GB", "gh200"),  # the 480 GB are its CPU's
        ("NVIDIA GB300", "gb300"),
        ("NVIDIA B300 SXM6 AC", "b300"),
        ("NVIDIA L40S", "l40s"),
        ("NVIDIA A10", "a10"),
        ("Tesla T4", "t4"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000-blackwell"),
        ("AMD Instinct MI210", "mi210"),
        ("AMD Instinct MI250X", "mi250x"),
        ("AMD Instinct MI325X", "mi325x"),
        ("Radeon RX 7900 XTX", "rx-7900-xtx"),
        # What people type.
        ("a100", "a100-sxm-80gb"),
        ("a100 40gb", "a100-sxm-40gb"),
        ("H100 pcie", "h100-pcie-80gb"),
        ("rtx pro 6000", "rtx-pro-6000-blackwell"),
        ("TPU v5p", "tpu-v5p"),
        ("v6e", "tpu-v6e"),
        ("trillium", "tpu-v6e"),
        ("ironwood", "tpu-v7"),
        ("Gaudi 3", "gaudi3"),
        ("trainium", "trainium2"),
    ],
)
def test_get_is_forgiving(written, part):
    assert specs.get(written).id == part


@pytest.mark.parametrize(
    "written",
    [
        *("H100 NVL", "H200 NVL", "NVIDIA A100-PCIE-40GB", "NVIDIA A100 80GB PCIe", "MI300A"),
        *("RTX 4090 Laptop GPU", "RTX 4090 D", "RTX 5080", "RTX 3090 Ti", "RTX 5090 D", "", "???"),
        *("Tesla V100-SXM2-16GB", "Tesla V100-PCIE-32GB", "MI350X", "NVIDIA A10G", "T4G"),
        "NVIDIA RTX PRO 6000 Blackwell Server Edition",
        "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        # A number cut short is another part, and most of these exist.
        *("NVIDIA H20", "NVIDIA L40", "MI250", "H10", "NVIDIA A1", "B20", "RTX 30", "MI32", "l40"),
    ],
)
def test_get_never_takes_one_part_for_another(written):
    with pytest.raises(specs.UnknownPartError) as failure:
        specs.get(written)
    assert all(part in str(failure.value) for part in specs.names())


def test_an_unknown_part_names_the_nearest():
    for written, nearest in [("H100 NVL", "h100-"), ("h1000", "h100-"), ("H20", "h200-")]:
        with pytest.raises(specs.UnknownPartError, match=f"did you mean '{nearest}"):
            specs.get(written)


def test_an_ambiguous_name_lists_the_candidates():
    with pytest.raises(specs.UnknownPartError, match="gh200, h100-pcie-80gb, h100-sxm5-80gb, h200"):
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
