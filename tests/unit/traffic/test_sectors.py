"""Requests and sectors against values worked out by hand from the layouts that the compiler prints.

Each test states the layout and asserts it, so that a compiler that chooses another one fails here
and not in the arithmetic. BLOCK is 1024 in four warps unless said: 128 threads on sm_90 (32 lanes),
256 on gfx942 (64 lanes). A tensor starts at a multiple of 32 bytes.
"""

import types

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import codegen, traffic
from gpu_utils.traffic import compiled, requests

TARGETS = ("sm_90", "gfx942")
BOTH = pytest.mark.parametrize("target", TARGETS)
LANES = {"sm_90": 32, "gfx942": 64}


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, shared_cache):
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(shared_cache))


def model(fn, *args, target):
    """The sectors of a call, and the artifacts of its launches."""
    artifacts = codegen.compile(fn, *args, target=list(TARGETS))[target]
    return traffic.sectors(fn, *args, artifacts=artifacts), artifacts


def blocked(size, lanes, warps=4) -> str:
    """A one-dimensional layout as TTGIR prints it."""
    return (
        f"#ttg.blocked<{{sizePerThread = [{size}], threadsPerWarp = [{lanes}], "
        f"warpsPerCTA = [{warps}], order = [0]}}>"
    )


def numbers(count):
    """What the tests compare: bits, requests, sectors, useful bytes."""
    assert count.layout_source == "TTGIR"
    return count.width_bits, count.requests, count.sectors, count.useful_bytes


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, stride, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs * stride, mask=offs < n), mask=offs < n)


def copy(x, out, stride=1, block=1024):
    n = out.numel()
    copy_kernel[(triton.cdiv(n, block),)](x, out, n, stride, BLOCK=block)


class TestContiguous:
    @BOTH
    def test_fp32(self, target):
        # Four floats a thread: 128 bits. A request of 32 lanes asks for 32 x 16 = 512 bytes, 16
        # sectors; of 64 lanes for 32. 4096 floats are 512 sectors: 32 requests, or 16.
        found, (artifact,) = model(copy, torch.ones(4096), torch.empty(4096), target=target)
        assert blocked(4, LANES[target]) in artifact.asm["ttgir"]
        expected = {"sm_90": ((128,), 32, 512, 16_384), "gfx942": ((128,), 16, 512, 16_384)}
        assert numbers(found.of("x")) == numbers(found.of("out")) == expected[target]
        assert found.of("x").efficiency == 1.0
        assert found.of("x").sectors_per_request == 16 * LANES[target] / 32

    @BOTH
    def test_bf16(self, target):
        # 1024 elements over 128 threads are 8 each: 128 bits, 16 sectors. Over 256 threads they are
        # 4 each: 64 bits, 64 x 8 = 512 bytes, 16 sectors. Four programs of four warps each.
        x = torch.ones(4096, dtype=torch.bfloat16)
        found, (artifact,) = model(copy, x, torch.empty_like(x), target=target)
        size, bits = {"sm_90": (8, 128), "gfx942": (4, 64)}[target]
        assert blocked(size, LANES[target]) in artifact.asm["ttgir"]
        assert numbers(found.of("x")) == ((bits,), 16, 256, 8192)
        assert numbers(found.of("out")) == ((bits,), 16, 256, 8192)

    @BOTH
    def test_int8(self, target):
        # 8 bytes a thread on sm_90, 4 on gfx942: either way 256 bytes a request, 8 sectors.
        x = torch.ones(4096, dtype=torch.int8)
        found, (artifact,) = model(copy, x, torch.empty_like(x), target=target)
        size, bits = {"sm_90": (8, 64), "gfx942": (4, 32)}[target]
        assert blocked(size, LANES[target]) in artifact.asm["ttgir"]
        assert numbers(found.of("x")) == ((bits,), 16, 128, 4096)
        assert numbers(found.of("out")) == ((bits,), 16, 128, 4096)

    @BOTH
    def test_16_bit_lanes(self, target):
        # 256 elements over 128 threads would be 2 each; with 8 warps they are 1 each. Then a
        # request of 32 lanes asks for 64 bytes, 2 sectors: the ideal of 16-bit lanes. On gfx942
        # 256 of the 512 threads hold something: 4 waves own it, but all 8 load it.
        def launch(x, out):
            copy_kernel[(1,)](x, out, 256, 1, BLOCK=256, num_warps=8)

        x = torch.ones(256, dtype=torch.float16)
        found, (artifact,) = model(launch, x, torch.empty_like(x), target=target)
        assert blocked(1, LANES[target], warps=8) in artifact.asm["ttgir"]
        sectors = {"sm_90": 8 * 2, "gfx942": 8 * 4}[target]
        assert numbers(found.of("x")) == ((16,), 8, sectors, sectors * 32)
        owners = {"sm_90": 8, "gfx942": 4}[target]
        assert numbers(found.of("out")) == ((16,), owners, 16, 512)

    @BOTH
    def test_masked_tail(self, target):
        # 1008 is a multiple of 16, so the accesses stay 128 bits wide. 1008 x 4 / 32 = 126 sectors
        # hold the array; no request shares one with another.
        found, _ = model(copy, torch.ones(1008), torch.empty(1008), target=target)
        requests_ = {"sm_90": 8, "gfx942": 4}[target]
        assert numbers(found.of("x")) == ((128,), requests_, 126, 4032)
        assert numbers(found.of("out")) == ((128,), requests_, 126, 4032)

    @BOTH
    def test_a_length_that_is_no_multiple_of_16(self, target):
        # The layout still gives a thread four neighbours, but the mask may cut between them: each
        # is loaded alone, 32 bits. Lanes lie 16 bytes apart, so that 32 of them touch 16 sectors
        # for 128 bytes: a quarter is useful, and the next three requests touch the same sectors.
        # sm_90: 8 groups of 4 requests; 7 groups are full, 28 x 16 = 448 sectors. The last one
        # holds elements 896 + 4 lane + register < 1001: 27 lanes of register 0 (14 sectors) and 26
        # of the others (13 each): 448 + 14 + 39 = 501. gfx942: 3 full groups of 4 x 32, and the
        # last from 768 on: 59 lanes (30) and 58 (29): 384 + 30 + 87 = 501.
        found, (artifact,) = model(copy, torch.ones(1001), torch.empty(1001), target=target)
        assert blocked(4, LANES[target]) in artifact.asm["ttgir"]
        requests_ = {"sm_90": 32, "gfx942": 16}[target]
        assert numbers(found.of("x")) == ((32,), requests_, 501, 4004)
        assert numbers(found.of("out")) == ((32,), requests_, 501, 4004)

    @BOTH
    def test_misaligned_by_one_element(self, target):
        # The pointer is no multiple of 16, so loads are 32 bits wide, in the layout of the store.
        # Lane l's register r lies at byte 4 + 16 l + 4 r: registers 0 to 2 touch 16 sectors of 32
        # lanes, register 3 reaches into a 17th (its last lane is at byte 512). 65 sectors for each
        # of 4 x 8 groups are 2080; on gfx942 32 x 3 + 33 = 129 for each of 4 x 4, 2064.
        found, (artifact,) = model(copy, torch.ones(4097)[1:], torch.empty(4096), target=target)
        assert blocked(4, LANES[target]) in artifact.asm["ttgir"]
        expected = {"sm_90": ((32,), 128, 2080, 16_384), "gfx942": ((32,), 64, 2064, 16_384)}
        assert numbers(found.of("x")) == expected[target]
        assert found.of("out").efficiency == 1.0

    @BOTH
    def test_a_misaligned_store(self, target):
        # Here the layout is the store's: one element a thread, neighbours in neighbouring lanes. A
        # request of 32 lanes is 128 bytes from byte 4 on: 5 sectors, 80 % useful. 64 lanes: 9.
        found, (artifact,) = model(copy, torch.ones(4096), torch.empty(4097)[1:], target=target)
        assert blocked(1, LANES[target]) in artifact.asm["ttgir"]
        expected = {"sm_90": ((32,), 128, 640, 16_384), "gfx942": ((32,), 64, 576, 16_384)}
        assert numbers(found.of("out")) == expected[target]
        assert found.of("x").efficiency == 1.0


class TestScattered:
    @BOTH
    @pytest.mark.parametrize("stride", [2, 4])
    def test_strided(self, target, stride):
        # Four elements a thread, `stride` floats apart, each loaded alone: lanes lie 4 x 4 x stride
        # = 32 or 64 bytes apart, each in a sector of its own. 1024 elements: 1024 sectors.
        x, out = torch.ones(1024 * stride), torch.empty(1024)
        found, (artifact,) = model(copy, x, out, stride, target=target)
        assert blocked(4, LANES[target]) in artifact.asm["ttgir"]
        requests_ = {"sm_90": 32, "gfx942": 16}[target]
        assert numbers(found.of("x")) == ((32,), requests_, 1024, 4096)
        assert found.of("x").efficiency == 0.125
        assert found.of("x").sectors_per_request == LANES[target]

    @BOTH
    def test_array_of_structs(self, target):
        # One field of a struct of 8 floats, 32 bytes: each element has its own sector, 4 bytes of
        # 32 are useful. As a struct of arrays every byte is.
        @triton.jit
        def kernel(x_ptr, out_ptr, STRUCT: tl.constexpr, BLOCK: tl.constexpr):
            offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
            tl.store(out_ptr + offs, tl.load(x_ptr + offs * STRUCT))

        def field(x, out, struct):
            kernel[(4,)](x, out, STRUCT=struct, BLOCK=1024)

        found, _ = model(field, torch.ones(4096, 8), torch.empty(4096), 8, target=target)
        requests_ = {"sm_90": 128, "gfx942": 64}[target]
        assert numbers(found.of("x")) == ((32,), requests_, 4096, 16_384)
        assert found.of("x").efficiency == 0.125
        arrays, _ = model(field, torch.ones(8, 4096), torch.empty(4096), 1, target=target)
        assert arrays.of("x").efficiency == 1.0

    @BOTH
    def test_transposed_tile_is_coalesced_by_triton(self, target):
        # 64 x 64 floats, read by rows and written by columns in one line. Each side has a layout of
        # its own that follows its memory; the values change hands in shared memory in between. A
        # request is 128 bits a lane: on sm_90 2 rows (or columns) of 256 bytes, 16 sectors, 32
        # times; on gfx942 4 rows, 32 sectors, 16 times.
        @triton.jit
        def kernel(x_ptr, out_ptr, M, N, BLOCK: tl.constexpr):
            m, n = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
            tl.store(out_ptr + n * M + m, tl.load(x_ptr + m * N + n))

        def transpose(x, out):
            kernel[(1,)](x, out, *x.shape, BLOCK=64)

        found, (artifact,) = model(
            transpose, torch.ones(64, 64), torch.empty(64, 64), target=target
        )
        rows = LANES[target] // 16
        assert (
            f"sizePerThread = [1, 4], threadsPerWarp = [{rows}, 16], warpsPerCTA = [4, 1]"
        ) in artifact.asm["ttgir"]
        assert (
            f"sizePerThread = [4, 1], threadsPerWarp = [16, {rows}], warpsPerCTA = [1, 4]"
        ) in artifact.asm["ttgir"]
        expected = {"sm_90": ((128,), 32, 512, 16_384), "gfx942": ((128,), 16, 512, 16_384)}
        assert numbers(found.of("x")) == numbers(found.of("out")) == expected[target]


class TestStoresAndAtomics:
    @BOTH
    def test_threads_that_hold_the_same_elements(self, target):
        # 32 elements on four warps: every warp holds them all. Each of the four loads them (4
        # sectors a request); only the first stores them.
        found, (artifact,) = model(copy, torch.ones(32), torch.empty(32), 1, 32, target=target)
        assert blocked(1, LANES[target]) in artifact.asm["ttgir"]
        assert numbers(found.of("x")) == ((32,), 4, 16, 512)
        assert numbers(found.of("out")) == ((32,), 1, 4, 128)

    @BOTH
    def test_scalars(self, target):
        # Each of the four warps loads the scalar, one sector for 4 bytes; one thread stores it.
        @triton.jit
        def kernel(x_ptr, out_ptr):
            tl.store(out_ptr, tl.load(x_ptr) * 2)

        def double(x, out):
            kernel[(3,)](x, out)

        found, _ = model(double, torch.ones(1), torch.empty(1), target=target)
        load, store = found.of("x"), found.of("out")
        assert (load.requests, load.sectors, load.useful_bytes) == (12, 12, 48)
        assert (store.requests, store.sectors, store.useful_bytes) == (3, 3, 12)

    @BOTH
    def test_atomics(self, target):
        # sm_90 adds four floats in one instruction: 8 requests of 16 sectors. gfx942 adds one: 16
        # requests, whose lanes lie 16 bytes apart: 64 x 16 / 32 = 32 sectors for 256 bytes. From
        # Triton 3.8 on, neighbouring lanes get neighbours first: 64 x 4 / 32 = 8 sectors.
        @triton.jit
        def kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            tl.atomic_add(out_ptr + offs, tl.load(x_ptr + offs), sem="relaxed")

        def add(x, out):
            kernel[(1,)](x, out, BLOCK=1024)

        found, (artifact,) = model(add, torch.ones(1024), torch.zeros(1024), target=target)
        assert blocked(4, LANES[target]) in artifact.asm["ttgir"]
        sectors = 16 * (8 if blocked(1, 64) in artifact.asm["ttgir"] else 32)
        expected = {"sm_90": ((128,), 8, 128, 4096), "gfx942": ((32,), 16, sectors, 4096)}
        assert numbers(found.of("out", "atomic")) == expected[target]
        assert found.of("x").efficiency == 1.0

    @BOTH
    def test_an_accumulator_stored_as_it_lies(self, target):
        # 64 x 64 fp16 product on four warps. sm_90 turns the accumulator to rows first: 8 columns a
        # lane, 128 bits, 8 lanes to a row of 128 bytes, 4 rows a request: 16 sectors, all of them
        # useful, 4096 x 2 / 512 = 16 requests. gfx942 stores the 32 x 32 accumulator as it is: a
        # lane has 4 columns (64 bits), 32 lanes have a row each, and the other 32 lanes the next 4
        # columns of the same rows: 16 bytes of every sector, 32 sectors for 512 bytes, so half.
        @triton.jit
        def kernel(a_ptr, b_ptr, c_ptr, BLOCK: tl.constexpr):
            i, k = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
            a, b = tl.load(a_ptr + i * BLOCK + k), tl.load(b_ptr + i * BLOCK + k)
            tl.store(c_ptr + i * BLOCK + k, tl.dot(a, b).to(tl.float16))

        def product(a, b, c):
            kernel[(1,)](a, b, c, BLOCK=64)

        a = torch.ones(64, 64, dtype=torch.float16)
        found, (artifact,) = model(product, a, a.clone(), torch.empty_like(a), target=target)
        if target == "gfx942":
            assert "instrShape = [32, 32, 8], isTransposed = true" in artifact.asm["ttgir"]
        expected = {"sm_90": ((128,), 16, 256, 8192), "gfx942": ((64,), 16, 512, 8192)}
        assert numbers(found.of("c")) == expected[target]
        assert found.of("a").efficiency == found.of("b").efficiency == 1.0


@triton.jit
def pick(x_ptr, offs):
    return tl.load(x_ptr + offs)


@triton.jit
def pick_or_one(x_ptr, offs, mask):
    return tl.load(x_ptr + offs, mask=mask, other=1.0)


@triton.jit
def pick_twice(x_ptr, offs, mask):
    return 2 * pick_or_one(x_ptr, offs, mask)


class TestJoin:
    """Each access finds the operation that the compiler made of it."""

    @BOTH
    def test_two_loads_on_one_line(self, target):
        # The indices are 128-bit loads of neighbours, the elements they name lie 32 bytes apart.
        @triton.jit
        def kernel(x_ptr, i_ptr, out_ptr, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            tl.store(out_ptr + offs, tl.load(x_ptr + tl.load(i_ptr + offs)))

        def gather(x, index, out):
            kernel[(1,)](x, index, out, BLOCK=1024)

        index = torch.arange(1024, dtype=torch.int32) * 8
        found, _ = model(gather, torch.ones(8192), index, torch.empty(1024), target=target)
        few, many = {"sm_90": (8, 32), "gfx942": (4, 16)}[target]
        assert numbers(found.of("index")) == ((128,), few, 128, 4096)
        assert numbers(found.of("x")) == ((32,), many, 1024, 4096)
        assert len(found.by_line) == 1

    @BOTH
    def test_a_helper_called_from_two_places(self, target):
        # The same line of `pick`, compiled once for neighbours (128 bits) and once for every second
        # float (32 bits, a sector each).
        @triton.jit
        def kernel(x_ptr, y_ptr, out_ptr, stride, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            tl.store(out_ptr + offs, pick(x_ptr, offs) + pick(y_ptr, offs * stride))

        def launch(x, y, out):
            kernel[(1,)](x, y, out, 2, BLOCK=1024)

        found, _ = model(
            launch, torch.ones(1024), torch.ones(2048), torch.empty(1024), target=target
        )
        few, many = {"sm_90": (8, 32), "gfx942": (4, 16)}[target]
        assert numbers(found.of("x")) == ((128,), few, 128, 4096)
        assert numbers(found.of("y")) == ((32,), many, 1024, 4096)

    @BOTH
    def test_a_helper_of_a_helper(self, target):
        # 1008 = 63 x 16 floats, masked, from a place that is two calls deep: 128 bits for
        # neighbours (126 sectors hold them), 32 bits and a sector each for every second float. The
        # code says so of each: on sm_90 a load with `other` is several lines of inline assembly.
        @triton.jit
        def kernel(x_ptr, y_ptr, out_ptr, n, stride, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            x = pick_twice(x_ptr, offs, offs < n)
            y = pick_twice(y_ptr, offs * stride, offs < n)
            tl.store(out_ptr + offs, x + y, mask=offs < n)

        def launch(x, y, out):
            kernel[(1,)](x, y, out, x.numel(), 2, BLOCK=1024)

        found, (artifact,) = model(
            launch, torch.ones(1008), torch.ones(2016), torch.empty(1008), target=target
        )
        made = compiled.read(artifact).accesses
        widths = {(each.kind, len(each.sites), each.width_bits) for each in made}
        assert widths == {("load", 3, 128), ("load", 3, 32), ("store", 1, 128)}
        few, many = {"sm_90": (8, 32), "gfx942": (4, 16)}[target]
        assert numbers(found.of("x")) == ((128,), few, 126, 4032)
        assert numbers(found.of("y")) == ((32,), many, 1008, 4032)

    @BOTH
    def test_arguments_over_several_lines_and_by_name(self, target):
        # Up to Triton 3.7 the compiler says that a call is where its last argument begins.
        @triton.jit
        def kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
            offs = tl.arange(0, BLOCK)
            x = tl.load(
                pointer=x_ptr + offs,
                mask=offs < n,
            ).to(tl.float16).to(tl.float32)  # fmt: skip
            tl.store(
                out_ptr + offs,
                x,
                mask=offs < n,
            )

        def launch(x, out):
            kernel[(1,)](x, out, 1024, BLOCK=1024)

        found, _ = model(launch, torch.ones(1024), torch.empty(1024), target=target)
        assert found.total.layout_source == "TTGIR"
        assert found.total.efficiency == 1.0

    @BOTH
    def test_loads_that_the_compiler_copied(self, target):
        # The loop is pipelined: on sm_90 its loads stand three times in the code, as asynchronous
        # copies of 128 bits. 4 steps of 64 x 32 and 32 x 64 fp16: 4096 bytes each, 8 (or 4) full
        # requests of 512 (or 1024) bytes.
        @triton.jit
        def kernel(a_ptr, b_ptr, c_ptr, K, BLOCK: tl.constexpr, BLOCK_K: tl.constexpr):
            m, k = tl.arange(0, BLOCK), tl.arange(0, BLOCK_K)
            a = a_ptr + m[:, None] * K + k[None, :]
            b = b_ptr + k[:, None] * BLOCK + m[None, :]
            acc = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
            for _ in range(0, K, BLOCK_K):
                acc = tl.dot(tl.load(a), tl.load(b), acc)
                a += BLOCK_K
                b += BLOCK_K * BLOCK
            tl.store(c_ptr + m[:, None] * BLOCK + m[None, :], acc)

        def product(a, b, c):
            kernel[(1,)](a, b, c, 128, BLOCK=64, BLOCK_K=32, num_stages=3)

        a, b = torch.ones(64, 128).half(), torch.ones(128, 64).half()
        found, (artifact,) = model(product, a, b, torch.empty(64, 64), target=target)
        if target == "sm_90":
            assert artifact.async_copy_widths == {128: artifact.opcodes["LDGSTS"]}
        requests_ = {"sm_90": 4 * 8, "gfx942": 4 * 4}[target]
        assert numbers(found.of("a")) == ((128,), requests_, 512, 16_384)
        assert numbers(found.of("b")) == ((128,), requests_, 512, 16_384)

    def test_the_tensor_memory_accelerator_copies_boxes(self):
        # 128 x 128 floats in boxes of 64 x 64, by descriptors: no lanes, one request a box, 64 rows
        # of 256 bytes = 512 sectors. Two programs copy the left half.
        @triton.jit
        def kernel(x_ptr, out_ptr, M, N, BLOCK: tl.constexpr):
            x = tl.make_tensor_descriptor(x_ptr, [M, N], [N, 1], [BLOCK, BLOCK])
            out = tl.make_tensor_descriptor(out_ptr, [M, N], [N, 1], [BLOCK, BLOCK])
            row = tl.program_id(0) * BLOCK
            out.store([row, 0], x.load([row, 0]))

        def launch(x, out):
            kernel[(2,)](x, out, *x.shape, BLOCK=64)

        x = torch.ones(128, 128)
        found, (artifact,) = model(launch, x, torch.empty_like(x), target="sm_90")
        assert artifact.count("UTMALDG") == artifact.count("UTMASTG") == 1
        assert numbers(found.of("x")) == ((), 2, 1024, 32_768)
        assert numbers(found.of("out")) == ((), 2, 1024, 32_768)

    @BOTH
    def test_widths_are_those_of_the_machine_code(self, target):
        x, out = torch.ones(4097)[1:], torch.empty(4096)
        found, (artifact,) = model(copy, x, out, target=target)
        assert {*found.of("x").width_bits} == {*artifact.load_widths}
        assert {*found.of("out").width_bits} == {*artifact.store_widths}

    def test_several_launches(self):
        # The same kernel twice, with an aligned and with a misaligned input.
        def twice(x, out):
            copy(x[:1024], out)
            copy(x[1:1025], out)

        found, artifacts = model(twice, torch.ones(1025), torch.empty(1024), target="sm_90")
        assert len(artifacts) == 2
        # 8 requests of 128 bits and 16 sectors; 32 of 32 bits, 65 sectors for each four of them.
        assert numbers(found.of("x")) == ((32, 128), 8 + 32, 128 + 8 * 65, 8192)


class TestWithoutALayout:
    def test_consecutive_lanes(self):
        # 1001 floats: as many to a lane as lie together and are on together. The last block of
        # 1024 is cut by the mask inside a group of two, so that each lane takes one float: 32
        # requests would be full, the last active element is 1000 = 31 x 32 + 8: 9 floats, 2
        # sectors. 31 x 4 + 2 = 126.
        found = traffic.sectors(copy, torch.ones(1001), torch.empty(1001))
        x = found.of("x")
        assert x.layout_source == "contiguity"
        assert (x.width_bits, x.requests, x.sectors) == ((32,), 32, 126)
        assert x.useful_bytes == 4004
        assert found.target == ""

    def test_width_by_alignment(self):
        # One float past a multiple of 16 bytes: 128 bytes from byte 4 on, 5 sectors; with 1024
        # elements, 32 requests.
        found = traffic.sectors(copy, torch.ones(1025)[1:], torch.empty(1024))
        assert (found.of("x").width_bits, found.of("x").sectors) == ((32,), 160)
        assert (found.of("out").width_bits, found.of("out").sectors) == ((128,), 128)

    def test_a_layout_of_an_unknown_kind(self, monkeypatch):
        monkeypatch.setattr(compiled.layout, "parse", lambda text, shape: None)
        found, _ = model(copy, torch.ones(1024), torch.empty(1024), target="gfx942")
        # Still lanes of the target's number: 64 x 16 bytes a request.
        assert (found.of("x").layout_source, found.of("x").requests) == ("contiguity", 4)


def test_addresses_alone_give_the_same():
    real = torch.ones(1001), torch.empty(1001)
    meta = [tensor.to("meta") for tensor in real]
    artifacts = codegen.compile(copy, *meta, target="sm_90")
    found = traffic.sectors(copy, *meta, artifacts=artifacts, addresses_only=True)
    assert found.lines == traffic.sectors(copy, *real, artifacts=artifacts).lines
    assert found.of("x").sectors == 501  # as worked out above


class TestArtifacts:
    def test_a_function_with_a_parameter_of_the_same_name(self):
        with pytest.raises(TypeError, match="has a parameter artifacts, a keyword that sectors"):
            traffic.sectors(lambda artifacts: artifacts, artifacts=[])

    def test_of_other_launches(self):
        artifacts = codegen.compile(copy, torch.ones(32), torch.empty(32), target="sm_90")
        with pytest.raises(
            ValueError, match=r"are of the launches \['copy_kernel', 'copy_kernel'\]"
        ):
            traffic.sectors(copy, torch.ones(32), torch.empty(32), artifacts=2 * artifacts)
        with pytest.raises(ValueError, match=r"fn launched \['copy_kernel'\]"):
            traffic.sectors(copy, torch.ones(32), torch.empty(32), artifacts=[])

    def test_of_several_targets(self):
        args = torch.ones(32), torch.empty(32)
        artifacts = codegen.compile(copy, *args, target=list(TARGETS))
        with pytest.raises(TypeError, match="dict of targets"):
            traffic.sectors(copy, *args, artifacts=artifacts)
        both = [artifacts[target][0] for target in TARGETS]
        with pytest.raises(ValueError, match="several targets"):
            traffic.sectors(copy, *args, artifacts=both)

    def test_an_unknown_tensor(self):
        found = traffic.sectors(copy, torch.ones(32), torch.empty(32), 1, 32)
        with pytest.raises(KeyError, match="no kernel accessed 'y'; accessed: x, out"):
            found.of("y")


def test_report():
    args = torch.ones(1024), torch.empty(1024)
    text = str(traffic.sectors(copy, *args, artifacts=codegen.compile(copy, *args, target="sm_90")))
    head, first, second = text.splitlines()
    assert head.endswith("MODELLED on sm_90")
    place, found = first.rstrip("⟩").split("⟨")  # marked, since the compiler decides
    assert place.split()[:2] == ["x", "load"]
    assert found.split() == ["128", "8", "128", "16", "100.0%", "TTGIR"]
    assert second.split()[:2] == ["out", "store"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@%p1 ld.global.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];", ("load", 128)),
        ("ld.global.L1::evict_last.b16 { %rs1 }, [ %rd1 + 0 ];", ("load", 16)),
        ("ld.volatile.global.v2.b64 { %rd1, %rd2 }, [ %rd3 ];", ("load", 128)),
        ("@%p2 st.global.v2.b32 [ %rd2 + 0 ], { %r1, %r2 };", ("store", 64)),
        ("cp.async.cg.shared.global [ %r16 + 0 ], [ %rd14 + 0 ], 0x10, %r17;", ("load", 128)),
        ("cp.async.ca.shared.global [ %r16 + 0 ], [ %rd14 + 0 ], 0x4, %r17;", ("load", 32)),
        ("@%p1 atom.global.gpu.acq_rel.add.noftz.f16x2 %r3, [ %rd2 + 0 ], %r1;", ("atomic", 32)),
        ("red.global.gpu.relaxed.add.v4.f32 [ %rd2 ], { %r1, %r2, %r3, %r4 };", ("atomic", 128)),
        ("st.shared.v4.b32 [ %r1 ], { %r2, %r3, %r4, %r5 };", None),
        ("cp.async.commit_group;", None),
        ("\tbuffer_load_dwordx4 v[0:3], v20, s[12:15], 0 offen", ("load", 128)),
        ("\tglobal_load_dwordx3 v[0:2], v[4:5], off", ("load", 96)),
        ("\tbuffer_load_ushort v4, v2, s[8:11], 0 offen", ("load", 16)),
        ("\tglobal_load_short_d16_hi v4, v[2:3], off", ("load", 16)),
        ("\tglobal_load_ubyte v4, v[2:3], off", ("load", 8)),
        ("\tbuffer_store_dwordx2 v[2:3], v0, s[20:23], 0 offen", ("store", 64)),
        ("\tglobal_store_byte v3, v1, s[4:5]", ("store", 8)),
        ("\tglobal_load_lds_dwordx4 v[2:3], off", ("load", 128)),
        ("\tbuffer_load_b128 v[0:3], v20, s[12:15], 0 offen", ("load", 128)),
        ("\tglobal_atomic_pk_add_bf16 v[6:7], v8, off", ("atomic", 32)),
        ("\tbuffer_atomic_add_f32 v4, v20, s[4:7], 0 offen", None),  # an element: its own width
        ("\ts_load_dword s10, s[4:5], 0x0", None),
    ],
)
def test_widths_in_the_machine_code(line, expected):
    assert (compiled._ptx(line) or compiled._amdgcn(line)) == expected


def test_places_in_the_machine_code():
    chain = compiled._chain("a.py:6:19 @[ my file.py:13:38 @[ b.py:2:0 ] ]")
    assert chain == ((6, 19), (13, 38), (2, 0))


def test_places_that_name_only_the_next_caller():
    # As PTX of Triton 3.8 and later has them: `inner` (line 5) in `outer` (line 8), which the
    # kernel calls in its lines 12 and 13. The lines within inline assembly count on from the
    # place, and say nothing about the source.
    ptx = """
    .loc	1 12 9                          // k.py:12:9
    .loc	1 8 12, function_name $L__info_string0, inlined_at 1 12 9 // k.py:8:12
    .loc	1 5 12, function_name $L__info_string0, inlined_at 1 8 12 // k.py:5:12
    // begin inline asm
    .loc	1 5 12, function_name $L__info_string0, inlined_at 1 8 12 // k.py:5:12
    mov.u32 %r1, %r2;
    .loc	1 6 12, function_name $L__info_string0, inlined_at 1 8 12 // k.py:6:12
    @%p1 ld.global.b32 { %r1 }, [ %rd1 + 0 ];
    // end inline asm
    .loc	1 8 12, function_name $L__info_string0, inlined_at 1 13 9 // k.py:8:12
    .loc	1 5 12, function_name $L__info_string0, inlined_at 1 8 12 // k.py:5:12
    ld.global.v2.b32 { %r3, %r4 }, [ %rd1 + 0 ];
    .loc	1 14 5                          // k.py:14:5
    st.global.b64 [ %rd2 + 0 ], { %r5 };
    """
    assert list(compiled._instructions(ptx)) == [
        ("load", ((5, 12), (8, 12), (12, 9)), 32),
        ("load", ((5, 12), (8, 12), (13, 9)), 64),
        ("store", ((14, 5),), 64),
    ]


def test_clusters_of_blocks_have_no_layout():
    ttgir = (
        "#blocked = #ttg.blocked<{sizePerThread = [1], threadsPerWarp = [32], warpsPerCTA = [4], "
        "order = [0]}>\n"
        'module attributes {"ttg.num-ctas" = 2 : i32, "ttg.num-warps" = 4 : i32, '
        '"ttg.threads-per-warp" = 32 : i32} {\n'
        "    %x = tt.load %p : tensor<256x!tt.ptr<f32>, #blocked> loc(#loc1)\n}\n"
        '#loc1 = loc("k.py":5:16)\n'
    )
    artifact = types.SimpleNamespace(target="sm_90", kernel="k", asm={"ttgir": ttgir})
    (access,) = compiled.read(artifact).accesses
    assert (access.shape, access.sites, access.layout) == ((256,), ((5, 16),), None)


def test_distinct_bytes_of_a_request():
    # All 32 lanes ask for the same float: one sector, 4 useful bytes.
    address, mask = np.full(32, 64, dtype=np.uint64), np.ones(32, dtype=bool)
    assert requests.by_contiguity(address, mask, 4) == requests.Requests(1, 1, 4, 32)
    # Nobody is active: no request.
    assert requests.by_contiguity(address, ~mask, 4).requests == 0
