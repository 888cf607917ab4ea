"""What stands for an autotuned kernel: a configuration that could win, prepared as Triton would."""

import torch
import triton
import triton.language as tl

from gpu_utils import codegen, traffic


def copier(configs, **options):
    @triton.autotune(configs, key=["n"], **options)
    @triton.jit
    def copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
        offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)

    def copy(x):
        out = torch.empty_like(x)
        copy_kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK_SIZE"]),)](x, out, x.numel())
        return out

    return copy, copy_kernel


def config(size, **more):
    return triton.Config({"BLOCK_SIZE": size}, **more)


def test_the_first_configuration_stands_for_all():
    # 1000 elements in blocks of 64 are 16 programs, in blocks of 256 four.
    copy, _ = copier([config(64), config(256)])
    moved = traffic.count(copy, torch.ones(1000))
    assert moved.launches[0].programs == 16
    assert moved.load_bytes == 4000


def test_a_launch_says_that_another_configuration_may_be_chosen():
    x = torch.empty(1000, device="meta")
    for configs, tuned in (([config(64), config(256)], True), ([config(64)], False)):
        copy, kernel = copier(configs)
        (launch,) = codegen.capture(copy, x)
        assert launch.tuned is tuned

    def both(x):
        copy(x)
        kernel.fn[(1,)](x, x, 1, BLOCK_SIZE=64)

    copy, kernel = copier([config(64), config(256)])
    assert [launch.tuned for launch in codegen.capture(both, x)] == [True, False]


def test_the_best_by_a_performance_model_is_taken():
    def model(BLOCK_SIZE, n, **_):
        return triton.cdiv(n, BLOCK_SIZE)

    by = {"perf_model": model, "top_k": 1}
    copy, _ = copier([config(64), config(256)], prune_configs_by=by)
    assert traffic.count(copy, torch.ones(1000)).launches[0].programs == 4


def test_a_configuration_prepares_its_arguments():
    seen = []
    copy, _ = copier([config(64, pre_hook=seen.append), config(256)])
    (launch,) = codegen.capture(copy, torch.empty(1000, device="meta"))
    assert launch.options == {"num_warps": 4, "num_ctas": 1, "num_stages": 3}
    (arguments,) = seen
    assert arguments["n"] == 1000
    assert arguments["BLOCK_SIZE"] == 64


def test_nothing_is_remembered_as_tuned():
    # On a GPU the next launch must still be timed.
    copy, kernel = copier([config(64), config(256)])
    traffic.count(copy, torch.ones(1000))
    assert kernel.cache == {}
