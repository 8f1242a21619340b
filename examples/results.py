"""Show what came out of a training or of a search: tables on the terminal, pictures in a folder, and one page of all.

folder/loss.png, accuracy.png, learning_rate.png     the training
folder/confusion.png, mistakes.png                   the test
folder/first_layer.png, second_layer.png             what the network has learned
folder/step-1-lr.png ...                             the steps of a search
folder/report.html                                   all of them, with settings, tables and how to make them again
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_np import cross_entropy, softmax
from tinygrad_np.data import Dataset
from tinygrad_np.optim import ExponentialScheduler
from tinygrad_np.serialization import write_atomically

import numpy as np

import figures
import report
from figures import Picture

TRAINING, TEST, WEIGHTS = (
    ("loss", "accuracy", "learning_rate"),
    ("confusion", "mistakes"),
    ("first_layer", "second_layer"),
)
METRICS = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
SEARCH_METRICS = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
INSTALL = 'python -m pip install -e ".[examples]"'
NAMES = {"lr": "learning rate", "hidden": "hidden units", "weight_decay": "weight decay",
         "stage_length": "stage length (steps)"}  # fmt: skip


# --- a model ---------------------------------------------------------------------------------------------------------


class Tested:
    """What a model makes of a test set: the numbers from which table, pictures and report are made.

    Args:
        weights: the model's state_dict.
        record: of its training, as in metrics.json; empty if it is not known.
        test_set: images and labels.
        logits: of the model for these images, shape (n, classes).
    """

    def __init__(self, weights: Mapping[str, np.ndarray], record: Mapping[str, Any], test_set: Dataset,
                 logits: np.ndarray) -> None:  # fmt: skip
        self.environment = report.environment()
        from sklearn.metrics import classification_report, confusion_matrix  # only now: it brings a second BLAS

        self.weights, self.record, self.test_set = weights, record, test_set
        self.probabilities = np.asarray(softmax(logits.astype(np.float64)))
        self.classes = range(logits.shape[1])
        predicted = logits.argmax(axis=1)
        self.loss = float(cross_entropy(logits, test_set.labels))
        self.accuracy = float(np.mean(predicted == test_set.labels))
        about = {"labels": self.classes, "digits": 4, "zero_division": 0}
        self.table: str = classification_report(test_set.labels, predicted, **about)
        self.by_class: dict[str, Any] = classification_report(test_set.labels, predicted, output_dict=True, **about)
        self.confusion: np.ndarray = confusion_matrix(test_set.labels, predicted, labels=self.classes)

    def pictures(self) -> dict[str, Picture]:
        """The pictures by the names of their files; those of the training only where it is on record."""
        first, second = self.weights["0.weight"], self.weights["2.weight"]
        pictures = {
            "confusion": figures.confusion(self.confusion),
            "mistakes": figures.mistakes(self.test_set.images, self.test_set.labels, self.probabilities),
            "first_layer": figures.first_layer(first, self.test_set.images.shape[1:]),
            "second_layer": figures.second_layer(second),
        }
        return pictures | (_training_pictures(self.record) if self.record else {})

    def save(self, folder: Path, report: bool, again: str, search: Mapping[str, Any] | None) -> None:
        """Write the pictures into a folder and, if asked for, the report; `again` is the command that makes it."""
        pictures = self.pictures()
        remove_pictures(folder)  # those of an earlier run
        for name, picture in pictures.items():
            write_atomically(folder / f"{name}.png", picture.png)
        if report:
            write_atomically(folder / "report.html", self.page(pictures, again, search))

    def page(self, pictures: Mapping[str, Picture], again: str, search: Mapping[str, Any] | None) -> bytes:
        """The report; `search` is what `read_search` returns."""
        inputs, hidden = self.weights["0.weight"].shape
        right, n = int(np.trace(self.confusion)), len(self.test_set.labels)
        checksum = hashlib.sha256(b"".join(self.weights[name].tobytes() for name in sorted(self.weights)))
        parts = [
            report.paragraph(
                f"A fully connected network of {inputs} pixels, {hidden} hidden units and {len(self.classes)} classes"
                f" reads {right:,} of {n:,} test images correctly: {self.accuracy:.2%}."
            )
        ]
        if self.record:
            parts += [report.heading("Settings"), report.facts(self.record["hyperparameters"])]
        if search:
            parts += search_parts(search)
        if self.record:
            parts += [report.heading("Training"), *(report.figure(pictures[name]) for name in TRAINING)]
        parts += [
            report.heading("Test"),
            report.table(["class", "precision", "recall", "F1", "support"], self._rows(), "Classification report"),
            *(report.figure(pictures[name]) for name in TEST),
            report.heading("What the network has learned"),
            *(report.figure(pictures[name]) for name in WEIGHTS),
            report.heading("Environment"),
            *self._environment(),
            report.heading("How to make this again"),
            report.commands(INSTALL, again),
            report.paragraph(
                "On the same machine, with the same versions and threads, the weights are the same to the bit."
                f" Their SHA-256, of the arrays in the order of their names: {checksum.hexdigest()}"
            ),
        ]
        return report.page("Reading handwritten digits", *parts)

    def _rows(self) -> list[list[str]]:
        names = [str(label) for label in self.classes]
        names += [name for name in ("macro avg", "weighted avg") if name in self.by_class]
        columns = ("precision", "recall", "f1-score")
        return [
            [
                name,
                *(f"{self.by_class[name][column]:.4f}" for column in columns),
                f"{self.by_class[name]['support']:.0f}",
            ]
            for name in names
        ]

    def _environment(self) -> list[str]:
        trained, now = self.record.get("environment"), self.environment
        if trained == now or not trained:
            return [report.facts(now)]
        return [report.paragraph("Trained with:"), report.facts(trained),
                report.paragraph("Tested with:"), report.facts(now)]  # fmt: skip


def _training_pictures(record: Mapping[str, Any]) -> dict[str, Picture]:
    schedule = _schedule(record)
    last = len(record["train_loss"]) * math.ceil(record["images"] / record["hyperparameters"]["batch_size"])
    steps = range(0, last, max(1, last // 5000))  # more points than pixels
    return {
        "loss": figures.losses(record["train_loss"], record["test_loss"]),
        "accuracy": figures.accuracy(record["test_accuracy"]),
        "learning_rate": figures.learning_rate(steps, [schedule(step) for step in steps]),
    }


def _schedule(record: Mapping[str, Any]) -> ExponentialScheduler:
    settings = record["hyperparameters"]
    return ExponentialScheduler(settings["lr"], settings["decay"], settings["stage_length"])


def _is_number(value: object) -> bool:
    return isinstance(value, float | int) and abs(value) < 1e300  # neither infinite nor NaN, nor an integer that large


def read_record(text: str) -> dict[str, Any]:
    """The record of a training from its JSON text.

    Raises:
        ValueError: something is missing or of another kind than it should be; says what.
    """
    try:
        record = json.loads(text)
        text.encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(record, dict):
        raise ValueError(f"it is a {type(record).__name__}, not an object")
    kinds = dict.fromkeys((*METRICS, "image_shape"), list) | {"hyperparameters": dict, "environment": dict}
    for name, kind in (kinds | {"images": int}).items():
        if not isinstance(record.get(name), kind):
            raise ValueError(f"{name} is {record.get(name)!r}, expected a {kind.__name__}")
    settings = record["hyperparameters"]
    counts = [record["images"], *record["image_shape"], settings.get("batch_size"), settings.get("stage_length")]
    numbers = [settings.get("lr"), settings.get("decay"), *(value for name in METRICS for value in record[name])]
    if len(record["image_shape"]) != 2 or not all(isinstance(count, int) and 0 < count < 2**40 for count in counts):
        raise ValueError("image_shape, images, batch_size and stage_length must be positive integers")
    epochs = len(record["train_loss"])
    if not epochs or any(len(record[name]) != epochs for name in METRICS) or not all(map(_is_number, numbers)):
        raise ValueError("lr, decay and as many metrics of each kind as epochs, at least one, must be finite numbers")
    try:
        _schedule(record)(epochs * record["images"])
    except ArithmeticError as error:
        raise ValueError(f"its learning rate cannot be computed: {error}") from error
    return record | {"image_shape": tuple(record["image_shape"])}


def remove_pictures(folder: Path) -> None:
    for name in (*TRAINING, *TEST, *WEIGHTS):
        (folder / f"{name}.png").unlink(missing_ok=True)
    (folder / "report.html").unlink(missing_ok=True)


# --- a search --------------------------------------------------------------------------------------------------------


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
    """A step of a search as a table on the terminal."""
    header, rows, best = search_table(step)
    print(f"\n{step_title(number, step)}")
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for i, row in enumerate([header, *rows]):
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {line}" + "  <- best" * (i == best + 1))
    print(flush=True)


def step_title(number: int, step: Mapping[str, Any]) -> str:
    settings = step["candidates"][step["best"]]["settings"]
    others = ", ".join(f"{NAMES[name]} {settings[name]:.12g}" for name in NAMES if name != step["parameter"])
    return f"Step {number}: {NAMES[step['parameter']]} (with {others})"


def step_picture(step: Mapping[str, Any]) -> Picture:
    values = [candidate["settings"][step["parameter"]] for candidate in step["candidates"]]
    picture = figures.candidates(NAMES[step["parameter"]], values, step["candidates"], values[step["best"]])
    return picture._replace(title=f"Candidates for the {NAMES[step['parameter']]}")


def search_parts(search: Mapping[str, Any]) -> list[str]:
    """The parts of a report that tell of a search."""
    shared = search["shared"]
    parts = [
        report.heading("Search"),
        report.paragraph(
            f"One parameter after the other; each candidate was trained for {shared['epochs']} epochs, and the best is"
            f" that with the highest accuracy after them on {shared['validation']:,} images held out of the training"
            " set, or of two that are equal the one with the lower loss. The test set was not looked at."
        ),
    ]
    for number, step in enumerate(search["steps"], 1):
        header, rows, best = search_table(step)
        parts += [report.table(header, rows, step_title(number, step), best), report.figure(step_picture(step))]
    return parts


def search_page(search: Mapping[str, Any], winner: str, again: str) -> bytes:
    """The report of a search alone."""
    return report.page(
        "Searching for the settings of a network",
        *search_parts(search),
        report.heading("The winner"),
        report.paragraph("The final training, on all training images:"),
        report.commands(winner),
        report.heading("Settings that all candidates share"),
        report.facts(search["shared"]),
        report.heading("Environment"),
        report.facts(report.environment()),
        report.heading("How to make this again"),
        report.commands(INSTALL, again),
    )


def read_search(folder: Path) -> dict[str, Any]:
    """The steps of a search, as `mnist_search.py` leaves them in its folder.

    Raises:
        OSError, ValueError: there is no search, or its record is damaged; names the file.
    """
    file = folder / "search.json"
    try:
        search: dict[str, Any] = json.loads(file.read_bytes())
        _check_search(search)
        return search
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file}: not the record of a search, or a damaged one: {error!r}") from error


def _check_search(search: dict[str, Any]) -> None:
    """Use all that a report uses: whatever is missing is missed before a training, and not after it."""
    shared = search["shared"]
    _ = f"{shared['epochs']} {shared['validation']:,}"
    for step in search["steps"]:
        search_table(step)
        step_title(1, step)
        for candidate in step["candidates"]:
            if not all(_is_number(value) for name in SEARCH_METRICS for value in candidate[name]):
                raise ValueError("a metric is no number")
