"""Run the notebook `examples/mnist_study.ipynb` from top to bottom, and save it with its outputs.

    python tests/study/notebook.py

What is saved is the same notebook, but without progress bars, which mean nothing once they are full.
"""

from pathlib import Path
from typing import Any

try:
    import nbclient
    import nbformat
except ModuleNotFoundError:  # `pip install -e ".[notebook]"` brings them; pytest reads this file without them, too
    nbclient = nbformat = None

NOTEBOOK = Path(__file__).parents[2] / "examples/mnist_study.ipynb"
BAR = "application/vnd.jupyter.widget-view+json"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook: Any) -> None:
    """Run all cells in a new kernel, in the folder of the notebook. An error in a cell is raised."""
    nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": NOTEBOOK.parent}}
    ).execute()


def without_bars(notebook: Any) -> None:
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times of day
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if BAR not in output.get("data", {})]


if __name__ == "__main__":
    notebook = read()
    execute(notebook)
    without_bars(notebook)
    nbformat.write(notebook, NOTEBOOK)
