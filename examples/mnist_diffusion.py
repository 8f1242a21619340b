"""A diffusion model that draws handwritten digits out of noise: `python examples/mnist_diffusion.py`.

Noise is added to an image until nothing else is left. A U-Net learns to predict the noise in it, and so to take the
noise away again, in 100 steps (J. Ho, A. Jain and P. Abbeel 2020, "Denoising diffusion probabilistic models"). The
pictures show digits that it has drawn, and how some of them came out of the noise.
"""

import argparse
import itertools
import sys
from pathlib import Path

from tinygrad_np import Tensor, nn, no_grad, silu
from tinygrad_np.data import DataLoader, load_mnist
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
# The part of the variance that is still the image's before the first step, which is all, and after each, sinking like a
# cosine (A. Nichol and P. Dhariwal 2021).
COSINES = np.cos(np.linspace(0.02, 0.995, STEPS + 1) * np.pi / 2) ** 2
KEPT = COSINES[1:] / COSINES[0]
ADDED = 1 - COSINES[1:] / COSINES[:-1]  # the part that becomes noise in each step


class Block(nn.Module):
    """Two convolutions, to which their input is added; the time is added in between, to each channel."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.conv2.weight.data *= np.float32(0.1)  # a deep network begins as a shallow one
        self.time = nn.Linear(64, channels, rng=rng)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.conv1(silu(self.norm1(x))) + self.time(time)[:, :, np.newaxis, np.newaxis]
        return x + self.conv2(silu(self.norm2(y)))


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
    """Predicts the noise in images (n, 28, 28) after steps (n,).

    2 x 2 pixels are four channels of one place, so the network works on 14 x 14 places, and inside on 7 x 7.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.time = nn.Sequential(nn.Linear(32, 64, rng=rng), nn.SiLU(), nn.Linear(64, 64, rng=rng), nn.SiLU())
        self.first = nn.Conv2d(4, 32, 3, padding=1, rng=rng)
        self.fine = Block(32, rng)
        self.down = nn.Conv2d(32, 64, 3, stride=2, padding=1, rng=rng)
        self.coarse = nn.ModuleList([Block(64, rng), Block(64, rng), Block(64, rng)])
        self.attention = nn.ModuleList([Attention(64, rng), Attention(64, rng)])
        self.up = nn.Conv2d(64, 32, 1, rng=rng)
        self.fine_again = Block(32, rng)
        self.last = nn.Conv2d(32, 4, 3, padding=1, rng=rng)
        self.last.weight.data *= np.float32(0.1)

    def forward(self, images: np.ndarray, steps: np.ndarray) -> Tensor:
        time = self.time(waves(steps))
        fine = self.fine(self.first(as_channels(images)), time)
        coarse = self.down(fine)
        coarse = self.coarse[0](coarse, time)
        for attention, block in zip(self.attention, self.coarse[1:], strict=True):
            coarse = block(attention(coarse), time)
        doubled = np.repeat(np.repeat(self.up(coarse), 2, axis=2), 2, axis=3)
        x = self.fine_again(doubled + fine, time)
        return as_images(self.last(silu(x)))


def waves(steps: np.ndarray) -> np.ndarray:
    """Steps (n,) as sines and cosines (n, 32) of several frequencies."""
    angles = (steps[:, np.newaxis] + 1) / STEPS * np.geomspace(1, 100, 16)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def as_channels(images: np.ndarray) -> np.ndarray:
    """Images (n, 28, 28) to (n, 4, 14, 14)."""
    return images.reshape(-1, 14, 2, 14, 2).transpose(0, 2, 4, 1, 3).reshape(-1, 4, 14, 14)


def as_images(x: Tensor) -> Tensor:
    """The inverse of `as_channels`."""
    return x.reshape(-1, 2, 2, 14, 14).transpose(0, 3, 1, 4, 2).reshape(-1, 28, 28)


def pixels(images: np.ndarray) -> np.ndarray:
    """uint8 images as float32 from -1 to 1."""
    return np.multiply(images, np.float32(2 / 255), dtype=np.float32) - 1


def error(model: UNet, images: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The mean squared error of the predicted noise, at a random step for each image."""
    steps = rng.integers(0, STEPS, len(images))
    noise = rng.standard_normal(images.shape, np.float32)
    kept = KEPT[steps, np.newaxis, np.newaxis].astype(np.float32)
    return np.mean(np.square(model(np.sqrt(kept) * images + np.sqrt(1 - kept) * noise, steps) - noise))


def train(model: UNet, images: np.ndarray, epochs: int, rng: np.random.Generator) -> list[float]:
    """The error of each step. In the end the network has the average of its weights over the last tenth."""
    loader = DataLoader(images, batch_size=BATCH_SIZE, rng=rng)
    total = epochs * len(loader)
    optimizer = Adam(model.parameters(), lr=CosineScheduler(2e-3, steps=total))
    averages = EMA(model.parameters(), decay=max(0, 1 - 10 / total))
    errors = []
    with tqdm(total=total, unit="step") as bar:
        for _ in range(epochs):
            for (batch,) in loader:
                loss = error(model, pixels(batch), rng)
                optimizer.minimize(loss)
                averages.update()
                errors.append(loss.item())
                bar.update()
    for weights, average in zip(averages.parameters, averages.averages, strict=True):
        weights.data = average
    return errors


def draw_digits(model: UNet, n: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Images (n, 28, 28) after each step from noise to digits."""
    x = rng.standard_normal((n, 28, 28), np.float32)
    images = [x]
    for step in trange(STEPS - 1, -1, -1, unit="step"):
        with no_grad():
            noise = model(x, np.full(n, step)).data
        clean = np.clip((x - np.sqrt(1 - KEPT[step]) * noise) / np.sqrt(KEPT[step]), -1, 1)
        before = KEPT[step - 1] if step else 1.0
        # The mean and the variance of the image one step before, given this one and the digit that is guessed.
        mean = (np.sqrt(before) * ADDED[step] * clean + np.sqrt(1 - ADDED[step]) * (1 - before) * x) / (1 - KEPT[step])
        variance = ADDED[step] * (1 - before) / (1 - KEPT[step])
        x = (mean + np.sqrt(variance) * rng.standard_normal(x.shape)).astype(np.float32)
        images.append(x)
    return images


def tiled(images: np.ndarray) -> np.ndarray:
    """Images of the shape (rows, columns, height, width) as one image."""
    rows, columns, height, width = images.shape
    return images.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def draw(images: np.ndarray, title: str) -> Figure:
    """Images of the shape (rows, columns, height, width)."""
    rows, columns = images.shape[:2]
    figure = Figure((6, 6 * rows / columns + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(tiled(images), cmap="gray_r", vmin=-1, vmax=1)
    axes.set_axis_off()
    axes.set_title(title)
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
    except (OSError, ValueError) as error_of_files:
        sys.exit(f"mnist_diffusion.py: {error_of_files}")

    rng = np.random.default_rng(options.seed)
    model = UNet(rng)
    print(model)
    train(model, train_set.images, options.epochs, rng)
    with no_grad():
        parts = [error(model, pixels(test_set.images[i : i + 500]), rng).item() for i in range(0, 5000, 500)]
    save(folder / "model.safetensors", model.state_dict())
    images = draw_digits(model, 100, rng)
    draw(images[-1].reshape(10, 10, 28, 28), "digits drawn out of noise").savefig(folder / "digits.png", dpi=120)
    shown = [*range(0, STEPS, STEPS // 9), STEPS]
    steps = np.stack([images[step][:5] for step in shown], axis=1)
    draw(steps, "from noise to digits").savefig(folder / "steps.png", dpi=120)
    print(f"{np.mean(parts):.4f} of the noise in test images is not predicted; weights and pictures are in {folder}")


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
