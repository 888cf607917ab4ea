"""DRAM bytes under the L2 model: small cases by hand, matmul orders against brute force."""

import dataclasses
import random
from collections import OrderedDict

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import specs, traffic
from gpu_utils.traffic import schedule

H100 = specs.get("h100 sxm")
# Its L2 holds everything that these tests touch, unless they say otherwise.


@triton.jit
def twice_kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs) + tl.load(x_ptr + offs))


def twice(x, out, block=64):
    twice_kernel[(x.numel() // block,)](x, out, BLOCK=block)


class TestByHand:
    def test_compulsory_bytes(self):
        # 1024 floats read twice and 1024 written: 4096 bytes in, the second read hits, 4096 bytes
        # out, which fetch nothing, being whole sectors, and are still in the cache at the end.
        moved = traffic.dram(twice, torch.ones(1024), torch.empty(1024), spec=H100)
        assert (moved.read_bytes, moved.write_bytes, moved.dirty_bytes) == (4096, 4096, 4096)
        assert moved.total_bytes == 8192
        # Sectors: 128 misses and 128 hits of x, 128 misses of out.
        assert (moved.hits, moved.misses) == (128, 256)
        assert moved.hit_rate == 1 / 3
        assert moved.by_tensor == {
            "x": traffic.TensorDram(4096, 0),
            "out": traffic.TensorDram(0, 4096),
        }
        assert moved.traffic.load_bytes == 8192

    def test_whole_sectors_are_moved(self):
        # Every eighth float: 128 floats lie in 128 sectors. Stored side by side they fill 16.
        @triton.jit
        def kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            tl.store(out_ptr + offs, tl.load(x_ptr + 8 * offs))

        def strided(x, out):
            kernel[(1,)](x, out, BLOCK=128)

        moved = traffic.dram(strided, torch.ones(1024), torch.empty(128), spec=H100)
        assert (moved.read_bytes, moved.write_bytes) == (128 * 32, 16 * 32)

    def test_a_cache_too_small_for_the_second_pass(self):
        # 64 KiB of x, read by eight programs; then all of it again. Four KiB of L2 (two sets of 16
        # lines) remember nothing of the first pass; with 1 MiB the second costs nothing.
        @triton.jit
        def kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
            tl.store(out_ptr + tl.program_id(0), tl.sum(tl.load(x_ptr + offs), 0))

        def sums(x, out):
            for _ in range(2):
                kernel[(8,)](x, out, BLOCK=2048)

        args = torch.ones(16_384), torch.empty(8)
        small = traffic.dram(sums, *args, spec=H100, l2_bytes=4096)
        large = traffic.dram(sums, *args, spec=H100, l2_bytes=1 << 20)
        assert small.by_tensor["x"].read_bytes == 2 * 65_536
        assert large.by_tensor["x"].read_bytes == 65_536

    def test_atomics_fetch_what_they_change(self):
        # Eight programs add to one float: its sector is fetched once, and written once.
        @triton.jit
        def kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
            tl.atomic_add(out_ptr, tl.sum(tl.load(x_ptr + offs), 0))

        def total(x, out):
            kernel[(8,)](x, out, BLOCK=128)

        moved = traffic.dram(total, torch.ones(1024), torch.zeros(1), spec=H100)
        assert moved.by_tensor["out"] == traffic.TensorDram(32, 32)

    def test_a_tail_that_ends_inside_a_sector(self):
        # 1001 bytes: 31 whole sectors and 9 bytes. Written in part, the last is not fetched.
        @triton.jit
        def kernel(out_ptr, n, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            tl.store(out_ptr + offs, tl.full((BLOCK,), 1, tl.int8), mask=offs < n)

        def fill(out):
            kernel[(1,)](out, out.numel(), BLOCK=1024)

        moved = traffic.dram(fill, torch.zeros(1001, dtype=torch.int8), spec=H100)
        assert (moved.read_bytes, moved.write_bytes) == (0, 32 * 32)

    def test_private_caches_and_one_behind_them(self):
        # Sixteen programs read the same 4 KiB. On an MI300X they are dealt to eight dies; each
        # die's L2 fetches them once, and has them for its second program. The memory-side cache
        # answers seven of the eight: DRAM is read once. Without it, eight times.
        @triton.jit
        def kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            x = tl.load(x_ptr + tl.arange(0, BLOCK))
            tl.store(out_ptr + tl.program_id(0) * 8, tl.sum(x, 0))

        def sums(x, out):
            kernel[(16,)](x, out, BLOCK=1024)

        args = torch.ones(1024), torch.empty(128)
        part = specs.get("mi300x")
        moved = traffic.dram(sums, *args, spec=part)
        assert moved.by_tensor["x"].read_bytes == 4096
        assert (moved.hits, moved.misses) == (8 * 128, 8 * 128 + 16)
        assert "8 private L2s of 4.00 MiB" in moved.assumptions[0]
        assert "memory-side cache of 256 MiB" in moved.assumptions[0]
        without = dataclasses.replace(part, memory_side_cache_bytes=0)
        assert traffic.dram(sums, *args, spec=without).by_tensor["x"].read_bytes == 8 * 4096

    def test_two_launches_share_the_cache_and_follow_each_other(self):
        # The second kernel reads what the first wrote, which never left the L2.
        def chain(x, y, out):
            twice(x, y)
            twice(y, out)

        moved = traffic.dram(
            chain, torch.ones(1024), torch.empty(1024), torch.empty(1024), spec=H100
        )
        assert moved.by_tensor["y"] == traffic.TensorDram(0, 4096)
        assert (moved.read_bytes, moved.write_bytes) == (4096, 8192)


def order_of(in_flight: int, groups: int = 1, enough: int | None = None, monkeypatch=None) -> list:
    """The lines of x and y in the order in which six programs touch them, group by group.

    Program p loads line p of x, and programs 1 and 4 then line p of y too.
    """
    if enough is not None:
        monkeypatch.setattr(schedule.Schedule, "ENOUGH", enough)

    @triton.jit
    def kernel(x_ptr, y_ptr, BLOCK: tl.constexpr):
        pid = tl.program_id(0)
        offs = pid * BLOCK + tl.arange(0, BLOCK)
        tl.device_assert(tl.load(x_ptr + offs) > 0)
        if pid % 3 == 1:
            tl.device_assert(tl.load(y_ptr + offs) > 0)

    seen: list[list[tuple[int, str]]] = [[] for _ in range(groups)]

    def sink(events):
        for group, mine in enumerate(events):
            for line, owner, time in zip(mine.line, mine.owner, mine.time, strict=True):
                seen[group].append((int(time), "xy"[owner] + str(line % 6)))

    watcher = schedule.Schedule(groups, in_flight, sink)
    x, y = torch.ones(192), torch.ones(192)  # 768 bytes: six lines, the next tensor 8 lines on
    traffic.lens.run(lambda: kernel[(6,)](x, y, BLOCK=32), (), {}, [watcher])
    watcher.finish()
    for group in seen:
        assert [time for time, _ in group] == sorted(time for time, _ in group)
    return [[name for _, name in group] for group in seen]


class TestOrder:
    """Program 1's line of y is 8 + 1 (y1 is printed as y3: 9 modulo 6), program 4's y0."""

    def test_one_at_a_time(self):
        assert order_of(1) == [["x0", "x1", "y3", "x2", "x3", "x4", "y0", "x5"]]

    def test_two_in_flight(self):
        # Slots A and B: A runs 0, then 2 while B is in its second access of 1; then 3 takes A as it
        # is free first (round 2, both free: A), 4 takes B, 5 takes A while B loads y.
        # Rounds: (0, 1) (2, 1') (3, 4) (5, 4').
        assert order_of(2) == [["x0", "x1", "x2", "y3", "x3", "x4", "x5", "y0"]]

    def test_more_slots_than_programs(self):
        assert order_of(8) == [["x0", "x1", "x2", "x3", "x4", "x5", "y3", "y0"]]

    def test_dealt_to_two_groups(self):
        # Even programs to one, odd ones to the other, one at a time in each.
        assert order_of(1, groups=2) == [["x0", "x2", "x4", "y0"], ["x1", "y3", "x3", "x5"]]

    @pytest.mark.parametrize("in_flight", [1, 2, 8])
    def test_handed_on_in_pieces(self, monkeypatch, in_flight):
        whole = order_of(in_flight)
        assert order_of(in_flight, enough=1, monkeypatch=monkeypatch) == whole


@triton.jit
def matmul_kernel(
    a_ptr, b_ptr, c_ptr, M, N, K,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr,
):  # fmt: skip
    pid = tl.program_id(0)
    tiles_m, tiles_n = tl.cdiv(M, BLOCK_M), tl.cdiv(N, BLOCK_N)
    group = pid // (GROUP_M * tiles_n)
    rows = min(tiles_m - group * GROUP_M, GROUP_M)
    pid_m = group * GROUP_M + (pid % (GROUP_M * tiles_n)) % rows
    pid_n = (pid % (GROUP_M * tiles_n)) // rows
    offs_m = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_n = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    offs_k = tl.arange(0, BLOCK_K)
    a = a_ptr + offs_m[:, None] * K + offs_k[None, :]
    b = b_ptr + offs_k[:, None] * N + offs_n[None, :]
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for _ in range(0, K, BLOCK_K):
        acc = tl.dot(tl.load(a), tl.load(b), acc)
        a += BLOCK_K
        b += BLOCK_K * N
    tl.store(c_ptr + offs_m[:, None] * N + offs_n[None, :], acc.to(tl.bfloat16))


SIZE, DEPTH, BLOCK, BLOCK_K, IN_FLIGHT, L2_BYTES = 1024, 128, 128, 32, 8, 128 * 1024
TILES = SIZE // BLOCK


def matmul(a, b, c, group_m):
    grid = (TILES * TILES,)
    matmul_kernel[grid](a, b, c, SIZE, SIZE, DEPTH, BLOCK, BLOCK, BLOCK_K, group_m)


def tile(base, row_bytes, row, rows, column, columns):
    """The sectors (numbers of 32 bytes) of a tile of bfloat16."""
    for r in range(row, row + rows):
        start = base + r * row_bytes + 2 * column
        yield from range(start // 32, (start + 2 * columns) // 32)


def accesses_of(pid, group_m):
    """What one program of a matmul touches, one list of sectors for each access."""
    per_group = group_m * TILES
    first = pid // per_group * group_m
    rows = min(TILES - first, group_m)
    m, n = first + pid % per_group % rows, pid % per_group // rows
    a, b, c = 0, 1 << 24, 1 << 25  # far apart
    for k in range(0, DEPTH, BLOCK_K):
        yield "read", list(tile(a, 2 * DEPTH, m * BLOCK, BLOCK, k, BLOCK_K))
        yield "read", list(tile(b, 2 * SIZE, k, BLOCK_K, n * BLOCK, BLOCK))
    yield "write", list(tile(c, 2 * SIZE, m * BLOCK, BLOCK, n * BLOCK, BLOCK))


def brute_force(group_m) -> tuple[int, int]:
    """DRAM bytes read and written; lines are put into sets by lot, each set an LRU of 16."""
    lot = random.Random(7)
    set_of: dict[int, int] = {}
    sets = [OrderedDict() for _ in range(L2_BYTES // (16 * 128))]
    read = written = 0
    # Each program does as many accesses as any other, so those in flight start and end together.
    for first in range(0, TILES * TILES, IN_FLIGHT):
        running = [list(accesses_of(pid, group_m)) for pid in range(first, first + IN_FLIGHT)]
        for together in zip(*running, strict=True):
            for what, sectors in together:
                for sector in sectors:
                    line = sector // 4
                    if line not in set_of:
                        set_of[line] = lot.randrange(len(sets))
                    lines = sets[set_of[line]]
                    if line not in lines:
                        if len(lines) == 16:
                            written += 32 * len(lines.popitem(last=False)[1]["dirty"])
                        lines[line] = {"there": set(), "dirty": set()}
                    lines.move_to_end(line)
                    if what == "write":
                        lines[line]["dirty"].add(sector)
                    elif sector not in lines[line]["there"]:
                        read += 32
                    lines[line]["there"].add(sector)
    left = sum(len(line["dirty"]) for lines in sets for line in lines.values())
    return read, written + 32 * left


def test_grouped_against_row_major_order():
    # 1024 x 1024 x 128 in bfloat16, tiles of 128 x 128 and 8 programs in flight. A panel of A or B
    # is 128 x 128 x 2 = 32 KiB. In row-major order the 8 in flight share one panel of A and need
    # all 8 of B; grouped by 4 rows they need 4 of A and 2 of B. The L2 holds 4 panels, so that
    # little is left of one wave for the next: 8 x 9 panels against 8 x 6, 2.36 against 1.57 MB.
    a, b = torch.ones(SIZE, DEPTH).bfloat16(), torch.ones(DEPTH, SIZE).bfloat16()
    c = torch.empty(SIZE, SIZE).bfloat16()
    reads = {}
    for group_m in (1, 4):
        moved = traffic.dram(
            matmul, a, b, c, group_m, spec=H100, l2_bytes=L2_BYTES, programs_in_flight=IN_FLIGHT
        )
        read, written = brute_force(group_m)
        assert moved.read_bytes == pytest.approx(read, rel=0.15)
        assert moved.write_bytes == written == 2 * SIZE * SIZE
        reads[group_m] = moved.read_bytes, read
    ours, theirs = (reads[1][i] / reads[4][i] for i in (0, 1))
    assert ours == pytest.approx(theirs, rel=0.15)
    assert reads[1][0] == pytest.approx(72 * 32_768, rel=0.15)
    assert reads[4][0] == pytest.approx(48 * 32_768, rel=0.15)


def test_addresses_alone_give_the_same():
    # The order of accesses does not depend on what is loaded: meta tensors do.
    shapes = (SIZE, DEPTH), (DEPTH, SIZE), (SIZE, SIZE)
    part = {"spec": H100, "l2_bytes": L2_BYTES, "programs_in_flight": IN_FLIGHT}
    real = [torch.ones(shape).bfloat16() for shape in shapes]
    meta = [tensor.to("meta") for tensor in real]
    moved = traffic.dram(matmul, *real, 4, **part)
    assert traffic.dram(matmul, *meta, 4, **part, addresses_only=True).by_tensor == moved.by_tensor


class TestInput:
    def test_a_function_with_a_parameter_of_the_same_name(self):
        with pytest.raises(TypeError, match="has a parameter spec, a keyword that dram keeps"):
            traffic.dram(lambda spec: spec, spec=H100)

    def test_an_unknown_figure(self):
        with pytest.raises(specs.UnknownFigureError, match="l2_count of NVIDIA A10"):
            traffic.dram(twice, torch.ones(64), torch.empty(64), spec="a10")

    def test_no_program_in_flight(self):
        with pytest.raises(ValueError, match="programs_in_flight is 0"):
            traffic.dram(twice, torch.ones(64), torch.empty(64), spec=H100, programs_in_flight=0)

    def test_an_l2_without_a_set(self):
        with pytest.raises(ValueError, match="holds no set"):
            traffic.dram(twice, torch.ones(64), torch.empty(64), spec=H100, l2_bytes=100)

    def test_one_device_of_a_part_that_is_two(self):
        # An MI250X is two devices of 110 compute units and 8 MiB of L2 each.
        moved = traffic.dram(twice, torch.ones(64), torch.empty(64), spec="mi250x")
        assert "one L2 of 8.00 MiB" in moved.assumptions[0]
        assert moved.assumptions[2].startswith("110 programs in flight")


def test_report():
    moved = traffic.dram(twice, torch.ones(1024), torch.empty(1024), spec="h100 sxm")
    head, x, out, both, *assumed = str(moved).splitlines()
    assert head.endswith("DRAM bytes, MODELLED")
    assert x.split() == ["x", "4,096", "0"]
    assert out.split() == ["out", "0", "4,096"]
    assert both.split() == ["all", "4,096", "4,096"]
    assert assumed[0].startswith("assumes: NVIDIA H100 SXM5 80GB: one L2 of 50.0 MiB")
    assert "132 programs in flight" in assumed[2]


def test_scattered_accesses_forget_old_forms():
    # Each program gathers in an order of its own; what was remembered does not grow without end.
    @triton.jit
    def kernel(x_ptr, i_ptr, out_ptr, BLOCK: tl.constexpr):
        offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        tl.store(out_ptr + offs, tl.load(x_ptr + tl.load(i_ptr + offs)))

    watcher = schedule.Schedule(1, 4, lambda events: None)
    x, index, out = torch.ones(4096), torch.randperm(4096).int(), torch.empty(4096)

    def gather():
        kernel[(128,)](x, index, out, BLOCK=32)

    traffic.lens.run(gather, (), {}, [watcher])
    assert len(watcher._forms) <= schedule._FORMS
