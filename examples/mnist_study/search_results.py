"""The results of a search: tables on the terminal, a picture of every step, and the report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import INSTALL, figures, report
from .environment import environment
from .figures import Picture
from .record import is_finite_number

SEARCH_METRICS = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
NAMES = {"lr": "learning rate", "hidden": "hidden units", "weight_decay": "weight decay",
         "stage_length": "stage length (steps)"}  # fmt: skip


def search_table(step: Mapping[str, Any]) -> tuple[list[str], list[list[str]], int]:
    """Header, rows and the index of the best row of a step of a search."""
    header = [NAMES[step["parameter"]], "valid. acc.", "valid. loss", "train acc.", "train loss", "seconds"]
    formats = {"validation_accuracy": ".2%", "validation_loss": ".4f", "train_accuracy": ".2%", "train_loss": ".4f"}
    rows = []
    for candidate in step["candidates"]:
        value = f"{candidate['settings'][step['parameter']]:.12g}"
        last = ["diverged"] * len(formats)
        if not candidate["diverged"]:
            last = [f"{candidate[name][-1]:{form}}" for name, form in formats.items()]
        rows.append([value, *last, f"{candidate['seconds']:.1f}"])
    return header, rows, step["best"]


def print_step(number: int, step: Mapping[str, Any]) -> None:
    """Print a step of a search as a table."""
    header, rows, best = search_table(step)
    print(f"\n{step_title(number, step)}")
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for i, row in enumerate([header, *rows]):
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {line}" + "  <- best" * (i == best + 1))
    print(flush=True)


def step_title(number: int, step: Mapping[str, Any]) -> str:
    """The parameter that is searched in a step, and the values of the others."""
    settings = step["candidates"][step["best"]]["settings"]
    others = ", ".join(f"{NAMES[name]} {settings[name]:.12g}" for name in NAMES if name != step["parameter"])
    return f"Step {number}: {NAMES[step['parameter']]} (with {others})"


def step_picture(step: Mapping[str, Any]) -> Picture:
    """Loss and accuracy of the candidates of a step."""
    values = [candidate["settings"][step["parameter"]] for candidate in step["candidates"]]
    picture = figures.candidates(NAMES[step["parameter"]], values, step["candidates"], values[step["best"]])
    return picture._replace(title=f"Candidates for the {NAMES[step['parameter']]}")


def search_parts(search: Mapping[str, Any]) -> list[str]:
    """The section of a report about a search."""
    shared = search["shared"]
    parts = [
        report.heading("Search"),
        report.paragraph(
            f"The parameters were searched one after the other. Each candidate was trained for {shared['epochs']}"
            " epochs. The best one has the highest accuracy after the last epoch, and of equal ones the lowest loss, on"
            f" {shared['validation']:,} images held out of the training set. The test set was not used."
        ),
    ]
    for number, step in enumerate(search["steps"], 1):
        header, rows, best = search_table(step)
        parts += [report.table(header, rows, step_title(number, step), best), report.figure(step_picture(step))]
    return parts


def search_page(search: Mapping[str, Any], winner: str, again: str, start: float) -> bytes:
    """The report of a search alone; see `report.page` for `start`."""
    return report.page(
        "Searching for the settings of a network",
        report.heading("The winner"),
        report.paragraph(_about_winner(search)),
        report.commands(winner),
        *search_parts(search),
        report.heading("Settings that all candidates share"),
        report.facts(search["shared"]),
        report.heading("Environment"),
        report.facts(environment()),
        report.heading("How to reproduce this"),
        report.commands(INSTALL, again),
        start=start,
    )


def _about_winner(search: Mapping[str, Any]) -> str:
    step = search["steps"][-1]
    winner = step["candidates"][step["best"]]
    settings = ", ".join(f"{name} {winner['settings'][key]:.12g}" for key, name in NAMES.items())
    return (
        f"{settings[0].upper()}{settings[1:]}: {winner['validation_accuracy'][-1]:.2%} of the validation images are"
        " read correctly. The final training, on all training images:"
    )


def read_search(folder: Path) -> dict[str, Any]:
    """The record of a search in a folder of `mnist_search.py`.

    Raises:
        OSError, ValueError: there is none, or it is damaged; the message names the file.
    """
    file = folder / "search.json"
    try:
        search: dict[str, Any] = json.loads(file.read_bytes())
        _check_search(search)
        return search
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: not the record of a search, or a damaged one: {error!r}") from error


def _check_search(search: dict[str, Any]) -> None:
    """Read all that a report needs: a damaged record is refused before a training, not after it."""
    shared = search["shared"]
    _ = f"{shared['epochs']} {shared['validation']:,}"
    for step in search["steps"]:
        search_table(step)
        step_title(1, step)
        for candidate in step["candidates"]:
            if not all(is_finite_number(value) for name in SEARCH_METRICS for value in candidate[name]):
                raise ValueError("a metric is not a number")
