"""The rung of speed, with timings worked by hand; wrong answers try the others."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import bench
from gpu_utils.bench.comparison import Comparison
from gpu_utils.course import rungs

H100 = "cuda: NVIDIA H100 80GB HBM3"
X = torch.ones(4)


def mine(x):
    return x


def theirs(x):
    return x


@pytest.fixture
def timed(monkeypatch):
    """Make `bench.compare` find these seconds for the two."""

    def put(first_s, second_s, device=H100, **fields):
        def compare(a, b, *args):
            assert (a, b, args) == (mine, theirs, (X,))
            timings = [
                bench.Timing(s, s, fields.get("p80_s", s), 9, device, "by hand", cold=True)
                for s in (first_s, second_s)
            ]
            return Comparison.of([(first_s, second_s)] * 6, *timings, ("mine", "theirs"))

        monkeypatch.setattr(bench, "compare", compare)

    return put


def test_a_share_of_a_peer(timed):
    timed(1.0e-3, 0.905e-3)
    said = rungs.fast(mine, theirs, X, share=0.9)
    assert said == "≈ 0.905x MEASURED the speed of theirs (95 %: ≈ 0.905x to ≈ 0.905x)"
    with pytest.raises(AssertionError, match=r"mine reaches ≈ 0\.905x .* on float32 \(4,\); 91%"):
        rungs.fast(mine, theirs, X, share=0.91)


def test_what_the_memory_cannot_do_was_not_done(timed):
    # 2e9 B, of which 50 MiB may be in the L2 still: 1.9476e9 / 3.355e12 = 580.5 µs.
    timed(581e-6, 1e-3)
    assert "x MEASURED" in rungs.fast(mine, theirs, X, share=0.9, compulsory_bytes=2 * 10**9)
    timed(580e-6, 1e-3)
    with pytest.raises(AssertionError) as error:
        rungs.fast(mine, theirs, X, share=0.9, compulsory_bytes=2 * 10**9)
    assert str(error.value).startswith(
        "mine on float32 (4,): it took ≈ 580 µs MEASURED, and NVIDIA H100 SXM5 80GB needs at least"
    )
    assert "a result was kept from an earlier call" in str(error.value)


def test_a_part_that_is_not_in_the_table_is_said(timed):
    timed(1e-9, 1e-9, device="cuda: NVIDIA T1000")
    said = rungs.fast(mine, theirs, X, share=0.9, compulsory_bytes=2 * 10**9)
    assert "; not held against a roof: no part is called 'NVIDIA T1000'" in said


def test_a_swing_is_said(timed):
    timed(1e-3, 1e-3, p80_s=1.5e-3)
    assert rungs.fast(mine, theirs, X, share=0.9).endswith(
        "; the times differ by ≈ 50.0 %: the clocks or the load are swinging"
    )


def test_it_compares_what_it_is_given():
    def slow(x):
        return [x.sum() for _ in range(200)]

    assert "the speed of slow (95 %: " in rungs.fast(mine, slow, torch.ones(64), share=1.0)
    with pytest.raises(AssertionError, match="the speed of mine"):
        rungs.fast(slow, mine, torch.ones(64), share=1.0)


@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def test_a_launcher_may_ask_how_many_multiprocessors_there_are():
    # Of an H100 SXM, wherever this runs: 132 programs of 4, for 4 floats.
    def persistent(x):
        programs = torch.cuda.get_device_properties(x.device).multi_processor_count
        out = torch.empty_like(x)
        copy_kernel[(programs,)](x, out, x.numel(), BLOCK_SIZE=4)
        return out

    said = rungs.runs(persistent, X, like=X)
    assert said == "copy_kernel ran in 132 programs on float32 (4,)"
