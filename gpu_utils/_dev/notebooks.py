"""Execute and normalise notebooks: `python -m gpu_utils._dev.notebooks [PATH ...]`.

A lesson or a lab is executed where it stands. A lab is also executed in solutions/, where the
same text checks the solution, and saved there: solution notebooks are generated. What is saved
has sequential counts, one kernel name, what is printed in one piece, no times, no widget state,
and results folded.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert.preprocessors import CoalesceStreamsPreprocessor

from gpu_utils.course import units

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"


def fold(cell: nbformat.NotebookNode) -> None:
    """A result stays closed until the reader opens it; nbval compares it all the same."""
    tags = cell.metadata.get("tags", [])
    cell.metadata = {"tags": tags} if tags else {}
    if cell.cell_type == "code" and "result" in tags:
        cell.metadata["jupyter"] = {"outputs_hidden": True}


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in `folder`, each within two minutes, and return the normalised notebook."""
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
    )
    client.execute()
    # What is printed comes in as many pieces as the clock likes.
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    for cell in notebook.cells:
        fold(cell)
        if cell.cell_type == "code":
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return notebook


def refresh(path: Path) -> list[Path]:
    """Execute a notebook and write it back, and a lab's solution beside it."""
    root = units.root()
    written = []
    targets = [path]
    if path.parent == root / "labs":
        targets.append(root / "solutions" / path.name)
    for target in targets:
        notebook = nbformat.read(path, as_version=4)
        nbformat.write(execute(notebook, target.parent), target)
        written.append(target)
    return written


def main(arguments: list[str]) -> int:
    root = units.root()
    every = [*(root / "notebooks").glob("*.ipynb"), *(root / "labs").glob("*.ipynb")]
    paths = [Path(argument).resolve() for argument in arguments] or sorted(every)
    for path in paths:
        for written in refresh(path):
            print(written.relative_to(root))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
