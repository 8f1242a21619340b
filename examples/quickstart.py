"""Tensors, gradients and a training loop by hand: `python examples/quickstart.py`.

A network with one hidden layer learns to read handwritten digits: at least 96.5 % of the test set after three epochs.
The script needs only the package. With tqdm it shows its progress, with matplotlib it draws the loss.
"""

import argparse
import itertools
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, cross_entropy, fit_threads, grad, relu
from tinygrad_np.data import DataLoader, load_mnist

import numpy as np

try:
    from tqdm import tqdm
except ModuleNotFoundError:
    tqdm = None
try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    Figure = None


def train(images: np.ndarray, labels: np.ndarray, epochs: int) -> tuple[Tensor, Tensor, list[float]]:
    """The weights of both layers, and the loss of each step."""
    rng = np.random.default_rng(0)
    w1 = Tensor(rng.normal(0, 0.05, (784, 100)), requires_grad=True, dtype=np.float32)
    w2 = Tensor(rng.normal(0, 0.14, (100, 10)), requires_grad=True, dtype=np.float32)
    loader = DataLoader(images, labels, batch_size=64, rng=rng)
    losses = []
    for epoch in range(1, epochs + 1):
        for pixels, digits in tqdm(loader, unit="step", disable=None, leave=False) if tqdm else loader:
            loss = cross_entropy(relu(pixels @ w1) @ w2, digits)
            for weights, gradient in zip((w1, w2), grad(loss, (w1, w2)), strict=True):
                weights.data -= 0.3 * gradient.data  # a step of gradient descent
            losses.append(loss.item())
        print(f"epoch {epoch}/{epochs}  loss {np.mean(losses[-len(loader) :]):.4f}", flush=True)
    return w1, w2, losses


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    missing = ["no progress bar without tqdm"] * (not tqdm) + ["no picture without matplotlib"] * (not Figure)
    if missing:
        print(f'{", ".join(missing)}: python -m pip install -e ".[examples]"')
    if Figure:
        try:  # now, not after the training
            folder = new_folder("quickstart")
        except OSError as error:
            sys.exit(f"quickstart.py: {error}")
    fit_threads(64 * 784 * 100)  # the multiply-adds of the largest product: one thread is fastest

    x = Tensor([0.0, 1.0, 2.0], requires_grad=True)  # an ndarray that records what is computed from it
    print("the derivative of sin(x)**2:", grad((np.sin(x) ** 2).sum(), x), "and in closed form:", np.sin(2 * x.data))

    (images, labels), (test_images, test_labels) = load_mnist(Path(__file__).parent / "data/mnist")
    pixels, test_pixels = (a.reshape(len(a), 784) / np.float32(255) for a in (images, test_images))
    w1, w2, losses = train(pixels, labels, epochs=3)
    correct = np.argmax(np.maximum(test_pixels @ w1.data, 0) @ w2.data, axis=1) == test_labels
    where = ""
    if Figure:
        path = folder / "loss_by_step.png"
        draw(losses).savefig(path, dpi=160)
        where = f"; the loss is drawn in {path}"
    print(f"{np.mean(correct):.2%} of the test images are read correctly{where}")


def draw(losses: list[float]) -> "Figure":
    """The loss of each step, and its moving average."""
    figure = Figure((3.75, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(losses, color="#0072b2", alpha=0.3)
    means = np.convolve(losses, np.full(50, 1 / 50), "valid")
    axes.plot(range(25, len(losses) - 24), means, color="#d55e00", label="mean of 50 steps")
    axes.set(xlabel="step", ylabel="cross-entropy (nats)", ylim=(0, np.percentile(losses, 99)))
    axes.legend()
    return figure


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
