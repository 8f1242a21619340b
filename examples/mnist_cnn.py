"""A small convolutional network that reads handwritten digits: `python examples/mnist_cnn.py`.

Two convolutions, each with batch normalisation and max-pooling, and two linear layers. After 8 epochs, five minutes on
two cores, it reads 99.4 % of the test images correctly; after one, 98.8 %.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_np import cross_entropy, nn, no_grad, optim
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.serialization import save

import numpy as np

import command_line
import figures


def network(rng: "np.random.Generator") -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2, rng=rng),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2, rng=rng),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3, rng=rng),
        nn.Linear(32 * 7 * 7, 128, rng=rng),
        nn.ReLU(),
        nn.Linear(128, 10, rng=rng),
    )


def pixels(images: np.ndarray) -> np.ndarray:
    """A batch of images, bytes, as (n, 1, height, width) of float32 from 0 to 1."""
    return np.multiply(images[:, np.newaxis], np.float32(1 / 255), dtype=np.float32)


def train(model: nn.Sequential, dataset: Dataset, epochs: int, rng: "np.random.Generator", bar: Any) -> Iterator[float]:
    """Train; after every epoch, yield the mean loss."""
    loader = DataLoader(*dataset, batch_size=64, rng=rng)
    schedule = optim.CosineScheduler(2e-3, steps=epochs * len(loader))
    optimizer = optim.AdamW(model.parameters(), lr=schedule, weight_decay=0.01)
    for _ in range(epochs):
        model.train()
        losses = []
        for images, labels in loader:
            loss = cross_entropy(model(pixels(images)), labels)
            optimizer.minimize(loss)
            losses.append(loss.item())
            bar.update()
        yield float(np.mean(losses))


def accuracy(model: nn.Sequential, dataset: Dataset) -> float:
    """What part of a dataset the network reads correctly."""
    model.eval()
    with no_grad():
        parts = [model(pixels(dataset.images[i : i + 500])).argmax(axis=1) for i in range(0, len(dataset.images), 500)]
    return float(np.mean(np.concatenate(parts) == dataset.labels))


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add(parser, "--epochs", "passes over the training set", type=command_line.positive_integer, default=8)
    command_line.add(
        parser, "--data", "folder of MNIST's files", default=Path(__file__).parent / "data/mnist", type=Path
    )
    command_line.add(parser, "--seed", "of weights, order and dropout", type=command_line.natural, default=0)
    command_line.add(parser, "--out", "a folder for weights and picture (default: a new one under runs/)", type=Path)
    options = parser.parse_args()

    train_set, test_set = load_mnist(options.data)
    folder = command_line.writable_folder(options.out) if options.out else command_line.new_folder("mnist_cnn")
    rng = np.random.default_rng(options.seed)
    model = network(rng)
    print(model)
    steps = options.epochs * -(-len(train_set.labels) // 64)
    losses, read = [], []
    with command_line.progress(steps, "step", quiet=False) as bar:
        for epoch, loss in enumerate(train(model, train_set, options.epochs, rng, bar), 1):
            losses.append(loss)
            read.append(accuracy(model, test_set))
            bar.write(f"epoch {epoch:2d}  train loss {loss:.4f}  test accuracy {read[-1]:.2%}")
    save(folder / "model.safetensors", model.state_dict())
    command_line.save_picture(folder, figures.accuracy(read))
    print(f"{read[-1]:.2%} of the test images are read correctly; weights and picture are in {folder}")


if __name__ == "__main__":
    command_line.run(main)
