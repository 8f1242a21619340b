"""An operation of your own, and the proof that its gradient is right: `python examples/custom_op.py`.

The operation is Mish, x * tanh(log(1 + exp(x))) (D. Misra 2019, "Mish: a self regularized non-monotonic activation
function"), an activation that the package does not have. Its gradient stands above it. `check_gradients` compares the
gradient with finite differences, to second order; if it were wrong, the error would name the argument, the index and
both numbers. Then a network with Mish learns to read handwritten digits.
"""

import argparse
import itertools
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, cross_entropy, differentiable, fit_threads, nn, sigmoid
from tinygrad_np.data import DataLoader, load_mnist
from tinygrad_np.optim import SGD
from tinygrad_np.testing import check_gradients

import numpy as np

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f'custom_op.py needs {error.name}: python -m pip install -e ".[examples]"')

BLUE, VERMILION = "#0072b2", "#d55e00"  # of M. Okabe and K. Ito, whose colours everyone can tell apart


def derivative(x: np.ndarray) -> np.ndarray:
    """The derivative of Mish. It takes Tensors as well as ndarrays, and so has derivatives itself."""
    t = np.tanh(np.logaddexp(x, 0))
    return t + x * (1 - t * t) * sigmoid(x)


@differentiable(lambda g, y, x: g * derivative(x))
def mish(x: np.ndarray) -> np.ndarray:
    """x * tanh(log(1 + exp(x))), elementwise."""
    return x * np.tanh(np.logaddexp(x, 0))


class Mish(nn.Module):
    """The operation as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return mish(x)


def accuracy(images: np.ndarray, labels: np.ndarray, test_images: np.ndarray, test_labels: np.ndarray) -> float:
    """The test accuracy of a network with Mish after one epoch."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 100, rng=rng), Mish(), nn.Linear(100, 10, rng=rng))
    optimizer = SGD(model.parameters(), lr=0.2)
    for pixels, digits in tqdm(DataLoader(images, labels, batch_size=64, rng=rng), unit="step", disable=None):
        optimizer.minimize(cross_entropy(model(pixels), digits))
    return float(np.mean(model(test_images).argmax(axis=1) == test_labels))


def draw() -> Figure:
    """Mish and its derivative."""
    x = np.linspace(-5, 5, 201)
    figure = Figure((3.75, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(x, mish(x), color=BLUE, label="Mish")
    axes.plot(x, derivative(x), color=VERMILION, linestyle="--", label="its derivative")
    axes.set(xlabel="x")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    try:
        path = new_folder("custom_op") / "operation.png"
    except OSError as error:
        sys.exit(f"custom_op.py: {error}")
    fit_threads(64 * 784 * 100)  # the multiply-adds of the largest product: one thread is fastest
    points = np.array([-30.0, -1.2, 0.0, 0.7, 30.0])
    check_gradients(mish, points, order=2)
    print(f"the gradient of mish agrees with finite differences, to second order, at {points}")
    draw().savefig(path, dpi=160)
    (images, labels), (test_images, test_labels) = load_mnist(Path(__file__).parent / "data/mnist")
    pixels, test_pixels = (a.reshape(len(a), 784) / np.float32(255) for a in (images, test_images))
    read = accuracy(pixels, labels, test_pixels, test_labels)
    print(f"a network with it reads {read:.2%} of the test images after one epoch; it is drawn in {path}")


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
