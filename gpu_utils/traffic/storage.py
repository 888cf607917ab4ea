"""Allocations and the tensors that look at them: which bytes were touched, and by what name."""

import ctypes
import dataclasses

import numpy as np
import torch

from gpu_utils._triton.values import splat
from gpu_utils.traffic.result import TensorTraffic

_ONE = np.ones(1, dtype=np.uint8)


def storage_key(tensor: torch.Tensor) -> int:
    """What tells an allocation from others: its address, where it has one."""
    storage = tensor.untyped_storage()
    return storage.data_ptr() or -int(storage._cdata)


_MEMCMP = ctypes.CDLL(None).memcmp
_MEMCMP.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def extent(tensor: torch.Tensor) -> int:
    """Bytes from a tensor's first element to the end of its last; 0 for an empty tensor."""
    if tensor.numel() == 0:
        return 0
    last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()


def own_elements(tensor: torch.Tensor) -> np.ndarray | None:
    """Which element offsets within its extent are a tensor's own; None where all of them are."""
    length = extent(tensor) // tensor.element_size()
    if tensor.is_contiguous() or _dense(tensor):
        return None
    own = np.zeros(length, dtype=bool)
    np.lib.stride_tricks.as_strided(own, tuple(tensor.shape), tensor.stride())[...] = True
    return None if own.all() else own


def _dense(tensor: torch.Tensor) -> bool:
    """Whether a permutation of the axes makes it contiguous."""
    axes = sorted(range(tensor.dim()), key=lambda axis: (tensor.stride(axis), tensor.shape[axis]))
    step = 1
    for axis in axes:
        if tensor.shape[axis] != 1 and tensor.stride(axis) != step:
            return False
        step *= tensor.shape[axis]
    return True


@dataclasses.dataclass(eq=False)
class View:
    """A tensor as the report names it. `start` and `stop` are bytes in its allocation."""

    name: str
    start: int
    stop: int
    itemsize: int
    own: np.ndarray | None
    load_bytes: int = 0
    store_bytes: int = 0
    atomics: int = 0

    @classmethod
    def of(cls, name: str, tensor: torch.Tensor) -> "View":
        start = tensor.storage_offset() * tensor.element_size()
        stop = start + extent(tensor)
        return cls(name, start, stop, tensor.element_size(), own_elements(tensor))

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's own elements."""
        length = self.stop - self.start
        return length if self.own is None else int(self.own.sum()) * self.itemsize

    def same_elements(self, other: "View") -> bool:
        """Whether two views hold the same elements of an allocation."""
        if (self.start, self.stop) != (other.start, other.stop):
            return False
        if self.own is None or other.own is None:
            return self.own is other.own
        return np.array_equal(self.own, other.own)

    def total(self, touched: np.ndarray) -> int:
        """How many bytes of its own elements a byte map of the allocation marks."""
        part = touched[self.start : self.stop]
        if self.own is not None:
            part = part[np.repeat(self.own, self.itemsize)]
        return int(np.count_nonzero(part.view(np.bool_)))  # counted many at a time


class Storage:
    """One allocation, with a byte map of what kernels loaded and stored.

    Args:
        tensor: a tensor that lies in it.
        uninitialised: it holds nothing that anybody wrote.
        number: its own in this run.
    """

    def __init__(self, tensor: torch.Tensor, uninitialised: bool, number: int) -> None:
        storage = tensor.untyped_storage()
        self.number = number
        self.address = storage.data_ptr()
        self.nbytes = storage.nbytes()
        self.touched = {
            "load": np.zeros(self.nbytes, dtype=np.uint8),
            "store": np.zeros(self.nbytes, dtype=np.uint8),
        }
        self.uninitialised = uninitialised
        self.eager: np.ndarray | None = None  # a byte map of what torch wrote; None: nothing
        self.views: list[View] = []
        self.alive = True
        self.unknown = False  # a kernel stored values here that were not computed
        self._seen: np.ndarray | None = None

    def _memory(self) -> np.ndarray:
        buffer = (ctypes.c_uint8 * self.nbytes).from_address(self.address)
        return np.ctypeslib.as_array(buffer)

    def witness(self) -> None:
        """Remember the contents, after a kernel or a torch operation wrote here."""
        self._seen = self._memory().copy()

    def foreign_bytes(self, view: View) -> int:
        """Bytes of a view that changed since, by something that was not seen."""
        if self._seen is None or not self.alive or self._is_as_seen(self._seen):
            return 0
        return view.total((self._memory() != self._seen).view(np.uint8))

    def _is_as_seen(self, seen: np.ndarray) -> bool:
        # Nearly always true, and ten times as fast as looking for the difference.
        return not _MEMCMP(
            ctypes.c_void_p(self.address), ctypes.c_void_p(seen.ctypes.data), self.nbytes
        )

    def view(self, name: str, tensor: torch.Tensor) -> View:
        """The view that a tensor belongs to: itself, the smallest around it, or a new one."""
        asked = View.of(name, tensor)
        around = [v for v in self.views if v.start <= asked.start and asked.stop <= v.stop]
        if around:
            return min(around, key=lambda v: v.stop - v.start)
        self.views.append(asked)
        return asked

    def define(self, tensor: torch.Tensor) -> None:
        """A torch operation wrote this tensor."""
        view = View.of("", tensor)
        if view.own is None and view.stop - view.start == self.nbytes:
            self.eager = splat(_ONE, (self.nbytes,))
        elif self.eager is None or self.eager.strides[0]:
            self.eager = np.zeros(self.nbytes, np.uint8) if self.eager is None else self.eager
            part = self.eager[view.start : view.stop]
            part[slice(None) if view.own is None else np.repeat(view.own, view.itemsize)] = 1

    def written_bytes(self, view: View) -> int:
        """Bytes of a view's own elements that a kernel or torch wrote."""
        stored = self.touched["store"]
        return view.total(stored if self.eager is None else self.eager | stored)

    def undefined_bytes(self, view: View) -> int:
        """Those that hold no value, since the allocation brought none."""
        return view.nbytes - self.written_bytes(view) if self.uninitialised else 0

    def record(self, view: View) -> TensorTraffic:
        """What a view's own elements saw."""
        return TensorTraffic(
            nbytes=view.nbytes,
            itemsize=view.itemsize,
            load_bytes=view.load_bytes,
            store_bytes=view.store_bytes,
            unique_load_bytes=view.total(self.touched["load"]),
            unique_store_bytes=view.total(self.touched["store"]),
            unwritten_bytes=self.undefined_bytes(view),
            foreign_bytes=self.foreign_bytes(view),
            atomics=view.atomics,
        )

    def name_outputs(self, view: View, outputs: list[View]) -> None:
        """Returned tensors lie in a view that kernels were given: judge each by its own elements.

        One of them takes the view over, with all that was asked of it. Several share what was
        asked where that can be told: where no byte was asked for twice.
        """
        if len(outputs) == 1:
            (output,) = outputs
            view.name, view.start, view.stop = output.name, output.start, output.stop
            view.itemsize, view.own = output.itemsize, output.own
            return
        once = view.load_bytes == view.total(
            self.touched["load"]
        ) and view.store_bytes == view.total(self.touched["store"])
        for output in outputs if once else ():
            output.load_bytes = output.total(self.touched["load"])
            output.store_bytes = output.total(self.touched["store"])
            view.load_bytes -= output.load_bytes
            view.store_bytes -= output.store_bytes
        self.views += outputs
