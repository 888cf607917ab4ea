"""From programs run one after another to accesses as a GPU makes them: several in flight.

The interpreter runs a program to its end before it starts the next. On a GPU many are under way.
Here each in flight makes one access a round, in turn, and where one ends the next one starts.
"""

import dataclasses
import heapq
from collections.abc import Callable, Sequence

import numpy as np

from gpu_utils.traffic.cache import LINE_BYTES, SECTOR_BYTES, Events
from gpu_utils.traffic.storage import Storage, View
from gpu_utils.traffic.stream import Access

__all__ = ["Lines", "Schedule", "lines_of"]

_SECTORS = LINE_BYTES // SECTOR_BYTES
_ALIGNMENT = 512  # of an allocation, bytes
_FORMS = 64  # of accesses to remember


@dataclasses.dataclass(frozen=True)
class Lines:
    """One access as the caches see it; the masks are those of `cache.Events`."""

    line: np.ndarray
    read: np.ndarray
    full: np.ndarray
    partial: np.ndarray


def _starts(values: np.ndarray) -> np.ndarray:
    """Where each run of equal values starts; at least one value."""
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


def _distinct(values: np.ndarray) -> np.ndarray:
    # Neighbours in a block mostly share a sector: dropping them first leaves little to sort.
    few = np.sort(values[_starts(values)])
    return few[_starts(few)]


def _all(mask: np.ndarray) -> bool:
    # An access without a mask has one True, seen as a block.
    return bool(mask.all() if any(mask.strides) else mask.flat[0])


def lines_of(kind: str, address: np.ndarray, itemsize: int) -> Lines:
    """The lines that active lanes ask for, each once, with their sectors.

    Args:
        kind: "load", "store" or "atomic".
        address: bytes, of the active lanes alone, int64 and flat.
        itemsize: bytes of one lane.
    """
    if kind == "store":
        each = _distinct(address) // SECTOR_BYTES
        first = _starts(each)
        sectors = each[first]
        whole = np.diff(first, append=each.size) * itemsize == SECTOR_BYTES
    else:
        sectors = _distinct(address // SECTOR_BYTES)
        whole = np.zeros(sectors.size, dtype=bool)
    line = sectors // _SECTORS
    bit = (1 << (sectors % _SECTORS)).astype(np.uint8)
    starts = _starts(line)

    def mask(bits: np.ndarray) -> np.ndarray:
        return np.bitwise_or.reduceat(bits, starts)

    none = np.zeros(starts.size, dtype=np.uint8)
    return Lines(
        line=line[starts],
        read=none if kind == "store" else mask(bit),
        full=mask(bit * whole) if kind == "store" else none,
        partial=none if kind == "load" else mask(bit * ~whole),
    )


class Schedule:
    """An observer that puts accesses in the order of a GPU and hands them on.

    Programs are dealt to the groups in turn. A group runs its programs in order, `in_flight` at a
    time. A launch starts when the one before it has ended. Allocations lie one after the other,
    each at a multiple of 512 bytes as PyTorch's allocator on a GPU places them.

    Args:
        groups: dies, each with a cache of its own.
        in_flight: programs under way in one group.
        sink: called with one `Events` per group, again and again; together they are in order.
    """

    # Lines to collect before they are handed on; some 30 bytes each.
    ENOUGH = 1 << 20

    def __init__(
        self, groups: int, in_flight: int, sink: Callable[[Sequence[Events]], None]
    ) -> None:
        self.views: list[View] = []  # an event's owner is the number of the view in here
        self._groups, self._in_flight, self._sink = groups, in_flight, sink
        self._owners: dict[int, int] = {}
        self._forms: dict[tuple, tuple[np.ndarray, Lines]] = {}
        self._bases: dict[int, int] = {}  # number of an allocation -> where it lies
        self._next_base = 0
        self._now: tuple[int, tuple[int, int, int]] | None = None  # the launch and program
        self._program: list[tuple[int, Lines]] = []
        self._pending: list[_Timed] = []
        self._pending_lines = self._programs = 0
        self._slots: list[list[tuple[int, int]]] = []  # of each group: free from a round, number
        self._start_launch()

    def __call__(self, access: Access) -> None:
        if self._now != (access.launch, access.program):
            self._end_program()
            if self._now is not None and self._now[0] != access.launch:
                self._start_launch()
            self._now = access.launch, access.program
        self._program.append((self._owner(access.region.view), self._lines(access)))

    def _lines(self, access: Access) -> Lines:
        """The lines of an access; a block of the same form as one before only moves them."""
        active = access.address if _all(access.mask) else access.address[access.mask]
        first = active.flat[0]
        form = (active - first).view(np.int64)
        region = access.region
        start = int(first) - region.base + region.offset + self._base(region.storage)
        key = access.kind, access.itemsize, form.shape, start % LINE_BYTES, int(form.flat[-1])
        known = self._forms.get(key)
        if known is None or not np.array_equal(known[0], form):
            address = form.ravel() + start % LINE_BYTES
            known = form, lines_of(access.kind, address, access.itemsize)
            if len(self._forms) >= _FORMS:  # scattered accesses, each of a form of its own
                self._forms.clear()
            self._forms[key] = known
        same = known[1]
        return Lines(same.line + start // LINE_BYTES, same.read, same.full, same.partial)

    def finish(self) -> None:
        """Hand on what is left."""
        self._end_program()
        self._hand_on(None)

    def _base(self, storage: Storage) -> int:
        if storage.number not in self._bases:
            self._bases[storage.number] = self._next_base
            self._next_base += -(-storage.nbytes // _ALIGNMENT) * _ALIGNMENT
        return self._bases[storage.number]

    def _owner(self, view: View) -> int:
        if id(view) not in self._owners:
            self._owners[id(view)] = len(self.views)
            self.views.append(view)
        return self._owners[id(view)]

    def _start_launch(self) -> None:
        """All slots are free from the round in which the last program of the last launch ended."""
        start = max((free for slots in self._slots for free, _ in slots), default=0)
        self._slots = [
            [(start, slot) for slot in range(self._in_flight)] for _ in range(self._groups)
        ]
        self._programs = 0

    def _end_program(self) -> None:
        """Put the program into the slot of its group that is free first."""
        if not self._program:
            return
        group = self._programs % self._groups
        start, slot = heapq.heappop(self._slots[group])
        heapq.heappush(self._slots[group], (start + len(self._program), slot))
        for round_, (owner, lines) in enumerate(self._program, start):
            time = (round_ * self._in_flight + slot) * self._groups + group
            self._pending.append(_Timed(time, group, owner, lines))
            self._pending_lines += lines.line.size
        self._program = []
        self._programs += 1
        if self._pending_lines >= self.ENOUGH:
            self._hand_on(min(slots[0][0] for slots in self._slots))

    def _hand_on(self, before: int | None) -> None:
        """Give the sink what happened before a round, since no program can still start there."""
        limit = None if before is None else before * self._in_flight * self._groups
        ready = [x for x in self._pending if limit is None or x.time < limit]
        self._pending = [x for x in self._pending if limit is not None and x.time >= limit]
        self._pending_lines = sum(x.lines.line.size for x in self._pending)
        ready.sort(key=lambda x: x.time)
        if ready:
            self._sink([_events(ready, group) for group in range(self._groups)])


@dataclasses.dataclass(frozen=True)
class _Timed:
    time: int
    group: int
    owner: int
    lines: Lines


def _events(accesses: list[_Timed], group: int) -> Events:
    mine = [x for x in accesses if x.group == group]
    if not mine:
        return Events.none()
    sizes = [x.lines.line.size for x in mine]
    return Events(
        line=np.concatenate([x.lines.line for x in mine]),
        read=np.concatenate([x.lines.read for x in mine]),
        full=np.concatenate([x.lines.full for x in mine]),
        partial=np.concatenate([x.lines.partial for x in mine]),
        owner=np.repeat(np.array([x.owner for x in mine], dtype=np.int32), sizes),
        time=np.repeat(np.array([x.time for x in mine], dtype=np.int64), sizes),
    )
