"""A GPU's ceilings, by stand-ins for the device: what is asked of it, and what is kept."""

import json

import pytest
import torch

from gpu_utils import bench, roofline, specs
from gpu_utils.bench import clocks, timing
from gpu_utils.bench.ceilings import gpu, kept

# What the stand-in takes for a gigabyte of memory traffic and a TFLOP in each type, in seconds.
MEMORY_S = 0.4e-3
PRODUCTS_S = {"fp32": 20e-3, "tf32": 3e-3, "bf16": 1.5e-3, "fp16": 1.6e-3, "fp8": 0.8e-3}


class FakeClock:
    """Instead of `clocks.on_cuda`: knows a call by what it does to torch, and what that takes."""

    def __init__(self, cuda):
        self.cuda, self.done, self.spread = cuda, [], 0.01

    def on_cuda(self, calls, device, budget_s, known, least=1):
        [call] = calls
        self.done.clear()
        call()
        [took_s] = self.done
        rows = [(took_s * (1 + self.spread * step / 6),) for step in range(-5, 6)]
        note = "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap" if took_s < 1e-3 else ""
        return clocks.Rounds(rows, "cuda: NVIDIA H100 80GB HBM3", "a stand-in", 0.5e-6, 1e9, note)


@pytest.fixture
def device(cuda, monkeypatch):
    """A GPU whose tensors are on the meta device, so that nothing is calculated or stored."""
    clock = FakeClock(cuda)
    monkeypatch.setattr(clocks, "on_cuda", clock.on_cuda)
    real = {name: getattr(torch, name) for name in ("randn", "ones", "mm")}

    def made(name):
        def make(*shape, device=None, **options):
            tensor = real[name](*shape, device="meta", **options)
            return Watched(tensor, clock)

        return make

    monkeypatch.setattr(torch, "randn", made("randn"))
    monkeypatch.setattr(torch, "ones", made("ones"))

    def mm(a, b, out):
        side = a.shape[0]
        assert a.shape == b.shape == out.shape == (side, side)
        kind = {torch.bfloat16: "bf16", torch.float16: "fp16"}.get(a.dtype)
        kind = kind or {"ieee": "fp32", "tf32": "tf32"}[torch.backends.cuda.matmul.fp32_precision]
        clock.done.append(PRODUCTS_S[kind] * 2 * side**3 / 1e12)

    monkeypatch.setattr(torch, "mm", mm)
    monkeypatch.setattr(torch, "empty_like", lambda tensor: tensor)

    def scaled_mm(a, b, one, how, other, too, *, output_dtype, use_fast_accum):
        assert a.dtype == b.dtype == torch.float8_e4m3fn
        assert b.stride() == (1, b.shape[0])  # by columns
        assert one is other
        clock.done.append(PRODUCTS_S["fp8"] * 2 * a.shape[0] ** 3 / 1e12)

    monkeypatch.setattr(torch.nn.functional, "scaled_mm", scaled_mm)
    return clock


class Watched:
    """A tensor without memory that tells the clock what is done to it."""

    def __init__(self, tensor, clock):
        self.tensor, self.clock = tensor, clock
        self.shape, self.dtype, self.device = tensor.shape, tensor.dtype, tensor.device

    def _moved(self, times):
        self.clock.done.append(times * self.tensor.nbytes / 1e9 * MEMORY_S)

    def sum(self):
        self._moved(1)

    def fill_(self, value):
        self._moved(1.25)

    def copy_(self, other):
        assert other.shape == self.shape
        self._moved(2.5)

    def to(self, dtype):
        return Watched(self.tensor.to(dtype), self.clock)

    def t(self):
        return Watched(self.tensor.t(), self.clock)

    def stride(self):
        return self.tensor.stride()


def test_what_an_h100_is_asked(device):
    found = bench.ceilings(device="cuda")
    # 1e9 bytes in 0.4 ms are 2.5 TB/s; a fill takes 1.25 times that, a copy of two 2.5 times.
    assert found.read_bytes_per_s == pytest.approx(2.5e12)
    assert found.write_bytes_per_s == pytest.approx(2.0e12)
    assert found.copy_bytes_per_s == pytest.approx(2.0e12)
    assert dict(found.flops_per_s) == {
        dtype: pytest.approx(1e12 / seconds) for dtype, seconds in PRODUCTS_S.items()
    }
    assert (found.sweep_dtype, found.sweep) == ("fp8", ())
    assert found.device == "cuda: NVIDIA H100 80GB HBM3"
    assert found.note == "SM clock ≈ 1.41 GHz MEASURED, slowed by the power cap."


def test_the_precision_of_float32_is_put_back(device):
    before = torch.backends.cuda.matmul.fp32_precision
    bench.ceilings(device="cuda:0")
    assert torch.backends.cuda.matmul.fp32_precision == before


@pytest.mark.parametrize(
    ("capability", "dtypes"),
    [
        ((7, 0), ["fp32", "fp16"]),  # V100: no tf32, no bf16
        ((8, 0), ["fp32", "tf32", "bf16", "fp16"]),
        ((8, 9), ["fp32", "tf32", "bf16", "fp16", "fp8"]),
    ],
)
def test_only_what_the_matrix_units_take(device, capability, dtypes):
    device.cuda.capability = capability
    assert list(bench.ceilings(device="cuda").flops_per_s) == dtypes


def test_amds_numbers_are_not_nvidias(device, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.2")
    assert list(bench.ceilings(device="cuda").flops_per_s) == ["fp32", "bf16", "fp16"]


def test_what_torch_has_no_product_for_is_left_out_and_said(device, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("cublasLt has none\nand a long story")

    monkeypatch.setattr(torch.nn.functional, "scaled_mm", refuse)
    found = bench.ceilings(device="cuda")
    assert "fp8" not in found.flops_per_s
    assert "fp8 is left out: cublasLt has none." in found.note


def test_a_larger_product_is_tried_while_time_allows(device, monkeypatch):
    sides = []
    square = gpu._square
    monkeypatch.setattr(gpu, "_square", lambda *args: sides.append(args[1:3]) or square(*args))
    bench.ceilings(1, device="cuda")
    # A share of 40 ms is 8 ms a run. fp32 takes 20 ms a TFLOP: 0.34 ms, 2.7 ms and 22 ms.
    assert [side for dtype, side in sides if dtype == "fp32"] == [2048, 4096]
    # bf16 at 1.5 ms a TFLOP takes 1.6 ms for the largest.
    assert [side for dtype, side in sides if dtype == "bf16"] == [2048, 4096, 8192]


def test_too_little_memory_is_refused(device):
    device.cuda.free_bytes = 2**28
    with pytest.raises(bench.CeilingsError, match="268 MB of the GPU's memory is free"):
        bench.ceilings(device="cuda")


def test_a_swing_is_said(device):
    device.spread = timing.SWING * 2
    assert "In one measurement the times differ by ≈ " in bench.ceilings(device="cuda").note


def test_no_such_gpu(device):
    with pytest.raises(bench.CeilingsError, match="no GPU cuda:1: torch sees 1 here"):
        bench.ceilings(device="cuda:1")


def test_measured_once_in_each_state_of_the_device(device, monkeypatch):
    first = bench.ceilings(device="cuda")
    monkeypatch.setitem(PRODUCTS_S, "bf16", 1.0)
    again = bench.ceilings(device="cuda")
    assert again.flops_per_s == first.flops_per_s
    assert again.note.startswith(first.note)
    assert "kept since; fresh=True measures again." in again.note
    assert bench.ceilings(device="cuda", fresh=True).flops_per_s["bf16"] == pytest.approx(1e12)
    for change, value in (("driver", "580"), ("power_limit_mw", "350000")):
        limits = {"driver": "570", "power_limit_mw": "700000"} | {change: value}
        monkeypatch.setattr(gpu.nvml, "limits", lambda uuid, limits=limits: limits)
        assert "kept" not in bench.ceilings(device="cuda").note
        assert "kept" in bench.ceilings(device="cuda").note


def test_the_fingerprint_says_what_it_cannot_read(device):
    said = gpu.fingerprint(0)
    assert said == {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": "0123-4567",
        "torch": torch.__version__,
        "cuda": str(torch.version.cuda),
        "driver": "unknown",
        "power_limit_mw": "unknown",
        "sm_clock_limit_mhz": "unknown",
    }


@pytest.mark.parametrize("content", ["", "{", "[]", '{"ceilings": "{}", "day": "2026-01-01"}'])
def test_a_damaged_file_is_measured_again_with_a_warning(device, content):
    bench.ceilings(device="cuda")
    [path] = kept.directory().iterdir()
    path.write_text(content)
    with pytest.warns(UserWarning, match="cannot be read"):
        assert "kept" not in bench.ceilings(device="cuda").note
    assert json.loads(path.read_text())["device"]["name"] == "NVIDIA H100 80GB HBM3"


def test_a_cache_that_cannot_be_written_costs_a_warning(device, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set RIDGE_CACHE_DIR") as said:
        assert bench.ceilings(device="cuda").flops_per_s
    assert len(said) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_no_gpu_reads_faster_than_its_data_sheet_says():
    found = bench.ceilings(10, device="cuda", fresh=True)
    assert "fp32" in found.flops_per_s
    try:
        spec = specs.get(torch.cuda.get_device_name())
    except LookupError as error:
        pytest.skip(str(error))
    second = bench.Timing(1.0, 1.0, 1.0, 1, found.device, "by hand", cold=True)
    read = roofline.OpCost(0, found.read_bytes_per_s)
    assert bench.believable(second, read, spec, written_bytes=0)
