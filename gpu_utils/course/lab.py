"""Import one lab file by its path, for the tests that judge it."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


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
            spec.loader.exec_module(module)
            self._module = module
        return self._module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self.module(), name)
            code = getattr(inspect.unwrap(found), "__code__", None)
            if code is not None and Path(code.co_filename) != self.path:
                raise MissingName(
                    f"{name} stands in {code.co_filename}, not in {self.path.name}: write it there"
                )
            return found
        except AttributeError:
            unit = self.path.stem.split("_", 1)[0]
            raise MissingName(
                f"{self.path.name} has no {name}: was it renamed or deleted? "
                f"Put `def {name}(...)` back; `ridge reset {unit}` restores the starter and "
                "keeps a backup of your file."
            ) from None
