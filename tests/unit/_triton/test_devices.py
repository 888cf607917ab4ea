"""Launchers that ask about the device are answered for one stated part, and nothing stays."""

import pytest
import torch
import triton
import triton.language as tl

from gpu_utils import codegen, traffic
from gpu_utils._triton import devices


@triton.jit
def persistent_copy_kernel(x_ptr, out_ptr, n, BLOCK_SIZE: tl.constexpr):
    for start in range(tl.program_id(0) * BLOCK_SIZE, n, tl.num_programs(0) * BLOCK_SIZE):
        offs = start + tl.arange(0, BLOCK_SIZE)
        tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def copy(x, programs):
    out = torch.empty_like(x)
    persistent_copy_kernel[(programs,)](x, out, x.numel(), BLOCK_SIZE=16)
    return out


def driver_figure(name, device=None):
    return triton.runtime.driver.active.utils.get_device_properties(device)[name]


# An H100 SXM has 132 SMs, compute capability 9.0 and 227 KiB of shared memory for one block.
QUESTIONS = {
    "Triton's driver": (lambda x: driver_figure("multiprocessor_count", x.device.index), 132),
    "shared memory": (lambda x: driver_figure("max_shared_mem"), 232_448),
    "properties": (lambda x: torch.cuda.get_device_properties(x.device).multi_processor_count, 132),
    "capability": (lambda x: torch.cuda.get_device_capability(), (9, 0)),
    "name": (lambda x: "H100" in torch.cuda.get_device_name(x.device.index), True),
    "index": (lambda x: torch.cuda.current_device(), 0),
    "target": (lambda x: triton.runtime.driver.active.get_current_target().arch, 90),
    "torch's device": (
        lambda x: triton.runtime.driver.active.get_active_torch_device().type,
        "cpu",
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_the_device_is_answered(question):
    ask, expected = QUESTIONS[question]
    said = []

    def launcher(x):
        said.append(ask(x))
        return copy(x, 1)

    traffic.count(launcher, torch.ones(16))
    codegen.capture(launcher, torch.empty(16, device="meta"))
    assert said == [expected, expected]


def test_a_grid_of_one_program_an_sm():
    # Two programs a SM: 264. 300 x 16 elements are loaded and stored once each, 19200 bytes.
    def launcher(x):
        with torch.cuda.device(x.device.index):
            return copy(x, 2 * driver_figure("multiprocessor_count", x.device.index))

    moved = traffic.count(launcher, torch.ones(300 * 16))
    assert moved.launches[0].programs == 264
    assert moved.load_bytes == moved.store_bytes == 19_200
    (launch,) = codegen.capture(launcher, torch.empty(300 * 16, device="meta"))
    assert launch.grid == (264, 1, 1)


@pytest.mark.parametrize(
    "guard", [lambda x: torch.cuda.device(x.device), lambda x: torch.cuda.device_of(x)]
)
def test_a_device_guard_goes_nowhere(guard):
    def launcher(x):
        with guard(x):
            return copy(x, 1)

    assert traffic.count(launcher, torch.ones(16)).store_bytes == 64


@pytest.mark.parametrize(
    ("ask", "figure"),
    [
        (lambda: driver_figure("mem_clock_rate"), "mem_clock_rate"),
        (lambda: torch.cuda.get_device_properties(0).integrated, "integrated"),
    ],
)
def test_a_figure_that_is_not_stated_is_named(ask, figure):
    with pytest.raises(devices.Unstated, match=f"asks for '{figure}' .* only an NVIDIA H100"):
        traffic.count(lambda x: ask(), torch.ones(1))


# Triton 3.9 says of each compilation that its default for fused multiply-adds will change.
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION is unset")
def test_a_compiled_kernel_cannot_be_asked_for_its_registers():
    # As a launcher does that sizes its grid by occupancy: there is nothing to load the code into.
    def launcher(x):
        built = persistent_copy_kernel.warmup(x, x, 16, BLOCK_SIZE=16, grid=(1,))
        return copy(x, 65_536 // built.n_regs if built._init_handles() else 1)

    with pytest.raises(devices.Unstated, match="pass the launcher what it would compute"):
        traffic.count(launcher, torch.ones(16))


def test_afterwards_everything_is_as_before():
    names = ("device", "current_device", "get_device_properties", "get_device_capability")
    before = [getattr(torch.cuda, name) for name in names]
    driver = triton.runtime.driver._active

    def fails(x):
        assert torch.cuda.current_device is not before[1]
        raise RuntimeError("the launcher's own")

    with pytest.raises(RuntimeError, match="the launcher's own"):
        traffic.count(fails, torch.ones(1))
    assert [getattr(torch.cuda, name) for name in names] == before
    assert triton.runtime.driver._active is driver
