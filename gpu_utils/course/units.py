"""The course's units as files on disk: where they stand, what tasks they have, who is meant."""

import dataclasses
import difflib
import functools
import tomllib
from pathlib import Path

SIDES = ("labs", "solutions")


class UnknownName(LookupError):
    """A lab or task that does not exist; the message lists those that do."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One task of a lab, from the lab's toml.

    `kernel` says whether the learner writes a kernel, and so whether the task climbs past
    "correct".
    """

    id: str
    title: str
    minutes: int
    core: bool
    kernel: bool
    gate: str
    hints: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Unit:
    """One lab and its tasks. `stem` is `lab00_four_lenses`; `name` is `lab00`.

    `claims` is what its lesson teaches; the lesson's cell tagged `claim:00.1` asserts the first.
    """

    stem: str
    title: str
    lesson: str
    claims: tuple[str, ...]
    tasks: tuple[Task, ...]
    time_limit_s: float
    memory_limit_bytes: int

    @property
    def name(self) -> str:
        return self.stem.split("_", 1)[0]

    @property
    def test_file(self) -> Path:
        return root() / "tests" / "labs" / f"test_{self.stem}.py"

    @property
    def solution_file(self) -> Path:
        return root() / "solutions" / f"{self.stem}.py"

    @property
    def lab_file(self) -> Path:
        return root() / "labs" / f"{self.stem}.py"

    def task(self, id: str) -> Task:
        for task in self.tasks:
            if task.id == id:
                return task
        known = ", ".join(f"{self.name}:{task.id}" for task in self.tasks)
        raise UnknownName(f"{self.name} has no task {id!r}; its tasks are {known}")


def root() -> Path:
    """The course's folder: the nearest one upward with labs and their tests, else the package's."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "labs").is_dir() and (folder / "tests" / "labs").is_dir():
            return folder
    folder = Path(__file__).resolve().parents[2]
    if (folder / "labs").is_dir():
        return folder
    raise FileNotFoundError(
        f"no course found from {here} upward: work inside a clone of the course (the folder with "
        "labs/ and notebooks/)"
    )


def default_side() -> str:
    """`solutions` in the solutions' own folder, else `labs`: both notebooks read the same."""
    return "solutions" if Path.cwd().resolve() == root() / "solutions" else "labs"


@functools.cache
def _read(path: Path) -> Unit:
    table = tomllib.loads(path.read_text("utf-8"))
    tasks = tuple(
        Task(
            id=task["id"],
            title=task["title"],
            minutes=task["minutes"],
            core=task["core"],
            kernel=task["kernel"],
            gate=task["gate"],
            hints=tuple(task["hints"]),
        )
        for task in table["task"]
    )
    return Unit(
        stem=path.stem,
        title=table["title"],
        lesson=table["lesson"],
        claims=tuple(table["claims"]),
        tasks=tasks,
        time_limit_s=table.get("time_limit_s", 60),
        memory_limit_bytes=table.get("memory_limit_bytes", 4 * 10**9),
    )


def units() -> tuple[Unit, ...]:
    """Every lab of the course, in order."""
    return tuple(_read(path) for path in sorted((root() / "labs").glob("lab[0-9][0-9]_*.toml")))


def find(what: str) -> tuple[Unit, tuple[Task, ...]]:
    """`"lab00"` is a lab and all its tasks, `"lab00:a"` one task; the full stem works too.

    Raises:
        UnknownName: with the names that exist.
    """
    name, _, task = str(what).strip().lower().partition(":")
    known = units()
    for unit in known:
        if name in (unit.name, unit.stem):
            return unit, (unit.task(task),) if task else unit.tasks
    names = [unit.name for unit in known]
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise UnknownName(f"no lab is called {name!r}{guess} The labs are {', '.join(names)}")
