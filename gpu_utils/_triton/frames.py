"""Where in a learner's code the interpreter is."""

import itertools
import sys
import types
from pathlib import Path

import triton

HIDDEN = (str(Path(triton.__file__).parent), str(Path(__file__).parent))


def _kernel_frame() -> types.FrameType | None:
    """The innermost frame that is a kernel's own code."""
    frame: types.FrameType | None = sys._getframe(2)
    # Triton's own functions (tl.sum, ...) are rewritten like a kernel, and are none.
    while frame is not None and (
        "interpreter_logic" not in frame.f_globals or frame.f_code.co_filename.startswith(HIDDEN)
    ):
        frame = frame.f_back
    return frame


def kernel_line() -> tuple[str, int]:
    """File and line at which the kernel is."""
    frame = _kernel_frame()
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


def kernel_site() -> tuple[str, int, int]:
    """File, line and column (from 0) of the call that the kernel is in, as the compiler has it."""
    frame = _kernel_frame()
    if frame is None:
        return "<unknown>", 0, 0
    positions = itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
    line, _, column, _ = next(positions)
    return frame.f_code.co_filename, line or frame.f_lineno, column or 0


def short_name(file: str) -> str:
    """A file as people know it: its name, or "cell" for a notebook's cell."""
    return "cell" if "ipykernel" in file else Path(file).name


def where() -> str:
    """File and line at which the kernel is, for a message."""
    file, line = kernel_line()
    return f"{short_name(file)}:{line}"
