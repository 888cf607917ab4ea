"""A kernel's source as it counts for a recording: what the author wrote and the compiler reads."""

import hashlib
import types

import pytest

from gpu_utils._triton.source import source, source_hash

PLAIN = """
@triton.jit
def k(x_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x_ptr + offs, 1.0, mask=offs < n)
"""
# The definition alone, as it stands in PLAIN.
TEXT = """\
def k(x_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x_ptr + offs, 1.0, mask=offs < n)"""


def test_the_text_and_its_hash(kernel):
    k = kernel(PLAIN)
    assert source(k) == TEXT
    assert source_hash(k) == hashlib.sha256(TEXT.encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    "text",
    [
        "\n\n\n" + PLAIN,  # elsewhere in its file
        PLAIN.replace("BLOCK: tl.constexpr):", 'BLOCK: tl.constexpr):\n    """What it does."""'),
        PLAIN.replace("n)\n", "n)  # write n elements\n"),
        PLAIN.replace("mask=offs < n", "mask=(offs < n)").replace("1.0,", "1.0,\n            "),
        PLAIN.replace("@triton.jit", "@triton.jit(do_not_specialize=['n'])"),
    ],
)
def test_what_the_compiler_does_not_read_does_not_count(kernel, text):
    assert source(kernel(text)) == TEXT


@pytest.mark.parametrize(
    ("old", "new"), [("1.0", "2.0"), ("offs < n", "offs <= n"), ("n, BLOCK:", "n, OTHER, BLOCK:")]
)
def test_what_it_reads_counts(kernel, old, new):
    assert source_hash(kernel(PLAIN.replace(old, new))) != source_hash(kernel(PLAIN))


CALLS = """
@triton.jit
def inner(x):
    return x + STEP


@triton.jit
def helper(x):
    return inner(x)


@triton.jit
def k(x_ptr):
    tl.store(x_ptr, helper(tl.load(x_ptr)) + helper(1))
"""


def test_helpers_and_constants_follow_in_the_order_of_use_each_once(kernel):
    assert source(kernel("STEP = tl.constexpr(3)\n" + CALLS)) == (
        "def k(x_ptr):\n    tl.store(x_ptr, helper(tl.load(x_ptr)) + helper(1))\n\n"
        "def helper(x):\n    return inner(x)\n\n"
        "def inner(x):\n    return x + STEP\n\n"
        "STEP = 3"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("STEP = 3", "STEP = 4"), ("x + STEP", "x - STEP"), ("return inner(x)", "return inner(2)")],
)
def test_a_change_anywhere_below_counts(kernel, old, new):
    text = "STEP = 3\n" + CALLS
    assert old in text
    assert source_hash(kernel(text.replace(old, new))) != source_hash(kernel(text))


def test_constexpr_or_plain_a_constant_is_its_value(kernel):
    plain, wrapped = kernel("STEP = 3\n" + CALLS), kernel("STEP = tl.constexpr(3)\n" + CALLS)
    assert source(plain) == source(wrapped)


def test_a_helper_in_another_module_is_followed(kernel):
    twice = kernel("@triton.jit\ndef k(x):\n    return 2 * x\n")
    module = types.ModuleType("helpers")
    module.twice, module.SIZE = twice, 7
    text = "@triton.jit\ndef k(x_ptr):\n    tl.store(x_ptr, helpers.twice(helpers.SIZE))\n"
    found = source(kernel(text, helpers=module))
    assert found.endswith("def k(x):\n    return 2 * x\n\nhelpers.SIZE = 7")


def test_tritons_own_functions_belong_to_its_version(kernel):
    found = source(kernel("@triton.jit\ndef k(x):\n    return tl.sum(tl.zeros((4,), tl.int32))\n"))
    assert found == "def k(x):\n    return tl.sum(tl.zeros((4,), tl.int32))"
