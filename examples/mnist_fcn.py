"""Train a fully connected network to read handwritten digits, test it, and let it read yours.

    python examples/mnist_fcn.py                       # 784-1024-10, 30 epochs, in under a minute
    python examples/mnist_fcn.py --report              # the same, with a report on one page
    python examples/mnist_fcn.py --checkpoint-every 500 --resume   # continues after a kill, with the same result
    python examples/mnist_fcn.py --test runs/mnist_fcn/model.safetensors
    python examples/mnist_fcn.py --predict seven.png   # with the newest model under runs/
    python examples/mnist_fcn.py --page                # writes draw.html: draw digits in a browser, and see them read

Read `train` first. In its loop the network computes logits from the pixels, the loss measures how wrong they are, and
`optimizer.minimize(loss)` computes the gradient of the loss and takes a step. (`optimizer.zero_grad()`,
`loss.backward()` and `optimizer.step()` do the same, and let you look at the gradients in between.) Then `after_step`
is called: by it the package `mnist_study` shows progress, tests, and saves models, metrics and checkpoints.
"""

import argparse
import signal
import sys
from dataclasses import dataclass
from functools import partial

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it imports, ctrl-C ends it without a traceback

from tinygrad_np import cross_entropy, no_grad
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.nn import Linear, ReLU, Sequential
from tinygrad_np.optim import SGD
from tinygrad_np.schedules import ExponentialScheduler

import numpy as np

from mnist_study import command_line
from mnist_study.application import Application, check_options
from mnist_study.command_line import natural, non_negative, path_name, positive, positive_integer, setting
from mnist_study.training import AfterStep


@dataclass(frozen=True)
class Settings:
    """The hyperparameters. With the same images, the same settings give the same weights, to the bit."""

    hidden: int = setting(1024, positive_integer, "units in the hidden layer")
    epochs: int = setting(30, positive_integer, "passes over the training set")
    batch_size: int = setting(64, positive_integer, "images per step")
    lr: float = setting(0.5, non_negative, "initial learning rate")
    decay: float = setting(0.5, positive, "factor of the learning rate after each stage")
    stage_length: int = setting(500, positive_integer, "steps per stage")
    weight_decay: float = setting(1e-5, non_negative, "coefficient of L2 regularisation")
    seed: int = setting(0, natural, "seed of the initial weights and of the order of the images")


def network(inputs: int, hidden: int, classes: int, rng: np.random.Generator) -> Sequential:
    """Two linear layers with a ReLU between them. Weights start He-normal, biases at zero (see `Linear`)."""
    return Sequential(
        Linear(inputs, hidden, rng=rng),
        ReLU(),
        Linear(hidden, classes, rng=rng),
    )


def pixels(images: np.ndarray) -> np.ndarray:
    """A batch of uint8 images as rows of float32 from 0 to 1. The dataset itself stays uint8."""
    return np.multiply(images.reshape(len(images), -1), np.float32(1 / 255), dtype=np.float32)


def prepare(settings: Settings, dataset: Dataset, classes: int) -> tuple[Sequential, DataLoader, SGD]:
    """A new network, a loader of its training images, and an optimizer of its weights."""
    rng = np.random.default_rng(settings.seed)  # for the initial weights, then for the order of the images
    model = network(dataset.images[0].size, settings.hidden, classes, rng)
    loader = DataLoader(*dataset, batch_size=settings.batch_size, rng=rng)
    schedule = ExponentialScheduler(settings.lr, decay=settings.decay, stage_length=settings.stage_length)
    optimizer = SGD(model.parameters(), lr=schedule, weight_decay=settings.weight_decay)
    return model, loader, optimizer


@np.errstate(all="ignore")  # overflow shows in the loss, which `after_step` checks
def train(model: Sequential, loader: DataLoader, optimizer: SGD, epochs: int, after_step: AfterStep) -> None:
    """Train a network until its optimizer has made all steps of these epochs; call `after_step` after each.

    A training that is resumed starts with steps already made, and with a loader in the middle of an epoch.
    """
    while optimizer.steps < epochs * len(loader):
        for images, labels in loader:
            logits = model(pixels(images))
            loss = cross_entropy(logits, labels)
            optimizer.minimize(loss)
            after_step(loss, logits, labels)


def predict(model: Sequential, images: np.ndarray) -> np.ndarray:
    """The logits of images, shape (n, classes)."""
    with no_grad():
        return np.concatenate([model(pixels(images[i : i + 1000])).data for i in range(0, len(images), 1000)])


def test(model: Sequential, dataset: Dataset) -> tuple[float, float]:
    """The mean loss and the accuracy on a dataset."""
    logits = predict(model, dataset.images)
    return float(cross_entropy(logits, dataset.labels)), float(np.mean(logits.argmax(axis=1) == dataset.labels))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options: the settings above, and those of the command around the training."""
    parser = command_line.parser(__doc__)
    command_line.add_settings(parser, Settings)
    add = partial(command_line.add, parser)
    add("--data", "folder with four IDX files, raw or .gz (default: MNIST)", type=path_name, metavar="FOLDER")
    add("--out", "for the results (default: a new one, runs/mnist_fcn, -2, -3 ...)", type=path_name, metavar="FOLDER")
    add("--overwrite", "replace the results in --out", action="store_true")
    add("--checkpoint-every", "save a checkpoint every N steps", type=positive_integer, metavar="N")
    add("--resume", "continue from the newest checkpoint in --out, or else under runs/", action="store_true")
    add("--report", "also write report.html, one page with all results", action="store_true")
    add("--search", "include a search of mnist_search.py in the report", type=path_name, metavar="FOLDER")
    add("--test", "test a saved model, with a report, instead of training one", type=path_name, metavar="MODEL")
    add("--predict", "read the digits in each picture (PNG, JPEG ...)", type=path_name, metavar="IMAGE", nargs="+")
    add("--page", "write a page to draw digits on, draw.html, beside the model or in --out", action="store_true")
    add("--model", "for --predict and --page (default: that of --test, or the newest)", type=path_name, metavar="MODEL")
    add("--quiet", "no progress bar", action="store_true")
    options = parser.parse_args(arguments)
    check_options(parser, options)
    return options


def main() -> None:
    study = Application(settings=Settings, network=network, prepare=prepare, train=train, predict=predict, test=test)
    study.run(parse(sys.argv[1:]))


if __name__ == "__main__":
    command_line.run(main)
