"""The figures of the examples: curves over epochs, a confusion matrix, weights as images."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tinygrad_np.checkpoint import write_atomically

TRAINING, TESTING = "#4477aa", "#cc6677"


def _axes(width: float = 6, height: float = 4) -> Axes:
    return Figure(figsize=(width, height), layout="constrained").subplots()


def _save(axes: Axes, path: Path) -> None:
    picture = io.BytesIO()
    axes.figure.savefig(picture, dpi=120, format="png")
    write_atomically(path, picture.getvalue())


def _curve(axes: Axes, values: list[float], color: str, label: str) -> None:
    axes.plot(range(1, len(values) + 1), values, "o-", color=color, markersize=3, label=label)
    axes.set_xlabel("epoch")
    axes.set_xlim(0.5, len(values) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def losses(metrics: dict[str, Any], path: Path) -> None:
    """Training and test loss against the epoch."""
    axes = _axes()
    _curve(axes, metrics["train_loss"], TRAINING, "training (mean over the epoch)")
    _curve(axes, metrics["test_loss"], TESTING, "test (after the epoch)")
    axes.set_ylabel("cross-entropy (nats per image)")
    axes.set_ylim(bottom=0)
    axes.legend()
    _save(axes, path)


def accuracy(metrics: dict[str, Any], path: Path) -> None:
    """Test accuracy against the epoch."""
    axes = _axes()
    values = metrics["test_accuracy"]
    _curve(axes, values, TESTING, "test")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_ylabel("accuracy on the test set")
    axes.set_title(f"{values[-1]:.2%} after {len(values)} epoch{'s' * (len(values) > 1)}", fontsize=10)
    _save(axes, path)


def confusion(matrix: np.ndarray, path: Path) -> None:
    """How many images of each class (row) were predicted as each class (column); colours are shares of the row."""
    n = len(matrix)
    axes = _axes(max(5, 0.5 * n + 1), max(4.6, 0.5 * n + 0.6))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root, so that rare mistakes are seen
    if n <= 30:
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, str(count) if count else "", ha="center", va="center", color=color, fontsize=8)
        axes.set_xticks(range(n))
        axes.set_yticks(range(n))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{np.trace(matrix):,} of {matrix.sum():,} images right", fontsize=10)
    _save(axes, path)


def weights(weight: np.ndarray, image_shape: tuple[int, int], path: Path) -> None:
    """The weights of the hidden units whose weight vectors are longest, each as an image: blue below 0, red above."""
    side = min(8, int(np.sqrt(weight.shape[1])))
    strongest = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")[: side * side]
    height, width = image_shape
    tiles = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan)  # a gap of one pixel between images
    for i, unit in enumerate(strongest):
        row, column = divmod(i, side)
        top, left = row * (height + 1), column * (width + 1)
        tiles[top : top + height, left : left + width] = weight[:, unit].reshape(image_shape)
    axes = _axes(6.6, 6)
    limit = np.nanpercentile(np.abs(tiles), 99.5)  # the few largest would pale all others
    image = axes.imshow(tiles, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"first-layer weights of {side * side} of {weight.shape[1]} hidden units", fontsize=10)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, extend="both", label="weight")
    _save(axes, path)
