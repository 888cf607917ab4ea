"""Find the device of a callable, and refuse what would only be interpreted."""

import contextlib
import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

__all__ = ["InterpretedKernelError", "device_of", "identity"]


class InterpretedKernelError(RuntimeError):
    """A Triton kernel was to be timed where it can only be interpreted."""


def device_of(fns: Sequence[Callable[..., Any]], args: tuple, kwargs: dict) -> Any:
    """The CUDA device that the tensors of some callables are on; None is the CPU.

    Raises:
        InterpretedKernelError: One launches a Triton kernel on CPU tensors.
        TypeError: One cannot be called.
        ValueError: The tensors are on another kind of device, or on several GPUs.
    """
    for fn in fns:
        if not callable(fn):
            raise TypeError(
                f"bench times callables, got {type(fn).__name__}; pass the function and its "
                "arguments, measure(softmax, x), and not its result, measure(softmax(x))"
            )
    found = list(_tensors((tuple(fns), args, kwargs)))
    if not any(tensor.device.type == "cuda" for tensor in found):
        for fn in fns:
            found += _first_call(fn, args, kwargs)
    return _device(found)


def identity(device: Any) -> str:
    """What tells a device from all others, whoever asks: an index may differ by process."""
    if device is None:
        return "cpu"
    import torch

    return f"cuda-{torch.cuda.get_device_properties(device).uuid}"


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
