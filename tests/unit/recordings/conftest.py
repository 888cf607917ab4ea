"""A recording worked out by hand, and kernels written to files."""

import datetime
import importlib.util

import pytest

from gpu_utils.bench import Ceilings, Comparison, Timing
from gpu_utils.parity import Fingerprint
from gpu_utils.recordings import Launched, Recording, Run

H100 = Fingerprint(
    {"gpu.name": "NVIDIA H100 80GB HBM3", "torch.version": "2.11.0+cu130",
     "triton.version": "3.6.0", "triton.environment": {}},
    {"gpu.ecc": "nvidia-ml-py is not installed"},
)  # fmt: skip
N = 67_108_864  # 2^26
VECTOR = {"dtype": "float32", "shape": [N]}


@pytest.fixture
def run():
    ceilings = Ceilings(3.2e12, 3e12, {"fp32": 5e13, "bf16": 7.9e14}, "bf16", (), "cuda: H100", 0.1)
    return Run(datetime.date(2026, 11, 24), "make gpu", H100, ceilings)


@pytest.fixture
def recording(run):
    timing = Timing(1.79e-4, 1.78e-4, 1.8e-4, 900, "cuda: NVIDIA H100 80GB HBM3", "CUDA events")
    launch = Launched(
        kernel="copy_kernel",
        source="d5ee2cef5d45bf80",
        grid=(65_536, 1, 1),
        arguments={"x_ptr": VECTOR, "out_ptr": VECTOR, "n": N, "BLOCK_SIZE": 1024},
        options={"num_warps": 4},
    )
    return Recording(
        unit="lab00",
        function="copy",
        arguments={"x": VECTOR},
        launches=(launch,),
        timing=timing,
        peers={"torch": Comparison(1.01, 1.0, 1.02, 450, timing, timing, ("copy", "clone"))},
        load_bytes=4.0 * N,
        store_bytes=4.0 * N,
        flops=0,
        dtype="fp32",
        counters={"dram__bytes_read.sum": 2.7e8},
        under_load=Fingerprint({"gpu.clock_sm_hz": 1_980_000_000, "gpu.throttled_by": ()}, {}),
        unknown={"peers.torch.compile": "BackendError: no C compiler"},
        run=run,
    )


@pytest.fixture
def kernel(tmp_path):
    """Import `k` from the text of a module; imported anew for each text."""
    count = 0

    def made(text: str, **names: object) -> object:
        nonlocal count
        count += 1
        path = tmp_path / f"kernels_{count}.py"
        path.write_text("import triton\nimport triton.language as tl\n" + text)
        spec = importlib.util.spec_from_file_location(f"ridge_test_kernels_{count}", path)
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update(names)
        spec.loader.exec_module(module)
        return module.k

    return made
