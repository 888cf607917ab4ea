"""Inputs in turn: how many copies, of what, and what is said of them."""

import pytest
import torch

from gpu_utils import bench
from gpu_utils.bench import host, rotation

MIB = 2**20


def rotated(*args, cache=MIB, free=2**30, **kwargs):
    return rotation.rotated(args, kwargs, cache_bytes=cache, free_bytes=free)


def test_four_caches_of_copies():
    x = torch.arange(MIB // 4)  # 8 bytes each: 2 MiB
    found = rotated(x, cache=10 * MIB)
    assert len(found.sets) == 20  # 4 x 10 MiB / 2 MiB
    assert found.said == "inputs rotated through 20 copies of 2.10 MB"
    assert found.beyond_cache
    assert found.sets[0][0][0] is x
    assert len({args[0].data_ptr() for args, _ in found.sets}) == 20
    assert all(torch.equal(args[0], x) for args, _ in found.sets)


def test_at_least_two_even_of_what_no_cache_holds():
    assert len(rotated(torch.zeros(4 * MIB), cache=MIB).sets) == 2


def test_small_inputs_stay_in_the_cache_and_that_is_known():
    found = rotated(torch.zeros(1), cache=32 * MIB)
    assert len(found.sets) == 256
    assert not found.beyond_cache


def test_an_eighth_of_the_free_memory():
    x = torch.zeros(MIB // 4)  # 1 MiB
    assert len(rotated(x, cache=100 * MIB, free=24 * MIB).sets) == 1 + 3
    none = rotated(x, cache=100 * MIB, free=4 * MIB)
    assert len(none.sets) == 1
    assert none.said == "inputs not rotated: memory has no room for 1.05 MB"


def test_what_cannot_be_copied_is_said():
    assert rotated(3).said == "inputs not rotated: no tensor was passed"
    sparse = torch.eye(3).to_sparse()
    assert "layout torch.sparse_coo cannot be copied" in rotated(sparse).said


def test_containers_keywords_and_aliases_are_copied_as_they_are():
    x = torch.arange(12.0)
    [(args, kwargs), (again, more)] = rotated([x, 2], view=x[3:].view(3, 3).t(), cache=1).sets
    assert again[0][1] == args[0][1] == 2
    assert more["view"].stride() == kwargs["view"].stride() == (1, 3)
    more["view"][0, 0] = 99.0
    assert again[0][0][3] == 99.0  # still one memory
    assert x[3] == 3.0


def test_each_call_gets_the_next_copy(monkeypatch):
    monkeypatch.setattr(host, "cache_bytes", lambda: 1)
    x = torch.ones(64)
    seen = []
    timed = bench.measure(lambda x: seen.append(x.data_ptr()), x, rotate=True, budget_s=0.01)
    timed_calls = seen[1:]  # the first looks for kernels
    assert timed_calls[0::2] == [x.data_ptr()] * len(timed_calls[0::2])
    assert len(set(timed_calls)) == 2
    assert timed.method == "wall clock of one call, inputs rotated through 2 copies of 256 B"
    assert timed.cold


def test_a_cpu_rotates_only_when_asked():
    timed = bench.measure(torch.neg, torch.ones(64), budget_s=0.01)
    assert timed.method == "wall clock of one call, caches warm"
    assert not timed.cold


def test_what_the_caches_may_hold_is_not_called_cold(monkeypatch):
    monkeypatch.setattr(host, "cache_bytes", lambda: 2**30)
    timed = bench.measure(torch.neg, torch.ones(64), budget_s=0.01, rotate=True)
    assert timed.method.endswith("256 copies of 256 B, which the caches may hold")
    assert not timed.cold


def test_a_gpu_rotates_by_itself(cuda, monkeypatch):
    monkeypatch.setattr(bench.lens, "device_of", lambda fns, args, kwargs: torch.device("cuda", 0))
    x = torch.ones(2**20)  # 4 MiB; four times an L2 of 50 MiB are 200 MiB
    seen = []

    def fn(x):
        seen.append(x.data_ptr())
        cuda.call()

    def measured(**kwargs):
        seen.clear()
        with monkeypatch.context() as patch:
            real = torch.empty

            def empty(*args, **kwargs):
                if kwargs.get("device") == torch.device("cuda", 0):
                    return cuda.empty(*args, **kwargs)
                return real(*args, **kwargs)

            patch.setattr(torch, "empty", empty)
            return bench.measure(fn, x, budget_s=0.01, **kwargs)

    timed = measured()
    assert len(set(seen)) == min(50, len(seen))
    assert timed.method == (
        "CUDA events around one call, L2 flushed before it, "
        "inputs rotated through 50 copies of 4.19 MB"
    )
    assert timed.cold
    timed = measured(rotate=False)
    assert len(set(seen)) == 1
    assert timed.method.endswith("L2 flushed before it, inputs the same each time")


def test_the_last_level_caches_are_added_up(tmp_path):
    # Two chiplets of two cores, each with 32 MiB; and a level 2 of each core's own.
    for cpu, shared in enumerate(("0-1", "0-1", "2-3", "2-3")):
        for index, (level, who, size) in enumerate(((2, cpu, "1024K"), (3, shared, "32768K"))):
            folder = tmp_path / f"cpu{cpu}" / "cache" / f"index{index}"
            folder.mkdir(parents=True)
            for name, value in (("level", level), ("shared_cpu_list", who), ("size", size)):
                (folder / name).write_text(f"{value}\n")
    assert host.cache_bytes(tmp_path) == 2 * 32 * MIB


def test_no_cache_is_reported(tmp_path):
    assert host.cache_bytes(tmp_path) is None


@pytest.mark.parametrize("rotate", [True, False])
def test_rotating_is_not_passed_on(rotate):
    seen = []
    bench.measure(lambda **kwargs: seen.append(kwargs), budget_s=0, rotate=rotate)
    assert set(map(str, seen)) == {"{}"}
