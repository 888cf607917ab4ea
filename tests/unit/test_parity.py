"""The fingerprint of an environment: what is read, what is not known and why, what is private."""

import doctest
import getpass
import platform
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from gpu_utils import parity
from gpu_utils.parity import FACTS, Fingerprint, device, host, nvml

H100 = {
    "name": "NVIDIA H100 80GB HBM3",
    "major": 9,
    "minor": 0,
    "multi_processor_count": 132,
    "L2_cache_size": 52_428_800,
    "total_memory": 85_017_493_504,
    "memory_bus_width": 5120,
    "shared_memory_per_multiprocessor": 233_472,
    "warp_size": 32,
    "uuid": "11111111-2222-3333-4444-555555555555",
}


def pretend_cuda(monkeypatch, properties, hip=None):
    """torch as it is where there is one GPU with these properties."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(**properties)
    )
    monkeypatch.setattr(torch.version, "hip", hip)


class NVMLError(Exception):
    pass


def refuse(*_):
    raise NVMLError("Not Supported")


def pretend_nvml(monkeypatch, **answers):
    """An nvidia-ml-py whose functions answer these constants, and refuse everything else."""
    module = types.SimpleNamespace(
        NVMLError=NVMLError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None, nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: f"handle of {uuid}",
        nvmlDeviceGetHandleByIndex=lambda index: f"handle {index}",
    )  # fmt: skip
    every = Path(nvml.__file__).read_text("utf-8")
    for name in re.findall(r"\bn\.(nvml\w+)", every):
        setattr(module, name, refuse)
    for name, answer in answers.items():
        assert hasattr(module, name), name
        setattr(module, name, lambda *_, answer=answer: answer)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_every_fact_is_known_or_has_a_reason():
    here = parity.fingerprint(private=True, use_torch=True)
    assert set(here.facts) == set(FACTS)
    none = {name for name, value in here.facts.items() if value is None}
    # What does not exist is None without a reason: no CUDA in a CPU build, no variable set.
    may_not_exist = {"torch.cuda", "torch.hip", *(n for n in FACTS if n.startswith("environment."))}
    assert set(here.unknown) <= none
    assert none - set(here.unknown) <= may_not_exist
    assert here.facts["python.version"] == platform.python_version()
    assert here.facts["torch.version"] == torch.__version__


def test_nothing_private_is_in_it_unless_asked_for():
    public, private = (parity.fingerprint(private=p, use_torch=True) for p in (False, True))
    assert set(private.facts) - set(public.facts) == {"gpu.uuid", "gpu.serial", "host.name"}
    line = public.to_json()
    assert "/" not in line.replace("cpu/", "")  # no path of any kind
    assert platform.node() not in line.split('"')
    assert getpass.getuser() not in line.split('"')


def test_paths_in_variables_are_left_out():
    chosen = host._chosen(
        {"TRITON_DEBUG": "1", "TRITON_CACHE_DIR": "/home/ada/triton", "HOME": "x"}, "TRITON_"
    )
    assert chosen == {"TRITON_DEBUG": "1"}


def test_an_h100_as_torch_and_nvml_tell_it(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    pretend_nvml(
        monkeypatch,
        nvmlDeviceGetMigMode=[0, 0],
        nvmlDeviceGetEccMode=[1, 1],
        nvmlDeviceGetEnforcedPowerLimit=700_000,  # mW
        nvmlDeviceGetClockInfo=1980,  # MHz
        nvmlDeviceGetCurrentClocksEventReasons=0x4 | 0x40 | 0x1,
        nvmlDeviceGetRemappedRows=(2, 0, 0, 0),
        nvmlSystemGetDriverVersion=b"580.82.07",
        nvmlSystemGetCudaDriverVersion_v2=13_000,
        nvmlDeviceGetVirtualizationMode=1,
    )
    here = parity.fingerprint(private=True)
    expected = {
        "gpu.name": "NVIDIA H100 80GB HBM3",
        "gpu.vendor": "NVIDIA",
        "gpu.architecture": "sm_90",
        "gpu.sm_count": 132,
        "gpu.l2_bytes": 52_428_800,
        "gpu.memory_bus_bits": 5120,
        "gpu.mig": False,
        "gpu.ecc": True,
        "gpu.power_limit_w": 700.0,
        "gpu.clock_sm_hz": 1_980_000_000,
        # 0x4 and 0x40; 0x1 says that it is idle, which is no fault.
        "gpu.throttled_by": ("software power cap", "hardware thermal slowdown"),
        "gpu.remapped_rows": "2 correctable, 0 uncorrectable",
        "gpu.virtualization": "passthrough",
        "driver.version": "580.82.07",
        "driver.cuda": "13.0",
        "gpu.uuid": H100["uuid"],
    }
    assert {name: here.facts[name] for name in expected} == expected
    assert here.unknown["gpu.vbios"] == "NVML: Not Supported"
    assert here.unknown["gpu.serial"] == "NVML: Not Supported"
    assert Fingerprint.from_json(here.to_json()) == here


def test_nvml_is_asked_for_the_gpu_that_torch_means(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    module = pretend_nvml(monkeypatch)
    asked = []
    module.nvmlDeviceGetHandleByUUID = lambda uuid: asked.append(uuid) or "handle"
    parity.fingerprint()
    assert asked == [f"GPU-{H100['uuid']}"]


def test_without_torch_nvml_speaks_alone(monkeypatch):
    pretend_nvml(
        monkeypatch,
        nvmlDeviceGetName="NVIDIA L4",
        nvmlDeviceGetCudaComputeCapability=(8, 9),
    )
    here = parity.fingerprint(use_torch=False)
    assert (here.facts["gpu.name"], here.facts["gpu.architecture"]) == ("NVIDIA L4", "sm_89")
    assert here.unknown["gpu.l2_bytes"] == here.unknown["torch.cuda"] == "torch was not asked"


def test_without_nvml_each_of_its_facts_says_so(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    monkeypatch.setitem(sys.modules, "pynvml", None)  # importing it raises ImportError
    here = parity.fingerprint()
    assert here.facts["gpu.name"] == "NVIDIA H100 80GB HBM3"
    assert here.unknown["gpu.clock_sm_hz"] == "nvidia-ml-py is not installed"
    module = pretend_nvml(monkeypatch)
    module.nvmlInit = lambda: (_ for _ in ()).throw(NVMLError("NVML Shared Library Not Found"))
    assert parity.fingerprint().unknown["gpu.ecc"] == "NVML: NVML Shared Library Not Found"


def test_an_nvml_older_than_the_question(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    module = pretend_nvml(monkeypatch)
    del module.nvmlDeviceGetNumaNodeId
    assert "nvmlDeviceGetNumaNodeId" in parity.fingerprint().unknown["gpu.numa_node"]


def test_an_mi300x(monkeypatch):
    properties = {
        "name": "AMD Instinct MI300X",
        "gcnArchName": "gfx942:sramecc+:xnack-",
        "multi_processor_count": 304,
        "L2_cache_size": 4_194_304,
        "total_memory": 206_141_652_992,
        "warp_size": 64,
    }
    pretend_cuda(monkeypatch, properties, hip="6.4")
    here = parity.fingerprint()
    assert (here.facts["gpu.vendor"], here.facts["gpu.architecture"]) == ("AMD", "gfx942")
    assert (here.facts["gpu.sm_count"], here.facts["torch.hip"]) == (304, "6.4")
    assert here.unknown["gpu.ecc"] == "only NVIDIA's NVML is read"


def test_the_moment_is_read_alone(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    pretend_nvml(monkeypatch, nvmlDeviceGetClockInfo=1755)
    now = parity.under_load()
    assert now.facts["gpu.clock_sm_hz"] == 1_755_000_000
    assert all(FACTS[name].momentary for name in now.facts)


def test_a_device_that_is_not_there(monkeypatch):
    pretend_cuda(monkeypatch, H100)
    with pytest.raises(ValueError, match="device must be from 0 to 0, got 3"):
        parity.fingerprint(3)


def known(**changes):
    facts = {"gpu.name": "NVIDIA L4", "torch.version": "2.11.0+cu130", "gpu.clock_sm_hz": 1,
             "driver.version": "580.82.07", "gpu.memory_bytes": 24_152_899_584}  # fmt: skip
    return Fingerprint(facts | {k.replace("__", "."): v for k, v in changes.items()}, {})


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"gpu__name": "NVIDIA L40"}, False),
        ({"torch__version": "2.11.1+cu126"}, True),  # a patch, and another build
        ({"torch__version": "2.12.0+cu130"}, False),
        ({"gpu__clock_sm_hz": 2}, True),  # of the moment
        ({"driver__version": "590.1"}, True),  # warns, does not block
        ({"gpu__memory_bytes": 24_152_000_000}, True),  # a driver that keeps a little more
        ({"gpu__memory_bytes": 48_000_000_000}, False),
        ({"triton__ptxas": "12.9.86"}, False),
        ({"triton__environment": {"TRITON_DEFAULT_FP_FUSION": "0"}}, False),
    ],
)
def test_the_hash_holds_what_would_make_two_runs_incomparable(changes, same):
    assert (known().hash == known(**changes).hash) is same


def test_the_hash_is_that_of_another_process():
    here = known()
    code = (
        "import sys; from gpu_utils.parity import Fingerprint;"
        "print(Fingerprint.from_json(sys.argv[1]).hash)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, here.to_json()], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here.hash
    assert len(here.hash) == 16


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "no fingerprint"),
        ('{"schema": 2, "facts": {}, "unknown": {}}', "schema 2.*reads 1"),
        ('{"schema": 1, "facts": [], "unknown": {}}', "facts and unknown are tables"),
        ('{"schema": 1, "facts": {"gpu.colour": "green"}, "unknown": {}}', "gpu.colour"),
        ('{"schema": 1, "facts": {"gpu.ecc": true}, "unknown": {"gpu.ecc": "?"}}', "known and"),
        ("no json", "Expecting value"),
    ],
)
def test_what_is_no_fingerprint(line, message):
    with pytest.raises(ValueError, match=message):
        Fingerprint.from_json(line)


def test_importing_it_imports_no_torch():
    code = "import sys, gpu_utils.parity as p; p.fingerprint(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_it_prints_without_raw_digits():
    assert str(known()).endswith("gpu.name NVIDIA L4, driver.version 580.82.07, "
                                 "torch.version 2.11.0+cu130; nothing unknown")  # fmt: skip


@pytest.mark.parametrize("module", [parity, device, nvml, sys.modules[Fingerprint.__module__]])
def test_doctests(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
