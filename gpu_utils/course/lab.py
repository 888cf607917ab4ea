"""Import one lab file by its path, for the tests that judge it."""

import importlib.util
import inspect
import linecache
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from gpu_utils.course import guard


class MissingName(AssertionError):
    """The lab file lacks a function that a test calls."""


class Lab:
    """A lab file's functions as attributes: `lab.copy`. Imported at first use.

    The file is imported under a name of its own, so that labs and solutions with the same file
    name never answer for each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._module: ModuleType | None = None

    def module(self) -> ModuleType:
        """The imported file; whatever its import raises goes on to the caller."""
        if self._module is None:
            name = f"ridge_lab_{self.path.stem}_{abs(hash(str(self.path)))}"
            spec = importlib.util.spec_from_file_location(name, self.path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # inspect.getsource asks for it
            text = importlib.util.decode_source(self.path.read_bytes())
            # Without a time this entry is for ever: Triton and tracebacks read the file as it was
            # imported, whatever is saved or deleted meanwhile.
            linecache.cache[str(self.path)] = (
                len(text), None, text.splitlines(keepends=True), str(self.path),
            )  # fmt: skip
            exec(compile(text, str(self.path), "exec", dont_inherit=True), vars(module))
            guard.verify()
            self._module = module
        return self._module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self.module(), name)
        except AttributeError:
            unit = self.path.stem.split("_", 1)[0]
            raise MissingName(
                f"{self.path.name} has no {name}: was it renamed or deleted? "
                f"Put `def {name}(...)` back; `ridge reset {unit}` restores the starter and "
                "keeps a backup of your file."
            ) from None
        if callable(found) and not isinstance(found, type):
            self._must_be_written_here(name, found)
        return found

    def _must_be_written_here(self, name: str, found: Any) -> None:
        code = getattr(inspect.unwrap(found), "__code__", None)
        where = code.co_filename if code is not None else f"a {type(found).__name__}"
        if where != str(self.path):
            raise MissingName(
                f"{name} is not written in {self.path.name} (it is from {where}): "
                f"write `def {name}(...)` there"
            )
