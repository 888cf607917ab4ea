"""The house keeps its shape: floors, complete units, one source for each lab."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gpu_utils._dev import generate
from gpu_utils.course import units

ROOT = units.root()
PACKAGE = ROOT / "gpu_utils"
# DESIGN's table: a module imports only from floors below its own.
FLOORS = {
    1: {"quantities", "specs"},
    2: {"roofline", "occupancy", "comm", "parity", "tolerance", "_triton", "_children"},
    3: {"traffic", "codegen", "bench"},
    4: {"profiling", "recordings"},
    5: {"card"},
    6: {"viz"},
    7: {"course", "cli", "_dev"},
}
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
# Rooms on the top floor are in this order: the terminal knows the course, not the reverse.
TOP = ("course", "cli", "_dev")


def imports(path: Path) -> set[str]:
    """Rooms of gpu_utils that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gpu_utils":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "gpu_utils" and len(parts) > 1}
    return found


def test_imports_run_downward():
    files = [
        path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or path.stem != "__init__"
    ]
    assert len(files) > 20
    wrong = []
    for path in files:
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imports(path) - {room}:
            below = FLOOR[other] < FLOOR[room]
            later = room in TOP and other in TOP and TOP.index(other) < TOP.index(room)
            if not (below or later):
                wrong.append(f"{path.relative_to(ROOT)} imports gpu_utils.{other}")
    assert not wrong, "\n".join(wrong)


def test_the_floors_test_sees_a_wrong_import(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def f():\n    from gpu_utils.course import check\n    import gpu_utils.card\n")
    assert imports(path) == {"course", "card"}


@pytest.mark.parametrize("module", ["gpu_utils", "gpu_utils.cli", "gpu_utils.course"])
def test_importing_is_cheap(module):
    heavy = "{'torch', 'triton', 'matplotlib'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def notebook(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def test_there_are_units():
    assert [unit.name for unit in units.units()] == [f"lab{n:02}" for n in range(6)]


@pytest.mark.parametrize("unit", units.units(), ids=lambda unit: unit.name)
class TestUnit:
    def test_every_member_stands_in_its_place(self, unit):
        members = [
            ROOT / "notebooks" / f"{unit.lesson}.ipynb",
            ROOT / "labs" / f"{unit.stem}.ipynb",
            unit.lab_file,
            unit.solution_file,
            unit.solution_file.with_suffix(".ipynb"),
            unit.test_file,
        ]
        assert [str(path) for path in members if not path.is_file()] == []

    def test_tasks_have_hints_and_one_is_core(self, unit):
        assert [len(task.hints) for task in unit.tasks] == [3] * len(unit.tasks)
        core = [task for task in unit.tasks if task.core]
        assert len(core) == 1
        assert core[0].minutes <= 25

    def test_each_claim_is_asserted_in_a_cell_of_the_lesson(self, unit):
        cells = notebook(ROOT / "notebooks" / f"{unit.lesson}.ipynb")["cells"]
        number = unit.lesson[:2]
        claimed = {tag: "".join(cell["source"]) for cell in cells for tag in tags(cell)
                   if tag.startswith("claim:")}  # fmt: skip
        expected = {f"claim:{number}.{k}" for k in range(1, len(unit.claims) + 1)}
        assert set(claimed) == expected
        assert expected
        assert all("assert " in source for source in claimed.values())

    def test_the_lab_is_generated_from_the_solution(self, unit):
        assert generate.stale() == []

    def test_the_lab_notebook_begins_with_its_file(self, unit):
        first = "".join(notebook(ROOT / "labs" / f"{unit.stem}.ipynb")["cells"][0]["source"])
        assert f"({unit.stem}.py)" in first
        assert "write there, save, run this cell" in first

    def test_both_lab_notebooks_have_the_same_source(self, unit):
        sources = [
            [
                "".join(cell["source"])
                for cell in notebook(ROOT / side / f"{unit.stem}.ipynb")["cells"]
            ]
            for side in units.SIDES
        ]
        assert sources[0] == sources[1]


NOTEBOOKS = sorted(p for side in ("notebooks", *units.SIDES) for p in (ROOT / side).glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
class TestNotebook:
    def test_every_cell_was_run_in_order_and_none_failed(self, path):
        code = [cell for cell in notebook(path)["cells"] if cell["cell_type"] == "code"]
        # nbval passes a cell that was never run, having compared nothing.
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        assert [cell for cell in code for o in cell["outputs"] if o["output_type"] == "error"] == []

    def test_results_are_folded_and_cells_short(self, path):
        for cell in notebook(path)["cells"]:
            if cell["cell_type"] == "code":
                folded = cell["metadata"].get("jupyter", {}).get("outputs_hidden", False)
                assert folded == ("result" in tags(cell))
                source = "".join(cell["source"])
                assert len(source.splitlines()) <= 20
                assert not source.rstrip().endswith(";"), "nbval would see another output"

    def test_it_is_small_and_holds_no_machine(self, path):
        text = path.read_text("utf-8")
        assert len(text) < 300_000
        assert not re.search(r"(?<![\w.])/(?:root|home|tmp|usr)/", text)

    def test_links_lead_somewhere(self, path):
        for cell in notebook(path)["cells"]:
            if cell["cell_type"] == "markdown":
                text = re.sub(r"`[^`]*`", "", "".join(cell["source"]))
                for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
                    assert link.startswith("http") or (path.parent / link).exists(), link


def test_every_new_word_is_in_the_glossary():
    text = (ROOT / "notebooks" / "glossary.md").read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(set(headings)) == len(headings), "a word is explained in one place"
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        words = re.findall(r"glossary\.md#([\w-]+)", path.read_text("utf-8"))
        assert 1 <= len(set(words)) <= 8
        assert set(words) <= anchors
