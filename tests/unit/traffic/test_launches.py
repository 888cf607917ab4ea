"""What stands between a call and a kernel: tuners, heuristics, hooks; and a clean way out."""

import io
import sys

import pytest
import torch
import triton
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.autotuner import Autotuner
from triton.runtime.jit import JITFunction

from gpu_utils import traffic
from gpu_utils.traffic import lens, progress


def add_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if EVEN:
        tl.atomic_add(out_ptr + offs, tl.load(x_ptr + offs))
    else:
        tl.atomic_add(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def tuned(**options):
    configs = [
        triton.Config({"BLOCK": 64}, pre_hook=lambda args: args["out_ptr"].zero_()),
        triton.Config({"BLOCK": 32}, pre_hook=lambda args: args["out_ptr"].zero_()),
    ]
    even = triton.heuristics({"EVEN": lambda args: args["n"] % args["BLOCK"] == 0})
    return triton.autotune(configs, key=["n"], **options)(even(triton.jit(add_kernel)))


def launch(kernel, x):
    out = torch.empty_like(x)
    kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)](x, out, x.numel())
    return out


@pytest.mark.parametrize("n", [128, 100])
def test_autotune_and_heuristics(n):
    # The first configuration stands for all: ceil(n / 64) = 2 programs; its hook zeroes `out`.
    x = torch.randn(n)
    moved = traffic.count(lambda x: launch(tuned(), x), x)
    assert torch.equal(moved.result, x)
    assert moved.launches[0].programs == 2
    assert moved.by_tensor["x"].load_bytes == 4 * n


def test_what_the_tuner_prunes_is_not_launched():
    prune = {"early_config_prune": lambda configs, args, **_: configs[1:]}
    moved = traffic.count(lambda x: launch(tuned(prune_configs_by=prune), x), torch.ones(128))
    assert moved.launches[0].programs == 4


def test_a_tuner_that_leaves_nothing_is_named():
    prune = {"early_config_prune": lambda configs, args, **_: []}
    with pytest.raises(ValueError, match="add_kernel's autotuner prunes all"):
        traffic.count(lambda x: launch(tuned(prune_configs_by=prune), x), torch.ones(128))


def test_hooks_before_a_launch_run():
    kernel, seen = triton.jit(add_kernel), []
    kernel.add_pre_run_hook(lambda *args, **kwargs: seen.append(args[2]))
    out = torch.zeros(8)
    traffic.count(lambda x: kernel[(1,)](x, out, 8, BLOCK=8, EVEN=True), torch.ones(8))
    assert seen == [8]


def patched():
    names = ("interpreter_builder", "interpreter_semantic", "TensorHandle", "ReduceOps",
             "ScanOps", "_get_np_dtype", "_patch_attr", "_LangPatchScope")  # fmt: skip
    language = (tl.load, tl.core.load, tl.tensor.__init__, tl.tensor.__add__, tl.constexpr.__mul__,
                tl.block_type.__init__, tl.range, tl.multiple_of, tl.math.exp, tl.reduce,
                tl.extra.libdevice.tanh, tl.extra.cuda.libdevice.tanh)  # fmt: skip
    runs = JITFunction.run, JITFunction.__call__, Autotuner.run
    return *(getattr(interpreter, name) for name in names), *language, *runs


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("addresses_only", [False, True])
def test_an_interrupt_leaves_everything_as_it_was(error, addresses_only):
    def stop(access):
        raise error

    before = patched()
    with pytest.raises(error):
        lens.run(
            lambda x: launch(tuned(), x),
            (torch.ones(128),),
            {},
            observers=[stop],
            addresses_only=addresses_only,
        )
    assert patched() == before
    assert traffic.count(lambda x: launch(tuned(), x), torch.ones(128)).load_bytes == 1024


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_long_count_says_how_far_it_is_and_wipes_the_line(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys, "stderr", Terminal())
    traffic.count(lambda x: launch(tuned(), x), torch.ones(64 * 6))
    said = sys.stderr.getvalue()
    # The clock ticks once at each look. The launch begins at 2 s and its third program at 5 s:
    # two are done in 3 s, so that the other four take 6 s.
    assert "add_kernel: 2 of 6 programs, about 6 s to go" in said
    assert said.endswith("\r")
    assert said.rsplit("\r", 2)[-2].strip() == ""


def test_nothing_is_printed_where_nobody_looks_on(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    traffic.count(lambda x: launch(tuned(), x), torch.ones(64 * 6))
    assert capsys.readouterr() == ("", "")


def test_a_short_count_says_nothing(monkeypatch):
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    traffic.count(lambda x: launch(tuned(), x), torch.ones(128))
    assert sys.stderr.getvalue() == ""
