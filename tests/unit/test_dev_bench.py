"""`make bench` has its rows, times nothing that is wrong, says what swung, and judges no time."""

import json
import sys

import pytest
import torch

from gpu_utils._dev.bench import __main__ as program
from gpu_utils._dev.bench import calls, counting, kernels, programs, rows
from gpu_utils._dev.bench.stock import stock


def names(found):
    return [row.name for row in found]


def test_a_row_has_median_and_fifths():
    # 0, 1, ..., 10: a fifth of the way is 2, four fifths 8, the middle 5.
    found = rows.row("import", "x", "s", [*range(10, -1, -1)])
    assert (found.p20, found.median, found.p80, found.runs) == (2, 5, 8, 11)


@pytest.mark.parametrize(("p20", "p80", "swings"), [(9, 11, False), (8, 11, True)])
def test_what_swings_by_a_fifth_of_the_median_says_so(p20, p80, swings):
    # (11 - 9) / 10 = 0.2, which is not above 0.2.
    found = rows.Row("s", "name", "s", 10.0, p20, p80, 5, note="a note")
    assert found.swings == swings
    assert ("swings" in rows.line(found)) == swings
    assert "a note" in rows.line(found)
    assert "≈ 10.0 s MEASURED" in rows.line(found)


def test_counting_has_three_rows_a_kernel():
    found = list(counting.counting(small=True, runs=2))
    expected = []
    for case in ("softmax", "rms_norm", "matmul", "attention", "decode_attention"):
        expected += [
            f"{case}, counted",
            f"{case}, stock interpreter",
            f"{case}, counted over stock",
        ]
    assert names(found) == expected
    assert [row.unit for row in found] == ["s", "s", "x"] * 5
    assert {row.runs for row in found} == {2}
    assert all(row.p20 > 0 for row in found)


def test_the_stock_child_says_what_it_does_not_know(capfd):
    with stock("--small") as theirs, pytest.raises(RuntimeError, match="ended in nonsense"):
        theirs("nonsense")
    assert "KeyError: 'nonsense'" in capfd.readouterr().err


@pytest.mark.parametrize("name", [*kernels.SMALL])
def test_a_wrong_answer_is_not_timed(name):
    case = kernels.SMALL[name]
    inputs = case.inputs()
    kernels.check(case, inputs, case.reference(*inputs))
    with pytest.raises(AssertionError, match=case.launch.__name__):
        kernels.check(case, inputs, torch.zeros_like(case.reference(*inputs)))


def test_compiling_has_a_row_cold_and_one_cached():
    found = list(calls.compiling(["copy"], ["sm_90", "gfx942"], runs=1))
    assert names(found) == [
        f"copy for {target}, {state}"
        for target in ("sm_90", "gfx942", "all 2 side by side")
        for state in ("cold", "cached")
    ]
    assert [row.runs for row in found] == [1, 10] * 3
    # Reading a file is faster than a compiler, on any machine.
    assert all(
        cached.median < cold.median for cold, cached in zip(found[::2], found[1::2], strict=True)
    )


def test_redrawing_and_importing_have_their_rows():
    assert names(calls.redrawing(runs=1)) == [
        "viz.roofline, the function",
        "viz.explore_roofline, a slider moved",
    ]
    assert names(programs.importing(["gpu_utils"], runs=1)) == ["import gpu_utils"]


# Stands in for `ridge`: notes what it is asked and where its caches are.
RIDGE = """
import os, pathlib, sys
_, check, what, side, lab = sys.argv
folder = pathlib.Path(os.environ["RIDGE_CACHE_DIR"])
kind = "warm" if folder.exists() else "cold"
folder.mkdir(parents=True, exist_ok=True)
edited = "# edit" in pathlib.Path(lab).read_text()
with open({log!r}, "a") as log:
    print(check, what, side, kind, "edited" if edited else "as it was", file=log)
"""


def test_a_verdict_is_timed_cold_warm_and_edited(tmp_path):
    log = tmp_path / "log"
    ridge = [sys.executable, "-c", RIDGE.format(log=str(log))]
    found = list(programs.verdict(["lab00:a"], runs=5, ridge=ridge))
    assert names(found) == [
        "ridge check lab00:a, cold, empty caches",
        "ridge check lab00:a, warm, nothing changed",
        "ridge check lab00:a, warm, every kernel edited",
    ]
    assert [row.runs for row in found] == [2, 5, 2]
    said = "check lab00:a --side"
    assert log.read_text().splitlines() == [
        *[f"{said} cold as it was"] * 2,
        *[f"{said} warm as it was"] * 6,  # the first starts the process that stands by
        *[f"{said} warm edited"] * 2,
    ]


def test_a_notebook_is_timed_at_its_first_check_and_at_those_after(tmp_path):
    log = tmp_path / "log"
    notebook = f"""
import sys
_, what, side, runs = sys.argv
print(what, side, runs, file=open({str(log)!r}, "a"))
print(*([9.0] + [0.5] * (int(runs) - 1)), sep="\\n")
"""
    first, again = programs.in_a_notebook(["lab00:a"], runs=3, notebook=notebook)
    assert (first.name, first.median, first.runs) == ("check('lab00:a'), the first", 9.0, 1)
    assert (again.name, again.median, again.runs) == ("check('lab00:a'), again", 0.5, 3)
    assert log.read_text().splitlines() == ["lab00:a solutions 1", "lab00:a solutions 4"]


def test_a_check_that_fails_is_not_timed():
    ridge = [sys.executable, "-c", "import sys; sys.exit('the reason')"]
    with pytest.raises(RuntimeError, match="the reason"):
        list(programs.verdict(["lab00:a"], ridge=ridge))


def test_a_lab_without_kernels_cannot_be_edited():
    with pytest.raises(ValueError, match=r"no @triton\.jit kernel"):
        programs.edited("def f(x):\n    return x\n", 0)


@pytest.fixture
def sections():
    made = []

    def section(name):
        def run():
            made.append(name)
            yield rows.Row(name, f"the row of {name}", "s", 1.0, 1.0, 1.0, 3)

        return run

    return made, {name: section(name) for name in ("import", "counting")}


def test_the_program_prints_a_table_and_writes_json(tmp_path, capsys, sections):
    file = tmp_path / "new folder" / "bench.json"
    assert program.main(["--json", str(file)], sections[1]) == 0
    printed = capsys.readouterr().out
    assert "the row of import" in printed
    assert "load average" in printed
    kept = json.loads(file.read_text())
    assert [row["name"] for row in kept["rows"]] == ["the row of import", "the row of counting"]
    assert {row["label"] for row in kept["rows"]} == {"MEASURED"}
    assert kept["triton"].count(".") == 2


def test_only_one_part_runs(tmp_path, sections):
    made, table = sections
    program.main(["--only", "counting", "--json", str(tmp_path / "bench.json")], table)
    assert made == ["counting"]
    with pytest.raises(SystemExit):
        program.main(["--only", "nonsense"], table)
