"""Three hints a task, each says a little more; never the answer."""

import textwrap

from gpu_utils.course import units

WIDTH = 88  # a text output of JupyterLab breaks words beyond about a hundred characters


class Hint:
    """One hint. Prints itself and says how to get the next."""

    def __init__(self, name: str, number: int, hints: tuple[str, ...]) -> None:
        self.name, self.number, self.hints = name, number, hints

    def __repr__(self) -> str:
        text = f"{self.name}, hint {self.number} of {len(self.hints)}\n"
        text += textwrap.fill(self.hints[self.number - 1], WIDTH)
        if self.number < len(self.hints):
            more = self.number + 1
            text += (
                f'\nNext: hint("{self.name}", {more}), in a terminal ridge hint {self.name} {more}'
            )
        return text


def hint(what: str, number: int = 1) -> Hint:
    """The `number`-th hint of a task: `hint("lab00:a")`, then `hint("lab00:a", 2)`.

    A bare lab name means its first task.

    Raises:
        UnknownName: no such lab or task.
        ValueError: there are not that many hints.
    """
    unit, tasks = units.find(what)
    task = tasks[0]
    name = f"{unit.name}:{task.id}"
    if not 1 <= number <= len(task.hints):
        raise ValueError(f"{name} has hints 1 to {len(task.hints)}; {number} was asked for")
    return Hint(name, number, task.hints)
