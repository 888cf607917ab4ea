"""Lesson 02's table: how often Liger-Kernel and torch.compile ask for each tensor of the matrix.

The lesson shows the numbers, since neither Liger nor Inductor's cache is on every machine. Here
they are counted, on the kernels themselves.
"""

import ast
import json

import pytest
import torch

from gpu_utils import traffic
from gpu_utils.course import units
from tests.unit.others import inductor
from tests.unit.others.common import needed

ROWS = 4


def table():
    """`TRIPS` of the lesson: (operation, columns) -> who -> trips of the matrix's size."""
    notebook = json.loads((units.root() / "notebooks/02_fusion.ipynb").read_text("utf-8"))
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if source.startswith("TRIPS = {"):
            return ast.literal_eval(ast.parse(source).body[0].value)
    raise LookupError("the lesson has no cell that begins with TRIPS")


def softmax_reference(x):
    return torch.softmax(x, 1)


def add_rmsnorm_reference(x, residual, weight):
    summed = x + residual
    return torch.nn.functional.rms_norm(summed, (x.shape[1],), weight, 1e-6), summed


REFERENCES = {"softmax": softmax_reference, "add_rmsnorm": add_rmsnorm_reference}


def arguments(name, columns):
    x = torch.linspace(-3, 3, ROWS * columns).reshape(ROWS, columns)
    return (x,) if name == "softmax" else (x, x.flip(0).clone(), torch.linspace(0.5, 2, columns))


def trips(fn, *args):
    """Requested bytes of what is as large as the matrix, over its size; the result is right."""
    moved = traffic.count(fn, *args)
    expected = traffic.outputs(REFERENCES["softmax" if len(args) == 1 else "add_rmsnorm"](*args))
    for name, out in traffic.outputs(moved.result).items():
        torch.testing.assert_close(out, expected[name], rtol=1e-5, atol=1e-6)
    large = [t for t in moved.by_tensor.values() if t.nbytes == args[0].nbytes]
    return sum(t.load_bytes + t.store_bytes for t in large) / args[0].nbytes


CASES = [(name, columns) for name in REFERENCES for columns in (1024, 4096)]


@pytest.mark.skipif(
    not torch.__version__.startswith("2.13."), reason="Inductor's internals are of torch 2.13"
)
@pytest.mark.filterwarnings("ignore")  # of torch about itself
@pytest.mark.parametrize(("name", "columns"), CASES)
def test_torch_compile(name, columns, tmp_path):
    args = arguments(name, columns)
    shapes = [(4096, columns)] * (len(args) - 1 or 1) + [(columns,)] * (len(args) > 1)
    source = inductor.generated(REFERENCES[name], *shapes)
    # The number of rows stands in the code; four of them are looked at.
    (kernel,) = inductor.kernels(source.replace("xnumel = 4096", f"xnumel = {ROWS}"), tmp_path)
    blocks = {"XBLOCK": 1} | ({"R0_BLOCK": 2048} if "R0_BLOCK" in kernel.arg_names else {})

    def launch(*args):
        outs = [torch.empty_like(args[0]) for _ in range(1 if len(args) == 1 else 2)]
        kernel[(ROWS,)](*args, *outs, ROWS, columns, **blocks)
        return outs[0] if len(outs) == 1 else (outs[1], outs[0])  # the sum is written first

    assert trips(launch, *args) == table()[name, columns]["torch.compile"]


@pytest.mark.parametrize(("name", "columns"), CASES)
def test_liger(name, columns):
    ops = needed("liger_kernel.ops")

    def softmax(x):
        return ops.softmax._softmax_forward(x)[0]

    def add_rmsnorm(x, residual, weight):
        forward = ops.fused_add_rms_norm.fused_add_rms_norm_forward
        return forward(x, residual, weight, 1e-6, 0.0, "llama")[:2]

    fn = {"softmax": softmax, "add_rmsnorm": add_rmsnorm}[name]
    assert trips(fn, *arguments(name, columns)) == table()[name, columns]["Liger-Kernel"]
