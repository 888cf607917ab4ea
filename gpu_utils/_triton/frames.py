"""Where in a learner's code the interpreter is."""

import functools
import itertools
import sys
import types
from pathlib import Path
from typing import TypeAlias

import triton

HIDDEN = (str(Path(triton.__file__).parent), str(Path(__file__).parent))


def _kernel_frame(frame: types.FrameType | None) -> types.FrameType | None:
    """The innermost frame from `frame` outwards that is a kernel's own code."""
    # Triton's own functions (tl.sum, ...) are rewritten like a kernel, and are none.
    while frame is not None and (
        "interpreter_logic" not in frame.f_globals or frame.f_code.co_filename.startswith(HIDDEN)
    ):
        frame = frame.f_back
    return frame


def kernel_line() -> tuple[str, int]:
    """File and line at which the kernel is."""
    frame = _kernel_frame(sys._getframe())
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


# First and last line, first and last column of a call.
Extent: TypeAlias = tuple[int, int | None, int, int | None]


@functools.lru_cache(maxsize=4096)
def _position(code: types.CodeType, offset: int) -> Extent:
    line, last_line, column, last_column = next(itertools.islice(code.co_positions(), offset, None))
    return line or code.co_firstlineno, last_line, column or 0, last_column


def _extent(frame: types.FrameType) -> Extent:
    """Where the call stands that a frame is in."""
    return _position(frame.f_code, frame.f_lasti // 2)


def kernel_site() -> tuple[str, int, int]:
    """File, line and column (from 0) of the call that the kernel is in."""
    frame = _kernel_frame(sys._getframe())
    if frame is None:
        return "<unknown>", 0, 0
    line, _, column, _ = _extent(frame)
    return frame.f_code.co_filename, line, column


# File and extent of a call -> where the compiler says that it is. `rewrite` fills it.
places_of_calls: dict[tuple[str, Extent], tuple[int, int]] = {}


def compiled_sites() -> tuple[tuple[int, int], ...]:
    """Line and column of the call that the kernel is in, as the compiler has it.

    In a helper, the call of the helper follows, and so on up to the kernel.
    """
    sites = []
    frame = _kernel_frame(sys._getframe())
    while frame is not None:
        extent = _extent(frame)
        key = frame.f_code.co_filename, extent
        sites.append(places_of_calls.get(key, (extent[0], extent[2])))
        frame = _kernel_frame(frame.f_back)
    return tuple(sites)


def short_name(file: str) -> str:
    """A file as people know it: its name, or "cell" for a notebook's cell."""
    return "cell" if "ipykernel" in file else Path(file).name


def where() -> str:
    """File and line at which the kernel is, for a message."""
    file, line = kernel_line()
    return f"{short_name(file)}:{line}"
