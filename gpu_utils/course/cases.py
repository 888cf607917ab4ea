"""What a lab's solution is measured with on a GPU: `gpu_cases(lab)` of the lab's tests."""

from pathlib import Path

from gpu_utils import recordings
from gpu_utils.course import units
from gpu_utils.course.lab import Lab
from gpu_utils.recordings import Case, Recording

__all__ = ["cases", "record"]


def cases(unit: units.Unit) -> tuple[Case, ...]:
    """The cases of a lab, of its solution; none if its tests list none.

    Raises:
        TypeError: `gpu_cases` returns something else.
    """
    tests = Lab(unit.test_file).module()
    listed = getattr(tests, "gpu_cases", None)
    if listed is None:
        return ()
    found = tuple(listed(Lab(unit.solution_file)))
    strange = [type(case).__name__ for case in found if not isinstance(case, Case)]
    if strange:
        raise TypeError(
            f"gpu_cases in {unit.test_file.name} must return recordings.Case, got {strange[0]}"
        )
    return found


def record(what: str, folder: Path | None = None) -> tuple[Path, tuple[Recording, ...]]:
    """Measure a lab's solution on this machine's GPU and write the recording file.

    Args:
        what: A lab, such as "lab00".
        folder: Where to write; by default among the recordings that come with the course.

    Returns:
        The file, and what is in it.

    Raises:
        UnknownName: No such lab.
        ValueError: A lab with nothing to measure.
        NoGPUError: There is no GPU.
        WrongResultError: The solution is wrong on this GPU.
        AutotunedError: The solution launches a kernel that an autotuner configures.
    """
    unit, _ = units.find(what)
    listed = cases(unit)
    if not listed:
        raise ValueError(
            f"{unit.name} has nothing to record: its tests have no gpu_cases(lab), which lists "
            "what is measured on a GPU"
        )
    run = recordings.with_ceilings(recordings.begin(f"ridge record {unit.name}"))
    found = tuple(recordings.record(case, unit.name, run) for case in listed)
    path = (folder or recordings.FOLDER) / recordings.file_name(run, unit.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(recordings.dump(run, found), encoding="utf-8")
    return path, found
