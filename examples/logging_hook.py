"""Numbers of a training in a CSV file or TensorBoard: `python examples/logging_hook.py`.

A logger is a function that is called after each step. It hands names, numbers and steps to a function write(name,
value, step). TensorBoard's writers, of the package tensorboardX and of torch.utils.tensorboard, have such a method:

    from tensorboardX import SummaryWriter
    writer = SummaryWriter("runs/logged")
    log = Logger(writer.add_scalar, optimizer)

Weights & Biases takes a dict:

    import wandb
    run = wandb.init(project="digits")
    log = Logger(lambda name, value, step: run.log({name: value}, step=step), optimizer)

A small network reads handwritten digits while it is logged. Without options its numbers go into log.csv.
"""

import argparse
import csv
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, cross_entropy, fit_threads
from tinygrad_np.data import DataLoader, load_mnist
from tinygrad_np.nn import Linear, ReLU, Sequential
from tinygrad_np.optim import SGD
from tinygrad_np.schedules import ExponentialScheduler

import numpy as np

try:
    from tensorboardX import SummaryWriter
except ModuleNotFoundError:
    SummaryWriter = None

Write: TypeAlias = Callable[[str, float, int], object]  # of a name, a number and a step


class Logger:
    """Called after each step of a training, it writes the mean loss, the accuracy and the learning rate now and then.

    Args:
        write: what takes a name, a number and the step.
        optimizer: whose steps are counted.
        every: so many steps are averaged and written at a time.
    """

    def __init__(self, write: Write, optimizer: SGD, every: int = 50) -> None:
        self.write, self.optimizer, self.every = write, optimizer, every
        self.losses: list[float] = []
        self.correct: list[float] = []

    def __call__(self, loss: Tensor, logits: Tensor, labels: np.ndarray) -> None:
        self.losses.append(loss.item())
        self.correct.append(float(np.mean(logits.argmax(axis=1) == labels)))
        if len(self.losses) == self.every:
            step = self.optimizer.steps
            self.write("train/loss", float(np.mean(self.losses)), step)
            self.write("train/accuracy", float(np.mean(self.correct)), step)
            self.write("train/learning_rate", float(self.optimizer.lr), step)
            self.losses.clear()
            self.correct.clear()


@contextmanager
def csv_file(path: Path) -> Iterator[Write]:
    """A function that writes rows of step, name and value to a CSV file, which others may read as it grows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "name", "value"])

        def write(name: str, value: float, step: int) -> None:
            rows.writerow([step, name, value])
            file.flush()

        yield write


@contextmanager
def tensorboard(folder: Path) -> Iterator[Write]:
    """The same for TensorBoard."""
    writer = SummaryWriter(str(folder))
    try:
        yield writer.add_scalar
    finally:
        writer.close()


def train(
    model: Sequential,
    loader: DataLoader,
    optimizer: SGD,
    epochs: int,
    after_step: Callable[[Tensor, Tensor, np.ndarray], object],
) -> None:
    """Train, and call `after_step` with the loss, the logits and the labels of each step, as in `mnist_fcn.py`."""
    for _ in range(epochs):
        for pixels, labels in loader:
            logits = model(pixels)
            loss = cross_entropy(logits, labels)
            optimizer.minimize(loss)
            after_step(loss, logits, labels)


def prepare(images: np.ndarray, labels: np.ndarray) -> tuple[Sequential, DataLoader, SGD]:
    """A network of images, a loader of their pixels and labels, and an optimizer."""
    rng = np.random.default_rng(0)
    pixels = images.reshape(len(images), -1) / np.float32(255)
    model = Sequential(Linear(pixels.shape[1], 100, rng=rng), ReLU(), Linear(100, 10, rng=rng))
    loader = DataLoader(pixels, labels, batch_size=64, rng=rng)
    schedule = ExponentialScheduler(0.3, decay=0.7, stage_length=500)
    return model, loader, SGD(model.parameters(), lr=schedule)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training set (default 3)")
    parser.add_argument("--tensorboard", action="store_true", help="log to TensorBoard (pip install tensorboardX)")
    options = parser.parse_args()
    if options.tensorboard and SummaryWriter is None:
        sys.exit("logging_hook.py: --tensorboard needs tensorboardX: python -m pip install tensorboardX")
    try:
        folder = new_folder("logging_hook")
    except OSError as error:
        sys.exit(f"logging_hook.py: {error}")
    fit_threads(64 * 784 * 100)  # the multiply-adds of the largest product: one thread is fastest
    (images, labels), _ = load_mnist(Path(__file__).parent / "data/mnist")
    model, loader, optimizer = prepare(images, labels)
    with tensorboard(folder) if options.tensorboard else csv_file(folder / "log.csv") as write:
        train(model, loader, optimizer, options.epochs, after_step=Logger(write, optimizer))
    look = f"tensorboard --logdir {folder}" if options.tensorboard else folder / "log.csv"
    print(f"{optimizer.steps} steps are logged: {look}")


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
