"""The card of a learner's own kernel, made where a mistake in it cannot hurt the notebook."""

from pathlib import Path
from typing import Any

from gpu_utils.course import units, worker
from gpu_utils.course.lab import Lab


class NoCard:
    """Why there is no card yet. Prints as one line."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return self.why


def study(what: str, function: str, *args: Any, **kwargs: Any) -> Any:
    """The kernel card of a function in a lab file, as the file is now.

    Args:
        what: `"lab00"`.
        function: the launcher's name in that file: `"axpby"`.
        *args, **kwargs: as for `card.study`.

    Returns:
        A `card.Card`; or a line that says why there is none yet.
    """
    unit, _ = units.find(what)
    path = units.root() / units.default_side() / f"{unit.stem}.py"
    answer: dict = {}
    for message in worker.run(
        lambda send: send(_in_the_worker(path, function, args, kwargs)),
        time_limit_s=unit.time_limit_s,
        memory_limit_bytes=unit.memory_limit_bytes,
    ):
        if isinstance(message, worker.Ending):
            if message.how != "done":
                return NoCard(f"no card of {function}: {message.sentence}")
        else:
            answer = message
    if "why" in answer:
        return NoCard(answer["why"])
    from gpu_utils import card

    return card.Card.from_json(answer["card"])


def _in_the_worker(path: Path, function: str, args: tuple, kwargs: dict) -> dict:
    from gpu_utils import card

    try:
        return {"card": card.study(getattr(Lab(path), function), *args, **kwargs).to_json()}
    except NotImplementedError:
        return {"why": f"no card yet: {function} is not written"}
    except Exception as error:
        return {"why": f"no card of {function}: {type(error).__name__}: {error}"}
