"""Where in a learner's code the interpreter is."""

import sys
import types
from pathlib import Path

import triton

HIDDEN = (str(Path(triton.__file__).parent), str(Path(__file__).parent))


def kernel_line() -> tuple[str, int]:
    """File and line of the innermost frame that is a kernel's own code."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and (
        frame.f_code.co_filename.startswith(HIDDEN) or "interpreter_semantic" not in frame.f_globals
    ):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("<unknown>", 0)


def short_name(file: str) -> str:
    """A file as people know it: its name, or "cell" for a notebook's cell."""
    return "cell" if "ipykernel" in file else Path(file).name
