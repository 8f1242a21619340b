"""Pictures of digits as people take them, drawn from MNIST's test digits, and how well each kind is read.

PYTHONPATH=.:examples python tests/study/pictures.py runs/mnist_fcn/model.safetensors 100
"""

import sys
import tempfile
from pathlib import Path

from tinygrad_np import softmax
from tinygrad_np.data import load_mnist

import numpy as np
from PIL import Image

import mnist_fcn
from mnist_study.application import SURE
from mnist_study.digits import read_digits
from mnist_study.models import load_model

KINDS = (
    "plain", "light on dark", "JPEG", "WebP", "turned", "dark border", "ruled paper", "squared paper", "shadow",
    "specks", "coloured", "several",
)  # fmt: skip
SIDE = 140  # pixels of a digit
MNIST = Path(__file__).parents[2] / "examples/data/mnist"


def draw(kind: str, digits: np.ndarray, path: Path, seed: int = 0) -> Path:
    """Save a picture of this kind of a digit, or of several side by side, and return its file."""
    rng = np.random.default_rng(seed)
    strip = np.concatenate([np.asarray(Image.fromarray(d).resize((SIDE, SIDE))) for d in digits], axis=1) / 255.0
    ink = np.pad(strip, [tuple(rng.integers(30, 90, 2)), tuple(rng.integers(30, 90, 2))])
    height, width = ink.shape
    paper = np.full(ink.shape, 0.9)
    spacing = 26
    if kind in ("ruled paper", "squared paper"):
        paper[10::spacing] = paper[11::spacing] = 0.65
    if kind == "squared paper":
        paper[:, 10::spacing] = paper[:, 11::spacing] = 0.65
    if kind == "shadow":
        distance = np.hypot(*np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij"))
        paper *= 1 - 0.4 * distance / 1.42
    page = paper * (1 - 0.85 * ink)
    if kind == "light on dark":
        page = 1 - page
    if kind == "specks":
        for row, column in zip(rng.integers(0, height - 4, 12), rng.integers(0, width - 4, 12), strict=True):
            page[row : row + 3, column : column + 3] = 0.3
    if kind == "dark border":
        page = np.pad(page, 25, constant_values=0.15)
    grey = np.round(255 * page).astype(np.uint8)
    if kind == "coloured":
        Image.fromarray(np.stack([grey, np.minimum(grey + 10, 240), np.maximum(grey, 60)], axis=-1)).save(path, "PNG")
        return path
    exif = Image.Exif()
    if kind == "turned":
        exif[0x0112] = 6
        grey = np.rot90(grey)
    formats = {"JPEG": "JPEG", "turned": "JPEG", "shadow": "JPEG", "WebP": "WEBP"}
    Image.fromarray(grey).save(path, formats.get(kind, "PNG"), exif=exif)
    return path


def readings(kind: str, images: np.ndarray, model: mnist_fcn.Sequential) -> np.ndarray | None:
    """The probabilities of the digits found in a picture of these images, or None if their number is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        found = read_digits(draw(kind, images, Path(folder) / "picture", seed=int(images.sum())))
    return np.asarray(softmax(mnist_fcn.predict(model, np.stack(found)))) if len(found) == len(images) else None


def measure(kind: str, count: int, model: mnist_fcn.Sequential) -> np.ndarray:
    """For `count` test digits from all of the set, whether each was read correctly, and with which confidence.

    They are spread over the set, because MNIST's halves are not equally hard.
    """
    images, labels = (array[:: 10_000 // count][:count] for array in load_mnist(MNIST)[1])
    step = 3 if kind == "several" else 1
    rows: list[tuple[bool, float]] = []
    for i in range(0, count, step):
        probabilities = readings(kind, images[i : i + step], model)
        if probabilities is None:
            rows += [(False, 1.0)] * step
        else:
            rows += zip(probabilities.argmax(axis=1) == labels[i : i + step], probabilities.max(axis=1), strict=True)
    return np.array(rows, float)


def main() -> None:
    model, _ = load_model(Path(sys.argv[1]), mnist_fcn.network)
    count = int(sys.argv[2])
    print(f"{'kind':15}  correct  of the sure  not sure    (confidence from {SURE})")
    for kind in KINDS:
        correct, confidence = measure(kind, count, model).T
        sure = confidence >= SURE
        print(f"{kind:15}  {correct.mean():7.2%}  {correct[sure].mean():11.2%}  {1 - sure.mean():8.2%}")


if __name__ == "__main__":
    main()
