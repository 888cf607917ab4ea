"""Find the device of a callable, refuse what would only be interpreted, and time the rest."""

import contextlib
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gpu_utils.bench import clocks
from gpu_utils.bench.timing import Timing

__all__ = ["InterpretedKernelError", "measure"]


class InterpretedKernelError(RuntimeError):
    """A Triton kernel was to be timed where it can only be interpreted."""


def measure(fn: Callable[..., Any], /, *args: Any, budget_s: float = 1.0, **kwargs: Any) -> Timing:
    """Time `fn(*args, **kwargs)` on the device that its tensors are on.

    On a CPU: wall clock of each call, with warm caches. On CUDA: events around each call, with the
    L2 flushed before it by writing more than it holds. Calls are repeated until the median is known
    to 1 % or the budget is used, after a warm-up; one call is timed at least.

    Args:
        fn: The callable. It is called many times, so it must not use up its arguments.
        budget_s: About how long to go on, in seconds. Everything else goes to `fn`.

    Returns:
        The time of one call.

    Raises:
        InterpretedKernelError: `fn` launches a Triton kernel on CPU tensors.
        TypeError: `fn` cannot be called.
        ValueError: The tensors are on a device that is neither CPU nor CUDA.
    """
    if not callable(fn):
        raise TypeError(
            f"bench.measure times a callable, got {type(fn).__name__}; pass the function and its "
            "arguments, measure(softmax, x), and not its result, measure(softmax(x))"
        )
    tensors = list(_tensors((fn, args, kwargs)))
    if not any(tensor.device.type == "cuda" for tensor in tensors):
        tensors += _first_call(fn, args, kwargs)

    def call() -> Any:
        return fn(*args, **kwargs)

    device = _device(tensors)
    return clocks.on_cuda(call, device, budget_s) if device else clocks.on_cpu(call, budget_s)


def _first_call(fn: Callable[..., Any], args: tuple, kwargs: dict) -> list[Any]:
    """Call once with Triton's launches caught; the tensors that came to light.

    Raises:
        InterpretedKernelError: A launch was given CPU tensors.
    """
    if os.environ.get("TRITON_INTERPRET", "0").lower() not in ("", "0", "false", "off"):
        raise InterpretedKernelError(
            "TRITON_INTERPRET is set, so every Triton kernel in this process is interpreted and "
            "its time says nothing about a GPU: unset it and start Python again"
        )
    found: list[Any] = []
    refused: list[InterpretedKernelError] = []

    def watch(launch: Any) -> None:
        tensors = list(_tensors(launch.arguments))
        found.extend(tensors)
        if any(tensor.device.type == "cpu" for tensor in tensors):
            refused.append(_interpreted(launch.name))
            raise refused[0]

    # Raised again here, in case `fn` caught what `watch` raised.
    with contextlib.suppress(InterpretedKernelError), _launches_caught(watch):
        found.extend(_tensors(fn(*args, **kwargs)))
    if refused:
        raise refused[0]
    return found


@contextlib.contextmanager
def _launches_caught(watch: Callable[[Any], None]) -> Iterator[None]:
    if importlib.util.find_spec("triton") is None:  # as on macOS: nothing can launch a kernel
        yield
        return
    from gpu_utils._triton.launches import intercept

    with intercept(watch):
        yield


def _interpreted(kernel: str) -> InterpretedKernelError:
    return InterpretedKernelError(
        f"{kernel} is a Triton kernel on CPU tensors: it is only interpreted,\n"
        "and its time says nothing about a GPU. "
        "Use traffic.count and codegen.compile, or pass CUDA tensors"
    )


def _tensors(tree: Any) -> Iterator[Any]:
    """The tensors in nested containers. None exist before somebody has imported torch."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, torch.nn.Module):
        yield from tree.parameters()
    elif isinstance(tree, dict):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _tensors(item)
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):  # Triton's TensorDescriptor is one
            yield from _tensors(getattr(tree, field.name))


def _device(tensors: Iterable[Any]) -> Any:
    """The CUDA device that the tensors are on; None is the CPU."""
    devices = {tensor.device for tensor in tensors}
    other = {device.type for device in devices} - {"cpu", "cuda"}
    if other:
        raise ValueError(
            f"bench.measure times CPU and CUDA tensors, got {', '.join(sorted(other))}; a meta "
            "tensor holds no data, and other devices need a clock of their own"
        )
    cuda = [device for device in devices if device.type == "cuda"]
    if len(cuda) > 1:
        names = ", ".join(sorted(str(device) for device in cuda))
        raise ValueError(f"bench.measure times one GPU, got tensors on {names}")
    return cuda[0] if cuda else None
