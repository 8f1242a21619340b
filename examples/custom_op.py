"""An operation of your own, its gradient, and the proof that the gradient is right: `python examples/custom_op.py`.

The operation is Mish, x * tanh(log(1 + exp(x))) (D. Misra, 2019), an activation that the package does not have. Its
gradient stands above it. `check_gradients` compares it with finite differences, to second order, and would name the
argument, the index and both numbers if it were wrong. Then a network that uses it reads handwritten digits.
"""

from pathlib import Path

from tinygrad_np import cross_entropy, differentiable, nn, optim, set_num_threads, sigmoid
from tinygrad_np.data import DataLoader, load_mnist
from tinygrad_np.testing import check_gradients

import numpy as np

import command_line
import figures


def slope(x: np.ndarray) -> np.ndarray:
    """The derivative of Mish; of ndarrays and of Tensors alike, which is what gives second derivatives."""
    t = np.tanh(np.logaddexp(x, 0))
    return t + x * (1 - t * t) * sigmoid(x)


@differentiable(lambda g, y, x: g * slope(x))
def mish(x: np.ndarray) -> np.ndarray:
    """x * tanh(log(1 + exp(x))), each element."""
    return x * np.tanh(np.logaddexp(x, 0))


class Mish(nn.Module):
    """The operation as a layer."""

    def forward(self, x: object) -> object:
        return mish(x)


def accuracy(images: np.ndarray, labels: np.ndarray, tested: tuple[np.ndarray, np.ndarray]) -> float:
    """What part of the tested images a network with Mish reads after one pass over the others."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, 100, rng=rng), Mish(), nn.Linear(100, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.2)
    loader = DataLoader(images, labels, batch_size=64, rng=rng)
    with command_line.progress(len(loader), "step", quiet=False) as bar:
        for pixels, digits in loader:
            optimizer.minimize(cross_entropy(model(pixels), digits))
            bar.update()
    return float(np.mean(model(tested[0]).argmax(axis=1) == tested[1]))


def main() -> None:
    command_line.parser(__doc__).parse_args()
    set_num_threads(1)  # products as small as these are fastest on one
    places = np.array([-30.0, -1.2, 0.0, 0.7, 30.0])
    check_gradients(mish, places, order=2)
    print(f"the gradient of mish is that of finite differences, to second order, at {places}")
    x = np.linspace(-5, 5, 201)
    path = command_line.save_picture(
        command_line.new_folder("custom_op"), figures.operation("Mish", x, mish(x), slope(x))
    )
    (images, labels), (test_images, test_labels) = load_mnist(Path(__file__).parent / "data/mnist")
    pixels, test_pixels = (a.reshape(len(a), 784) / np.float32(255) for a in (images, test_images))
    read = accuracy(pixels, labels, (test_pixels, test_labels))
    print(f"a network with it reads {read:.2%} of the test images after one pass; it is drawn in {path}")


if __name__ == "__main__":
    command_line.run(main)
