"""The notebook of the study: it runs from top to bottom, and is kept with the outputs of such a run."""

import copy
import re
from typing import Any

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
import notebook as notebooks

pytestmark = pytest.mark.slow


def outputs(cell: Any) -> list[tuple[str, ...]]:
    """The kinds of a cell's outputs; texts that were printed one after the other may come in several parts."""
    kinds = [("stream",) if "text" in each else tuple(sorted(each["data"])) for each in cell.outputs]
    return [kind for i, kind in enumerate(kinds) if kind != ("stream",) or kind not in kinds[:i]]


def test_the_notebook_runs_and_is_kept_with_its_outputs() -> None:
    kept = notebooks.read()
    run = copy.deepcopy(kept)
    (parameters,) = (cell for cell in run.cells if "parameters" in cell.metadata.get("tags", ()))
    parameters.source, before = re.sub(r"EPOCHS = \d+", "EPOCHS = 1", parameters.source), parameters.source
    assert parameters.source != before
    notebooks.execute(run)
    notebooks.without_bars(run)

    cells = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]  # of one run, from top to bottom
    for now, then in zip([cell for cell in run.cells if cell.cell_type == "code"], cells, strict=True):
        assert outputs(now) == outputs(then), now.source
    table = next(cell for cell in run.cells if cell.source == "print(evaluation.table)").outputs[0].text
    (accuracy,) = re.findall(r"accuracy +(0\.\d+)", table)
    assert float(accuracy) > 0.94


def test_what_is_kept_is_small_and_says_nothing_of_the_machine_that_it_ran_on() -> None:
    text = notebooks.NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 2_000_000
    for output in re.findall(r"/(?:home|root|tmp|Users|work)/[^\"\\\\]*", text):
        pytest.fail(f"a path of the machine: {output}")
    assert "stderr" not in text  # warnings
