"""What a lab builds on: the learner's own file of an earlier lab where it works, else the solution.

Only who is checked in `labs/` stands on their own earlier work. The solution of a lab, and wrong
answers to it, are judged with the earlier solution, whatever a learner has written.
"""

import dataclasses
from collections.abc import Callable

from gpu_utils.course import units
from gpu_utils.course.lab import Lab, MissingName

__all__ = ["Earlier", "earlier"]


@dataclasses.dataclass(frozen=True)
class Earlier:
    """The file that a lab builds on.

    Attributes:
        lab: that file, its functions as attributes.
        whose: a sentence that says whose it is, and why it is not the learner's own.
    """

    lab: Lab
    whose: str


def earlier(lab: Lab, unit: str, works: Callable[[Lab], None]) -> Earlier:
    """Choose the file of an earlier unit that `lab` builds on.

    Args:
        lab: the file under judgement.
        unit: the earlier unit, such as "lab04".
        works: called with the learner's file of that unit; raises where it cannot be built on.

    Raises:
        UnknownName: no such unit.
    """
    found, _ = units.find(unit)
    solution = Lab(found.solution_file)
    solution.module()  # imported here, since under a lens an import would look like a change
    if lab.path.parent != found.lab_file.parent:
        return Earlier(solution, f"{unit} is the solution's")
    own = Lab(found.lab_file)
    try:
        works(own)
    except NotImplementedError as error:
        why = f"{error} of labs/{own.path.name} is not written yet"
    except (MissingName, FileNotFoundError, SyntaxError) as error:
        why = f"labs/{own.path.name} cannot be used ({error})"
    except Exception as error:
        why = f"labs/{own.path.name} is not right yet ({_first_line(error)})"
    else:
        return Earlier(own, f"{unit} is your own labs/{own.path.name}")
    return Earlier(solution, f"{why}, so {unit} is the solution's; `ridge check {unit}` says more")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
