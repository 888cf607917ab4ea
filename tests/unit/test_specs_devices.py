"""Which parts a machine has, by stand-ins for PyTorch and NVML that say what real ones said."""

import dataclasses
import re
import subprocess
import sys
import types

import pytest

from gpu_utils import specs
from gpu_utils.specs import devices

MIB = 2**20


def torch_with(*gpus, hip=None):
    """A PyTorch that sees `gpus`: (name, SMs, MiB) each."""
    properties = [
        types.SimpleNamespace(name=name, multi_processor_count=sms, total_memory=mib * MIB)
        for name, sms, mib in gpus
    ]
    cuda = types.SimpleNamespace(
        is_available=lambda: bool(gpus),
        device_count=lambda: len(gpus),
        get_device_properties=lambda index: properties[index],
    )
    return types.SimpleNamespace(cuda=cuda, version=types.SimpleNamespace(hip=hip))


class NoDriver(Exception):
    pass


class NotSupported(Exception):
    pass


class Nvml:
    """An NVML that sees `gpus`: (name, MiB, MIG mode) each; a mode of None is not supported."""

    NVMLError_LibraryNotFound = NoDriver
    NVMLError_DriverNotLoaded = type("NotLoaded", (Exception,), {})
    NVMLError_NotSupported = NotSupported
    NVML_DEVICE_MIG_ENABLE = 1

    def __init__(self, *gpus, driver=True):
        self.gpus, self.driver, self.open = gpus, driver, False

    def nvmlInit(self):
        if not self.driver:
            raise NoDriver
        self.open = True

    def nvmlShutdown(self):
        self.open = False

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        return self.gpus[index]

    def nvmlDeviceGetName(self, handle):
        return handle[0]

    def nvmlDeviceGetMemoryInfo(self, handle):
        return types.SimpleNamespace(total=handle[1] * MIB)

    def nvmlDeviceGetMigMode(self, handle):
        if handle[2] is None:
            raise NotSupported
        return handle[2], handle[2]


@pytest.fixture
def installed(monkeypatch):
    """Decide which modules `detect` finds."""

    def install(torch=None, pynvml=None):
        # None in sys.modules makes the import fail as that of a missing module does.
        monkeypatch.setitem(sys.modules, "torch", torch)
        monkeypatch.setitem(sys.modules, "pynvml", pynvml)

    return install


def gpus():
    return specs.detect()[1:]


@pytest.mark.parametrize(
    ("name", "sms", "mib", "part"),
    [
        # Names and sizes as drivers report them.
        ("NVIDIA H100 80GB HBM3", 132, 81089, "h100-sxm5-80gb"),
        ("NVIDIA H100 PCIe", 114, 81008, "h100-pcie-80gb"),
        ("NVIDIA A100-SXM4-80GB", 108, 81153, "a100-sxm-80gb"),
        ("NVIDIA A100-SXM4-40GB", 108, 40370, "a100-sxm-40gb"),
        ("NVIDIA H200", 132, 143156, "h200-sxm-141gb"),
        ("NVIDIA B200", 148, 182631, "b200-sxm"),
        ("NVIDIA GB200", 152, 189471, "gb200"),
        ("NVIDIA L40S", 142, 45589, "l40s"),
        ("NVIDIA L4", 58, 22478, "l4"),
        ("Tesla T4", 40, 15102, "t4"),
        ("NVIDIA GH200 480GB", 132, 97871, "gh200"),
        ("NVIDIA GeForce RTX 4090", 128, 24217, "rtx-4090"),
    ],
)
def test_an_nvidia_device_is_known_by_its_name_and_sizes(installed, name, sms, mib, part):
    installed(torch_with((name, sms, mib)))
    (gpu,) = gpus()
    assert (gpu.kind, gpu.index, gpu.name, gpu.processors) == ("cuda", 0, name, sms)
    assert gpu.memory_bytes == mib * MIB
    assert gpu.spec == specs.get(part)
    assert gpu.why == ""


def test_a_bare_name_is_told_apart_by_sms_and_memory(installed):
    installed(torch_with(("NVIDIA H100", 114, 81008), ("NVIDIA H100", 132, 81089)))
    assert [gpu.spec.id for gpu in gpus()] == ["h100-pcie-80gb", "h100-sxm5-80gb"]
    installed(torch_with(("NVIDIA A100", 108, 40370), ("NVIDIA A100", 108, 81153)))
    assert [gpu.spec.id for gpu in gpus()] == ["a100-sxm-40gb", "a100-sxm-80gb"]


@pytest.mark.parametrize(
    ("name", "sms", "mib", "why"),
    [
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 16, 9856, "is a MIG slice"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", 42, 19968, "is a MIG slice"),
        # Half of the SMs or of the memory under a known name: a slice of another kind.
        ("NVIDIA H100 80GB HBM3", 66, 81089, r"66 SMs .* fits none .* h100-sxm5-80gb \(132, 80 GB"),
        ("NVIDIA H100 80GB HBM3", 132, 40544, "42.5 GB fits none"),
        ("NVIDIA GH200 480GB", 132, 146831, "154.0 GB fits none"),  # the variant of 144 GB
        ("NVIDIA H100 NVL", 132, 95830, "no part is called"),
        ("NVIDIA H20", 78, 97871, "no part is called"),
        ("NVIDIA A10G", 80, 22587, "no part is called"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 76, 16376, "no part is called"),
    ],
)
def test_a_device_that_is_no_known_part_says_why(installed, name, sms, mib, why):
    installed(torch_with((name, sms, mib)))
    (gpu,) = gpus()
    assert gpu.spec is None
    assert re.search(why, gpu.why)


@pytest.mark.parametrize(
    ("name", "units", "mib", "part"),
    [
        ("AMD Instinct MI300X", 304, 196592, "mi300x"),
        ("AMD Instinct MI210", 104, 65520, "mi210"),
        ("Radeon RX 7900 XTX", 48, 24560, "rx-7900-xtx"),  # pairs of compute units
        ("AMD Radeon RX 7900 XTX", 96, 24560, "rx-7900-xtx"),
    ],
)
def test_an_amd_device(installed, name, units, mib, part):
    installed(torch_with((name, units, mib), hip="6.4"))
    (gpu,) = gpus()
    assert (gpu.kind, gpu.processors, gpu.spec) == ("rocm", units, specs.get(part))


def test_each_half_of_an_mi250x_is_half(installed):
    both = ("AMD Instinct MI250X", 110, 65520), ("AMD Instinct MI250X/MI250", 110, 65520)
    installed(torch_with(*both, hip="6.4"))
    assert [gpu.index for gpu in gpus()] == [0, 1]
    for gpu in gpus():
        assert gpu.spec == specs.get("mi250x").per_device()
        assert gpu.spec.peak("bf16") == 191.5e12
    # 104 units of that name are an MI250, which the table does not have.
    installed(torch_with(("AMD Instinct MI250X/MI250", 104, 65520), hip="6.4"))
    assert gpus()[0].spec is None


def test_nvml_is_asked_where_pytorch_sees_nothing(installed):
    nvml = Nvml(("NVIDIA H100 80GB HBM3", 81559, 0), (b"NVIDIA L4", 23034, None))
    for torch in (None, torch_with()):
        installed(torch, nvml)
        assert [(gpu.index, gpu.spec.id) for gpu in gpus()] == [(0, "h100-sxm5-80gb"), (1, "l4")]
        assert [gpu.processors for gpu in gpus()] == [None, None]  # NVML does not count SMs
        assert not nvml.open
    installed(torch_with(("NVIDIA L4", 58, 22478)), nvml)
    assert [gpu.processors for gpu in gpus()] == [58]


def test_nvml_names_no_slices_but_says_that_there_are_some(installed):
    installed(None, Nvml(("NVIDIA H100 80GB HBM3", 81559, 1)))
    (gpu,) = gpus()
    assert gpu.spec is None
    assert "MIG slice" in gpu.why


def test_without_a_driver_there_is_only_the_cpu(installed):
    for torch, nvml in ((None, None), (torch_with(), Nvml(driver=False))):
        installed(torch, nvml)
        (cpu,) = specs.detect()
        assert cpu.kind == "cpu"


def test_a_broken_driver_is_not_taken_for_none(installed):
    class Broken(Nvml):
        def nvmlInit(self):
            raise RuntimeError("driver/library version mismatch")

    installed(None, Broken())
    with pytest.raises(RuntimeError, match="version mismatch"):
        specs.detect()


def test_the_cpu_is_read_from_proc(installed, monkeypatch, tmp_path):
    cpuinfo, meminfo = tmp_path / "cpuinfo", tmp_path / "meminfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\nmodel name\t: other\n")
    meminfo.write_text("MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    monkeypatch.setattr(devices, "_CPUINFO", cpuinfo)
    monkeypatch.setattr(devices, "_MEMINFO", meminfo)
    installed()
    (cpu,) = specs.detect()
    assert (cpu.kind, cpu.name, cpu.memory_bytes) == ("cpu", "Fast CPU @ 3 GHz", 16384000 * 1024)
    assert cpu.processors >= 1
    assert cpu.spec is None
    assert "bench.ceilings" in cpu.why


def test_a_system_without_proc_names_its_cpu_all_the_same(installed, monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_CPUINFO", tmp_path / "none")
    monkeypatch.setattr(devices, "_MEMINFO", tmp_path / "none")
    installed()
    (cpu,) = specs.detect()
    assert cpu.name
    assert cpu.memory_bytes is None


def test_a_device_cannot_be_changed(installed):
    installed()
    with pytest.raises(dataclasses.FrozenInstanceError):
        specs.detect()[0].name = "other"


def test_importing_specs_imports_no_torch():
    code = "import sys, gpu_utils.specs; print({'torch', 'pynvml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
