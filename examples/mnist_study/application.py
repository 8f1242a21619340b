"""What the command `mnist_fcn.py` does with its options: train a network, test one, read digits that people write."""

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tinygrad_np import fit_threads, softmax
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.nn import Sequential
from tinygrad_np.optim import SGD
from tinygrad_np.serialization import write_atomically

import numpy as np

from . import command_line, draw, require
from .digits import read_digits
from .evaluation import Evaluation
from .folders import run_folder, writable_folder
from .models import check_fit, load_model, newest_model, size
from .record import new_record
from .search_results import read_search
from .training import Training

DATA = Path(__file__).parent.parent / "data/mnist"
# Below it, a reading is "not sure": the least of 0.5, 0.6 ... 0.9, 0.95 and 0.99 from which 99.5 % are correct, on
# 10,000 training images that were held out (`tests/study/confidence.py --epochs 6`). Of the test set, the network of
# the default settings is sure of 91.2 %, and 99.6 % of these are correct.
SURE = 0.9
LARGEST_PAGE = 2_000_000  # bytes of a draw.html that a training writes without being asked


class Application:
    """The command around a network and its training.

    Args:
        settings: a dataclass of hyperparameters, whose fields are options too (see `command_line.setting`).
        network: `network(inputs, hidden, classes, rng)`, an untrained network.
        prepare: `prepare(settings, dataset, classes)`, a new network, a loader and an optimizer.
        train: `train(model, loader, optimizer, epochs, after_step)`; calls `after_step(loss, logits, labels)`.
        predict: `predict(model, images)`, the logits.
        test: `test(model, dataset)`, the loss and the accuracy.
    """

    def __init__(
        self,
        *,
        settings: type,
        network: Callable[..., Sequential],
        prepare: Callable[..., tuple[Sequential, DataLoader, SGD]],
        train: Callable[..., None],
        predict: Callable[[Sequential, np.ndarray], np.ndarray],
        test: Callable[[Sequential, Dataset], tuple[float, float]],
    ) -> None:
        require("sklearn")  # imported after a training
        self.settings, self.network, self.prepare = settings, network, prepare
        self.train, self.predict, self.test = train, predict, test

    def run(self, options: argparse.Namespace) -> None:
        """Do what the options ask for."""
        if options.test or not (options.predict or options.page):
            self.train_or_test(options)
        if options.predict:
            self.read_digits(options)
        if options.page:
            self.write_page(options)

    def train_or_test(self, options: argparse.Namespace) -> None:
        """Train a network, or load one; test it, and save all results in a folder."""
        search = read_search(options.search) if options.search else None
        train_set, test_set = load_mnist(options.data or DATA)
        start = time.perf_counter()
        if options.test:
            model, record = load_model(options.test, self.network)
            check_fit(model, record, test_set, f"{options.test} and {options.data or DATA}")
            folder = run_folder(options.out, options.overwrite, "mnist_test")
            words = ["--test", str(options.test), *_given(options)]
        else:
            settings = self.settings(**{each.name: getattr(options, each.name) for each in fields(self.settings)})
            folder = run_folder(options.out, options.overwrite, "mnist_fcn", options.resume)
            model, record = self.train_and_save(settings, train_set, test_set, folder, options)
            words = [*command_line.as_options(settings), *_given(options), "--report"]
        evaluation = Evaluation(model.state_dict(), record, test_set, self.predict(model, test_set.images))
        print(evaluation.table)
        print(f"test loss {evaluation.loss:.4f}, test accuracy {evaluation.accuracy:.2%}")
        chance = float(np.bincount(test_set.labels).max() / len(test_set.labels))
        if not options.test and evaluation.accuracy < 1.5 * chance and chance < 0.5:
            print(f"that is near chance ({chance:.2%}): try a smaller --lr or --weight-decay, or more --epochs")
        again = command_line.command("mnist_fcn.py", *words)
        evaluation.save(folder, options.report or bool(options.test), again, search, start)
        if not options.test and len(page := draw_page(model, record)) < LARGEST_PAGE:
            write_atomically(folder / "draw.html", page)
            print(f"to draw digits that it reads, open {folder / 'draw.html'} in a browser")
        print(f"{time.perf_counter() - start:.1f} s in all; results are in {folder}")

    def train_and_save(
        self, settings: Any, train_set: Dataset, test_set: Dataset, folder: Path, options: argparse.Namespace
    ) -> tuple[Sequential, dict[str, Any]]:
        """Train a network, and save it after every epoch; return it and the record of its training."""
        fit_threads(settings.batch_size * train_set.images[0].size * settings.hidden)
        record = new_record(asdict(settings), train_set)
        model, loader, optimizer = self.prepare(settings, train_set, int(train_set.labels.max()) + 1)
        with Training(
            model,
            loader,
            optimizer,
            epochs=settings.epochs,
            record=record,
            test=lambda: self.test(model, test_set),
            folder=folder,
            checkpoint_every=options.checkpoint_every,
            quiet=options.quiet,
        ) as training:
            training.begin(options.resume)
            self.train(model, loader, optimizer, settings.epochs, training)
        return model, training.record

    def load_model(self, options: argparse.Namespace) -> tuple[Path, Sequential, dict[str, Any]]:
        """The file that --model or --test names, or else the newest, its network and the record of its training."""
        file = options.model or options.test or newest_model(self.network)
        model, record = load_model(file, self.network)
        if math.prod(image_shape(record)) != size(model)[0]:
            raise ValueError(f"{file}: a network of {size(model)[0]} pixels, not of images of {image_shape(record)}")
        return file, model, record

    def write_page(self, options: argparse.Namespace) -> None:
        """Write a page to draw on, which reads digits with a saved model; by default beside the model."""
        file, model, record = self.load_model(options)
        page = draw_page(model, record)
        path = (writable_folder(options.out) if options.out else file.parent) / "draw.html"
        try:
            write_atomically(path, page)
        except OSError as error:
            raise OSError(f"{path}: cannot write there: {error.strerror}; give another folder with --out") from error
        print(f"open {path} in a browser, and draw ({len(page) / 1e6:.2f} MB, with the network of {file})")

    def read_digits(self, options: argparse.Namespace) -> None:
        """Print the digits that a saved model reads in image files, left to right, and the probability of each."""
        file, model, record = self.load_model(options)
        shape, classes = image_shape(record), size(model)[1]
        print(f"probabilities in per cent, by {file}")
        width = max(len(str(name)) for name in options.predict)
        print(f"{'':{width}}  reads " + "".join(f"{label:7d}" for label in range(classes)))
        errors = []
        for name in options.predict:
            try:
                digits = self.predict(model, np.stack(read_digits(name, shape)))
            except (OSError, ValueError) as error:
                errors.append(error)
                continue
            for probabilities in np.asarray(softmax(digits.astype(np.float64))):
                print(
                    f"{name!s:{width}}  {probabilities.argmax():5d} "
                    + "".join(f"{100 * p:7.2f}" for p in probabilities)
                    + ("" if probabilities.max() >= SURE else "  not sure")
                )
        for error in errors:
            print(f"{command_line.script()}: {error}", file=sys.stderr)
        if errors:
            sys.exit(1)


def image_shape(record: Mapping[str, Any]) -> tuple[int, int]:
    """The shape of the images that a network reads: that in the record of its training, or MNIST's."""
    return record.get("image_shape", (28, 28))


def draw_page(model: Sequential, record: Mapping[str, Any]) -> bytes:
    """The page to draw on, for this model."""
    inputs, classes = size(model)
    hidden = model.layers[0].weight.shape[1]
    tested = f", with a test accuracy of {record['test_accuracy'][-1]:.2%}" if record else ""
    about = f"It reads with a network of {inputs} pixels, {hidden} hidden units and {classes} classes{tested}."
    return draw.page(model.state_dict(), image_shape(record), SURE, about)


def _given(options: argparse.Namespace) -> list[str]:
    """--data and --search as command-line words, if they were given."""
    return [word for option in ("data", "search") if (value := getattr(options, option))
            for word in (f"--{option}", str(value))]  # fmt: skip


def check_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exit with a message if options of `mnist_fcn.py` contradict each other."""
    if options.search and not (options.report or options.test):
        parser.error("argument --search: it is for the report; give --report too")
    if options.model and (options.test or not (options.predict or options.page)):
        parser.error("argument --model: it is for --predict and --page; --test MODEL tests a model")
    if (options.resume or options.checkpoint_every) and (options.test or options.predict or options.page):
        parser.error(
            "arguments --resume and --checkpoint-every: they are for training, not for --test, --predict and --page"
        )
    if options.resume and options.overwrite:
        parser.error("argument --resume: it goes on with a run, and --overwrite replaces it; give one of them")
    if options.overwrite and not options.out:
        parser.error("argument --overwrite: it is for --out FOLDER; give that too")
