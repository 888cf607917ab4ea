"""Watch the torch operations around the kernels, so that nothing hides in the launcher."""

import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gpu_utils._triton.frames import short_name
from gpu_utils.traffic.result import EagerOp
from gpu_utils.traffic.storage import storage_key

_FILLS = ("zeros", "ones", "full", "fill", "zero", "arange", "eye", "scalar_tensor")
_COPIES = ("clone", "copy", "_to_copy", "contiguous", "cat", "stack", "constant_pad_nd", "repeat")
_FREE = ("lift_fresh", "detach", "alias", "_unsafe_view", "set_", "resize_")
_HIDDEN = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


def _touched_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor's distinct elements: an expanded dimension is read once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride or size == 0 else 1
    return count * tensor.element_size()


def _call_site() -> str:
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_HIDDEN):
        frame = frame.f_back
    return f"{short_name(frame.f_code.co_filename)}:{frame.f_lineno}" if frame else "?"


def _kind(name: str) -> str:
    for kind, stems in (("fill", _FILLS), ("copy", _COPIES)):
        if any(name == stem or name.startswith((f"{stem}_", f"new_{stem}")) for stem in stems):
            return kind
    return "compute"


def poison(tensor: torch.Tensor) -> None:
    """Fill fresh memory with NaN (or a conspicuous integer), so that nobody relies on zeros."""
    if tensor.is_meta:
        return
    if tensor.is_floating_point() or tensor.is_complex():
        tensor.fill_(float("nan"))
    elif tensor.dtype is not torch.bool:
        tensor.fill_(torch.iinfo(tensor.dtype).max)


class EagerWatch(TorchDispatchMode):
    """Records operations with their bytes, poisons fresh memory, follows live allocations.

    Args:
        on_allocate: called with each uninitialised tensor.
        on_free: called with the `storage_key` of each allocation that ends.
        on_write: called with each tensor that an operation wrote.
        on_op: called with each operation's name, the tensors that it read and wrote, and what it
            returned.
    """

    def __init__(
        self,
        on_allocate: Callable[[torch.Tensor], object],
        on_free: Callable[[int], None],
        on_write: Callable[[torch.Tensor], None],
        on_op: Callable[[str, list, list, object], None],
    ) -> None:
        super().__init__()
        self.ops: list[EagerOp] = []
        self.peak_bytes = 0
        self._live: dict[int, int] = {}
        self._paused = False
        self._on_allocate, self._on_free, self._on_write = on_allocate, on_free, on_write
        self._on_op = on_op

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """What torch does in here is not the launcher's."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # True, torch's default, imports the whole of torch._dynamo (1.2 s) at the first operation.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if self._paused:
            return result
        name = func.overloadpacket.__name__
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        outputs = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        known = {storage_key(x) for x in inputs}
        fresh = [x for x in outputs if storage_key(x) not in known]
        for tensor in fresh:
            self._follow(tensor)
        if name.startswith(("empty", "new_empty")):
            for tensor in fresh:
                poison(tensor)
                self._on_allocate(tensor)
        elif not (func.is_view or name in _FREE):
            self._record(name, func, args, kwargs, inputs, fresh, result)
        return result

    def _record(
        self, name: str, func: Any, args: Any, kwargs: Any, inputs: list, fresh: list, result: Any
    ) -> None:
        written = list(fresh)
        for position, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = kwargs.get(argument.name, args[position] if position < len(args) else None)
                written += [x for x in tree_leaves(value) if isinstance(x, torch.Tensor)]
        kind = _kind(name)
        # A fill reads nothing; a copy into a tensor does not read that tensor first.
        blind = written if kind != "compute" or ".out" in str(func) else []
        read = [x for x in inputs if kind != "fill" and not any(x is w for w in blind)]
        for tensor in written:
            self._on_write(tensor)
        self._on_op(name, read, written, result)
        self.ops.append(
            EagerOp(
                f"aten.{name}",
                kind,
                sum(map(_touched_bytes, read)),
                sum(map(_touched_bytes, written)),
                _call_site(),
            )
        )

    def _follow(self, tensor: torch.Tensor) -> None:
        storage, key = tensor.untyped_storage(), storage_key(tensor)
        if key in self._live:
            return
        self._live[key] = storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, sum(self._live.values()))
        weakref.finalize(storage, self._freed, key)

    def _freed(self, key: int) -> None:
        self._live.pop(key, None)
        self._on_free(key)
