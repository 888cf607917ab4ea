"""What a study takes, leaves alone, and passes on."""

import doctest
import importlib
import re
import time

import pytest
import torch

from gpu_utils import card, specs
from gpu_utils.roofline import Bound
from tests.unit.card.kernels import (
    PAGES,
    X,
    Y,
    axpby,
    axpby_reference,
    double,
    double_kernel,
    lines,
    unfinished,
)


@pytest.mark.parametrize("name", ["", ".arguments", ".records"])
def test_the_examples_hold(name):
    module = importlib.import_module(f"gpu_utils.card{name}")
    assert doctest.testmod(module).failed == 0


def test_two_studies_print_the_same_and_leave_the_arguments_alone():
    x = X.clone()
    pages = [card.study(double, x, x, targets=["sm_90"]) for _ in range(2)]
    assert torch.equal(x, X)  # in place, on a copy
    assert pages[0] == pages[1]
    assert pages[0]._repr_html_() == pages[1]._repr_html_()


def test_a_warm_study_is_fast():
    card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    began = time.perf_counter()
    card.study(axpby, 2.0, X, -0.5, Y, reference=axpby_reference)
    assert time.perf_counter() - began < 1  # 0.05 s on one core of a laptop


def test_meta_tensors_are_compiled_and_not_run():
    page = card.study(double, torch.empty(2**18, device="meta"), targets=["sm_90"])
    assert lines(page)[1] == "○ right   not run: meta tensors hold no values"
    assert "LDG.E.128" in lines(page)[3]


def test_what_is_compiled_knows_the_alignment_of_these_very_arguments():
    view = torch.zeros(4097)[1:]
    page = card.study(double, view, targets=["sm_90"])
    # 4 bytes off: no wide load may be made of it; the result is aligned.
    assert "LDG.E, STG.E.128" in lines(page)[3]


@pytest.mark.parametrize(
    ("fn", "args", "options", "error", "said"),
    [
        (unfinished, (X,), {}, NotImplementedError, "yours to write"),
        (double, (), {}, TypeError, "missing 1 required positional argument"),
        (double_kernel, (X, X, 4096, 1024), {}, TypeError, "is a kernel; pass the function"),
        (double, (X,), {"targets": ["sm_91"]}, ValueError, "the known ones are sm_80"),
        (double, (X,), {"parts": ["h1000"]}, specs.UnknownPartError, "known: a10, a100"),
        (double, (X,), {"reference": unfinished}, NotImplementedError, "yours to write"),
    ],
)
def test_the_callers_own_errors_go_to_the_caller(fn, args, options, error, said):
    with pytest.raises(error, match=re.escape(said)):
        card.study(fn, *args, **{"targets": ("sm_90",), **options})


def test_card_holds_plain_data_only():
    page = PAGES["whole"]()
    models = [page.sectors, *(part.dram for part in page.bounds)]
    assert [counts.result for counts in (page.traffic, *(m.traffic for m in models))] == [None] * 5
    assert isinstance(page.bounds[0].bound, Bound)
    assert not any(artifact.asm for code in page.kernels for artifact in code.built.values())
