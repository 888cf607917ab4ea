"""Clocks and what slows them, by a stand-in for NVIDIA's library."""

import importlib.util
import sys
import types

import pytest
import torch

from gpu_utils.bench import clocks, lens, nvml

POWER_CAP, THERMAL, IDLE = 0x4, 0x20, 0x1


class FakeNvml(types.ModuleType):
    NVML_CLOCK_SM = 1

    class NVMLError(Exception):
        pass

    def __init__(self, readings, broken=()):
        super().__init__("pynvml")
        self.readings, self.broken, self.opened = iter(readings), broken, 0
        self.reasons = 0

    def _try(self, name):
        if name in self.broken:
            raise self.NVMLError(name)

    def nvmlInit(self):
        self._try("init")
        self.opened += 1

    def nvmlShutdown(self):
        self.opened -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self._try("handle")
        assert uuid == "GPU-0123-4567"
        return "the handle"

    def nvmlDeviceGetClockInfo(self, handle, kind):
        self._try("clock")
        assert (handle, kind) == ("the handle", 1)
        clock_mhz, self.reasons = next(self.readings)
        return clock_mhz

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        return self.reasons

    def nvmlSystemGetDriverVersion(self):
        return "570.1"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        self._try("power")
        return 700_000

    def nvmlDeviceGetMaxClockInfo(self, handle, kind):
        return 1980


@pytest.fixture
def install(monkeypatch):
    def put(*readings, broken=()):
        fake = FakeNvml(readings, broken)
        fake.__spec__ = importlib.util.spec_from_loader("pynvml", None)
        monkeypatch.setitem(sys.modules, "pynvml", fake)
        return fake

    return put


def read(times):
    with nvml.watching("0123-4567") as seen:
        for _ in range(times):
            seen.read()
    return seen


def test_a_steady_clock(install):
    fake = install((1980, 0), (1980, IDLE))
    seen = read(2)
    assert seen.clocks_hz == [1.98e9, 1.98e9]
    assert seen.note == "SM clock ≈ 1.98 GHz MEASURED"
    assert fake.opened == 0


def test_a_clock_that_falls_and_why(install):
    install((1980, 0), (1410, POWER_CAP), (1350, POWER_CAP | THERMAL))
    assert read(3).note == (
        "SM clock ≈ 1.35 GHz to ≈ 1.98 GHz MEASURED, slowed by the power cap and the temperature, "
        "by software"
    )


@pytest.mark.parametrize("broken", ["init", "handle", "clock"])
def test_what_cannot_be_read_is_left_out(install, broken):
    fake = install(broken=(broken,))
    seen = read(2)
    assert (seen.clocks_hz, seen.note) == ([], "")
    assert fake.opened == 0


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(nvml.importlib.util, "find_spec", lambda name: None)
    assert read(1).note == ""
    assert set(nvml.limits("0123-4567").values()) == {"unknown"}


def test_limits(install):
    install()
    assert nvml.limits("0123-4567") == {
        "driver": "570.1",
        "power_limit_mw": "700000",
        "sm_clock_limit_mhz": "1980",
    }
    install(broken=("power",))
    assert nvml.limits("0123-4567")["power_limit_mw"] == "unknown"


def test_a_cuda_timing_reads_the_clock_while_calls_are_queued(install, monkeypatch, cuda):
    install(*[(1980, 0)] * 3, *[(1755, POWER_CAP)] * 100)
    monkeypatch.setattr(torch, "empty", cuda.empty)
    rounds = clocks.on_cuda([cuda.call], "cuda:0", 0.01, lens._first_is_known, least=20)
    timed = rounds.timing(0, "by hand", True)
    assert timed.clock_hz == 1.98e9
    assert timed.note.startswith("SM clock ≈ 1.7")
    assert timed.note.endswith("to ≈ 1.98 GHz MEASURED, slowed by the power cap")
