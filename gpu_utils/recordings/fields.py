"""Read checked values out of JSON: every error names the file and the field."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Node", "RecordingError"]

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false",
          dict: "a table", list: "a list"}  # fmt: skip


class RecordingError(ValueError):
    """A file that is no recording, or a damaged one; the message names the file and the field."""


class Node:
    """A place in a JSON document."""

    def __init__(self, value: Any, file: str, path: str = "") -> None:
        self.value, self.file, self.path = value, file, path

    def wrong(self, expected: str) -> RecordingError:
        """The error for a value that is not what was expected."""
        came = repr(self.value)
        shown = came if len(came) <= 60 else f"{came[:57]}..."
        return RecordingError(
            f"{self.file}: {self.path or 'the document'}: expected {expected}, got {shown}"
        )

    def __getitem__(self, name: str) -> "Node":
        """The field of a table; a field that is not there is an error."""
        table = self.of(dict)
        path = f"{self.path}.{name}" if self.path else name
        if name not in table:
            raise RecordingError(f"{self.file}: {path} is missing")
        return Node(table[name], self.file, path)

    def items(self) -> Iterator["Node"]:
        """The items of a list."""
        for index, value in enumerate(self.of(list)):
            yield Node(value, self.file, f"{self.path}[{index}]")

    def table(self) -> dict[str, "Node"]:
        """The fields of a table, by name."""
        return {name: self[name] for name in self.of(dict)}

    @property
    def missing(self) -> bool:
        """Whether the value is null."""
        return self.value is None

    def of(self, kind: type) -> Any:
        """The value, which must be of this kind; a whole number is a number, true is not."""
        right: bool = isinstance(self.value, (int, float) if kind is float else kind)
        if not right or (isinstance(self.value, bool) and kind is not bool):
            raise self.wrong(_NAMES[kind])
        return self.value

    def maybe(self, kind: type) -> Any:
        """The value, or None where it is null."""
        return None if self.missing else self.of(kind)

    def positive(self) -> float:
        """A number above 0."""
        value: float = self.of(float)
        if not value > 0:
            raise self.wrong("a number above 0")
        return value

    def built(self, make: Any, fields: Mapping[str, Any]) -> Any:
        """`make(**fields)`, whose refusal is an error of this place."""
        try:
            return make(**fields)
        except (TypeError, ValueError) as error:
            raise RecordingError(f"{self.file}: {self.path or 'the document'}: {error}") from error
