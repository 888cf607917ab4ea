"""200 random kernels: what the lens computes and counts is what their descriptions say.

The result is worked out by torch on whole tensors, the bytes tile by tile from index sets; neither
looks at the kernel. A failure prints the kernel: the text is a module that runs by itself.
"""

import collections
import importlib.util

import pytest
import torch

from gpu_utils import tolerance, traffic
from tests.unit.traffic import random_twin
from tests.unit.traffic.random_kernels import Case, Tensor, draw
from tests.unit.traffic.random_operations import EIGHT_BITS, FLOATS, OPERATIONS, operations
from tests.unit.traffic.random_source import source

SEEDS = range(200)


def make(
    tensor: Tensor, generator: torch.Generator, high: int = 0, coarse: bool = False
) -> torch.Tensor:
    """Fill a tensor, in its layout; an index or a bucket with numbers below `high`."""
    if high:
        values = torch.randint(high, tensor.shape, generator=generator)
    elif coarse and tensor.dtype.is_floating_point:
        values = torch.randint(-32, 33, tensor.shape, generator=generator) / 8
    elif tensor.dtype.is_floating_point:
        values = 8 * torch.rand(tensor.shape, generator=generator) - 4
    else:
        values = torch.randint(-100, 101, tensor.shape, generator=generator)
    *rows, columns = tensor.shape
    before, shape, step = 0, list(tensor.shape), 1
    if tensor.layout == "turned" and rows:
        return values.to(tensor.dtype).t().contiguous().t()
    if tensor.layout == "padded" and rows:
        shape[-1] = columns + 3
    elif tensor.layout == "gapped":
        shape[-1], step = 2 * columns, 2
    elif tensor.layout == "offset":
        before = 5
    count = before + torch.Size(shape).numel()
    memory = torch.zeros(count, dtype=tensor.dtype)
    view = memory[before:].view(shape)[..., : columns * step : step]
    view.copy_(values)
    return view


def values_of(case: Case) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(case.seed)
    high = {a.index.name: a.tensor.shape[-1] for a in case.accesses if a.index is not None}
    high["bucket"] = case.out.shape[0]
    return {t.name: make(t, generator, high.get(t.name, 0), case.coarse(t)) for t in case.tensors}


def launcher(case: Case, folder):
    """Import the kernel from a file, since Triton reads its source."""
    path = folder / f"kernel_{case.seed}.py"
    path.write_text(source(case), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.launch


def check(case: Case, folder) -> None:
    launch = launcher(case, folder)
    values = values_of(case)
    expected = random_twin.result(case, values)
    oracle = random_twin.result(case, values, torch.float64) if case.smooth else None
    bytes_expected = random_twin.traffic(case, values)
    moved = traffic.count(launch, **values)
    out = values["out"]
    if oracle is None:
        wrong = tolerance.exact(out, expected)
    else:
        wrong = tolerance.close(out, expected, oracle)
    assert wrong is None, str(wrong)
    counted = {
        name: (t.load_bytes, t.store_bytes, t.unique_load_bytes, t.unique_store_bytes)
        for name, t in moved.by_tensor.items()
    }
    assert counted == bytes_expected


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_kernel(seed, tmp_path):
    case = draw(seed)
    try:
        check(case, tmp_path)
    except Exception as error:
        error.add_note(f"seed {seed}: {case}\n\n{source(case)}")
        raise


def features(case: Case) -> set[str]:
    """What of the language and of its use a kernel has."""
    loaded = [a.tensor for a in case.accesses] + [a.right for a in case.accesses if a.right]
    return {
        f"{case.dims} dimensions",
        f"sink {case.sink}",
        f"walk {case.walk}",
        f"compute {case.compute}",
        f"store {case.out.dtype}",
        f"store to {case.out.layout}",
        *(f"load {access.kind}" for access in case.accesses),
        *(f"load {tensor.dtype}" for tensor in loaded),
        *(f"load from {tensor.layout}" for tensor in loaded),
        *(f"do {name}" for name in operations(case.expression) if name in OPERATIONS),
        *(["a tensor twice"] if len(set(loaded)) < len(loaded) else []),
        *(["hoisted"] if any(access.hoisted for access in case.accesses) else []),
        *(["guarded load"] if any(access.guarded for access in case.accesses) else []),
        *(["guarded store"] if case.guarded else []),
        *(["to a tolerance"] if case.smooth else ["bit for bit"]),
    }


def test_the_kernels_have_something_of_everything():
    seen = collections.Counter(name for seed in SEEDS for name in features(draw(seed)))
    sinks = "store transposed sum max min cumsum sort scatter total peak"
    loads = "full row col scalar gather shift product"
    wanted = {
        *("1 dimensions", "2 dimensions", "a tensor twice", "hoisted", "guarded load"),
        *("guarded store", "to a tolerance", "bit for bit"),
        *(f"sink {name}" for name in sinks.split()),
        *(f"walk {name}" for name in ("grid", "flat", "rows", "persistent")),
        *(f"load {kind}" for kind in loads.split()),
        *(f"do {name}" for name in OPERATIONS),
        *(f"load {dtype}" for dtype in (*FLOATS, *EIGHT_BITS, torch.int8, torch.int32)),
        *(f"store {dtype}" for dtype in (*FLOATS, *EIGHT_BITS, torch.int8, torch.int32)),
        *(f"compute {dtype}" for dtype in (*FLOATS, torch.int8, torch.int32)),
        *(f"store to {name}" for name in ("plain", "padded", "gapped", "offset", "turned")),
        *(f"load from {name}" for name in ("plain", "padded", "gapped", "offset", "turned")),
    }
    assert wanted - set(seen) == set()


def test_a_seed_is_a_kernel():
    assert source(draw(7)) == source(draw(7))
    assert len({source(draw(seed)) for seed in SEEDS}) == len(SEEDS)
