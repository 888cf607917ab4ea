"""The card of a learner's own kernel, made where a mistake in it cannot hurt the notebook."""

from typing import TYPE_CHECKING, Any

from gpu_utils.course import units

if TYPE_CHECKING:
    from gpu_utils.card import Recorded
    from gpu_utils.recordings import Recording


class NoCard:
    """Why there is no card yet. Prints as one line."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return self.why


def study(what: str, function: str, *args: Any, **kwargs: Any) -> Any:
    """The kernel card of a function in a lab file, as the file is now.

    Where there is no GPU, the card shows beside it what the solution took on those that there
    are recordings of.

    Args:
        what: `"lab00"`.
        function: the launcher's name in that file: `"axpby"`.
        *args, **kwargs: as for `card.study`.

    Returns:
        A `card.Card`; or a line that says why there is none yet.
    """
    from gpu_utils.course import worker

    unit, _ = units.find(what)
    answer: dict = {}
    for message in worker.run(
        lambda send: send(_in_the_worker(unit, function, args, kwargs)),
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


def _in_the_worker(unit: units.Unit, function: str, args: tuple, kwargs: dict) -> dict:
    from gpu_utils import card
    from gpu_utils.course.lab import Lab

    path = units.root() / units.default_side() / f"{unit.stem}.py"
    recorded = _recorded(unit, function)  # before the file under study is imported
    try:
        fn = getattr(Lab(path), function)
        return {"card": card.study(fn, *args, recorded=recorded, **kwargs).to_json()}
    except NotImplementedError:
        return {"why": f"no card yet: {function} is not written"}
    except Exception as error:
        return {"why": f"no card of {function}: {type(error).__name__}: {error}"}


def _recorded(unit: units.Unit, function: str) -> "list[Recorded]":
    """What the unit's solution took where it was recorded, stale or not."""
    from gpu_utils import card, recordings

    found = recordings.find(function, unit=unit.name)
    return [card.recorded(recording, _changes(unit, recording)) for recording in found]


def _changes(unit: units.Unit, recording: "Recording") -> tuple[str, ...]:
    """How the solution differs from what was recorded, by what it launches for those arguments."""
    from gpu_utils import codegen, recordings
    from gpu_utils.course import cases

    for case in cases.cases(unit):
        arguments = case.arguments("meta")
        told = {name: recordings.described(value) for name, value in case.named(arguments).items()}
        if case.name == recording.function and told == dict(recording.arguments):
            return recording.changes(codegen.capture(case.function, *arguments))
    return ("the solution is no longer measured with these arguments",)
