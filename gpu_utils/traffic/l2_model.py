"""The L2 model: which of the bytes that kernels ask for does DRAM have to move?"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpu_utils import quantities, specs
from gpu_utils.specs import GPUSpec
from gpu_utils.traffic import lens
from gpu_utils.traffic.cache import SECTOR_BYTES, Cache, Events, sector_counts
from gpu_utils.traffic.result import Traffic
from gpu_utils.traffic.schedule import Schedule
from gpu_utils.traffic.stream import Access

__all__ = ["Dram", "DramModel", "TensorDram", "dram"]

WAYS = 16  # no vendor publishes them all; an MI300X has 16


@dataclasses.dataclass(frozen=True)
class TensorDram:
    """One tensor's share of the DRAM traffic."""

    read_bytes: int
    write_bytes: int


@dataclasses.dataclass(frozen=True, repr=False)
class Dram:
    """What DRAM moves, MODELLED.

    Attributes:
        read_bytes: sectors fetched, mirrored by the counter dram__bytes_read.
        write_bytes: dirty sectors that left the caches, those left at the end included.
        dirty_bytes: those that were left at the end. The counter dram__bytes_write lies between
            `write_bytes - dirty_bytes` and `write_bytes`: it misses what stayed in the L2.
        hits, misses: sectors that the L2 had, and had not.
        by_tensor: named as in `Traffic.by_tensor`.
        assumptions: under which all this holds.
        traffic: the counts of the same run.
    """

    read_bytes: int
    write_bytes: int
    dirty_bytes: int
    hits: int
    misses: int
    by_tensor: dict[str, TensorDram]
    assumptions: tuple[str, ...]
    traffic: Traffic = dataclasses.field(compare=False)

    @property
    def total_bytes(self) -> int:
        """Read and written together."""
        return self.read_bytes + self.write_bytes

    @property
    def l2_bytes(self) -> int:
        """What the L2 was asked for: each distinct sector of each access."""
        return (self.hits + self.misses) * SECTOR_BYTES

    @property
    def hit_rate(self) -> float | None:
        """Share of the L2's sectors that hit; None without an access."""
        touched = self.hits + self.misses
        return self.hits / touched if touched else None

    def __str__(self) -> str:
        rows = [f"{'tensor':<12}{'read':>16}{'written':>16}   DRAM bytes, MODELLED"]
        rows += [
            f"{name:<12}{t.read_bytes:>16,}{t.write_bytes:>16,}"
            for name, t in self.by_tensor.items()
        ]
        rows.append(f"{'all':<12}{self.read_bytes:>16,}{self.write_bytes:>16,}")
        rows += [f"assumes: {assumption}" for assumption in self.assumptions]
        return "\n".join(rows)

    def __repr__(self) -> str:
        return str(self)


@dataclasses.dataclass(frozen=True)
class _Part:
    """The caches of a part: `l2_count` private L2s of `l2_bytes` each, and one behind them all."""

    name: str
    l2_bytes: int
    l2_count: int
    memory_side_cache_bytes: int
    in_flight: int  # programs, at one L2

    def assumptions(self) -> tuple[str, ...]:
        count, size = self.l2_count, quantities.text(self.l2_bytes, "iB")
        caches = f"one L2 of {size}" if count == 1 else f"{count} private L2s of {size}"
        flying = f"{self.in_flight * count} programs in flight, in launch order"
        if count > 1:
            flying += f", dealt to the {count} L2s in turn"
        if self.memory_side_cache_bytes:
            behind = quantities.text(self.memory_side_cache_bytes, "iB")
            caches += f", behind them one memory-side cache of {behind}"
        return (
            f"{self.name}: {caches}; empty at first, used by these kernels alone",
            f"{WAYS} ways, least recently used, lines of 128 bytes filled by sectors of 32, "
            "spread over the sets by a hash",
            f"{flying}, each making one access in turn",
            "no L1: each distinct sector of an access reaches the L2 once",
            "writes fetch nothing; a sector written in part is fetched when it is read",
            "torch operations between the kernels do not pass through the caches",
        )


class _Memory:
    """The caches of a part, and the DRAM behind them that keeps count."""

    def __init__(self, part: _Part) -> None:
        self.l2 = [Cache(part.l2_bytes, WAYS) for _ in range(part.l2_count)]
        size = part.memory_side_cache_bytes
        self._behind = Cache(size, WAYS) if size else None
        self._read, self._written = np.zeros((2, 0), dtype=np.int64)

    def access(self, events: Sequence[Events]) -> None:
        """One `Events` for each L2, all in one order of time."""
        self._miss([cache.access(mine) for cache, mine in zip(self.l2, events, strict=True)])

    def _miss(self, missed: Sequence[Events]) -> None:
        events = Events.concatenate(missed)
        if self._behind is not None:
            in_order = events.take(np.argsort(events.time, kind="stable"))
            events = self._behind.access(in_order)
        self._count(events)

    def _count(self, events: Events) -> None:
        size = max(self._read.size, int(events.owner.max(initial=-1)) + 1)
        for name, masks in (("_read", events.read), ("_written", events.full | events.partial)):
            sectors = np.bincount(events.owner, sector_counts(masks), minlength=size)
            total = sectors.astype(np.int64) * SECTOR_BYTES
            before = getattr(self, name)
            total[: before.size] += before
            setattr(self, name, total)

    def flush(self) -> None:
        """Write back all that is dirty, at the end."""
        self._miss([cache.flush() for cache in self.l2])
        if self._behind is not None:
            self._count(self._behind.flush())

    def moved(self, owner: int) -> TensorDram:
        """What DRAM read and wrote for an owner."""
        if owner >= self._read.size:
            return TensorDram(0, 0)
        return TensorDram(int(self._read[owner]), int(self._written[owner]))

    @property
    def totals(self) -> tuple[int, int]:
        """Bytes read and written."""
        return int(self._read.sum()), int(self._written.sum())


def _part(spec: GPUSpec, programs_in_flight: int | None, l2_bytes: int | None) -> _Part:
    """The caches of one device of a part, since a kernel runs on one."""
    device = spec.per_device()
    count = device.require("l2_count")
    size = device.require("l2_bytes") if l2_bytes is None else l2_bytes
    flying = device.require("sm_count") if programs_in_flight is None else programs_in_flight
    if flying < 1:
        raise ValueError(f"programs_in_flight is {flying}: give at least one")
    return _Part(
        device.name,
        l2_bytes=size // count,
        l2_count=count,
        # AMD's parts state theirs or 0; NVIDIA's have none, of which no document speaks.
        memory_side_cache_bytes=device.memory_side_cache_bytes or 0,
        in_flight=-(-flying // count),
    )


class DramModel:
    """The L2 model as an observer of a walk: `lens.run(fn, args, kwargs, [model, ...])`.

    So several parts, and other observers, share one walk. The arguments are those of `dram`.
    """

    def __init__(
        self, spec: GPUSpec, programs_in_flight: int | None = None, l2_bytes: int | None = None
    ) -> None:
        self._part = _part(spec, programs_in_flight, l2_bytes)
        self._memory = _Memory(self._part)
        self._schedule = Schedule(self._part.l2_count, self._part.in_flight, self._memory.access)

    def __call__(self, access: Access) -> None:
        self._schedule(access)

    def result(self, traffic: Traffic) -> Dram:
        """What DRAM moved in the walk that ended with `traffic`; to be asked for once."""
        memory = self._memory
        self._schedule.finish()
        written = memory.totals[1]
        memory.flush()
        read, all_written = memory.totals
        return Dram(
            read_bytes=read,
            write_bytes=all_written,
            dirty_bytes=all_written - written,
            hits=sum(cache.hits for cache in memory.l2),
            misses=sum(cache.misses for cache in memory.l2),
            by_tensor={view.name: memory.moved(i) for i, view in enumerate(self._schedule.views)},
            assumptions=self._part.assumptions(),
            traffic=traffic,
        )


def dram(
    fn: Callable,
    *args: Any,
    spec: GPUSpec | str,
    programs_in_flight: int | None = None,
    l2_bytes: int | None = None,
    addresses_only: bool = False,
    **kwargs: Any,
) -> Dram:
    """Run `fn(*args, **kwargs)` on the interpreter and model what its kernels cost in DRAM bytes.

    Args:
        fn, *args, addresses_only, **kwargs: as for `count`.
        spec: the part, or its name; a smaller one is `dataclasses.replace(spec, l2_bytes=...)`.
        programs_in_flight: how many run at once; by default one for each SM.
        l2_bytes: of all L2s together, instead of the part's.

    Raises:
        UnknownFigureError: it is not known how large the part's L2 is, how many it has, or how
            many SMs.
        ValueError: no program in flight, or an L2 too small for one set.
        TypeError: `fn` has a parameter that is called as one of these keywords.
    """
    lens.keep(fn, "dram", "spec", "programs_in_flight", "l2_bytes", "addresses_only")
    chosen = specs.get(spec) if isinstance(spec, str) else spec
    model = DramModel(chosen, programs_in_flight, l2_bytes)
    return model.result(lens.run(fn, args, kwargs, [model], addresses_only))
