"""Unit 00 in a real JupyterLab: what a newcomer does on the first evening."""

import re
import sys
from pathlib import Path

import pytest

from gpu_utils.course.starter import starter

pytestmark = pytest.mark.browser

LESSON = "notebooks/00_four_lenses.ipynb"
LAB = "labs/lab00_four_lenses.ipynb"
FILE = "labs/lab00_four_lenses.py"
SOLUTION = "solutions/lab00_four_lenses.py"
READABLE = 4.5  # WCAG 2 AA, of text to what is behind it


@pytest.fixture(scope="module")
def untouched(browser):
    """The lab notebook, all cells run with the starter, and its cells as they then were."""
    write(browser, starter(solution(browser), SOLUTION))
    with browser.open(LAB) as notebook:
        yield notebook, notebook.run()


@pytest.fixture
def bench(untouched):
    """The lab notebook with a live kernel; each test writes the lab file that it needs."""
    return untouched[0]


def solution(browser):
    return (browser.server.course / SOLUTION).read_text("utf-8")


def write(browser, text):
    (browser.server.course / FILE).write_text(text, "utf-8")


def checks(cells):
    """The cells that check a task, by the task's name."""
    code = [cell for cell in cells if cell.kind == "code"]
    names = [re.search(r'check\("(lab00:\w)"\)', cell.source) for cell in code]
    return {name[1]: cell for name, cell in zip(names, code, strict=True) if name}


def cards(cells):
    """The cells that show a kernel card."""
    return [cell for cell in cells if cell.kind == "code" and "study(" in cell.source]


def assert_all_ran(cells):
    code = [cell for cell in cells if cell.kind == "code" and cell.source.strip()]
    assert code
    for cell in code:
        assert not cell.error, f"{cell.source}\nraised {cell.error}"
        assert cell.count, f"did not run: {cell.source}"


def assert_readable(notebook, cells):
    texts = [text for cell in cells for text in notebook.contrasts(cell)]
    assert texts, "the cells show no text"
    faint = {text: round(ratio, 2) for text, ratio in texts if ratio < READABLE}
    assert not faint, f"too little contrast: {faint}"


def test_lesson_00_opens_and_runs(browser, shots):
    with browser.open() as notebook:
        assert notebook.path == LESSON
        cells = notebook.run()
        assert_all_ran(cells)
        assert not notebook.notices, "nothing stands between a newcomer and the lesson"
        notebook.unfold()
        for theme in ("Light", "Dark"):
            notebook.switch_to(theme)
            notebook.picture(shots / f"lesson00-{theme.lower()}.png")
            assert_readable(notebook, cells)


def test_lab00_untouched_is_not_started(untouched):
    _, cells = untouched
    assert_all_ran(cells)
    verdicts = checks(cells)
    assert list(verdicts) == ["lab00:a", "lab00:b", "lab00:c"]
    for cell in verdicts.values():
        assert cell.text.endswith(": not started")


def test_lab00_write_there_save_run_this_cell(browser, bench):
    """The first cell's link opens the file, and what is written there turns the check green."""
    write(browser, starter(solution(browser), SOLUTION))
    editor = bench.follow_link(bench.cells[0], FILE)
    assert 'raise NotImplementedError("copy")' in editor.text
    editor.paste(solution(browser))
    editor.save_and_close()
    assert (browser.server.course / FILE).read_text("utf-8") == solution(browser)

    copy, axpby, _ = bench.run(*checks(bench.cells).values())
    assert "copy: passed" in copy.text
    assert "axpby: passed" in axpby.text
    assert "12 bytes an element" in axpby.text
    [sm_90] = [line for line in axpby.text.splitlines() if "sm_90" in line]
    assert "LDG.E.128" in sm_90


def test_lab00_out_of_bounds_leaves_the_notebook_alive(browser, bench):
    text = solution(browser)
    store = "    tl.store(out_ptr + offs, x, mask=mask)"
    line = text[: text.index(store)].count("\n") + 1
    write(browser, text.replace(store, "    tl.store(out_ptr + offs, x)"))
    kernel = bench.evaluate("__import__('os').getpid()")

    [verdict] = bench.run(checks(bench.cells)["lab00:a"])
    assert "copy: failed" in verdict.text
    assert f"lab00_four_lenses.py:{line} in copy_kernel" in verdict.text
    assert "store outside out" in verdict.text
    assert bench.evaluate("1 + 1") == "2"
    assert bench.evaluate("__import__('os').getpid()") == kernel


def test_lab00_is_readable_in_both_themes(browser, bench, shots):
    """A task passed, one failed, one not started, and a card that says why it stopped."""
    solved, _, _ = solution(browser).partition("# (c)")
    _, _, rest = starter(solution(browser), SOLUTION).partition("# (c)")
    broken = solved.replace("a * x + b * y, mask=mask", "a * x + b * y")
    write(browser, f"{broken}# (c){rest}")
    verdicts = bench.run(*checks(bench.cells).values())
    states = [cell.text.splitlines()[0].rpartition(": ")[2] for cell in verdicts]
    assert states == ["passed", "failed", "not started"]
    shown = [*verdicts, *bench.run(*cards(bench.cells))]
    assert_all_ran(shown)
    bench.unfold()
    for theme in ("Light", "Dark"):
        bench.switch_to(theme)
        bench.picture(shots / f"lab00-{theme.lower()}.png")
        assert_readable(bench, shown)


def test_lab00_finds_this_environment_first(bench):
    here = str(Path(sys.executable).parent)
    assert bench.evaluate("__import__('os').environ['PATH']").strip("'").split(":")[0] == here
    assert f"PATH={here}:" in bench.terminal('echo "PATH=$PATH"')
