"""A variational autoencoder that draws handwritten digits: `python examples/mnist_vae.py`.

The encoder maps an image to a normal distribution over a latent plane, the decoder maps points of the plane back to
images (D. P. Kingma and M. Welling 2014, "Auto-encoding variational Bayes"). The pictures show where the test images
lie in the plane, and the image that is decoded at each point. After 20 epochs, three minutes on two cores, the evidence
lower bound (ELBO) of the test images is -139.5 nats; a decoder that always returns the mean image has -206.
"""

import argparse
import itertools
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, binary_cross_entropy_with_logits, nn, no_grad, sigmoid
from tinygrad_np.data import DataLoader, load_mnist
from tinygrad_np.optim import Adam
from tinygrad_np.schedules import CosineScheduler

import numpy as np

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm
except ModuleNotFoundError as error:
    sys.exit(f'mnist_vae.py needs {error.name}: python -m pip install -e ".[examples]"')


BLUE, VERMILION = "#0072b2", "#d55e00"  # of M. Okabe and K. Ito, whose colours everyone can tell apart
DIGITS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#f0e442", BLUE, VERMILION, "#cc79a7", "#bbbbbb", "#661100")


class Autoencoder(nn.Module):
    """Pixels (n, 784) to means and log-variances of their codes, (n, 2) each; codes (n, 2) to logits of pixels."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.encoder = nn.Sequential(
            nn.Linear(784, 512, rng=rng), nn.ReLU(), nn.Linear(512, 256, rng=rng), nn.ReLU(), nn.Linear(256, 4, rng=rng)
        )
        self.decoder = nn.Sequential(
            nn.Linear(2, 256, rng=rng), nn.ReLU(), nn.Linear(256, 512, rng=rng), nn.ReLU(), nn.Linear(512, 784, rng=rng)
        )

    def encode(self, pixels: np.ndarray) -> tuple[Tensor, Tensor]:
        both = self.encoder(pixels)
        return both[:, :2], both[:, 2:]


def negative_elbo(model: Autoencoder, pixels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The negative evidence lower bound, in nats per image: reconstruction error plus KL divergence from the prior."""
    mean, log_variance = model.encode(pixels)
    noise = rng.normal(size=mean.shape).astype(np.float32)
    logits = model.decoder(mean + np.exp(log_variance / 2) * noise)  # the reparameterisation trick
    reconstruction = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    divergence = -0.5 * np.sum(1 + log_variance - np.square(mean) - np.exp(log_variance))
    return (reconstruction + divergence) / len(pixels)


def train(model: Autoencoder, pixels: np.ndarray, epochs: int, rng: np.random.Generator) -> list[float]:
    """The negative ELBO of each step."""
    loader = DataLoader(pixels, batch_size=128, rng=rng)
    steps = epochs * len(loader)
    optimizer = Adam(model.parameters(), lr=CosineScheduler(2e-3, steps=steps))
    losses = []
    with tqdm(total=steps, unit="step", disable=None) as bar:
        for epoch in range(1, epochs + 1):
            for (batch,) in loader:
                loss = negative_elbo(model, batch, rng)
                optimizer.minimize(loss)
                losses.append(loss.item())
                bar.update()
            tqdm.write(f"epoch {epoch:2d}  negative ELBO {np.mean(losses[-len(loader) :]):.1f}")
            sys.stdout.flush()  # a log shows each epoch as it ends
    return losses


def draw_losses(losses: list[float], test: float) -> Figure:
    """The negative ELBO of each step, and that of the test images at the end."""
    figure = Figure((3.75, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(losses, color=BLUE, alpha=0.5)
    axes.axhline(test, color=VERMILION, linestyle="--", label=f"test images ({test:.1f})")
    axes.set(xlabel="step", ylabel="negative ELBO (nats per image)")
    axes.set_ylim(0.95 * min(*losses, test), 1.02 * max(np.percentile(losses, 99), test))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    return figure


def draw_latent_plane(codes: np.ndarray, labels: np.ndarray, decoded: np.ndarray, span: float) -> Figure:
    """The codes of images as dots, coloured by class; below, images decoded from a grid from -span to span.

    `decoded` has the shape (rows, columns, height, width), with the first row at the bottom. Of each class, some dots
    are drawn as digits, so that nobody needs the colours. Both pictures have the same axes.
    """
    figure = Figure((3.75, 7.4), layout="compressed")
    top, bottom = figure.subplots(2, sharex=True, sharey=True)
    for digit, color in enumerate(DIGITS):
        x, y = codes[labels == digit].T
        top.scatter(x, y, color=color, s=2, linewidths=0)
        halo = {"color": "white", "linewidths": 2.5}
        for style in (halo, {"color": "black", "linewidths": 0.3}):
            top.scatter(x[:8], y[:8], marker=f"${digit}$", s=36, zorder=2, **style)
    inside = np.all(np.abs(codes) <= span, axis=1)
    top.set(aspect="equal", xlim=(-span, span), ylim=(-span, span))
    top.set_title(f"{np.sum(inside):,} of {len(labels):,} test images")
    bottom.imshow(tiled(decoded[::-1]), cmap="gray_r", vmin=0, vmax=1, extent=(-span, span, -span, span))
    bottom.set_title("images decoded at each point")
    for axes in (top, bottom):
        axes.locator_params(nbins=5)
    return figure


def draw_samples(images: np.ndarray) -> Figure:
    """Images of the shape (rows, columns, height, width)."""
    figure = Figure((3.75, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiled(images), cmap="gray_r", vmin=0, vmax=1)
    axes.set_axis_off()
    axes.set_title("images decoded from random codes")
    return figure


def tiled(images: np.ndarray) -> np.ndarray:
    """Images of the shape (rows, columns, height, width) as one image."""
    rows, columns, height, width = images.shape
    return images.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "(default %(default)s)"
    parser.add_argument("--epochs", type=positive_integer, default=20, help=f"passes over the training set {default}")
    data = Path(__file__).parent / "data/mnist"
    parser.add_argument("--data", type=Path, default=data, help=f"folder with MNIST's files {default}")
    options = parser.parse_args()
    try:
        train_set, test_set = load_mnist(options.data)
        folder = new_folder("mnist_vae")
    except (OSError, ValueError) as error:
        sys.exit(f"mnist_vae.py: {error}")

    pixels, test_pixels = (d.images.reshape(len(d.images), -1) / np.float32(255) for d in (train_set, test_set))
    rng = np.random.default_rng(0)
    model = Autoencoder(rng)
    print(model)
    losses = train(model, pixels, options.epochs, rng)
    span = 2.5
    points = np.linspace(-span, span, 20, dtype=np.float32)
    with no_grad():
        elbo = -np.mean([negative_elbo(model, test_pixels, rng).item() for _ in range(3)])
        codes, _ = model.encode(test_pixels)
        grid = np.stack(np.meshgrid(points, points), axis=-1).reshape(-1, 2)
        decoded = sigmoid(model.decoder(grid)).data.reshape(20, 20, 28, 28)
        samples = sigmoid(model.decoder(rng.normal(size=(100, 2)).astype(np.float32))).data.reshape(10, 10, 28, 28)
    draw_losses(losses, -elbo).savefig(folder / "loss_by_step.png", dpi=200)
    draw_latent_plane(codes.data, test_set.labels, decoded, span).savefig(folder / "latent_plane.png", dpi=200)
    draw_samples(samples).savefig(folder / "samples.png", dpi=200)
    print(f"the ELBO of the test images is {elbo:.1f} nats on average; pictures are in {folder}")


def positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def new_folder(name: str) -> Path:
    """Make the folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    folder = next(Path("runs", name) for name in names if not Path("runs", name).exists())
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
