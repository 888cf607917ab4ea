"""What torch.compile writes for an H100, on a machine without one: Inductor generates, nobody runs.

The tensors are fake, the device answers as an H100 would, and the run stops where the generated
code would be loaded. Inductor's internals are those of the pinned torch.
"""

import contextlib
import importlib.util
import re
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
from torch._dynamo import device_interface
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.backends.compiler import GPUTarget

from gpu_utils._triton import compiler

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of torch.jit
    from torch._inductor import config, scheduler
    from torch._inductor.fx_passes import joint_graph, post_grad
    from torch._inductor.graph import GraphLowering
    from torch._inductor.utils import get_code

H100 = types.SimpleNamespace(
    name="NVIDIA H100 80GB HBM3",
    major=9,
    minor=0,
    warp_size=32,
    multi_processor_count=132,
    total_memory=80 * 2**30,
    max_threads_per_block=1024,
    max_threads_per_multi_processor=2048,
    regs_per_multiprocessor=65536,
    shared_memory_per_block=48 * 1024,
    shared_memory_per_block_optin=227 * 1024,
    shared_memory_per_multiprocessor=228 * 1024,
    L2_cache_size=50 * 2**20,
    gcnArchName="",
    uuid="",
)
_RNG_STATE = torch.zeros(16, dtype=torch.uint8)
_CUDA = {
    "is_available": True,
    "device_count": 1,
    "current_device": 0,
    "get_device_properties": H100,
    "_get_device_properties": H100,
    "get_device_capability": (9, 0),
    "get_rng_state": _RNG_STATE,
    "set_rng_state": None,
    "_lazy_init": None,
    "_exchange_device": 0,
    "_maybe_exchange_device": 0,
}
_INTERFACE = {
    "is_available": True,
    "current_device": 0,
    "get_compute_capability": 90,
    "get_raw_stream": 0,
    "exchange_device": 0,
    "maybe_exchange_device": 0,
}
_WORKER = {"get_device_properties": H100, "current_device": 0}


def _answering(owner: object, answers: dict) -> Iterator:
    for name, value in answers.items():
        function = staticmethod(lambda *args, value=value: value)
        yield mock.patch.object(owner, name, function, create=True)


def _as_on_an_h100(stack: contextlib.ExitStack) -> None:
    interface = device_interface.CudaInterface
    stack.enter_context(compiler.offline(GPUTarget("cuda", 90, 32)))
    patches = [
        *_answering(torch.cuda, _CUDA),
        *_answering(interface, _INTERFACE),
        *_answering(interface.Worker, _WORKER),
        # They would run attention on the device, to learn what its graph looks like.
        *_answering(joint_graph, {"lazy_init": None}),
        *_answering(post_grad, {"lazy_init": None}),
        *_answering(scheduler, {"has_triton": True}),
    ]
    for patch in patches:
        stack.enter_context(patch)


def generated(fn: Callable, *shapes: tuple[int, ...]) -> str:
    """The source that torch.compile generates for float32 tensors of these shapes on an H100."""
    codes: list[str] = []
    codegen = GraphLowering.codegen

    def keeping(graph: GraphLowering) -> tuple:
        made = codegen(graph)
        codes.append(made[0].value)
        return made

    with config.patch(force_disable_caches=True), contextlib.ExitStack() as stack:
        get_code(torch.compile(torch.nn.Softmax(1)), torch.ones(2, 2))  # fills tables of patterns
        torch._dynamo.reset()
        _as_on_an_h100(stack)
        stack.enter_context(mock.patch.object(GraphLowering, "codegen", keeping))
        with FakeTensorMode(allow_non_fake_inputs=True), contextlib.suppress(AssertionError):
            # Only one result comes out of a graph that nobody runs, which is noticed where there
            # should be two; by then the code is there.
            get_code(
                torch.compile(fn, dynamic=False),
                *(torch.empty(shape, device="cuda") for shape in shapes),
            )
    torch._dynamo.reset()
    return codes[0]


# What surrounds a kernel: it looks for a GPU, and chooses the size of blocks.
_AROUND = re.compile(
    r"^triton_helpers\.set_driver_to_gpu\(\)\n|^@triton_heuristics\..*?^\)\n(?=@triton\.jit)",
    re.S | re.M,
)


def kernels(source: str, folder: Path) -> list:
    """The Triton kernels in generated source, as plain kernels."""
    found = []
    for name, text in re.findall(r"async_compile\.triton\('(\w+)', '''(.*?)'''", source, re.S):
        path = folder / f"{name}.py"
        path.write_text(_AROUND.sub("", text))
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.append(getattr(module, name))
    return found
