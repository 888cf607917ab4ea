"""Kernels that do not compile: what the learner is told, and that the parent lives on."""

import os
import pickle
import time

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import codegen
from gpu_utils._triton import compiler
from gpu_utils.course import rungs
from tests.unit.codegen.gluon_kernels import hopper
from tests.unit.codegen.kernels import copy, matmul, meta

LIMIT = 3


def error_of(kernel, *args, target="sm_90", **options) -> codegen.CompileError:
    def launcher():
        kernel[(1,)](*args, **options)

    with pytest.raises(codegen.CompileError) as caught:
        codegen.compile(launcher, target=target)
    return caught.value


@triton.jit
def undefined_kernel(x_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    tl.store(x_ptr + offs, vlaue)  # noqa: F821


def test_a_misspelt_name_is_shown_in_its_line():
    error = error_of(undefined_kernel, meta(64), BLOCK_SIZE=64)
    assert (error.kernel, error.target) == ("undefined_kernel", "sm_90")
    assert error.reason == "NameError: vlaue is not defined"
    line = undefined_kernel.starting_line_number + 3  # the decorator counts
    assert error.where == (f"test_errors.py:{line}: `tl.store(x_ptr + offs, vlaue)  # noqa: F821`")
    assert str(error).startswith("undefined_kernel does not compile for sm_90: NameError")
    assert "\n  try: a kernel can use its parameters" in str(error)


@triton.jit
def add_one(x):
    return x + missing_one  # noqa: F821


@triton.jit
def calls_kernel(x_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.arange(0, BLOCK_SIZE)
    tl.store(x_ptr + offs, add_one(offs))


def test_a_mistake_in_a_helper_names_the_helper_and_the_call():
    error = error_of(calls_kernel, meta(64), BLOCK_SIZE=64)
    assert "missing_one is not defined (in add_one: `return x + missing_one" in error.reason
    assert "`tl.store(x_ptr + offs, add_one(offs))`" in error.where


@triton.jit
def global_kernel(x_ptr):
    tl.store(x_ptr, LIMIT)


def test_a_global_is_refused_with_the_remedy():
    error = error_of(global_kernel, meta(64))
    assert "Cannot access global variable LIMIT" in error.reason
    assert len(error.reason) <= 300
    assert "tl.constexpr" in error.hint


@triton.jit
def size_kernel(x_ptr, BLOCK_SIZE: tl.constexpr):
    tl.static_assert(BLOCK_SIZE == 64)
    tl.store(x_ptr + tl.arange(0, BLOCK_SIZE), 1.0)


def test_a_static_assertion_without_words_is_named():
    error = error_of(size_kernel, meta(64), BLOCK_SIZE=128)
    assert error.reason == "CompileTimeAssertionFailure"
    assert "static_assert(BLOCK_SIZE == 64)" in error.where


@pytest.mark.parametrize(
    ("options", "reason", "hint"),
    [
        ({"num_warps": 3}, "num_warps must be a power of 2", "1, 2, 4, 8 or 16"),
        ({"warps": 4}, "Keyword argument warps was specified but unrecognised", "num_warps"),
    ],
)
def test_a_bad_option_is_explained(options, reason, hint):
    with pytest.raises(codegen.CompileError) as caught:
        codegen.compile(copy, meta(2**24), target="sm_90", **options)
    assert caught.value.reason == reason
    assert hint in caught.value.hint


def test_an_argument_that_no_kernel_takes():
    error = error_of(size_kernel, [1, 2], BLOCK_SIZE=64)
    assert "failed to specialize argument of type: list" in error.reason
    assert "pass tensors" in error.hint


def test_what_ptxas_says_is_passed_on():
    a = meta(4096, 4096, dtype=torch.bfloat16)
    # A warp group's accumulator alone is 64 registers a thread.
    with pytest.raises(codegen.CompileError) as caught:
        codegen.compile(matmul, a, a, maxnreg=64, target="sm_90")
    assert caught.value.reason.startswith("ptxas: Insufficient registers (64)")
    assert "maxnreg" in caught.value.hint


def test_a_compiler_that_aborts_costs_a_message():
    # wgmma exists on sm_90 alone; LLVM ends the process when it meets it elsewhere.
    with pytest.raises(codegen.CompileError) as caught:
        codegen.compile(hopper, target="sm_80")
    assert "the compiler aborted (SIGABRT): LLVM ERROR: Cannot select" in caught.value.reason
    assert "sm_80 does not have this instruction" in caught.value.hint


def test_a_check_outlives_a_compiler_that_aborts():
    with pytest.raises(AssertionError, match=r"the compiler aborted \(SIGABRT\)"):
        rungs.compiled(hopper, targets=["sm_80"], checked=())


def test_the_other_targets_are_kept_when_one_fails():
    launches = codegen.capture(hopper)
    built = codegen.compile_launches(launches, ["sm_80", "sm_90"])
    assert isinstance(built["sm_80"][0], codegen.CompileError)
    assert isinstance(built["sm_90"][0], codegen.Artifact)


def test_a_compiler_that_hangs_meets_the_limit(monkeypatch):
    monkeypatch.setattr(compiler, "compile_launch", lambda *_: time.sleep(60))
    launches = codegen.capture(copy, meta(2**24), BLOCK_SIZE=256)
    started = time.monotonic()
    (error,) = codegen.compile_launches(launches, ["sm_90"], limit_s=0.5)["sm_90"]
    assert time.monotonic() - started < 10
    assert error.reason == "the compiler gave no answer in 0.5 s"
    assert "tl.static_range" in error.hint


def test_a_compiler_that_is_killed(monkeypatch):
    monkeypatch.setattr(compiler, "compile_launch", lambda *_: os.kill(os.getpid(), 9))
    launches = codegen.capture(copy, meta(2**24), BLOCK_SIZE=256)
    (error,) = codegen.compile_launches(launches, ["sm_90"])["sm_90"]
    assert "memory" in error.reason


def test_an_error_can_be_sent_to_another_process():
    error = codegen.CompileError("k", "sm_90", "why", "a.py:1", "this")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.hint == "this"
