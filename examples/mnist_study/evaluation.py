"""A model on a test set: a table for the terminal, pictures, and a report, report.html, with all of it.

Pictures of the training are loss.png, accuracy.png and learning_rate.png; of the test, confusion.png and mistakes.png;
of the weights, first_layer.png and second_layer.png.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinygrad_np import cross_entropy, softmax
from tinygrad_np.data import Dataset
from tinygrad_np.serialization import write_atomically

import numpy as np

from . import INSTALL, figures, report
from .environment import environment
from .figures import Picture
from .record import schedule
from .search_results import search_parts

TRAINING, TEST, WEIGHTS = (
    ("loss", "accuracy", "learning_rate"),
    ("confusion", "mistakes"),
    ("first_layer", "second_layer"),
)


class Evaluation:
    """The numbers of a model on a test set, from which table, pictures and report are made.

    Args:
        weights: the model's `state_dict()`.
        record: of its training (see `record.py`); empty if unknown.
        test_set: images and labels.
        logits: of the model for these images, shape (n, classes).
    """

    def __init__(self, weights: Mapping[str, np.ndarray], record: Mapping[str, Any], test_set: Dataset,
                 logits: np.ndarray) -> None:  # fmt: skip
        self.environment = environment()
        from sklearn.metrics import classification_report, confusion_matrix  # late: it loads a second BLAS

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
        """The pictures by the names of their files; those of the training only if its record is known."""
        first, second = self.weights["0.weight"], self.weights["2.weight"]
        pictures = {
            "confusion": figures.confusion(self.confusion),
            "mistakes": figures.mistakes(self.test_set.images, self.test_set.labels, self.probabilities),
            "first_layer": figures.first_layer(first, self.test_set.images.shape[1:]),
            "second_layer": figures.second_layer(second),
        }
        return pictures | (_training_pictures(self.record) if self.record else {})

    def save(self, folder: Path, report: bool, again: str, search: Mapping[str, Any] | None, start: float) -> None:
        """Write the pictures into a folder and, if asked for, the report.

        Args:
            folder: for the files.
            report: whether it is asked for.
            again: the command that reproduces it.
            search: what `read_search` returns, or None.
            start: the `time.perf_counter()` of the beginning.
        """
        pictures = self.pictures()
        remove_pictures(folder)  # those of an earlier run
        for name, picture in pictures.items():
            write_atomically(folder / f"{name}.png", picture.png)
        if report:
            write_atomically(folder / "report.html", self.page(pictures, again, search, start))

    def page(
        self, pictures: Mapping[str, Picture], again: str, search: Mapping[str, Any] | None, start: float
    ) -> bytes:
        """The report; see `save` for the arguments."""
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
            report.heading("How to reproduce this"),
            report.commands(INSTALL, again),
            report.paragraph(
                "On the same machine, with the same versions and threads, the weights are the same to the bit."
                f" Their SHA-256, of the arrays in the order of their names: {checksum.hexdigest()}"
            ),
        ]
        return report.page("Reading handwritten digits", *parts, start=start)

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
    rate = schedule(record)
    last = len(record["train_loss"]) * math.ceil(record["images"] / record["hyperparameters"]["batch_size"])
    steps = range(0, last, max(1, last // 5000))  # more points than pixels
    return {
        "loss": figures.losses(record["train_loss"], record["test_loss"]),
        "accuracy": figures.accuracy(record["test_accuracy"]),
        "learning_rate": figures.learning_rate(steps, [rate(step) for step in steps]),
    }


def remove_pictures(folder: Path) -> None:
    """Remove the pictures and the pages of an earlier run."""
    for name in (*TRAINING, *TEST, *WEIGHTS):
        (folder / f"{name}.png").unlink(missing_ok=True)
    for page in ("report.html", "draw.html"):
        (folder / page).unlink(missing_ok=True)
