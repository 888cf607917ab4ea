"""The explorer of tiles in a real JupyterLab: by keyboard, by name, in both themes."""

import re

import nbformat
import pytest

pytestmark = pytest.mark.browser

NOTEBOOK = "notebooks/explorer_of_tiles.ipynb"
READABLE = 4.5  # WCAG 2 AA, of text to what is behind it


@pytest.fixture(scope="module")
def bench(browser):
    """A notebook with the explorer in its only cell."""
    cell = nbformat.v4.new_code_cell("from gpu_utils import viz\nviz.explore_tiles(stages=4)")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, browser.server.course / NOTEBOOK)
    with browser.open(NOTEBOOK) as opened:
        yield opened


@pytest.fixture
def explorer(bench):
    """The explorer as it begins."""
    for cell in bench.run():
        assert not cell.error, cell.error
    shown = bench.page.get_by_role("group", name="explore tiles")
    shown.get_by_role("img").wait_for()
    return shown


def test_keyboard_moves_picture_and_words(explorer):
    status = explorer.get_by_role("status")
    slider = explorer.get_by_role("slider", name="block_n: columns of the tile")
    slider.focus()
    assert slider.get_attribute("aria-valuetext") == "128"
    assert "RTX 4090: 96.0 KiB of 99.0 KiB" in status.inner_text()
    explorer.page.keyboard.press("ArrowRight")
    status.get_by_text("RTX 4090: needs 144 KiB, has 99.0 KiB: no launch").wait_for()
    assert slider.get_attribute("aria-valuetext") == "256"
    assert "no launch" in explorer.get_by_role("img").get_attribute("aria-label")


def test_every_control_has_a_name(explorer):
    names = ("block_m", "block_n", "block_k", "warps", "stages", "size")
    assert explorer.get_by_role("slider").count() == len(names)
    for name in names:
        assert explorer.get_by_role("slider", name=re.compile(f"^{name}: ")).count() == 1, name
    assert explorer.get_by_role("img", name=re.compile("^128 x 128 x 64")).count() == 1


def test_is_readable_in_both_themes(bench, explorer, shots):
    for theme in ("Light", "Dark"):
        bench.switch_to(theme)
        bench.picture(shots / f"tiles-{theme.lower()}.png")
        texts = bench.contrasts(bench.cells[0])
        assert len([text for text, _ in texts if "-bound, " in text]) >= 4
        faint = {text: round(ratio, 2) for text, ratio in texts if ratio < READABLE}
        assert not faint, f"too little contrast: {faint}"
