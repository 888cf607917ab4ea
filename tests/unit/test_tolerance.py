import doctest

import pytest
import torch

from gpu_utils import tolerance

NAN, INF = float("nan"), float("inf")


def test_the_examples_hold():
    assert doctest.testmod(tolerance, extraglobs={"torch": torch}).failed == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_exact_takes_nan_for_nan_and_infinities(dtype):
    x = torch.tensor([NAN, INF, -INF, -0.0, 1.5], dtype=dtype)
    assert tolerance.exact(x.clone(), x) is None


def test_exact_tells_the_zeros_apart():
    found = tolerance.exact(torch.tensor([1.0, 0.0]), torch.tensor([1.0, -0.0]))
    assert (found.element, found.wrong, found.elements) == (1, 1, 2)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool])
def test_exact_on_integers(dtype):
    x = torch.tensor([0, 1, 1], dtype=dtype)
    assert tolerance.exact(x, x.clone()) is None
    assert tolerance.exact(x, torch.tensor([0, 1, 0], dtype=dtype)).element == 2


def test_nothing_agrees_with_nothing():
    empty = torch.empty(0)
    assert tolerance.exact(empty, empty) is None
    assert tolerance.close(empty, empty, empty.double()) is None


def test_the_budget_is_the_references_own_error():
    oracle = torch.tensor([1.0, 2.0], dtype=torch.float64)
    narrow = torch.tensor([1.0, 2.25])  # it is 0.25 off, so 0.5 is allowed, and little more
    assert tolerance.close(torch.tensor([1.5, 2.5]), narrow, oracle) is None
    assert tolerance.close(torch.tensor([1.5, 2.501]), narrow, oracle).element == 1


def test_without_an_error_two_units_in_the_last_place():
    one = torch.ones(1)
    eps = torch.finfo(torch.float32).eps
    assert tolerance.close(one + 2 * eps, one, one.double()) is None
    assert tolerance.close(one + 3 * eps, one, one.double())


def test_what_is_not_finite_must_be_the_same():
    oracle = torch.tensor([NAN, INF, 1.0], dtype=torch.float64)
    assert tolerance.close(torch.tensor([NAN, INF, 1.0]), oracle.float(), oracle) is None
    assert tolerance.close(torch.tensor([NAN, -INF, 1.0]), oracle.float(), oracle).element == 1
    assert tolerance.close(torch.tensor([0.0, INF, 1.0]), oracle.float(), oracle).element == 0


@pytest.mark.parametrize(
    ("out", "hint"), [([0.0, 0.0], "Everything is zero"), ([1.0, NAN], "memory that was not")]
)
def test_a_hint_at_the_cause(out, hint):
    like = torch.tensor([1.0, 2.0])
    found = tolerance.close(torch.tensor(out), like, like.double())
    assert hint in str(found)


def test_only_floating_tensors_are_widened():
    x, index = torch.ones(2, dtype=torch.bfloat16), torch.tensor([0, 1])
    wide, same, word = tolerance.widened((x, index, "word"))
    assert (wide.dtype, same, word) == (torch.float64, index, "word")
