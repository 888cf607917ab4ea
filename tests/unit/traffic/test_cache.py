"""The cache against LRU worked out by hand, and against the plainest LRU that Python can write."""

from collections import OrderedDict

import numpy as np
import pytest

from gpu_utils.traffic.cache import Cache, Events

KINDS = ("read", "full", "partial")


def events(*accesses) -> Events:
    """From (line, sectors, what is done to them): "read", "full", "partial" or "atomic"."""
    masks = {kind: np.zeros(len(accesses), dtype=np.uint8) for kind in KINDS}
    for at, (_, sectors, what) in enumerate(accesses):
        for kind in ("read", "partial") if what == "atomic" else (what,):
            masks[kind][at] = sectors
    return Events(
        line=np.array([line for line, _, _ in accesses], dtype=np.int64),
        owner=np.zeros(len(accesses), dtype=np.int32),
        time=np.arange(len(accesses)),
        **masks,
    )


def listed(behind: Events) -> list[tuple]:
    """Back to tuples; a write of full and partial sectors gives both masks."""
    rows = []
    for at, line in enumerate(behind.line.tolist()):
        masks = {kind: int(getattr(behind, kind)[at]) for kind in KINDS}
        rows.append((line, *(f"{kind} {mask:04b}" for kind, mask in masks.items() if mask)))
    return rows


def run(cache: Cache, *accesses) -> list[tuple]:
    return listed(cache.access(events(*accesses)))


def reads(*lines) -> list[tuple]:
    """Accesses to the first sector of lines."""
    return [(line, 0b0001, "read") for line in lines]


def fetched(*lines) -> list[tuple]:
    return [(line, "read 0001") for line in lines]


def small(lines: int, ways: int) -> Cache:
    return Cache(128 * lines, ways, hashed=False)


class TestByHand:
    def test_direct_mapped(self):
        # Four sets of one line: lines 0 and 4 share set 0 and drive each other out; 1 stays.
        cache = small(4, ways=1)
        assert run(cache, *reads(0, 1, 4, 0, 1, 0)) == fetched(0, 1, 4, 0)
        assert (cache.hits, cache.misses) == (2, 4)

    def test_two_ways(self):
        # Two sets. In set 0: 0 and 2 come, 0 is used again, so 4 replaces 2; 0 is still there, and
        # 2 replaces 4, which was used before 0.
        cache = small(4, ways=2)
        assert run(cache, *reads(0, 2, 0, 4, 0, 2, 0, 4)) == fetched(0, 2, 4, 2, 4)
        # Set 1 is untouched by all this.
        assert run(cache, *reads(1, 3, 1, 3)) == fetched(1, 3)

    def test_fully_associative(self):
        # One set of four: 0 is used again before 4 comes, so 4 replaces 1, and 1 replaces 2.
        cache = small(4, ways=4)
        assert run(cache, *reads(0, 1, 2, 3, 0, 4, 1, 0, 3)) == fetched(0, 1, 2, 3, 4, 1)
        assert run(cache, *reads(2)) == fetched(2)

    def test_a_cyclic_walk_one_line_too_long_never_hits(self):
        # The well-known worst case of LRU: five lines round and round in four ways.
        cache = small(4, ways=4)
        run(cache, *reads(*(5 * [0, 1, 2, 3, 4])))
        assert (cache.hits, cache.misses) == (0, 25)

    def test_sectors_are_filled_alone(self):
        # Sector 0 is fetched, then 0 and 1 are asked for: 1 is fetched. A line that is replaced
        # takes all its sectors with it.
        cache = small(1, ways=1)
        assert run(cache, (7, 0b0001, "read"), (7, 0b0011, "read"), (7, 0b1111, "read")) == [
            (7, "read 0001"),
            (7, "read 0010"),
            (7, "read 1100"),
        ]
        assert (cache.hits, cache.misses) == (1 + 2, 1 + 1 + 2)
        assert run(cache, (8, 0b0001, "read"), (7, 0b0001, "read")) == fetched(8, 7)

    def test_a_dirty_line_is_written_when_it_is_replaced(self):
        # Two sectors are overwritten: nothing is fetched. Reading them hits. When line 4 comes,
        # those two are written, and then line 4 is fetched. A clean line leaves in silence.
        cache = small(4, ways=1)
        assert run(cache, (0, 0b0110, "full"), (0, 0b0010, "read")) == []
        assert (cache.hits, cache.misses) == (1, 2)
        assert run(cache, *reads(4)) == [(0, "full 0110"), (4, "read 0001")]
        assert run(cache, *reads(0)) == fetched(0)
        assert listed(cache.flush()) == []

    def test_flush_writes_what_is_dirty_once(self):
        cache = small(4, ways=2)
        run(cache, (0, 0b0001, "full"), (1, 0b1000, "full"), (2, 0b0001, "read"))
        assert sorted(listed(cache.flush())) == [(0, "full 0001"), (1, "full 1000")]
        assert listed(cache.flush()) == []
        assert run(cache, *reads(0)) == []  # still there, and clean

    def test_a_sector_written_in_part_is_fetched_when_it_is_read(self):
        cache = small(4, ways=1)
        assert run(cache, (0, 0b0001, "partial"), (0, 0b0001, "partial")) == []
        assert (cache.hits, cache.misses) == (1, 1)  # the second write finds the sector
        assert run(cache, *reads(0)) == fetched(0)
        assert run(cache, *reads(0)) == []
        # Now it is whole, and leaves as a whole; one that was never read leaves in part.
        assert run(cache, (4, 0b0001, "partial")) == [(0, "full 0001")]
        assert listed(cache.flush()) == [(4, "partial 0001")]

    def test_an_atomic_fetches_and_dirties(self):
        cache = small(4, ways=1)
        assert run(cache, (0, 0b0001, "atomic"), (0, 0b0001, "atomic")) == fetched(0)
        assert (cache.hits, cache.misses) == (1, 1)
        assert listed(cache.flush()) == [(0, "full 0001")]

    def test_the_owner_of_a_write_is_who_used_the_line_last(self):
        cache = small(1, ways=1)
        wrote = events((0, 0b0001, "full"), (1, 0b0001, "read"))
        wrote.owner[:] = 5, 6
        assert cache.access(wrote).owner.tolist() == [5, 6]


def plain_lru(cache: Cache, accesses: Events) -> tuple[list[tuple], int, int]:
    """The same cache, one access, one sector at a time."""
    sets: dict[int, OrderedDict] = {}
    behind, hits, misses = [], 0, 0
    where = cache.set_of(accesses.line).tolist()
    for at, line in enumerate(accesses.line.tolist()):
        lines = sets.setdefault(where[at], OrderedDict())
        read, full, partial = (int(getattr(accesses, kind)[at]) for kind in KINDS)
        if line not in lines:
            if len(lines) == cache.ways:
                old, (readable, dirty) = lines.popitem(last=False)
                masks = {"full": dirty & readable, "partial": dirty & ~readable}
                row = [f"{kind} {mask:04b}" for kind, mask in masks.items() if mask]
                behind += [(old, *row)] if row else []
            lines[line] = (0, 0)
        lines.move_to_end(line)
        readable, dirty = lines[line]
        for bit in (1, 2, 4, 8):
            if bit & (read | full | partial):
                there = bit & readable or (bit & dirty and not read)
                hits, misses = hits + bool(there), misses + (not there)
        if read & ~readable:
            behind.append((line, f"read {read & ~readable:04b}"))
        lines[line] = (readable | read | full, dirty | full | partial)
    return behind, hits, misses


def at_random(count: int, lines: int, seed: int) -> Events:
    """Reads, writes of whole and of partial sectors, and atomics, on `lines` lines."""
    random = np.random.default_rng(seed)
    masks = random.integers(1, 16, (3, count)).astype(np.uint8)
    what = random.choice(4, count, p=[0.6, 0.2, 0.1, 0.1])
    return Events(
        line=random.integers(0, lines, count),
        read=np.where((what == 0) | (what == 3), masks[0], 0).astype(np.uint8),
        full=np.where(what == 1, masks[1], 0).astype(np.uint8),
        partial=np.where(what == 3, masks[0], np.where(what == 2, masks[2], 0)).astype(np.uint8),
        owner=random.integers(0, 3, count).astype(np.int32),
        time=np.arange(count),
    )


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize(("sets", "ways"), [(8, 1), (4, 2), (1, 16), (16, 4), (7, 3)])
def test_equal_to_a_plain_lru(sets, ways, hashed):
    # What DRAM is asked for is equal in content and order, also over two calls.
    cache = Cache(128 * sets * ways, ways, hashed=hashed)
    assert (cache.sets, cache.ways) == (sets, ways)
    accesses = at_random(4000, 2 * sets * ways, seed=sets)
    behind, hits, misses = plain_lru(Cache(128 * sets * ways, ways, hashed=hashed), accesses)
    cut = 1234
    found = listed(cache.access(accesses.take(np.arange(cut))))
    found += listed(cache.access(accesses.take(np.arange(cut, 4000))))
    assert found == behind
    assert (cache.hits, cache.misses) == (hits, misses)
    assert hits > 500
    assert misses > 500


def test_the_hash_uses_all_sets_evenly():
    # A stride of a power of two, as the rows of a matrix have it, is what defeats a modulus.
    lines = 64 * np.arange(8192)
    assert np.unique(Cache(1 << 20, hashed=False).set_of(lines)).size == 8  # of 512
    counts = np.bincount(Cache(1 << 20).set_of(lines), minlength=512)
    assert counts.max() <= 2 * counts.mean()


def test_too_small():
    with pytest.raises(ValueError, match="a cache of 1024 bytes holds no set of 16 lines"):
        Cache(1024)


def test_nothing_to_do():
    cache = small(4, ways=1)
    assert listed(cache.access(Events.none())) == []
    assert (cache.hits, cache.misses) == (0, 0)
