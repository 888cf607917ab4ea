"""An NVIDIA GPU's clock, and what slows it, read while something runs on it.

It needs the `nvidia-ml-py` package and NVIDIA's driver; where either is missing nothing is read.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from gpu_utils.quantities import Label, Quantity

__all__ = ["Seen", "limits", "watching"]

# nvmlClocksEventReason* of nvml.h. Idle, and clocks that somebody set, slow nothing unexpectedly.
_REASONS = {
    0x04: "the power cap",
    0x08: "a hardware slowdown",
    0x20: "the temperature, by software",
    0x40: "the temperature, by hardware",
    0x80: "the power brake",
}


class Seen:
    """What was read so far.

    Attributes:
        clocks_hz: The SM clock, once a reading.
        reasons: What slowed it, in words.
    """

    def __init__(self, library: Any = None, handle: Any = None) -> None:
        self._library, self._handle = library, handle
        self.clocks_hz: list[float] = []
        self.reasons: dict[str, None] = {}

    def read(self) -> None:
        """Read once. To be called while the GPU is at work: an idle one lowers its clock."""
        if self._handle is None:
            return
        with contextlib.suppress(
            self._library.NVMLError
        ):  # a virtual GPU answers some questions only
            clock_mhz = self._library.nvmlDeviceGetClockInfo(
                self._handle, self._library.NVML_CLOCK_SM
            )
            self.clocks_hz.append(clock_mhz * 1e6)
            mask = self._library.nvmlDeviceGetCurrentClocksEventReasons(self._handle)
            self.reasons |= dict.fromkeys(said for bit, said in _REASONS.items() if mask & bit)

    @property
    def note(self) -> str:
        """One sentence; empty if nothing was read."""
        if not self.clocks_hz:
            return ""
        low, high = (Quantity(pick(self.clocks_hz), "Hz", Label.MEASURED) for pick in (min, max))
        said = f"SM clock {high}" if str(low) == str(high) else f"SM clock {low.text} to {high}"
        return f"{said}, slowed by {' and '.join(self.reasons)}" if self.reasons else said


@contextlib.contextmanager
def watching(uuid: str) -> Iterator[Seen]:
    """Be ready to read the GPU of this UUID."""
    with _opened(uuid) as (library, handle):
        yield Seen(library, handle)


def limits(uuid: str) -> dict[str, str]:
    """The driver, and the limits of power and clock, each "unknown" where it cannot be read."""
    with _opened(uuid) as (library, handle):
        asked: dict[str, Callable[[], Any]] = {
            "driver": lambda: library.nvmlSystemGetDriverVersion(),
            "power_limit_mw": lambda: library.nvmlDeviceGetEnforcedPowerLimit(handle),
            "sm_clock_limit_mhz": lambda: library.nvmlDeviceGetMaxClockInfo(
                handle, library.NVML_CLOCK_SM
            ),
        }
        return {name: _answer(library, ask) if handle else "unknown" for name, ask in asked.items()}


def _answer(library: Any, ask: Callable[[], Any]) -> str:
    try:
        return str(ask())
    except library.NVMLError:
        return "unknown"


@contextlib.contextmanager
def _opened(uuid: str) -> Iterator[tuple[Any, Any]]:
    """The library and the GPU's handle, as long as this lasts; twice None where there is none."""
    if importlib.util.find_spec("pynvml") is None:
        yield None, None
        return
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver of NVIDIA's
        yield None, None
        return
    try:
        yield pynvml, _handle(pynvml, uuid)
    finally:
        pynvml.nvmlShutdown()


def _handle(library: Any, uuid: str) -> Any:
    name = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
    try:
        return library.nvmlDeviceGetHandleByUUID(name)
    except library.NVMLError:
        return None
