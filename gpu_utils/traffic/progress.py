"""How far a long count is: one line where a person looks on, and none anywhere else."""

import sys
import time
from typing import Any

_PATIENCE_S = 2.0  # before the first line
_PAUSE_S = 0.5  # between lines


class Progress:
    """Shows how many programs ran, once a count takes long, and takes the line away at its end.

    A terminal gets a line that it overwrites. A notebook gets one only if somebody could answer
    it: a notebook that is executed by a program, to be saved or compared, stays as it is.
    """

    def __init__(self) -> None:
        self._next = time.monotonic() + _PATIENCE_S
        self._label, self._total, self._done = "", 0, 0
        self._began = time.monotonic()
        self._line: _Terminal | _Notebook | None = None

    def begin(self, kernel: str, programs: int) -> None:
        """A launch starts."""
        self._label, self._total, self._done = kernel, programs, 0
        self._began = time.monotonic()

    def step(self) -> None:
        """One of its programs starts."""
        now = time.monotonic()
        if now >= self._next and self._done:
            self._next = now + _PAUSE_S
            self._line = self._line or _line()
            if self._line is not None:
                left_s = (now - self._began) / self._done * (self._total - self._done)
                self._line.write(
                    f"{self._label}: {self._done:,} of {self._total:,} programs, "
                    f"about {left_s:.0f} s to go"
                )
        self._done += 1

    def close(self) -> None:
        """The count ended, well or not."""
        if self._line is not None:
            self._line.clear()


class _Terminal:
    def __init__(self) -> None:
        self._width = 0

    def write(self, text: str) -> None:
        sys.stderr.write(f"\r{text:<{self._width}}")
        sys.stderr.flush()
        self._width = len(text)

    def clear(self) -> None:
        self.write("")
        sys.stderr.write("\r")
        sys.stderr.flush()


class _Notebook:
    def __init__(self) -> None:
        from IPython.display import display

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def write(self, text: str) -> None:
        self._handle.update({"text/plain": text}, raw=True)

    def clear(self) -> None:
        self._handle.update({}, raw=True)


def _line() -> _Terminal | _Notebook | None:
    """Where a person looks on, if one does."""
    if sys.stderr is not None and sys.stderr.isatty():
        return _Terminal()
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    asks = getattr(getattr(shell, "kernel", None), "_allow_stdin", False)
    return _Notebook() if asks else None
