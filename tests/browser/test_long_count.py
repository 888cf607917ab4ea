"""A count that takes long, in a real JupyterLab: it says how far it is, and can be stopped."""

import nbformat
import pytest

pytestmark = pytest.mark.browser

NOTEBOOK = "notebooks/a_long_count.ipynb"
KERNEL = """
import torch, triton, triton.language as tl
from gpu_utils import traffic

@triton.jit
def step_kernel(x_ptr, BLOCK_SIZE: tl.constexpr):
    offs = tl.program_id(0) * BLOCK_SIZE + tl.arange(0, BLOCK_SIZE)
    tl.store(x_ptr + offs, tl.load(x_ptr + offs) + 1)

def step(x):
    out = x.clone()
    step_kernel[(x.numel() // 4,)](out, BLOCK_SIZE=4)
    return out
"""
LONG = "traffic.count(step, torch.zeros(2**22))"  # a million programs: minutes
AGAIN = "traffic.count(step, torch.ones(8)).result.tolist()"


@pytest.fixture
def opened(browser):
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in (KERNEL, LONG, AGAIN)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, browser.server.course / NOTEBOOK)
    with browser.open(NOTEBOOK) as notebook:
        yield notebook


def test_it_says_how_far_it_is_and_stops_when_told(opened, shots):
    define, long, again = opened.cells
    opened.run(define)
    opened.begin(long)
    line = opened.page.get_by_text("of 1,048,576 programs, about")
    line.wait_for(timeout=30_000)
    opened.picture(shots / "long_count.png")

    [stopped] = opened.interrupt(long)
    assert "KeyboardInterrupt" in stopped.error
    assert line.count() == 0, "the line goes with the count"
    [after] = opened.run(again)
    assert after.text == str([2.0] * 8), "the kernel lives, and nothing is left of what was stopped"
