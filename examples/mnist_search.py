"""Search hyperparameters of `mnist_fcn.py`, one after the other, by their accuracy on validation images.

    python examples/mnist_search.py                    # learning rate, hidden units, weight decay: under 3 minutes
    python examples/mnist_search.py --lr 0.1,0.3,1     # other candidates
    mpiexec -n 3 python -m mpi4py.futures examples/mnist_search.py --executor mpi

Each candidate is a training of its own; as many run at a time as there are cores. Their results are files in --out.
Give the same command again to continue a search that was interrupted or killed, or a longer list of candidates to add
some: only what is not there yet is trained. The test set is not used.

Before its turn, a parameter has the smallest value of its candidates. A parameter with a single candidate is fixed, as
the stage length is by default. The best stage length depends on the length of the training, so search it with the
--epochs of the final one: --epochs 30 --lr 0.5 --hidden 1024 --weight-decay 1e-5 --stage-length 500,2000,8000
"""

import argparse
import functools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it imports, ctrl-C ends it without a traceback

from tinygrad_np import Tensor
from tinygrad_np.data import Dataset, load_mnist

import numpy as np

from mnist_fcn import Settings, prepare, test, train
from mnist_study import command_line
from mnist_study.candidates import CandidateRecord
from mnist_study.command_line import path_name, positive_integer
from mnist_study.search_application import SearchApplication
from mnist_study.training import DivergenceError, EpochMeans
from mnist_study.workers import use_one_core

CANDIDATES = {"lr": "0.001,0.01,0.1,0.5", "hidden": "64,128,256,512,1024", "weight_decay": "0.001,0.0001,1e-05,0",
              "stage_length": "500"}  # in the order in which they are searched  # fmt: skip


def train_candidate(data: Path, validation: int, settings: Settings, file: Path) -> dict[str, Any]:
    """Train with these settings on all but the validation images; return the record, which is in the file as well."""
    use_one_core()
    training_set, validation_set = split(data, validation, settings.seed)
    classes = int(max(training_set.labels.max(), validation_set.labels.max())) + 1
    model, loader, optimizer = prepare(settings, training_set, classes)
    record, means = CandidateRecord(settings, file), EpochMeans(len(training_set.labels))

    def after_step(loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
        means.add(optimizer.steps, loss, logits, labels)
        if optimizer.steps % len(loader) == 0:
            train_loss, train_accuracy = means.finish()
            validation_loss, validation_accuracy = test(model, validation_set)
            record.add_epoch(train_loss, validation_loss, train_accuracy, validation_accuracy)

    try:
        train(model, loader, optimizer, settings.epochs, after_step)
    except DivergenceError as error:
        record.add_divergence(error)
    return record.values


@functools.lru_cache(maxsize=1)  # once in each process
def split(data: Path, validation: int, seed: int) -> tuple[Dataset, Dataset]:
    """The training images in two sets: those to train on, and `validation` of them, drawn at random, held out."""
    images, labels = load_mnist(data)[0]
    held_out = np.zeros(len(labels), bool)
    held_out[np.random.default_rng(seed).permutation(len(labels))[:validation]] = True
    return Dataset(images[~held_out], labels[~held_out]), Dataset(images[held_out], labels[held_out])


def search(
    base: Settings, candidates: dict[str, list[Any]], train_all: Callable[[list[Settings]], list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Search one parameter after the other; yield each step: the records of its candidates, and which is best.

    Args:
        base: the settings that are not searched.
        candidates: the values of each parameter, in the order in which the parameters are searched.
        train_all: trains networks with these settings, and returns their records.

    Raises:
        ValueError: all candidates of a step diverge.
    """
    best = replace(base, **{name: min(values) for name, values in candidates.items()})
    for name, values in candidates.items():
        if len(values) == 1:
            continue
        records = train_all([replace(best, **{name: value}) for value in values])
        if all(record["diverged"] for record in records):
            raise ValueError(f"all candidates for {name} diverge, the first so: {records[0]['diverged']}")
        winner = max(range(len(values)), key=lambda i: merit(records[i]))
        best = replace(best, **{name: values[winner]})
        yield {"parameter": name, "candidates": records, "best": winner}


def merit(record: dict[str, Any]) -> tuple[float, float]:
    """The key by which candidates are compared: validation accuracy after the last epoch, then loss."""
    if record["diverged"]:
        return -1, 0
    return record["validation_accuracy"][-1], -record["validation_loss"][-1]


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    command_line.add_settings(parser, Settings, **CANDIDATES)
    parser.set_defaults(epochs=10)
    add = functools.partial(command_line.add, parser)
    add("--validation", "images held out of the training set", type=positive_integer, default=10_000, metavar="N")
    add("--data", "folder with four IDX files, raw or .gz (default: MNIST)", type=path_name, metavar="FOLDER")
    add("--out", "for the results; continues a search there", type=path_name, default=Path("runs/mnist_search"),
        metavar="FOLDER")  # fmt: skip
    add("--workers", "trainings at the same time", type=positive_integer, default=os.cpu_count(), metavar="N")
    add("--executor", "run them in processes, or by mpi (under mpiexec)", choices=["processes", "mpi"],
        default="processes")  # fmt: skip
    add("--report", "also write report.html, one page with all results", action="store_true")
    add("--quiet", "no progress bar", action="store_true")
    options = parser.parse_args(arguments)
    if all(len(getattr(options, name)) == 1 for name in CANDIDATES):
        parser.error(f"nothing to search: give several candidates to one of --{', --'.join(CANDIDATES)}")
    return options


def main() -> None:
    study = SearchApplication(
        settings=Settings, parameters=tuple(CANDIDATES), search=search, train_candidate=train_candidate
    )
    study.run(parse(sys.argv[1:]), sys.argv[1:])


if __name__ == "__main__":
    command_line.run(main)
