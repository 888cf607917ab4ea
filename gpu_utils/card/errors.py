"""An error in one line of a card."""

import traceback
from pathlib import Path

import torch

from gpu_utils.traffic import OutOfBounds

__all__ = ["said"]

# Frames of this package and of installed ones are not the caller's code.
_NOT_THE_CALLERS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parents[1]))


def said(error: Exception) -> str:
    """An error on one line, with its place in the caller's code."""
    text = " ".join(str(error).split())
    if isinstance(error, OutOfBounds):
        return text  # it says by itself what it is, and where
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_NOT_THE_CALLERS)]
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""
    return f"{where}{type(error).__name__}: {text}"
