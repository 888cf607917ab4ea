"""Read an environment: each fact from where it is known best."""

from typing import Any

from gpu_utils.parity import device as _device
from gpu_utils.parity import host, nvml
from gpu_utils.parity.facts import FACTS, Reading, Unknown
from gpu_utils.parity.fingerprint import Fingerprint, split

__all__ = ["fingerprint", "under_load"]


def fingerprint(
    device: int = 0, *, private: bool = False, use_torch: bool | None = None
) -> Fingerprint:
    """The facts of this environment, as they are now.

    Args:
        device: torch's number of the GPU.
        private: Also what names this one machine: its host name, the GPU's UUID and serial
            number. Leave it out of anything that is published.
        use_torch: Whether to ask torch for the GPU and its settings. None asks it if it has been
            imported; True imports it, which takes seconds.

    Raises:
        ValueError: torch has no such device.
    """
    torch, why_not = _device.torch_if(use_torch)
    reading: Reading = {
        **host.read(),
        **_device.software(torch, why_not),
        **_gpu(torch, device, why_not),
    }
    return split(
        {name: reading[name] for name, fact in FACTS.items() if private or not fact.private}
    )


def under_load(device: int = 0) -> Fingerprint:
    """Clocks, throttling, power and temperature at this moment: read it while the GPU works."""
    torch, why_not = _device.torch_if(None)
    reading = _gpu(torch, device, why_not)
    return split({name: reading[name] for name, fact in FACTS.items() if fact.momentary})


def _gpu(torch: Any, index: int, why_not: str) -> Reading:
    """What torch says of the GPU, and what NVML says where torch does not."""
    reading = _device.gpu(torch, index, why_not)
    if torch is not None and isinstance(reading["gpu.name"], Unknown):
        return reading  # torch sees no GPU, so none is measured, whatever NVML sees
    missing = {name for name, value in reading.items() if isinstance(value, Unknown)}
    if reading["gpu.vendor"] == "AMD":
        return reading | dict.fromkeys(missing, Unknown("only NVIDIA's NVML is read"))
    uuid = reading["gpu.uuid"]
    managed = nvml.read(index, uuid if isinstance(uuid, str) else None)
    return reading | {name: managed[name] for name in managed if name in missing}
