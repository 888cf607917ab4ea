"""The speed lens under test waits for no other timing of the machine and finds nothing kept."""

import contextlib
import types

import pytest
import torch


@pytest.fixture(autouse=True)
def _own_directories(monkeypatch, tmp_path):
    monkeypatch.setenv("RIDGE_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(tmp_path / "cache"))


class FakeCuda:
    """Stands in for torch.cuda: keeps a log, and a clock that each call moves by some time.

    The tensors are a CPU's. What `empty` is asked for is in `sizes`, and it can only be flushed.
    """

    def __init__(self):
        self.log, self.now_ms, self.sizes = [], 0.0, []
        self.capability = (9, 0)
        self.free_bytes = 2**33

    def event(self, enable_timing):
        assert enable_timing
        event = types.SimpleNamespace()

        def record():
            self.log.append("event")
            event.at_ms = self.now_ms

        event.record = record
        event.elapsed_time = lambda stop: stop.at_ms - event.at_ms
        return event

    def call(self, name="call", takes_ms=2.0):
        self.log.append(name)
        self.now_ms += takes_ms

    def flush(self):
        self.call("flush", 1000.0)

    def empty(self, size, dtype, device):
        self.sizes.append(size * dtype.itemsize)
        return types.SimpleNamespace(zero_=self.flush)


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    properties = types.SimpleNamespace(L2_cache_size=50 * 2**20, uuid="0123-4567")
    fake.properties = properties
    replaced = {
        "Event": fake.event,
        "synchronize": lambda: fake.log.append("synchronize"),
        "device": contextlib.nullcontext,
        "device_count": lambda: 1,
        "get_device_properties": lambda device: properties,
        "get_device_name": lambda device=0: "NVIDIA H100 80GB HBM3",
        "get_device_capability": lambda device: fake.capability,
        "mem_get_info": lambda device: (fake.free_bytes, 2**34),
    }
    for name, value in replaced.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.version, "hip", None)
    return fake
