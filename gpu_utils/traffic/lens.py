"""Count what a callable moves: `count(fn, *args)` runs it on the interpreter."""

import contextlib
import inspect
import linecache
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten_with_path

from gpu_utils._triton.devices import answered
from gpu_utils._triton.frames import short_name
from gpu_utils._triton.interpreter import interpret
from gpu_utils._triton.launches import Launch, intercept
from gpu_utils.traffic.eager import EagerWatch
from gpu_utils.traffic.memory import CountingMemory
from gpu_utils.traffic.progress import Progress
from gpu_utils.traffic.result import LaunchTraffic, LineTraffic, TensorTraffic, Traffic
from gpu_utils.traffic.storage import Storage, View
from gpu_utils.traffic.stream import Observer


def _named_arguments(fn: Callable, args: tuple, kwargs: dict) -> dict[str, Any]:
    try:
        return dict(inspect.signature(fn).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):  # a builtin, or arguments that fn itself will refuse
        return {**{f"args[{i}]": value for i, value in enumerate(args)}, **kwargs}


def keep(fn: Callable, lens: str, *keywords: str) -> None:
    """Refuse a function with a parameter that a lens keeps for itself."""
    try:
        clash = set(keywords) & set(inspect.signature(fn).parameters)
    except (TypeError, ValueError):  # a builtin
        return
    for keyword in sorted(clash):
        raise TypeError(
            f"{getattr(fn, '__name__', fn)} has a parameter {keyword}, a keyword that {lens} "
            f"keeps: pass it from a function of your own, as in {lens}(lambda x: fn(x, ...), x)"
        )


def _label(root: str, path: tuple) -> str:
    for part in path:
        root += f"[{getattr(part, 'idx', getattr(part, 'key', getattr(part, 'name', part)))}]"
    return root


def _tensors(root: str, tree: Any) -> list[tuple[str, torch.Tensor]]:
    leaves, _ = tree_flatten_with_path(tree)
    return [(_label(root, path), leaf) for path, leaf in leaves if isinstance(leaf, torch.Tensor)]


def outputs(result: Any) -> dict[str, torch.Tensor]:
    """The tensors that a callable returned, named as in `Traffic.by_tensor`.

    >>> list(outputs(torch.ones(2))), list(outputs((torch.ones(2), torch.ones(3))))
    (['out'], ['out[0]', 'out[1]'])
    """
    return dict(_tensors("out", result))


def _name_outputs(memory: CountingMemory, result: Any, given: list[View]) -> None:
    """Call returned tensors `out`, except those that are arguments."""
    lying: dict[int, tuple[Storage, View, list[View]]] = {}
    for name, tensor in _tensors("out", result):
        if tensor.device.type in ("cpu", "meta") and tensor.layout is torch.strided:
            storage = memory.storage(tensor)
            around, output = storage.view(name, tensor), View.of(name, tensor)
            outputs = lying.setdefault(id(around), (storage, around, []))[2]
            known = any(around is view for view in given)
            if not (known or any(output.same_elements(other) for other in outputs)):
                outputs.append(output)
    for storage, around, outputs in lying.values():
        if outputs:
            storage.name_outputs(around, outputs)


def _by_tensor(storages: list[Storage]) -> dict[str, TensorTraffic]:
    table: dict[str, TensorTraffic] = {}
    for storage in storages:
        for view in storage.views:
            name, copies = view.name, 2
            while name in table:
                name, copies = f"{view.name}#{copies}", copies + 1
            view.name = name
            table[name] = storage.record(view)
    return table


def _written(memory: CountingMemory, given: list[View]) -> tuple[str, ...]:
    return tuple(
        view.name
        for storage in memory.storages.values()
        for view in storage.views
        if any(view is argument for argument in given) and storage.written_bytes(view)
    )


def _by_line(memory: CountingMemory) -> dict[str, LineTraffic]:
    table = {}
    for (file, line), (loaded, stored) in sorted(memory.lines.items()):
        code = linecache.getline(file, line).strip()
        name = short_name(file)
        table[f"{name}:{line}"] = LineTraffic(name, line, code, loaded, stored)
    return table


def count(
    fn: Callable,
    *args: Any,
    addresses_only: bool = False,
    sample: int | None = None,
    **kwargs: Any,
) -> Traffic:
    """Run `fn(*args, **kwargs)` with its Triton kernels interpreted, and count.

    The tensors are CPU tensors and hold what the kernels computed afterwards. Every pointer is
    checked against the tensor it came from. Fresh memory starts as NaN, and a masked-off lane
    loaded without `other` is NaN too, as undefined as on a GPU.

    Args:
        fn: any callable; the kernels it launches are plain `@triton.jit` functions.
        *args, **kwargs: all passed on to `fn`, but for the keywords that follow. A function
            with a parameter of such a name is refused: wrap it.
        addresses_only: walk the addresses and do no arithmetic on what was loaded. Bytes and
            operations are counted as ever, in seconds for production sizes, and tensors may be
            on the meta device; results hold nothing. Integers that lead to addresses are loaded
            from tensors that have data.
        sample: run only so many programs of each launch, at least two: the first, the last, and
            others drawn at random. A look at a launch that is too large to walk; what is counted
            is these programs' share.

    Returns:
        A `Traffic`; its `result` is what `fn` returned.

    Raises:
        NeedsData: with `addresses_only`, an address, a mask or a branch depends on data that
            was not read; the message names the tensor.
        OutOfBounds: an access outside its tensor, with line, program, lane and element.
        ValueError: a tensor that is not on the CPU, or a misaligned access.
    """
    keep(fn, "count", "addresses_only", "sample")
    if sample is not None and sample < 2:
        raise ValueError(
            f"sample is the first program, the last, and more: 2 at least, not {sample}"
        )
    return run(fn, args, kwargs, addresses_only=addresses_only, sample=sample)


def run(
    fn: Callable,
    args: tuple,
    kwargs: dict[str, Any],
    observers: Sequence[Observer] = (),
    addresses_only: bool = False,
    sample: int | None = None,
) -> Traffic:
    """What `count` does, for a lens that also watches each access (see `stream`)."""
    progress = Progress()
    memory = CountingMemory(observers, addresses_only, progress.step)
    inputs = [pair for name, value in _named_arguments(fn, args, kwargs).items()
              for pair in _tensors(name, value)]  # fmt: skip
    for name, tensor in inputs:
        if tensor.device.type in ("cpu", "meta") and tensor.layout is torch.strided:
            memory.storage(tensor).view(name, tensor)
    given = [view for storage in memory.storages.values() for view in storage.views]
    launches: list[LaunchTraffic] = []

    def handle(launch: Launch) -> None:
        progress.begin(launch.name, sample or launch.programs)
        before = memory.load_bytes, memory.store_bytes, memory.flops
        with watch.paused(), memory.reachable(launch):
            interpret(launch, memory, addresses_only, sample)
        after = memory.load_bytes, memory.store_bytes, memory.flops
        moved = (new - old for new, old in zip(after, before, strict=True))
        launches.append(LaunchTraffic(launch.name, launch.programs, *moved))

    watch = EagerWatch(
        on_allocate=lambda tensor: memory.storage(tensor, uninitialised=True),
        on_free=memory.retire,
        on_write=memory.define,
        on_op=memory.follow,
    )
    with contextlib.closing(progress), watch, answered(), intercept(handle):
        result = fn(*args, **kwargs)
    written = _written(memory, given)
    _name_outputs(memory, result, given)
    storages = [*memory.storages.values(), *memory.retired]
    return Traffic(
        load_bytes=memory.load_bytes,
        store_bytes=memory.store_bytes,
        unique_load_bytes=sum(int(np.count_nonzero(s.touched["load"])) for s in storages),
        unique_store_bytes=sum(int(np.count_nonzero(s.touched["store"])) for s in storages),
        flops=memory.flops,
        dots=memory.dots,
        dot_flops=memory.dot_flops,
        peak_bytes=watch.peak_bytes,
        eager_ops=tuple(watch.ops),
        launches=tuple(launches),
        by_tensor=_by_tensor(storages),
        by_line=_by_line(memory),
        special_ops=memory.special_ops,
        atomics=memory.atomics,
        written_inputs=written,
        result=result,
    )
