"""A variational autoencoder that draws handwritten digits: `python examples/mnist_vae.py`.

An encoder puts each image into a plane, not at a point but with a doubt; a decoder draws images from points of the
plane (D. P. Kingma and M. Welling 2014, "Auto-encoding variational Bayes"). The pictures show where the digits lie, and
what is drawn at each place. After 20 epochs, three minutes on two cores, the bound on the log-likelihood of the test
images is -139.5 nats; of a decoder that knows only the mean image it is -206.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

from tinygrad_np import binary_cross_entropy_with_logits, nn, no_grad, optim, sigmoid
from tinygrad_np.data import DataLoader, load_mnist

import numpy as np

import command_line
import figures


class Autoencoder(nn.Module):
    """Pixels (n, 784) to mean and logarithm of the variance of their codes, (n, 2) each, and codes to logits."""

    def __init__(self, rng: "np.random.Generator") -> None:
        def between(*sizes: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for inputs, outputs in pairwise(sizes):
                layers += [nn.Linear(inputs, outputs, rng=rng), nn.ReLU()]
            return nn.Sequential(*layers[:-1])

        self.encoder, self.decoder = between(784, 512, 256, 4), between(2, 256, 512, 784)

    def encode(self, pixels: Any) -> tuple[Any, Any]:
        both = self.encoder(pixels)
        return both[:, :2], both[:, 2:]


def negative_bound(model: Autoencoder, pixels: np.ndarray, rng: "np.random.Generator") -> Any:
    """What is minimised, in nats per image: how badly images are drawn again, and what their codes say too much."""
    mean, log_variance = model.encode(pixels)
    noise = rng.normal(size=mean.shape).astype(np.float32)
    logits = model.decoder(mean + np.exp(log_variance / 2) * noise)
    redrawn = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    divergence = -0.5 * np.sum(1 + log_variance - np.square(mean) - np.exp(log_variance))
    return (redrawn + divergence) / len(pixels)


def train(model: Autoencoder, pixels: np.ndarray, epochs: int, rng: "np.random.Generator", bar: Any) -> list[float]:
    """The negative bound, step by step."""
    loader = DataLoader(pixels, batch_size=128, rng=rng)
    schedule = optim.CosineScheduler(2e-3, steps=epochs * len(loader))
    optimizer = optim.Adam(model.parameters(), lr=schedule)
    losses = []
    for _ in range(epochs):
        for (batch,) in loader:
            loss = negative_bound(model, batch, rng)
            optimizer.minimize(loss)
            losses.append(loss.item())
            bar.update()
    return losses


def main() -> None:
    parser = command_line.parser(__doc__)
    command_line.add(parser, "--epochs", "passes over the training set", type=command_line.positive_integer, default=20)
    command_line.add(
        parser, "--data", "folder of MNIST's files", default=Path(__file__).parent / "data/mnist", type=Path
    )
    options = parser.parse_args()
    train_set, test_set = load_mnist(options.data)
    pixels, test_pixels = (d.images.reshape(len(d.images), -1) / np.float32(255) for d in (train_set, test_set))
    rng = np.random.default_rng(0)
    model = Autoencoder(rng)
    print(model)
    with command_line.progress(options.epochs * -(-len(pixels) // 128), "step", quiet=False) as bar:
        losses = train(model, pixels, options.epochs, rng, bar)
    folder, span = command_line.new_folder("mnist_vae"), 2.5
    places = np.linspace(-span, span, 20, dtype=np.float32)
    with no_grad():
        bound = -np.mean([negative_bound(model, test_pixels, rng).item() for _ in range(3)])
        codes, _ = model.encode(test_pixels)
        grid = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)
        tiles = sigmoid(model.decoder(grid)).data.reshape(20, 20, 28, 28)
        drawn = sigmoid(model.decoder(rng.normal(size=(100, 2)).astype(np.float32))).data.reshape(-1, 28, 28)
    command_line.save_picture(folder, figures.training(losses, "negative bound (nats per image)", {"test": -bound}))
    command_line.save_picture(folder, figures.latent_plane(codes.data, test_set.labels, tiles, span))
    command_line.save_picture(folder, figures.samples(drawn))
    print(f"the test images' log-likelihood is above {bound:.1f} nats on average; pictures are in {folder}")


if __name__ == "__main__":
    command_line.run(main)
