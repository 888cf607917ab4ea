"""Calls in this process: compiling for each target, and redrawing an explorer."""

import contextlib
import functools
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gpu_utils._dev.bench.rows import Row, row
from gpu_utils.codegen import targets

__all__ = ["compiling", "redrawing"]


def _seconds(call: Callable[[], Any], runs: int) -> list[float]:
    samples = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        samples.append(time.perf_counter() - began)
    return samples


@contextlib.contextmanager
def _empty_cache() -> Iterator[None]:
    before = os.environ.get("RIDGE_CACHE_DIR")
    with tempfile.TemporaryDirectory(prefix="ridgepoint-") as folder:
        os.environ["RIDGE_CACHE_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["RIDGE_CACHE_DIR"]
            if before is not None:
                os.environ["RIDGE_CACHE_DIR"] = before


def compiling(
    kernels: Sequence[str] = ("copy", "matmul"),
    names: Sequence[str] = tuple(targets.TARGETS),
    runs: int = 2,
) -> Iterator[Row]:
    """Two rows a kernel and target: compiled with an empty cache, and read from a full one.

    Args:
        kernels: "copy", "matmul".
        names: the targets, each by itself; then, if they are several, all side by side.
        runs: cold ones; ten times as many are cached.
    """
    import torch

    from gpu_utils import codegen
    from gpu_utils._dev.bench.kernels import copy, matmul

    vector = torch.empty(2**20, dtype=torch.float16, device="meta")
    square = torch.empty(4096, 4096, dtype=torch.float16, device="meta")
    works: dict[str, tuple] = {"copy": (copy, vector), "matmul": (matmul, square, square, 128, 128)}
    wanted = [[name] for name in names] + ([list(names)] if len(names) > 1 else [])
    for kernel, theirs in itertools.product(kernels, wanted):
        compile_ = functools.partial(codegen.compile, *works[kernel], target=theirs)
        if theirs == wanted[0]:
            compile_()  # what Triton imports and reads at first use
        cold, cached = [], []
        for _ in range(runs):
            with _empty_cache():
                cold += _seconds(compile_, 1)
                cached += _seconds(compile_, 10)
        called = theirs[0] if len(theirs) == 1 else f"all {len(theirs)} side by side"
        yield row("compile", f"{kernel} for {called}, cold", "s", cold)
        yield row("compile", f"{kernel} for {called}, cached", "s", cached)


def redrawing(runs: int = 200) -> Iterator[Row]:
    """Two rows: the drawing alone, and a slider of the explorer moved."""
    from gpu_utils import roofline, viz

    sizes = itertools.cycle([1, 16, 256, 4096])

    def draw() -> None:
        m = next(sizes)
        point = viz.Point.of(f"matmul(m={m}, n=4096, k=4096)", roofline.matmul_cost(m, 4096, 4096))
        viz.roofline([point])

    def move() -> None:
        slider.value = next(sizes)

    draw()
    yield row("redraw", "viz.roofline, the function", "s", _seconds(draw, runs))
    slider = viz.explore_roofline().controls["m"]
    move()
    yield row("redraw", "viz.explore_roofline, a slider moved", "s", _seconds(move, runs))
