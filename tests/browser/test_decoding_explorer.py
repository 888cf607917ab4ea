"""The explorer of decoding in a real JupyterLab: by keyboard, by name, in both themes."""

import re

import nbformat
import pytest

pytestmark = pytest.mark.browser

NOTEBOOK = "notebooks/explorer_of_decoding.ipynb"
CODE = (
    "from gpu_utils import viz\nviz.explore_decoding(batch=4)",
    "viz.decoding(dtype='fp8', ceilings='reached')",
)
READABLE = 4.5  # WCAG 2 AA, of text to what is behind it


@pytest.fixture(scope="module")
def bench(browser):
    """A notebook with the explorer in its first cell, and a drawing with an unknown part."""
    cells = [nbformat.v4.new_code_cell(source) for source in CODE]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, browser.server.course / NOTEBOOK)
    with browser.open(NOTEBOOK) as opened:
        yield opened


@pytest.fixture
def explorer(bench):
    """The explorer as it begins."""
    for cell in bench.run():
        assert not cell.error, cell.error
    shown = bench.page.get_by_role("group", name="explore decoding")
    shown.get_by_role("img").wait_for()
    return shown


def picture(explorer):
    return explorer.get_by_role("img").get_attribute("aria-label")


def wait_for(explorer, text):
    """Wait until picture and words both say this."""
    explorer.get_by_role("status").get_by_text(text).first.wait_for()
    assert text in picture(explorer)


def test_keyboard_moves_picture_and_words(explorer):
    page = explorer.page
    wait_for(explorer, "H100 SXM5 80GB: at most 4 sequences fit")
    assert explorer.locator("svg circle").count() == 2
    batch = explorer.get_by_role("slider", name="batch: sequences that are decoded together")
    batch.focus()
    assert batch.get_attribute("aria-valuetext") == "4"
    page.keyboard.press("ArrowRight")
    wait_for(explorer, "batch 8: does not fit")
    assert explorer.locator("svg circle").count() == 1
    context = explorer.get_by_role("slider", name="context: tokens in the cache")
    context.focus()
    page.keyboard.press("Home")
    wait_for(explorer, "caches of 128 tokens")
    # 144 GB less 137.95, over 327,680 B x 128: 144 sequences
    wait_for(explorer, "H100 SXM5 80GB: at most 144 sequences fit")
    assert explorer.locator("svg circle").count() == 2


def test_the_lead_ends_where_products_are_as_they_were_reached(explorer):
    explorer.get_by_role("combobox", name="ceilings").focus()
    explorer.page.keyboard.press("ArrowDown")
    wait_for(explorer, "peaks: best published matrix product")
    explorer.get_by_role("slider", name="gpus: ").focus()
    explorer.page.keyboard.press("ArrowRight")
    explorer.page.keyboard.press("ArrowRight")
    wait_for(explorer, "8 GPUs for a copy")
    explorer.get_by_role("slider", name="context: ").focus()
    explorer.page.keyboard.press("Home")
    wait_for(explorer, "below 1 from batch")


def test_every_control_has_a_name(explorer):
    named = {
        "combobox": ["model", "dtype", "ceilings"],
        "slider": ["gpus: ", "batch: ", "context: "],
        "textbox": [],
    }
    for role, names in named.items():
        assert explorer.get_by_role(role).count() == len(names)
        for name in names:
            assert explorer.get_by_role(role, name=re.compile(f"^{name}")).count() == 1, name
    assert explorer.get_by_role("img", name=re.compile("^Llama 2 70B in bf16")).count() == 1


def test_is_readable_in_both_themes(bench, explorer, shots):
    for theme in ("Light", "Dark"):
        bench.switch_to(theme)
        bench.picture(shots / f"decoding-{theme.lower()}.png")
        texts = [text for cell in bench.cells for text in bench.contrasts(cell)]
        assert [text for text, _ in texts].count("limited by memory") == 2
        faint = {text: round(ratio, 2) for text, ratio in texts if ratio < READABLE}
        assert not faint, f"too little contrast: {faint}"
