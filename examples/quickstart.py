"""Tensors, gradients and a training loop by hand, in forty lines of code: `python examples/quickstart.py`.

It reads handwritten digits with a network of one hidden layer: at least 96.5 % of the test set after three passes.
"""

from pathlib import Path

from tinygrad_np import Tensor, cross_entropy, grad, relu, set_num_threads
from tinygrad_np.data import DataLoader, load_mnist

import numpy as np

import command_line
import figures


def train(images: np.ndarray, labels: np.ndarray, epochs: int) -> tuple[list[Tensor], list[float]]:
    """The weights of the network, and the loss at each step."""
    rng = np.random.default_rng(0)
    w1 = Tensor(rng.normal(0, 0.05, (784, 100)), requires_grad=True, dtype=np.float32)
    w2 = Tensor(rng.normal(0, 0.14, (100, 10)), requires_grad=True, dtype=np.float32)
    losses = []
    loader = DataLoader(images, labels, batch_size=64, rng=rng)
    with command_line.progress(epochs * len(loader), "step", quiet=False) as bar:
        for _ in range(epochs):
            for pixels, digits in loader:
                loss = cross_entropy(relu(pixels @ w1) @ w2, digits)
                for weights, gradient in zip((w1, w2), grad(loss, (w1, w2)), strict=True):
                    weights.data -= 0.3 * gradient.data  # a step down the slope
                losses.append(loss.item())
                bar.update()
    return [w1, w2], losses


def main() -> None:
    command_line.parser(__doc__).parse_args()
    set_num_threads(1)  # products as small as these are fastest on one
    (images, labels), (test_images, test_labels) = load_mnist(Path(__file__).parent / "data/mnist")
    pixels, test_pixels = (a.reshape(len(a), 784) / np.float32(255) for a in (images, test_images))
    x = Tensor([0.0, 1.0, 2.0], requires_grad=True)  # an ndarray that remembers what is computed from it
    print("the slope of sin(x)**2:", grad((np.sin(x) ** 2).sum(), x), "and by the book:", np.sin(2 * x.data))
    (w1, w2), losses = train(pixels, labels, epochs=3)
    right = np.argmax(np.maximum(test_pixels @ w1.data, 0) @ w2.data, axis=1) == test_labels
    picture = figures.training(losses, "cross-entropy (nats per image)", {})
    path = command_line.save_picture(command_line.new_folder("quickstart"), picture)
    print(f"{np.mean(right):.2%} of the test images are read correctly; the loss is drawn in {path}")


if __name__ == "__main__":
    command_line.run(main)
