"""A lab file shares a process with its judge: notice when it lays hands on it.

Two things are watched. A `Seal` remembers the judge's functions, classes and constants and tells
which of them was replaced. An audit hook, which Python cannot take off again, refuses what only
somebody needs who looks for the answer: the frames of the caller, the objects of the whole
process, the folder of the solutions, and any change to the course's own files or to its cache of
compiled kernels.

This is a course and no examination: who writes machine code into memory can still fool it. It is
there so that a verdict means what it says for everything that is merely written in Python.
"""

import builtins
import contextlib
import inspect
import json
import math
import os
import random
import sys
import traceback
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gpu_utils.codegen import cache

_MEMBERS = (property, classmethod, staticmethod)
# Foreign modules and classes that a verdict leans on.
_FOREIGN = (
    *("torch", "torch.testing", "torch.testing._comparison", "torch.utils._python_dispatch"),
    *("numpy", "pytest", "_pytest.outcomes", "_pytest.runner", "_pytest.python", "_pytest.reports"),
    *("triton", "triton.runtime.jit", "triton.runtime.interpreter", "triton.language"),
    *("triton.language.core", "triton.language.math", "triton.language.standard"),
)
_FOREIGN_CLASSES = (("torch", "Tensor"), ("triton.runtime.jit", "JITFunction"))
_STANDARD = (builtins, contextlib, inspect, json, math, os, random, sys)
# Events that show a caller's frames, or every object there is.
_PRYING = {
    *("sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.settrace"),
    *("sys.setprofile", "sys.addaudithook", "gc.get_objects", "gc.get_referrers"),
    *("gc.get_referents", "object.__getattr__"),
}
_FRAME_ATTRIBUTES = ("tb_frame", "gi_frame", "cr_frame", "ag_frame")
_WINDOWS = (inspect.__file__, traceback.__file__)  # through which a file may look at frames
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_WRITING = os.O_WRONLY | os.O_RDWR


class Tampered(AssertionError):
    """A lab file changed its judge, or looked where its answer is kept."""


class Seal:
    """What the functions, classes and constants of some modules were when it was taken.

    Args:
        own: modules of which everything counts, values of constants and code of functions too.
        foreign: names of modules whose functions and classes must stay the same objects.
    """

    def __init__(self, own: Iterable[types.ModuleType], foreign: Iterable[str] = _FOREIGN) -> None:
        self._kept: list[tuple[str, Mapping[str, Any], str, Any, Any]] = []
        for module in own:
            self._keep_own(module.__name__, vars(module))
        for module in (*_STANDARD, *(sys.modules[name] for name in foreign if name in sys.modules)):
            self._keep_callables(module.__name__, vars(module))
        self._whole: list[tuple[str, Mapping[str, Any], frozenset[str]]] = []
        for name, of in _FOREIGN_CLASSES:
            if name in sys.modules:
                names = vars(getattr(sys.modules[name], of))
                self._keep_callables(f"{name}.{of}", names)
                self._whole.append((f"{name}.{of}", names, frozenset(names)))

    def add(self, module: types.ModuleType) -> None:
        """Seal one more module."""
        self._keep_own(module.__name__, vars(module))

    def _keep_own(self, place: str, names: Mapping[str, Any]) -> None:
        for name, value in names.items():
            if callable(value) or isinstance(value, _MEMBERS) or name.isupper():
                self._kept.append((place, names, name, value, _inside(value)))
                if isinstance(value, type) and value.__module__ == place:
                    self._keep_own(f"{place}.{name}", vars(value))

    def _keep_callables(self, place: str, names: Mapping[str, Any]) -> None:
        for name, value in names.items():
            if callable(value):
                self._kept.append((place, names, name, value, None))

    def broken(self) -> str:
        """The name of something that is not what it was; empty if all is."""
        for place, names, name, value, inside in self._kept:
            found = names.get(name)
            if found is not value and not _is_torchs_wrapper(found, value):
                return f"{place}.{name}"
            if inside is not None and _inside(value) != inside:
                return f"{place}.{name}"
        for place, names, before in self._whole:
            # A class inherits, so that a name that is new can stand before an old one.
            if new := {name for name in names if callable(names[name])} - before:
                return f"{place}.{min(new)}"
        return ""


def _is_torchs_wrapper(found: Any, value: Any) -> bool:
    """Whether torch wrapped a function of its own, as it does when it imports its compiler."""
    torch, code = sys.modules.get("torch"), getattr(found, "__code__", None)
    if torch is None or code is None:
        return False
    by_torch = code.co_filename.startswith(os.path.dirname(str(torch.__file__)) + os.sep)
    return by_torch and inspect.unwrap(found) is inspect.unwrap(value)


def _inside(value: Any) -> Any:
    """What can be changed of a function or a table without replacing it; None for all else."""
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, types.FunctionType):
        keywords = value.__kwdefaults__
        return value.__code__, value.__defaults__, dict(keywords) if keywords else None
    return None


class Guard:
    """Watches over one lab file in the process in which it is judged.

    Args:
        path: the lab file.
        seal: of the judge.
        closed: folders that the file may not read.
        kept: folders in which the file's code may write nothing.
    """

    def __init__(
        self, path: Path, seal: Seal, closed: Iterable[Path], kept: Iterable[Path]
    ) -> None:
        self.seal = seal
        self._path = str(path)
        self._closed = tuple(f"{folder}{os.sep}" for folder in closed)
        self._kept = tuple(f"{folder}{os.sep}" for folder in kept)
        self._looking = False
        self._seen = ""
        sys.dont_write_bytecode = True  # what the file imports would be written beside it
        sys.addaudithook(self._audit)

    def verify(self) -> None:
        """Raise what was noticed so far, also if the file swallowed it.

        Raises:
            Tampered: with what was changed or looked at.
        """
        if self._seen:
            raise Tampered(self._seen)
        if changed := self.seal.broken():
            raise Tampered(
                f"the file changes {changed}, which is not its own: a check judges with what it "
                "came with. Leave the course, torch, Triton and pytest as they are"
            )

    def _audit(self, event: str, args: tuple) -> None:
        if (event != "open" and event not in _PRYING) or self._looking:
            return
        self._looking = True
        try:
            why = self._opened(*args) if event == "open" else self._pried(event, args)
        finally:
            self._looking = False
        if why:
            self._seen = self._seen or why
            raise Tampered(why)

    def _frames(self) -> Iterator[types.FrameType]:
        frame: types.FrameType | None = sys._getframe(3)  # who asked for what is audited
        while frame is not None:
            if frame.f_code.co_filename != __file__:
                yield frame
            frame = frame.f_back

    def _pried(self, event: str, args: tuple) -> str:
        if event == "object.__getattr__" and args[1] not in _FRAME_ATTRIBUTES:
            return ""
        for frame in self._frames():
            if frame.f_code.co_filename == self._path:
                what = args[1] if event == "object.__getattr__" else event
                return (
                    f"line {frame.f_lineno} looks at what calls it ({what}): a kernel needs its "
                    "arguments and nothing else"
                )
            if frame.f_code.co_filename not in _WINDOWS:
                break
        return ""

    def _opened(self, name: Any, mode: Any, flags: Any) -> str:
        if not isinstance(name, str | bytes | os.PathLike):
            return ""
        path = os.path.realpath(os.fsdecode(name))
        if path == self._path:
            return ""
        writes = bool(set(mode or "") & set("wax+")) or bool((flags or 0) & _WRITING)
        if not path.startswith(self._kept if writes else self._closed):
            return ""
        frame = next((f for f in self._frames() if not _is_passage(f)), None)
        if frame is None or frame.f_code.co_filename != self._path:
            return ""
        if writes:
            return f"line {frame.f_lineno} writes to {Path(path).name}, which is the course's own"
        return f"line {frame.f_lineno} opens a solution: write the answer into this file"


def _is_passage(frame: types.FrameType) -> bool:
    """Whether a frame only does what its caller asked: the standard library, the cache."""
    file = frame.f_code.co_filename
    standard = file.startswith(_STANDARD_LIBRARY) and "site-packages" not in file
    return standard or file.startswith("<frozen ") or file == cache.__file__


_guard: Guard | None = None


def install(guard: Guard) -> None:
    """Make `guard` the one that `verify` asks. In a worker, which judges one file."""
    global _guard
    _guard = guard


def verify() -> None:
    """Raise `Tampered` if the guard of this process, where there is one, noticed something."""
    if _guard is not None:
        _guard.verify()
