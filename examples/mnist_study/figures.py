"""Pictures of a training, a test and a search: curves, a confusion matrix, mistakes, weights. Each has an alt text.

Every function takes numbers and returns a `Picture`; none trains, tests or saves anything.

A picture is drawn twice, for a page and for a telephone. Its colours are those of M. Okabe and K. Ito (2008, "Color
universal design") and, for values that have an order, viridis: everyone can tell them apart.
"""

import functools
import io
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullLocator, PercentFormatter
from PIL import Image

TRAINING, TESTING, BEST = "#0072b2", "#d55e00", "#d55e00"
MARKERS = "osD^v"
WIDE, NARROW = 6.0, 3.5  # inches; a telephone that is 360 pixels wide shows 3.5 inches in their size
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
SMALL = {"axes.titlesize": 9, "figure.dpi": 200, "font.size": 9}  # what is different in narrow pictures
IMAGE = {"axes.grid": False, "axes.spines.right": True, "axes.spines.top": True}


class Picture(NamedTuple):
    """A figure: its title, its alt text, and the bytes of its PNG files, of which one is for narrow screens."""

    title: str
    alt: str
    png: bytes
    narrow: bytes

    def __repr__(self) -> str:
        return f"<{self.title}. {self.alt}>"

    def _repr_png_(self) -> bytes:
        """The picture, as notebooks show it."""
        return self.png


def picture(title: str, **style: Any) -> Callable[[Callable[..., tuple[Figure, str]]], Callable[..., Picture]]:
    """Decorate a function that returns a figure of a width and its alt text: it returns a `Picture`."""

    def decorate(draw: Callable[..., tuple[Figure, str]]) -> Callable[..., Picture]:
        @functools.wraps(draw)
        def drawn(*arguments: Any) -> Picture:
            with matplotlib.rc_context({**STYLE, **style}):
                figure, alt = draw(*arguments, width=WIDE)
                wide = _png(figure)
            with matplotlib.rc_context({**STYLE, **SMALL, **style}):
                return Picture(title, alt, wide, _png(draw(*arguments, width=NARROW)[0]))

        drawn.style = style  # type: ignore[attr-defined]  # for the tests
        return drawn

    return decorate


def _png(figure: Figure) -> bytes:
    """A PNG file of 256 colours, which takes a third of the bytes of one of all colours."""
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    colors = Image.open(drawn).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    colors.save(file, format="png", optimize=True)
    return file.getvalue()


def _size(width: float, height: float) -> tuple[float, float]:
    """Of a figure of this width that is as high as this where it is wide."""
    return width, height * (0.45 + 0.55 * width / WIDE)


def _lines(text: str, width: float) -> str:
    """A text in lines that fit into a figure of this width."""
    return textwrap.fill(text, int(13 * width))


# --- curves ----------------------------------------------------------------------------------------------------------


def _curve(axes: Axes, values: Sequence[float], **style: Any) -> None:
    axes.plot(range(1, len(values) + 1), values, **style)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _accuracy_axis(axes: Axes, label: str) -> None:
    """Per cent up to 100; half a marker that lies on the edge is drawn beyond it."""
    axes.set_ylim(max(0, axes.get_ylim()[0]), 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel(label)
    for line in axes.lines:
        line.set_clip_on(False)


@picture("Loss")
def losses(training: Sequence[float], testing: Sequence[float], width: float) -> tuple[Figure, str]:
    """Training and test loss against the epoch."""
    figure = Figure(_size(width, 4))
    axes = figure.subplots()
    _curve(axes, training, marker="o", color=TRAINING, label="training (mean over the epoch)")
    _curve(axes, testing, marker="s", color=TESTING, label="test (after the epoch)")
    axes.set_ylabel("cross-entropy (nats per image)")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=2 if width == WIDE else 1)
    alt = "Line chart of the loss against the epoch: training from {:.3f} to {:.3f}, test from {:.3f} to {:.3f}."
    return figure, alt.format(training[0], training[-1], testing[0], testing[-1])


@picture("Accuracy on the test set")
def accuracy(testing: Sequence[float], width: float) -> tuple[Figure, str]:
    """Test accuracy against the epoch."""
    figure = Figure(_size(width, 4))
    axes = figure.subplots()
    _curve(axes, testing, marker="s", color=TESTING)
    _accuracy_axis(axes, "test images read correctly")
    axes.set_title(f"{testing[-1]:.2%} after {len(testing)} epoch{'s' * (len(testing) > 1)}")
    alt = f"Line chart of the test accuracy against the epoch: from {testing[0]:.2%} to {testing[-1]:.2%}."
    return figure, alt


@picture("Learning rate")
def learning_rate(steps: Sequence[int], rates: Sequence[float], width: float) -> tuple[Figure, str]:
    """The learning rate at these steps."""
    figure = Figure(_size(width, 3))
    axes = figure.subplots()
    axes.plot(steps, rates, color=TRAINING, drawstyle="steps-post")
    if min(rates) > 0 and max(rates) > 10 * min(rates):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    axes.xaxis.set_major_locator(MaxNLocator(int(width), integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return figure, f"Line chart of the learning rate against the step: from {rates[0]:g} to {rates[-1]:.2g}."


@picture("Candidates")
def candidates(
    parameter: str, values: Sequence[float], histories: Sequence[Mapping[str, Any]], best: float, width: float
) -> tuple[Figure, str]:
    """Loss and accuracy of every candidate of a search step, in training and on the validation images."""
    labels = [
        f"{value:.12g}" + " (best)" * (value == best) + " (diverged)" * bool(history.get("diverged"))
        for value, history in zip(values, histories, strict=True)
    ]
    columns = _columns([len(label) for label in labels], 72 * width / matplotlib.rcParams["font.size"])
    figure = Figure((width, 4 + width / 2 + 0.2 * -(-len(labels) // columns)))
    top, bottom = figure.subplots(2, sharex=True)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(values)))
    for i, (value, history, label) in enumerate(zip(values, histories, labels, strict=True)):
        style: dict[str, Any] = {"color": colors[i], "linewidth": 1.2}
        if value == best:
            style = {"color": BEST, "linewidth": 2.5, "zorder": 3}
        marker = MARKERS[i % len(MARKERS)]
        for axes, quantity in ((top, "loss"), (bottom, "accuracy")):
            _curve(axes, history[f"validation_{quantity}"], label=label, marker=marker, **style)
            _curve(axes, history[f"train_{quantity}"], linestyle=":", **style)
    top.set_xlabel("")
    if any(loss > 0 for history in histories for loss in history["train_loss"] + history["validation_loss"]):
        top.set_yscale("log")
        low, high = top.get_ylim()
        subs = (1, 2, 3, 5, 7) if high < 30 * low else (1, 3) if high < 1e3 * low else (1,)
        top.yaxis.set_major_locator(MaxNLocator(5) if high < 3 * low else LogLocator(subs=subs))
        top.yaxis.set_major_formatter("{x:g}")
        top.yaxis.set_minor_locator(NullLocator())
    top.set_ylabel("cross-entropy (nats per image)")
    _accuracy_axis(bottom, "images read correctly")
    top.set_title(_lines("solid: validation, after the epoch; dotted: training, during it", width))
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=columns, title=parameter)
    finals = [
        f"{value:g} {history['validation_accuracy'][-1]:.2%}"
        if history["validation_accuracy"]
        else f"{value:g} diverged"
        for value, history in zip(values, histories, strict=True)
    ]
    alt = f"Line charts of loss and accuracy against the epoch for each value of the {parameter}."
    return figure, f"{alt} Validation accuracy at the end: {', '.join(finals)}."


def _columns(lengths: list[int], width: float) -> int:
    """Of a legend with labels of these lengths, of which one may be longer than others, in a width in letters."""
    *_, second, longest = 0, *sorted(lengths)
    rows = math.ceil(len(lengths) / max(1, int((width - 0.6 * (longest - second)) / (5 + 0.6 * second))))
    return math.ceil(len(lengths) / rows)  # so that all rows are full, or nearly so


# --- the test ----------------------------------------------------------------------------------------------------


@picture("Confusion matrix", **IMAGE)
def confusion(matrix: np.ndarray, width: float) -> tuple[Figure, str]:
    """How many images of each class (row) were read as each class (column), coloured by the fraction of the row."""
    n = len(matrix)
    figure = Figure((width, width - 0.3 if width == WIDE else width + 0.1))
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root makes rare mistakes visible
    digits = (72 * width - 18) / n / 5.75  # of 9 points that fit into a cell
    if len(str(matrix.max())) <= digits:
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, str(count) if count else "", ha="center", va="center", color=color, fontsize=9)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MultipleLocator(1) if digits >= 1 + len(str(n)) else MaxNLocator(6, integer=True))
    axes.tick_params(length=0)
    if width == WIDE:
        axes.set_xlabel("read as")
        axes.set_ylabel("true class")
    else:  # which leaves the cells as wide as four digits
        axes.set_xlabel("row: true class; column: read as")
    axes.set_title(f"{np.trace(matrix):,} of {matrix.sum():,} images read correctly")
    wrong = matrix - np.diag(np.diag(matrix))
    alt = f"Confusion matrix: {np.trace(matrix)} of {matrix.sum()} images read correctly"
    if wrong.any():
        row, column = np.unravel_index(wrong.argmax(), wrong.shape)
        alt += f"; the commonest mistake is class {row} read as {column}, {wrong[row, column]} times"
    return figure, alt + "."


@picture("The surest mistakes", **IMAGE)
def mistakes(images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, width: float) -> tuple[Figure, str]:
    """The misread images with the highest predicted probability, in falling order."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    rows, columns = max(1, min(5, -(-len(wrong) // 5))), 5
    figure = Figure((width, 0.5 + (0.35 + width / 6) * rows))
    read_as, sure = (", read as", " sure") if width == WIDE else (" as", "")
    for axes in np.ravel(figure.subplots(rows, columns)):
        axes.set_axis_off()
    for axes, i in zip(figure.axes, wrong, strict=False):
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(f"{labels[i]}{read_as} {predicted[i]}\n{confidence[i]:.2%}{sure}", fontsize=9)
    shown = wrong[: rows * columns]
    figure.suptitle(f"the surest {len(shown)} of {len(wrong)} mistakes" if len(wrong) else "no mistakes", fontsize=10)
    if not len(wrong):
        return figure, "An empty picture: none of the images was misread."
    alt = f"The {len(shown)} images that were misread with the most trust, of {len(wrong)}: "
    return figure, alt + ", ".join(f"{labels[i]} as {predicted[i]}" for i in shown) + "."


# --- the weights --------------------------------------------------------------------------------------------------


@picture("First layer", **IMAGE)
def first_layer(weight: np.ndarray, image_shape: tuple[int, int], width: float) -> tuple[Figure, str]:
    """The weights of the hidden units with the largest norm, each as an image: blue below 0, red above."""
    side = min(8, int(np.sqrt(weight.shape[1])))
    strongest = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")[: side * side]
    rows, columns = image_shape
    tiles = np.full((side * (rows + 1) - 1, side * (columns + 1) - 1), np.nan)  # a gap of one pixel between images
    for i, unit in enumerate(strongest):
        row, column = divmod(i, side)
        top, left = row * (rows + 1), column * (columns + 1)
        tiles[top : top + rows, left : left + columns] = weight[:, unit].reshape(image_shape)
    figure = Figure((width, 5.4 if width == WIDE else 4.2))
    axes = figure.subplots()
    limit = np.nanpercentile(np.abs(tiles), 99.5)  # the few largest would make all others pale
    image = axes.imshow(tiles, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(_lines(f"{side * side} of {weight.shape[1]} hidden units, the weights of each as an image", width))
    _scale_of_weights(figure, axes, image, width)
    return figure, f"The weights of {side * side} hidden units as images of {rows} by {columns} pixels."


@picture("Second layer", **IMAGE)
def second_layer(weight: np.ndarray, width: float) -> tuple[Figure, str]:
    """The weights from every hidden unit to every class, sorted by the class with the unit's largest weight."""
    hidden, classes = weight.shape
    order = np.lexsort((-weight.max(axis=1), weight.argmax(axis=1)))
    figure = Figure((width, max(3, 0.22 * min(classes, 30) + 1) if width == WIDE else 4))
    axes = figure.subplots()
    limit = np.percentile(np.abs(weight), 99.5)
    image = axes.imshow(weight[order].T, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    axes.yaxis.set_major_locator(MultipleLocator(1) if classes <= 10 else MaxNLocator(10, integer=True))
    axes.set_xlabel(_lines("hidden unit, sorted by the class that it speaks for most", width))
    axes.set_ylabel("class")
    axes.set_title(_lines(f"weights of the second layer: from {hidden} hidden units to {classes} classes", width))
    _scale_of_weights(figure, axes, image, width)
    return figure, f"Heat map of the weights from {hidden} hidden units to {classes} classes, grouped by class."


def _scale_of_weights(figure: Figure, axes: Axes, image: AxesImage, width: float) -> None:
    where, shrink = ("right", 0.8) if width == WIDE else ("bottom", 1)
    figure.colorbar(image, ax=axes, location=where, shrink=shrink, extend="both", label="weight")
