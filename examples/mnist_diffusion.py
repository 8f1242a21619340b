"""A diffusion model that draws the digits it is asked for, out of noise: `python examples/mnist_diffusion.py`.

Noise is added to an image until nothing else is left. A U-Net learns to tell the two apart, and so to take the noise
away again, in 100 steps (J. Ho, A. Jain and P. Abbeel 2020, "Denoising diffusion probabilistic models"). Mostly it is
told which digit the image shows. So it can draw with and without being told, and going on from one to the other makes
a digit clearer (J. Ho and T. Salimans 2022, "Classifier-free diffusion guidance").
"""

import argparse
import itertools
import signal
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ctrl-C ends it without a traceback, also while it imports

from tinygrad_np import Tensor, interpolate, nn, no_grad, pixel_shuffle, pixel_unshuffle, silu
from tinygrad_np.data import DataLoader, Dataset, load_mnist
from tinygrad_np.optim import EMA, Adam
from tinygrad_np.schedules import CosineScheduler
from tinygrad_np.serialization import save

import numpy as np

try:
    from matplotlib.figure import Figure
    from tqdm import tqdm, trange
except ModuleNotFoundError as error:
    sys.exit(f'mnist_diffusion.py needs {error.name}: python -m pip install -e ".[examples]"')

BATCH_SIZE = 64
STEPS = 100  # from an image to noise
UNTOLD = 10  # the label that does not tell the digit
GUIDANCE = 1.0  # how far the drawings go beyond what the label says; 0 for not at all
COSINES = np.cos(np.linspace(0.02, 0.995, STEPS + 1) * np.pi / 2) ** 2  # A. Nichol and P. Dhariwal 2021
KEPT = COSINES[1:] / COSINES[0]  # the part of the variance that is still the image's after each step
ADDED = 1 - COSINES[1:] / COSINES[:-1]  # the part that becomes noise in each step


class Block(nn.Module):
    """Two convolutions, to which their input is added; in between, step and label scale and shift each channel."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.conv2.weight.data *= np.float32(0.1)  # a deep network begins as a shallow one
        self.condition = nn.Linear(64, 2 * channels, rng=rng)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.norm2(self.conv1(silu(self.norm1(x))))
        scale, shift = np.split(self.condition(condition)[:, :, np.newaxis, np.newaxis], 2, axis=1)
        return x + self.conv2(silu(y * (1 + scale) + shift))


class Attention(nn.Module):
    """Each place looks at all others, so that the parts of a digit fit together; the input is added."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.norm = nn.GroupNorm(8, channels)
        self.places = nn.LearnedPositionalEncoding(channels, 49, rng=rng)
        self.attention = nn.MultiheadAttention(channels, 4, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        y = self.places(self.norm(x).reshape(n, channels, height * width).transpose(0, 2, 1))
        y, _ = self.attention(y, y, y, need_weights=False)
        return x + y.transpose(0, 2, 1).reshape(n, channels, height, width)


class UNet(nn.Module):
    """Predicts the velocity of images (n, 28, 28) of the labels (n,) after steps (n,).

    The velocity is `sqrt(kept) * noise - sqrt(1 - kept) * image`. It asks for the noise where there is little of it,
    and for the image where there is little of that (T. Salimans and J. Ho 2022, "Progressive distillation").

    2 x 2 pixels are four channels of one place, so the network works on 14 x 14 places, and inside on 7 x 7.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.time = nn.Sequential(nn.Linear(32, 64, rng=rng), nn.SiLU(), nn.Linear(64, 64, rng=rng))
        self.label = nn.Embedding(UNTOLD + 1, 64, rng=rng)
        self.first = nn.Conv2d(4, 32, 3, padding=1, rng=rng)
        self.fine = nn.ModuleList([Block(32, rng), Block(32, rng), Block(32, rng)])
        self.down = nn.Conv2d(32, 64, 3, stride=2, padding=1, rng=rng)
        self.coarse = nn.ModuleList([Block(64, rng), Block(64, rng)])
        self.attention = Attention(64, rng)
        self.up = nn.Conv2d(64, 32, 1, rng=rng)
        self.norm = nn.GroupNorm(8, 32)
        self.last = nn.Conv2d(32, 4, 3, padding=1, rng=rng)
        self.last.weight.data *= np.float32(0.1)

    def forward(self, images: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> Tensor:
        condition = silu(self.time(waves(steps)) + self.label(labels))
        fine = self.fine[0](self.first(pixel_unshuffle(images[:, np.newaxis], 2)), condition)
        coarse = self.coarse[0](self.down(fine), condition)
        coarse = self.coarse[1](self.attention(coarse), condition)
        x = self.fine[1](interpolate(self.up(coarse), scale_factor=2) + fine, condition)
        x = self.fine[2](x, condition)
        return pixel_shuffle(self.last(silu(self.norm(x))), 2)[:, 0]


def waves(steps: np.ndarray) -> np.ndarray:
    """Steps (n,) as sines and cosines (n, 32) of several frequencies."""
    angles = (steps[:, np.newaxis] + 1) / STEPS * np.geomspace(1, 100, 16)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 images as float32 from -1 to 1."""
    return np.multiply(images, np.float32(2 / 255), dtype=np.float32) - 1


def error(model: UNet, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The mean squared error of the predicted velocity, at a random step for each image; a tenth is without label."""
    steps = rng.integers(0, STEPS, len(images))
    labels = np.where(rng.random(len(images)) < 0.1, UNTOLD, labels)
    noise = rng.standard_normal(images.shape, np.float32)
    kept = KEPT[steps, np.newaxis, np.newaxis].astype(np.float32)
    velocity = np.sqrt(kept) * noise - np.sqrt(1 - kept) * images
    return np.mean(np.square(model(np.sqrt(kept) * images + np.sqrt(1 - kept) * noise, steps, labels) - velocity))


def train(model: UNet, dataset: Dataset, epochs: int, rng: np.random.Generator) -> list[float]:
    """The error of each step. In the end the network has the average of its weights over the last tenth."""
    loader = DataLoader(*dataset, batch_size=BATCH_SIZE, rng=rng)
    total = epochs * len(loader)
    optimizer = Adam(model.parameters(), lr=CosineScheduler(2e-3, steps=total))
    averages = EMA(model.parameters(), decay=max(0, 1 - 10 / total))
    errors = []
    with tqdm(total=total, unit="step", disable=None) as bar:
        for epoch in range(1, epochs + 1):
            for images, labels in loader:
                loss = error(model, pixels(images), labels, rng)
                optimizer.minimize(loss)
                averages.update()
                errors.append(loss.item())
                bar.update()
            tqdm.write(f"epoch {epoch:2d}  error {np.mean(errors[-len(loader) :]):.4f}")
            sys.stdout.flush()  # a log shows each epoch as it ends
    for weights, average in zip(averages.parameters, averages.averages, strict=True):
        weights.data = average
    return errors


def draw_digits(model: UNet, labels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Images (n, 28, 28) of the digits (n,) after each step from noise to digits."""
    x = rng.standard_normal((len(labels), 28, 28), np.float32)
    images = [x]
    for step in trange(STEPS - 1, -1, -1, unit="step", disable=None):
        steps = np.full(len(labels), step)
        with no_grad():
            told = model(x, steps, labels).data
            untold = model(x, steps, np.full_like(labels, UNTOLD)).data
        velocity = told + GUIDANCE * (told - untold)
        clean = np.clip(np.sqrt(KEPT[step]) * x - np.sqrt(1 - KEPT[step]) * velocity, -1, 1)
        before = KEPT[step - 1] if step else 1.0
        # The mean and the variance of the image one step before, given this one and the digit that is guessed.
        mean = (np.sqrt(before) * ADDED[step] * clean + np.sqrt(1 - ADDED[step]) * (1 - before) * x) / (1 - KEPT[step])
        variance = ADDED[step] * (1 - before) / (1 - KEPT[step])
        x = (mean + np.sqrt(variance) * rng.standard_normal(x.shape)).astype(np.float32)
        images.append(x)
    return images


def draw(images: np.ndarray, title: str) -> Figure:
    """Images of the shape (rows, columns, height, width)."""
    rows, columns, height, _ = images.shape
    figure = Figure((3.75, 3.75 * rows / columns + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(images.transpose(0, 2, 1, 3).reshape(rows * height, -1), cmap="gray_r", vmin=-1, vmax=1)
    axes.set(xticks=[], yticks=[], title=title)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = "(default %(default)s)"
    parser.add_argument("--epochs", type=positive_integer, default=3, help=f"passes over the training set {default}")
    data = Path(__file__).parent / "data/mnist"
    parser.add_argument("--data", type=Path, default=data, help=f"folder with MNIST's files {default}")
    parser.add_argument("--seed", type=natural, default=0, help=f"of weights, order and noise {default}")
    parser.add_argument("--out", type=Path, help="folder for weights and pictures (default: a new one under runs/)")
    options = parser.parse_args()
    try:
        train_set, test_set = load_mnist(options.data)
        folder = options.out or new_folder("mnist_diffusion")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # whether files can be written there
    except (OSError, ValueError) as error_of_files:
        sys.exit(f"mnist_diffusion.py: {error_of_files}")

    rng = np.random.default_rng(options.seed)
    model = UNet(rng)
    print(model)
    train(model, train_set, options.epochs, rng)
    with no_grad():
        loss = error(model, pixels(test_set.images[:2000]), test_set.labels[:2000], rng).item()
    save(folder / "model.safetensors", model.state_dict())
    images = draw_digits(model, np.repeat(np.arange(10), 10), rng)
    draw(images[-1].reshape(10, 10, 28, 28), "each row was asked for one digit").savefig(folder / "digits.png", dpi=200)
    shown = [*range(0, STEPS, STEPS // 9), STEPS]
    steps = np.stack([images[step][::20] for step in shown], axis=1)
    draw(steps, "from noise to digits").savefig(folder / "steps.png", dpi=200)
    print(f"the error on test images is {loss:.4f}; weights and pictures are in {folder}")


def positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return int(text)


def new_folder(name: str) -> Path:
    """The folder runs/name, or runs/name-2, -3 ... if that exists."""
    names = itertools.chain([name], (f"{name}-{n}" for n in itertools.count(2)))
    return next(Path("runs", name) for name in names if not Path("runs", name).exists())


if __name__ == "__main__":
    main()
