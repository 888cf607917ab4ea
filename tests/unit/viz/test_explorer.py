"""The explorer's shell: what the controls say is what is drawn."""

import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from ipywidgets import SelectionSlider

from gpu_utils.roofline import matmul_cost
from gpu_utils.viz import Point, explore_roofline, roofline, roofline_lines

ROOT = Path(__file__).parents[3]
MINE = Point("mine", 1e12, 1e9, time_s=1e-2, part="h100")


@pytest.fixture
def explorer():
    return explore_roofline([MINE])


def shown(explorer):
    """The HTML of the picture and of the answer, as the widgets hold them."""
    picture, answer, _ = explorer.widget.children[-3:]
    return picture.value, answer.value


def visible(explorer):
    return [
        name for name, each in explorer.controls.items()
        if isinstance(each, SelectionSlider) and each.layout.display != "none"
    ]  # fmt: skip


def test_shows_what_the_plain_function_draws(explorer):
    cube = Point.of("matmul(m=4096, n=4096, k=4096)", matmul_cost(4096, 4096, 4096))
    plain = roofline([cube, MINE])
    assert repr(explorer) == str(plain)
    assert shown(explorer) == (plain.svg, roofline_lines.drawn(plain.lines))


def test_a_slider_redraws_picture_and_words(explorer):
    before = shown(explorer)
    explorer.controls["m"].value = 1
    after = shown(explorer)
    assert all(old != new for old, new in zip(before, after, strict=True))
    # [1, 4096] @ [4096, 4096]: 2 FLOP for each weight of 2 bytes.
    assert "matmul(m=1, n=4096, k=4096): 1.00 FLOP/byte MODELLED" in repr(explorer)
    assert explorer.drawing.answers[0].limiter == "memory"


def test_a_size_that_is_no_power_of_two_can_be_begun_with():
    explorer = explore_roofline(k=4095)
    assert "k=4095)" in repr(explorer)
    assert [n for n in explorer.controls["k"].options if n > 2000] == [
        *(2048, 4095, 4096, 8192, 16384, 32768, 65536)
    ]


@pytest.mark.parametrize(
    ("operation", "sizes", "dtype"),
    [
        ("matmul", ["m", "n", "k"], "bf16"),
        ("mlp", ["batch", "d_model", "d_hidden"], "bf16"),
        ("softmax", ["rows", "columns"], "fp32"),  # no matrix product: the plain cores' roof
        ("axpby", ["elements"], "fp32"),
    ],
)
def test_each_operation_has_its_sliders(explorer, operation, sizes, dtype):
    explorer.controls["operation"].value = operation
    assert visible(explorer) == sizes
    assert repr(explorer).splitlines()[4].startswith(f"{operation}({sizes[0]}=")
    assert {answer.roof.dtype for answer in explorer.drawing.answers[:3]} == {dtype}


def test_a_part_can_be_hidden_with_what_was_timed_on_it(explorer):
    explorer.controls["h100-sxm5-80gb"].value = False
    assert "H100" not in repr(explorer)
    assert "mine" not in repr(explorer)
    for part in ("mi300x", "rtx-4090"):
        explorer.controls[part].value = False
    assert explorer.drawing.answers == ()


def test_another_dtype_is_another_roof(explorer):
    explorer.controls["dtype"].value = "fp8"
    assert repr(explorer).startswith("roofline of fp8\nH100 SXM5 80GB: peak 1.98 PFLOP/s CITED")


def test_a_kernel_keeps_its_own_roof_when_the_picture_changes(explorer):
    # 100 TFLOP/s in bf16 would beat the fp32 roof of 66.9: it must not be judged by that.
    explorer.controls["dtype"].value = "fp32"
    assert [answer.roof.dtype for answer in explorer.drawing.answers] == ["fp32"] * 3 + ["bf16"]


def test_begins_where_it_is_told_to():
    explorer = explore_roofline(parts=["l4"], dtype="fp16", operation="mlp", batch=3)
    assert "mlp(batch=3, d_model=4096, d_hidden=16384)" in repr(explorer)
    assert visible(explorer) == ["batch", "d_model", "d_hidden"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"operation": "conv"}, "expected one of matmul, mlp, softmax, axpby"),
        ({"dtype": "fp4"}, "unknown dtype 'fp4': expected one of fp32, tf32, bf16, fp16, fp8"),
        ({"batch": 3}, "unknown size 'batch': expected one of m, n, k"),
        ({"m": 0}, "m: expected 1 to 65536, got 0"),
        ({"m": 1.5}, "m: expected 1 to 65536, got 1.5"),
        ({"points": [Point("it", 1, 1, time_s=1.0, part="l4")]}, "add it to parts"),
    ],
)
def test_says_what_it_can_be_told(given, says):
    with pytest.raises(ValueError, match=says):
        explore_roofline(**given)


def test_every_control_has_words_for_its_name(explorer):
    for name, control in explorer.controls.items():
        assert control.description
        if isinstance(control, SelectionSlider):
            # The name that is heard begins with the one that is seen.
            assert re.fullmatch(rf"{name}: .+", control.tooltip)


def test_is_saved_as_text_and_as_its_last_picture(explorer):
    explorer.controls["m"].value = 2
    bundle = explorer._repr_mimebundle_(include=None, exclude=None)
    assert bundle["text/plain"] == repr(explorer)
    assert bundle["text/html"] == "".join(shown(explorer))
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_importing_and_drawing_are_cheap():
    heavy = "{'torch', 'triton', 'matplotlib', 'ipywidgets'}"
    code = (
        f"import sys; from gpu_utils import viz; viz.roofline(); print({heavy} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_notebook_with_it_passes_strict_nbval(tmp_path):
    cells = [
        "from gpu_utils import viz\nfrom gpu_utils.roofline import mlp_cost",
        "explorer = viz.explore_roofline(operation='mlp', batch=1)\nexplorer",
        "explorer.controls['batch'].value = 512\nexplorer",
        "viz.roofline([viz.Point.of('decode', mlp_cost(1, 4096, 16384))])",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    assert [set(cell.outputs[0].data) for cell in notebook.cells[1:]] == [
        {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"},
        {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"},
        {"text/plain", "text/html"},
    ]
    for cell in notebook.cells:  # as course notebooks are saved
        for output in cell.outputs:
            output.data.pop("application/vnd.jupyter.widget-view+json", None)
    nbformat.write(notebook, tmp_path / "it.ipynb")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-current-env"),
            *("--nbval-sanitize-with", ROOT / "tests/nbval_sanitize.cfg", "-p", "no:cacheprovider"),
            *("--rootdir", tmp_path, "-c", "/dev/null", tmp_path / "it.ipynb"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "4 passed" in done.stdout, done.stdout
