"""Pictures of a training, a test and a search: curves, a confusion matrix, mistakes, weights. Each has an alt text.

Every function takes numbers and returns a `Picture`; none trains, tests or saves anything.
"""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

TRAINING, TESTING = "#4477aa", "#cc6677"
STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.xmargin": 0.02,
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
    "font.size": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.markersize": 3,
}
IMAGE = {"axes.grid": False, "axes.spines.right": True, "axes.spines.top": True}


class Picture(NamedTuple):
    """A figure: its title, its alt text, and the bytes of its PNG file."""

    title: str
    alt: str
    png: bytes

    def __repr__(self) -> str:
        return f"<{self.title}. {self.alt}>"

    def _repr_png_(self) -> bytes:
        """The picture, as notebooks show it."""
        return self.png


def picture(title: str, **style: Any) -> Callable[[Callable[..., tuple[Figure, str]]], Callable[..., Picture]]:
    """Decorate a function that returns a figure and its alt text: it returns a `Picture`, drawn in the common style."""

    def decorate(draw: Callable[..., tuple[Figure, str]]) -> Callable[..., Picture]:
        @functools.wraps(draw)
        def drawn(*arguments: Any) -> Picture:
            with matplotlib.rc_context({**STYLE, **style}):
                figure, alt = draw(*arguments)
                file = io.BytesIO()
                figure.savefig(file, format="png")
                return Picture(title, alt, file.getvalue())

        drawn.style = style  # type: ignore[attr-defined]  # for the tests
        return drawn

    return decorate


# --- curves ----------------------------------------------------------------------------------------------------------


def _curve(axes: Axes, values: Sequence[float], **style: Any) -> None:
    axes.plot(range(1, len(values) + 1), values, **style)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _legend_above(figure: Figure, axes: Axes, columns: int) -> None:
    """A legend outside the axes, where it hides no curve."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=columns)


@picture("Loss")
def losses(training: Sequence[float], testing: Sequence[float]) -> tuple[Figure, str]:
    """Training and test loss against the epoch."""
    figure = Figure((6, 4))
    axes = figure.subplots()
    _curve(axes, training, marker="o", color=TRAINING, label="training (mean over the epoch)")
    _curve(axes, testing, marker="o", color=TESTING, label="test (after the epoch)")
    axes.set_ylabel("cross-entropy (nats per image)")
    axes.set_ylim(bottom=0)
    _legend_above(figure, axes, 2)
    alt = "Line chart of the loss against the epoch: training from {:.3f} to {:.3f}, test from {:.3f} to {:.3f}."
    return figure, alt.format(training[0], training[-1], testing[0], testing[-1])


@picture("Accuracy on the test set")
def accuracy(testing: Sequence[float]) -> tuple[Figure, str]:
    """Test accuracy against the epoch."""
    figure = Figure((6, 4))
    axes = figure.subplots()
    _curve(axes, testing, marker="o", color=TESTING)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_ylabel("test images read correctly")
    axes.set_title(f"{testing[-1]:.2%} after {len(testing)} epoch{'s' * (len(testing) > 1)}")
    alt = f"Line chart of the test accuracy against the epoch: from {testing[0]:.2%} to {testing[-1]:.2%}."
    return figure, alt


@picture("Learning rate")
def learning_rate(steps: Sequence[int], rates: Sequence[float]) -> tuple[Figure, str]:
    """The learning rate at these steps."""
    figure = Figure((6, 3))
    axes = figure.subplots()
    axes.plot(steps, rates, color=TRAINING, drawstyle="steps-post")
    if min(rates) > 0 and max(rates) > 10 * min(rates):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure, f"Line chart of the learning rate against the step: from {rates[0]:g} to {rates[-1]:.2g}."


@picture("Candidates")
def candidates(
    parameter: str, values: Sequence[float], histories: Sequence[Mapping[str, Any]], best: float
) -> tuple[Figure, str]:
    """Loss and accuracy of every candidate of a search step, in training and on the validation images."""
    figure = Figure((6, 7))
    top, bottom = figure.subplots(2, sharex=True)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    for value, history, color in zip(values, histories, colors, strict=True):
        style = {"color": color, "linewidth": 2.5 if value == best else 1.2}
        label = f"{value:.12g}" + " (best)" * (value == best) + " (diverged)" * bool(history.get("diverged"))
        for axes, quantity in ((top, "loss"), (bottom, "accuracy")):
            _curve(axes, history[f"validation_{quantity}"], label=label, marker="o", **style)
            _curve(axes, history[f"train_{quantity}"], linestyle=":", **style)
    top.set_xlabel("")
    if any(loss > 0 for history in histories for loss in history["train_loss"] + history["validation_loss"]):
        top.set_yscale("log")
        low, high = top.get_ylim()
        top.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 3, 5, 7) if high < 30 * low else (1, 3) if high < 1e3 * low else (1,))
        )
        top.yaxis.set_major_formatter("{x:g}")
        top.yaxis.set_minor_locator(NullLocator())
    top.set_ylabel("cross-entropy (nats per image)")
    bottom.set_ylabel("images read correctly")
    bottom.yaxis.set_major_formatter(PercentFormatter(1))
    top.set_title("solid: validation, after the epoch; dotted: training, mean over the epoch")
    rows = -(-len(values) // 5)
    columns, size = (-(-len(values) // rows), 10) if len(values) <= 15 else (8, 5)
    legend = top.get_legend_handles_labels()
    figure.legend(*legend, loc="outside upper center", ncols=columns, title=parameter, fontsize=size)
    finals = [
        f"{value:g} {history['validation_accuracy'][-1]:.2%}"
        if history["validation_accuracy"]
        else f"{value:g} diverged"
        for value, history in zip(values, histories, strict=True)
    ]
    alt = f"Line charts of loss and accuracy against the epoch for each value of the {parameter}."
    return figure, f"{alt} Validation accuracy at the end: {', '.join(finals)}."


# --- the test ----------------------------------------------------------------------------------------------------


@picture("Confusion matrix", **IMAGE)
def confusion(matrix: np.ndarray) -> tuple[Figure, str]:
    """How many images of each class (row) were read as each class (column), coloured by the fraction of the row."""
    n = len(matrix)
    figure = Figure((max(5.4, 0.5 * min(n, 30) + 1), max(5, 0.5 * min(n, 30) + 0.6)))
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root makes rare mistakes visible
    if n <= 30:
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, str(count) if count else "", ha="center", va="center", color=color, fontsize=9)
        axes.set_xticks(range(n))
        axes.set_yticks(range(n))
    axes.set_xlabel("read as")
    axes.set_ylabel("true class")
    axes.set_title(f"{np.trace(matrix):,} of {matrix.sum():,} images read correctly")
    wrong = matrix - np.diag(np.diag(matrix))
    alt = f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} images read correctly"
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        alt += f"; the commonest mistake is class {row} read as {column}, {wrong[row, column]} times"
    return figure, alt + "."


@picture("The surest mistakes", **IMAGE)
def mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray) -> tuple[Figure, str]:
    """The misread images with the highest predicted probability, in falling order."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    rows, columns = max(1, min(5, -(-len(wrong) // 5))), 5
    figure = Figure((6, 0.5 + 1.35 * rows))
    for axes in np.ravel(figure.subplots(rows, columns)):
        axes.set_axis_off()
    for axes, i in zip(figure.axes, wrong, strict=False):
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"{labels[i]}, read as {predicted[i]}\n{confidence[i]:.2%} sure", fontsize=8.5)
    shown = wrong[: rows * columns]
    figure.suptitle(f"the surest {len(shown)} of {len(wrong)} mistakes" if len(wrong) else "no mistakes", fontsize=10)
    if not len(wrong):
        return figure, "An empty picture: none of the images was misread."
    alt = f"The {len(shown)} images that were misread with the most trust, of {len(wrong)}: "
    return figure, alt + ", ".join(f"{labels[i]} as {predicted[i]}" for i in shown) + "."


# --- the weights --------------------------------------------------------------------------------------------------


@picture("First layer", **IMAGE)
def first_layer(weight: np.ndarray, image_shape: tuple[int, int]) -> tuple[Figure, str]:
    """The weights of the hidden units with the largest norm, each as an image: blue below 0, red above."""
    side = min(8, int(np.sqrt(weight.shape[1])))
    strongest = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")[: side * side]
    height, width = image_shape
    tiles = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan)  # a gap of one pixel between images
    for i, unit in enumerate(strongest):
        row, column = divmod(i, side)
        top, left = row * (height + 1), column * (width + 1)
        tiles[top : top + height, left : left + width] = weight[:, unit].reshape(image_shape)
    figure = Figure((6, 5.4))
    axes = figure.subplots()
    limit = np.nanpercentile(np.abs(tiles), 99.5)  # the few largest would make all others pale
    image = axes.imshow(tiles, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(f"{side * side} of {weight.shape[1]} hidden units, the weights of each as an image")
    figure.colorbar(image, ax=axes, shrink=0.8, extend="both", label="weight")
    return figure, f"The weights of {side * side} hidden units as images of {height} by {width} pixels."


@picture("Second layer", **IMAGE)
def second_layer(weight: np.ndarray) -> tuple[Figure, str]:
    """The weights from every hidden unit to every class, sorted by the class with the unit's largest weight."""
    hidden, classes = weight.shape
    order = np.lexsort((-weight.max(axis=1), weight.argmax(axis=1)))
    figure = Figure((6, max(3, 0.22 * classes + 1)))
    axes = figure.subplots()
    limit = np.percentile(np.abs(weight), 99.5)
    image = axes.imshow(weight[order].T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    if classes <= 30:
        axes.set_yticks(range(classes))
    axes.set_xlabel("hidden unit, sorted by the class that it speaks for most")
    axes.set_ylabel("class")
    axes.set_title(f"weights of the second layer: from {hidden} hidden units to {classes} classes")
    figure.colorbar(image, ax=axes, extend="both", label="weight")
    return figure, f"Heat map of the weights from {hidden} hidden units to {classes} classes, grouped by class."
