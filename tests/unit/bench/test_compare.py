"""Two callables in alternation. No test asserts how long anything takes."""

import itertools

import pytest
import torch

from gpu_utils import bench
from gpu_utils.bench.comparison import Comparison


def by_hand(pairs) -> Comparison:
    first, second = (
        bench.Timing.of([pair[index] for pair in pairs], "cpu", "by hand") for index in range(2)
    )
    return Comparison.of(pairs, first, second, ("mine", "theirs"))


def test_the_ratio_is_the_median_of_the_pairs():
    # b / a: 2, 3, 4, 2, 3, 3; in order 2 2 3 3 3 4. The medians' quotient would be 9 / 2.5.
    pairs = [(1, 2), (2, 6), (3, 12), (4, 8), (5, 15), (1, 3)]
    found = by_hand(pairs)
    assert (found.ratio, found.low, found.high, found.runs) == (3, 2, 4, 6)
    assert found.settled


def test_drift_cancels_within_a_pair():
    # The machine gets ten times slower, and b takes twice as long as a throughout.
    found = by_hand([(slow, 2 * slow) for slow in (1, 2, 4, 6, 8, 10)])
    assert (found.low, found.ratio, found.high) == (2, 2, 2)
    assert found.a.spread > 0.2


def test_it_prints_marked_numbers():
    found = by_hand([(1.0, 2.0)] * 6)
    assert str(found) == (
        "mine runs at ≈ 2.00x MEASURED the speed of theirs (95 %: ≈ 2.00x to ≈ 2.00x)"
    )
    assert repr(found) == f"Comparison({found})"


def test_what_is_undecided_and_what_swings_is_said():
    found = by_hand([(1.0, 0.9), (1.0, 1.1), (2.0, 2.0), (3.0, 3.0), (1.0, 1.1), (1.0, 0.9)])
    assert not found.settled
    assert "which does not tell which is faster; the times differ by ≈ " in str(found)


def test_no_time_is_no_ratio_of_it():
    assert by_hand([(0.0, 0.0)] * 6).ratio == 1
    assert by_hand([(0.0, 1.0)] * 6).ratio == float("inf")


def test_fewer_than_six_pairs_have_no_interval():
    with pytest.raises(ValueError, match="at least six"):
        by_hand([(1.0, 1.0)] * 5)


def test_the_two_alternate():
    log = []

    def a(x):
        log.append("a")

    def b(x):
        log.append("b")

    found = bench.compare(a, b, 1, budget_s=0.005)
    assert found.runs >= 6
    assert found.names == ("a", "b")
    pairs = found.runs
    timed = log[-2 * pairs :]
    assert "".join(timed) == ("abba" * pairs)[: 2 * pairs]
    assert (found.a.runs, found.b.runs) == (pairs, pairs)
    assert found.a.method == ("wall clock of one call, in alternation with another, caches warm")


def test_no_two_calls_in_a_row_get_the_same_copy(monkeypatch):
    monkeypatch.setattr(bench.lens.host, "cache_bytes", lambda: 4096)
    seen = []

    def call(x):
        seen.append(x.data_ptr())

    bench.compare(call, call, torch.ones(64), budget_s=0.005, rotate=True)
    # The first two look for kernels.
    assert all(one != two for one, two in itertools.pairwise(seen[2:]))


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="got Tensor"):
        bench.compare(torch.neg, torch.ones(3))
    with pytest.raises(ZeroDivisionError):
        bench.compare(lambda: None, lambda: 1 / 0, budget_s=0)
