"""Catch the launches `kernel[grid](...)` that a callable makes, instead of running them."""

import contextlib
import dataclasses
import inspect
import numbers
from collections.abc import Callable, Iterator
from typing import Any

from triton.runtime.autotuner import Autotuner, Config
from triton.runtime.errors import AutotunerError
from triton.runtime.jit import JITFunction


@dataclasses.dataclass(frozen=True)
class Launch:
    """One `kernel[grid](*args, **kwargs)`, as the launcher wrote it.

    `kernel` is the `@triton.jit` object and `options` are the keywords that are not the
    kernel's parameters (`num_warps`, `num_stages`, ...). `tuned`: an autotuner has several
    configurations for it, of which a GPU may choose another than this.
    """

    kernel: JITFunction
    grid: tuple[int, int, int]
    arguments: dict[str, Any]
    options: dict[str, Any]
    tuned: bool = False

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
    x, y, z = _sizes(kernel.fn.__name__, grid(arguments) if callable(grid) else grid)
    return Launch(kernel, (x, y, z), arguments, options)


def _sizes(name: str, grid: Any) -> tuple[int, int, int]:
    """A grid as three integers; what Triton or the GPU would refuse is refused here."""
    if not isinstance(grid, tuple | list) or not 1 <= len(grid) <= 3:
        raise TypeError(
            f"{name}'s grid is a tuple of one to three sizes; write {name}[(programs,)]"
        )
    for size in grid:
        if isinstance(size, bool) or not isinstance(size, numbers.Integral):
            raise TypeError(f"{name}'s grid holds {size!r}: sizes are integers; use triton.cdiv")
    x, y, z = [int(size) for size in grid] + [1] * (3 - len(grid))
    # CUDA's limits; the second and third dimension are 16 bits wide.
    for size, limit in zip((x, y, z), (2**31 - 1, 65_535, 65_535), strict=True):
        if not 0 <= size <= limit:
            raise ValueError(f"{name}'s grid {(x, y, z)} is more than a GPU takes in one dimension")
    return x, y, z


def _first(tuner: Autotuner, args: tuple, kwargs: dict) -> Config:
    """The configuration that stands for all, since nothing can be timed here.

    It is the first that the kernel's own pruning leaves (the best, by a `perf_model`), so that it
    is one that could win on a GPU.
    """
    named = dict(zip(tuner.arg_names, args, strict=False))
    config = tuner.configs[0]
    if len(tuner.configs) > 1:
        tuner.nargs = named  # where pruning looks for the arguments
        try:
            config = tuner.prune_configs(kwargs)[0]
        except AutotunerError:
            name = tuner.base_fn.__name__
            raise ValueError(f"{name}'s autotuner prunes all its configurations") from None
        finally:
            tuner.nargs = None
    if config.pre_hook is not None:
        config.pre_hook({**named, **kwargs, **config.all_kwargs()})
    return config


@contextlib.contextmanager
def intercept(handler: Callable[[Launch], Any]) -> Iterator[None]:
    """While active, each launch in this process is given to `handler` and does not run.

    Compilation by Triton itself (`warmup`) goes on as before. An autotuned kernel is launched
    with the first of its configurations that its own pruning leaves.
    """
    original, tuned = JITFunction.run, Autotuner.run
    choices = [1]  # how many configurations the autotuner around this launch has

    def run_first(self: Autotuner, *args: Any, **kwargs: Any) -> Any:
        choices.append(len(self.configs))
        try:
            return self.fn.run(*args, **kwargs, **_first(self, args, kwargs).all_kwargs())
        finally:
            choices.pop()

    def run(self: JITFunction, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        if warmup:
            return original(self, *args, grid=grid, warmup=warmup, **kwargs)
        for hook in self.pre_run_hooks:
            hook(*args, **kwargs)
        launch = _normalise(self, grid, args, kwargs)
        return handler(dataclasses.replace(launch, tuned=choices[-1] > 1))

    JITFunction.run, Autotuner.run = run, run_first
    try:
        yield
    finally:
        JITFunction.run, Autotuner.run = original, tuned
