"""Catch the launches `kernel[grid](...)` that a callable makes, instead of running them."""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from triton.runtime.jit import JITFunction


@dataclasses.dataclass(frozen=True)
class Launch:
    """One `kernel[grid](*args, **kwargs)`, as the launcher wrote it.

    `kernel` is the `@triton.jit` object and `options` are the keywords that are not the
    kernel's parameters (`num_warps`, `num_stages`, ...).
    """

    kernel: JITFunction
    grid: tuple[int, int, int]
    arguments: dict[str, Any]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The kernel's name in its source."""
        return self.kernel.fn.__name__

    @property
    def file(self) -> str:
        """The file in which the kernel stands."""
        return inspect.getsourcefile(self.kernel.fn) or "<unknown>"

    @property
    def programs(self) -> int:
        """How many programs the grid starts."""
        x, y, z = self.grid
        return x * y * z


def _normalise(kernel: JITFunction, grid: Any, args: tuple, kwargs: dict) -> Launch:
    names = set(kernel.arg_names)
    options = {key: value for key, value in kwargs.items() if key not in names}
    given = {key: value for key, value in kwargs.items() if key in names}
    arguments = inspect.getcallargs(kernel.fn, *args, **given)
    if callable(grid):
        grid = grid(arguments)
    sizes = tuple(int(size) for size in grid)
    if not 1 <= len(sizes) <= 3:
        raise ValueError(f"a grid has one to three dimensions; {kernel.fn.__name__} got {grid!r}")
    x, y, z = sizes + (1,) * (3 - len(sizes))
    return Launch(kernel, (x, y, z), arguments, options)


@contextlib.contextmanager
def intercept(handler: Callable[[Launch], Any]) -> Iterator[None]:
    """While active, each launch in this process is given to `handler` and does not run.

    Compilation by Triton itself (`warmup`) goes on as before.
    """
    original = JITFunction.run

    def run(self: JITFunction, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        if warmup:
            return original(self, *args, grid=grid, warmup=warmup, **kwargs)
        return handler(_normalise(self, grid, args, kwargs))

    JITFunction.run = run
    try:
        yield
    finally:
        JITFunction.run = original
