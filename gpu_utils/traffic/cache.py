"""A set-associative cache with sectors, simulated for millions of accesses in NumPy.

Sets do not know of each other, so the k-th access to every set is simulated in one step: a step
is exact LRU, and a cache of thousands of sets takes thousands of accesses at a time.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

__all__ = ["LINE_BYTES", "Cache", "Events", "sector_counts"]

SECTOR_BYTES = 32
LINE_BYTES = 128
_STATE = ("_line", "_owner", "_readable", "_dirty", "_age")  # of a cache: arrays of (way, set)
_BITS = np.array([value.bit_count() for value in range(16)], dtype=np.int64)


def sector_counts(masks: np.ndarray) -> np.ndarray:
    """How many sectors each four-bit mask names.

    >>> sector_counts(np.array([0b0001, 0b1111], dtype=np.uint8)).tolist()
    [1, 4]
    """
    return _BITS[masks]


@dataclasses.dataclass(frozen=True)
class Events:
    """Accesses in order, each to one line of 128 bytes. The three masks name its sectors.

    Attributes:
        line: address over 128, int64.
        read: sectors whose contents are needed, uint8 of four bits.
        full: sectors that are overwritten from end to end.
        partial: sectors of which some bytes are written, and the rest stays as it is.
        owner: any number that the report groups by, int32.
        time: any number that never falls, int64: with what to merge several caches' misses.
    """

    line: np.ndarray
    read: np.ndarray
    full: np.ndarray
    partial: np.ndarray
    owner: np.ndarray
    time: np.ndarray

    @classmethod
    def none(cls) -> "Events":
        """No accesses."""
        mask = np.zeros(0, dtype=np.uint8)
        number = np.zeros(0, dtype=np.int64)
        return cls(number, mask, mask, mask, np.zeros(0, dtype=np.int32), number)

    @classmethod
    def concatenate(cls, parts: "Sequence[Events]") -> "Events":
        """One after the other."""
        return cls(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(cls)
            )
        )

    def take(self, index: np.ndarray) -> "Events":
        """Those that an index array or a mask chooses."""
        return Events(*(getattr(self, field.name)[index] for field in dataclasses.fields(self)))


class Cache:
    """Write-back, least recently used, lines of 128 bytes filled by sectors of 32.

    A read of an absent sector fetches it alone. A write fetches nothing: a sector that is fully
    written can be read again, one that is written in part is fetched when it is read (lazy
    fetch on read). Dirty sectors leave when their line is replaced, or at `flush`.

    Args:
        nbytes: capacity; at least one set.
        ways: lines of a set.
        hashed: spread lines over the sets by a multiplicative hash, as GPUs do with a hash that
            no document gives; otherwise line modulo sets, which a power-of-two stride defeats.

    Raises:
        ValueError: less than one set.
    """

    def __init__(self, nbytes: int, ways: int = 16, *, hashed: bool = True) -> None:
        self.ways, self.sets, self.hashed = ways, nbytes // (LINE_BYTES * ways), hashed
        if ways < 1 or self.sets < 1:
            raise ValueError(
                f"a cache of {nbytes} bytes holds no set of {ways} lines of {LINE_BYTES} bytes: "
                "give more bytes or fewer ways"
            )
        shape = (ways, self.sets)
        self._line = np.full(shape, -1, dtype=np.int64)
        self._owner = np.zeros(shape, dtype=np.int32)
        self._readable, self._dirty = np.zeros((2, *shape), dtype=np.uint8)
        # When a line was last used, times `ways`, plus its way: the least one is to be replaced.
        self._age = np.repeat(np.arange(ways, dtype=np.int64)[:, None], self.sets, axis=1)
        self._now = 0
        self.hits = self.misses = 0

    def set_of(self, line: np.ndarray) -> np.ndarray:
        """The set that each line belongs to."""
        if not self.hashed:
            return line % self.sets
        mixed = line.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return ((mixed >> np.uint64(32)) % np.uint64(self.sets)).astype(np.int64)

    def access(self, events: Events) -> Events:
        """Do all accesses in order, and return what the memory behind the cache is asked for.

        Misses become reads there and replaced dirty sectors become writes, with the time of the
        access that caused them. `hits` and `misses` count sectors; a write hits if its sector is
        there.
        """
        if not events.line.size:
            return events
        sets = self.set_of(events.line)
        counts = np.bincount(sets, minlength=self.sets)
        # NumPy sorts 16-bit numbers by radix, ten times as fast as wider ones.
        small = sets.astype(np.uint16) if self.sets <= 1 << 16 else sets
        order = np.argsort(small, kind="stable")
        used = np.flatnonzero(counts)
        busiest = used[np.argsort(-counts[used], kind="stable")]
        starts = (np.cumsum(counts) - counts)[busiest]
        # Step k is for the sets that are accessed more than k times: the first ones of `busiest`.
        active = np.searchsorted(-counts[busiest], -np.arange(counts.max()), side="left")
        behind = _Behind(events, order)
        with self._only(busiest):
            for step, size in enumerate(active.tolist()):
                self._step(starts[:size] + step, behind)
        self.hits += int(sector_counts(behind.hit).sum())
        self.misses += int(sector_counts(behind.miss).sum())
        return behind.events()

    @contextlib.contextmanager
    def _only(self, sets: np.ndarray) -> Iterator[None]:
        """While active, the state is that of these sets alone, in this order."""
        whole = {name: getattr(self, name) for name in _STATE}
        for name, state in whole.items():
            setattr(self, name, np.ascontiguousarray(state[:, sets]))
        yield
        for name, state in whole.items():
            state[:, sets] = getattr(self, name)
            setattr(self, name, state)

    def _step(self, index: np.ndarray, behind: "_Behind") -> None:
        """One access to each of the first `index.size` sets."""
        size = index.size
        line = behind.line[index]
        # The way that holds the line, minus `ways`; where none does, the oldest line's age.
        here = self._line[:, :size] == line
        ways = np.arange(-self.ways, 0)[:, None]
        chosen = np.where(here, ways, self._age[:, :size]).min(axis=0)
        found = chosen < 0
        way = chosen % self.ways
        at = way * self._line.shape[1] + np.arange(size)

        readable, dirty = self._readable.ravel()[at], self._dirty.ravel()[at]
        behind.replaced_dirty[index] = dirty * ~found
        behind.replaced_readable[index] = readable
        behind.replaced_line[index] = self._line.ravel()[at]
        behind.replaced_owner[index] = self._owner.ravel()[at]
        readable, dirty = readable * found, dirty * found

        read, full = behind.read[index], behind.full[index]
        written = full | behind.partial[index]
        there = readable | dirty * (read == 0)
        behind.hit[index] = (read | written) & there
        behind.miss[index] = (read | written) & ~there
        behind.fetched[index] = read & ~readable
        self._readable.ravel()[at] = readable | read | full
        self._dirty.ravel()[at] = dirty | written
        self._line.ravel()[at] = line
        self._owner.ravel()[at] = behind.owner[index]
        self._now += 1
        self._age.ravel()[at] = self._now * self.ways + way

    def flush(self, time: int = 0) -> Events:
        """Write all dirty sectors back; they stay readable."""
        dirty = self._dirty.ravel()
        at = np.flatnonzero(dirty)
        dirty, readable = dirty[at], self._readable.ravel()[at]
        self._dirty[...] = 0
        return Events(
            self._line.ravel()[at],
            np.zeros_like(dirty),
            dirty & readable,
            dirty & ~readable,
            self._owner.ravel()[at],
            np.full(at.size, time, dtype=np.int64),
        )


class _Behind:
    """Accesses sorted by set, and what each of them asks of the memory behind the cache."""

    def __init__(self, events: Events, order: np.ndarray) -> None:
        self._order, self._time = order, events.time
        self.line, self.owner = events.line[order], events.owner[order]
        self.read, self.full = events.read[order], events.full[order]
        self.partial = events.partial[order]
        outcome = np.zeros((5, order.size), dtype=np.uint8)
        self.hit, self.miss, self.fetched, self.replaced_dirty, self.replaced_readable = outcome
        self.replaced_line = np.zeros_like(self.line)
        self.replaced_owner = np.zeros_like(self.owner)

    def events(self) -> Events:
        """The writes and reads, each write before the read that it makes room for."""
        out, into = np.flatnonzero(self.replaced_dirty), np.flatnonzero(self.fetched)
        dirty, readable = self.replaced_dirty[out], self.replaced_readable[out]
        no_reads, no_writes = np.zeros_like(dirty), np.zeros(into.size, dtype=np.uint8)
        both = Events(
            np.concatenate([self.replaced_line[out], self.line[into]]),
            np.concatenate([no_reads, self.fetched[into]]),
            np.concatenate([dirty & readable, no_writes]),
            np.concatenate([dirty & ~readable, no_writes]),
            np.concatenate([self.replaced_owner[out], self.owner[into]]),
            self._time[self._order[np.concatenate([out, into])]],
        )
        return both.take(np.argsort(self._order[np.concatenate([out, into])], kind="stable"))
