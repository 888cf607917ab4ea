"""Find the recordings of a launcher, and tell whether they still hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gpu_utils import specs
from gpu_utils.recordings.files import load
from gpu_utils.recordings.launched import described
from gpu_utils.recordings.model import Recording

if TYPE_CHECKING:
    from gpu_utils._triton.launches import Launch

__all__ = ["State", "find", "state"]

State = Literal["fresh", "stale", "none"]


def find(
    function: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    unit: str | None = None,
    device: str | None = None,
    folder: Path | None = None,
) -> tuple[Recording, ...]:
    """Recordings of a launcher, newest first.

    Args:
        function: The launcher's name.
        arguments: Parameter -> argument; tensors count by dtype, shape and strides. None takes
            recordings of any arguments.
        unit: The lab, such as "lab00".
        device: The GPU, as a driver or `specs.get` calls it.
        folder: Where to look; by default among the recordings that come with the course.

    Raises:
        RecordingError: A file there is damaged, foreign, or of a newer schema.
    """
    wanted = None if arguments is None else {k: described(v) for k, v in arguments.items()}
    return tuple(
        recording
        for recording in load(folder)
        if recording.function == function
        and (wanted is None or dict(recording.arguments) == wanted)
        and (unit is None or recording.unit == unit)
        and (device is None or _part(recording.run.device) == _part(device))
    )


def state(found: Sequence[Recording], launches: "Sequence[Launch]") -> State:
    """Whether the newest of `found` is of the kernels as they are now.

    Args:
        found: From `find`.
        launches: What the launcher launches now, as `codegen.capture` catches it.
    """
    if not found:
        return "none"
    return "stale" if found[0].stale(launches) else "fresh"


def _part(name: str) -> str:
    try:
        return specs.get(name).id
    except specs.UnknownPartError:
        return " ".join(name.lower().split())
