"""The pictures as a person sees them: nothing cut off, nothing on top of anything else, words for who cannot see.

Text has at least 9 points at the width at which a picture is shown; that of scripts is also shown on telephones of 360
pixels. Curves can be told apart by people who see colours differently, too.
"""

import functools
import io
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import matplotlib
import numpy as np
import pytest
from examples_as_run import EXAMPLES
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox
from PIL import Image

import char_transformer
import custom_op
import gaussian_process
import graph_network
import mnist_cnn
import mnist_diffusion
import mnist_vae
import quickstart
import schedules
import second_order
from benchmarks import scaling
from mnist_study import figures
from mnist_study.figures import NARROW, WIDE

rng = np.random.default_rng(0)
pytestmark = pytest.mark.slow


def history(epochs: int, scale: float, diverged: str = "") -> dict[str, Any]:
    curve = scale * np.exp(-np.arange(epochs))
    names = [(part, quantity) for part in ("train", "validation") for quantity in ("loss", "accuracy")]
    curves = {f"{p}_{q}": (curve if q == "loss" else 1 - curve / 3).tolist() for p, q in names}
    return curves | {"diverged": diverged}


def probabilities(n: int, classes: int) -> np.ndarray:
    logits = 9 * rng.normal(size=(n, classes))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def members() -> np.ndarray:
    """Where the members of the club are in the picture."""
    same = np.random.default_rng(0)
    graph_network.network(same)
    return graph_network.layout(same)


IMAGES = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)
CASES: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (figures.losses, ([0.3, 0.2, 0.1], [0.2, 0.15, 0.12])),
    (figures.losses, ([1e9] * 100, [1e-9] * 100)),
    (figures.losses, ([0.3], [0.2])),
    (figures.accuracy, ([0.9, 0.9512, 0.98765],)),
    (figures.accuracy, ([0.1],)),
    (figures.learning_rate, (range(300), [0.5**i for i in range(300)])),
    (figures.learning_rate, (range(10**7, 10**7 + 5), [0.0] * 5)),
    (figures.candidates, ("learning rate", [0.001, 0.5], [history(10, 2), history(10, 0.3)], 0.5)),
    (figures.candidates, ("stage length (steps)", [500.0 * i for i in range(1, 12)],
                          [history(3, 10.0**-i) for i in range(11)], 5500)),
    (figures.candidates, ("learning rate", [i / 100 for i in range(40)], [history(1, 1.0)] * 40, 0.05)),
    (figures.candidates, ("learning rate", [0.1, 0.2], [history(2, 0.0)] * 2, 0.1)),
    (figures.candidates, ("weight decay", [1e30, 1e-5], [history(0, 1, "at once"), history(1, 1)], 1e-5)),
    (figures.confusion, (np.diag(np.arange(1000, 1010)) + rng.integers(0, 9, (10, 10)),)),
    (figures.confusion, (np.eye(2, dtype=int),)),
    (figures.confusion, (rng.integers(0, 9999, (30, 30)),)),
    (figures.confusion, (rng.integers(0, 9999, (256, 256)),)),
    (figures.mistakes, (IMAGES, rng.integers(0, 10, 40), probabilities(40, 10))),
    (figures.mistakes, (IMAGES[:3], np.array([0, 1, 2]), probabilities(3, 62))),
    (figures.mistakes, (IMAGES[:3], probabilities(3, 4).argmax(axis=1), np.eye(4)[[0, 0, 0]])),
    (figures.first_layer, (rng.normal(size=(784, 4096)), (28, 28))),
    (figures.first_layer, (rng.normal(size=(12, 3)), (2, 6))),
    (figures.second_layer, (rng.normal(size=(1024, 10)),)),
    (figures.second_layer, (1e-6 * rng.normal(size=(3, 62)),)),
]  # fmt: skip
OF_SCRIPTS: list[tuple[Callable[..., Figure], tuple[Any, ...]]] = [
    (schedules.draw, (schedules.SCHEDULES,)),
    (schedules.draw, (schedules.SCHEDULES[-3:],)),
    (quickstart.draw, (np.exp(-np.arange(2814) / 900) + 0.1,)),
    (char_transformer.draw, (4 * np.exp(-np.arange(3000) / 900) + 0.1,
                             {"5-grams": 1.318, "transformer, held out": 1.3})),
    (char_transformer.draw, ([4.6, 4.0, 2.3], {"1-grams": 3.1, "transformer, held out": 4.5})),
    (custom_op.draw, ()),
    (second_order.draw, (np.linspace(0, 3, 50), np.cos(np.linspace(0, 3, 50)), [1e3, 1.0, 1e-6])),
    (mnist_cnn.draw, ([0.988],)),
    (mnist_cnn.draw, ([0.988, 0.991, 0.994],)),
    (mnist_vae.draw_losses, (100 * np.exp(-np.arange(900) / 90) + 140, 139.5)),
    (mnist_vae.draw_losses, ([1e9, 1.0], 150.0)),
    (mnist_vae.draw_latent_plane, (3 * rng.normal(size=(500, 2)), rng.integers(0, 10, 500),
                                   rng.random((20, 20, 28, 28)), 2.5)),
    (mnist_vae.draw_latent_plane, (1e-3 * rng.normal(size=(5, 2)), np.arange(5), rng.random((3, 3, 28, 28)), 1e-3)),
    (mnist_vae.draw_samples, (rng.random((10, 10, 28, 28)),)),
    (mnist_diffusion.draw, (rng.random((10, 10, 28, 28)), "each row was asked for one digit")),
    (mnist_diffusion.draw, (rng.random((5, 10, 28, 28)), "from noise to digits")),
    (gaussian_process.draw, (gaussian_process.START, *gaussian_process.observations(rng))),
    (graph_network.draw, (members(), rng.random(34))),
    (scaling.draw, ({"operations": [100, 1000], "batch": [16, 1024], "hidden": [32, 2048]},
                    {"operations": [1e-3, 0.012], "batch": [1e-4, 2e-3], "hidden": [5e-5, 3e-3]})),
]  # fmt: skip


class Recorder(RendererAgg):
    """Draws, and remembers what words it drew where."""

    def __init__(self, figure: Figure) -> None:
        super().__init__(*figure.bbox.size, figure.dpi)
        self.words: list[tuple[str, Bbox]] = []
        self.points: list[float] = []
        figure.draw(self)

    def draw_text(self, gc: Any, x: float, y: float, s: str, *rest: Any, mtext: Any = None, **keywords: Any) -> None:
        if mtext is not None:
            box = mtext.get_window_extent(self)
        else:  # one line of several
            width, height, descent = self.get_text_width_height_descent(s, *rest[:2])
            box = Bbox.from_bounds(x, self.height - y - descent, width, height)
        self.words.append((s, box))
        self.points.append(rest[0].get_size_in_points() * (0.7 if "$" in s and "^" in s else 1))  # of exponents
        super().draw_text(gc, x, y, s, *rest, mtext=mtext, **keywords)


def check(figure: Figure, shown: int) -> None:
    """Nothing is cut off, no words overlap, and they have 9 points where the figure is this many pixels wide."""
    recorder = Recorder(figure)
    boxes, (width, height) = recorder.words, figure.bbox.size
    assert boxes
    for (words, _), size in zip(boxes, recorder.points, strict=True):
        assert size * shown / (96 * figure.get_figwidth()) >= 9, words
    for words, box in boxes:
        assert -1 <= box.x0 <= box.x1 <= width + 1, words
        assert -1 <= box.y0 <= box.y1 <= height + 1, words
    for i, (words, box) in enumerate(boxes):
        for others, other in boxes[:i]:
            overlap = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(overlap) <= 1, (words, others)
    for legend in figure.legends:
        for axes in figure.axes:
            assert not legend.get_window_extent().overlaps(axes.get_window_extent())


def names(cases: list[tuple[Callable[..., Any], tuple[Any, ...]]]) -> list[str]:
    return [f"{i}-{draw.__module__}.{draw.__name__}" for i, (draw, _) in enumerate(cases)]


def drawn(draw: Any, arguments: tuple[Any, ...], width: float) -> Figure:
    """A figure of the study, in the style that it has in a report."""
    with matplotlib.rc_context({**figures.STYLE, **(figures.SMALL if width == NARROW else {}), **draw.style}):
        figure, _ = draw.__wrapped__(*arguments, width=width)
        figure.draw_without_rendering()
        return figure


# A page is at least 641 pixels wide where it shows the wide picture, with margins of 16; a telephone's has 12 of 360.
@pytest.mark.parametrize(("width", "shown"), [(WIDE, 641 - 2 * 16), (NARROW, 360 - 2 * 12)])
@pytest.mark.parametrize(("draw", "arguments"), CASES, ids=names(CASES))
def test_nothing_is_cut_off_and_no_words_overlap(
    draw: Any, arguments: tuple[Any, ...], width: float, shown: int
) -> None:
    figure = drawn(draw, arguments, width)
    check(figure, shown)
    assert len(Recorder(figure).words) > 1


@pytest.mark.parametrize(("draw", "arguments"), CASES, ids=names(CASES))
def test_pictures_are_small_files_with_words(draw: Any, arguments: tuple[Any, ...]) -> None:
    picture = draw(*arguments)
    assert picture.title
    assert len(picture.alt) > 40
    for png, pixels in ((picture.png, 720), (picture.narrow, 700)):
        assert png.startswith(b"\x89PNG")
        assert len(png) < 200_000
        assert Image.open(io.BytesIO(png)).width == pixels


def test_few_colours_in_a_file_are_those_that_were_drawn() -> None:
    draw, arguments = CASES[8]  # eleven candidates
    figure = drawn(draw, arguments, WIDE)
    exact = io.BytesIO()
    figure.savefig(exact)
    kept, all_colors = (
        np.asarray(Image.open(file).convert("RGB"), int) for file in (io.BytesIO(draw(*arguments).png), exact)
    )
    assert kept.shape == all_colors.shape
    assert np.max(np.abs(kept - all_colors)) <= 16


@pytest.mark.parametrize(("draw", "arguments"), OF_SCRIPTS, ids=names(OF_SCRIPTS))
def test_the_pictures_of_the_scripts_are_whole_too(draw: Any, arguments: tuple[Any, ...]) -> None:
    figure = draw(*arguments)
    figure.set_dpi(160)
    check(figure, 360)


# --- colours ----------------------------------------------------------------------------------------------------------

# How people without one kind of cone see linear RGB: G. Machado, M. Oliveira and L. Fernandes 2009, "A
# physiologically-based model for simulation of color vision deficiency", table of severity 1.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
APART = 14  # in CIELAB; two of Matplotlib's ten default colours are 4.6 from each other, for a protanope


def luminances(color: Any) -> np.ndarray:
    """Linear RGB of an sRGB colour."""
    rgb = np.array(matplotlib.colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color: Any, vision: Any = VISIONS["usual"]) -> np.ndarray:
    """The coordinates of a colour in CIELAB, with the white of D65."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = to_xyz @ np.clip(vision @ luminances(color), 0, 1) / np.sum(to_xyz, axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: Any, other: Any) -> float:
    """Between two colours, for those to whom they look most alike."""
    return min(float(np.linalg.norm(lab(one, vision) - lab(other, vision))) for vision in VISIONS.values())


def curves(axes: Axes) -> Iterable[tuple[Line2D, str]]:
    return ((line, matplotlib.colors.to_hex(line.get_color())) for line in axes.lines if len(line.get_xdata()))


def test_distances_of_colours_are_those_of_others() -> None:
    np.testing.assert_allclose(lab("white"), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(lab("red"), [53.24, 80.09, 67.20], atol=0.02)  # as B. Lindbloom's calculator
    np.testing.assert_allclose(lab("blue"), [32.30, 79.19, -107.86], atol=0.02)
    assert np.linalg.norm(lab("red", VISIONS["protanopia"])) < 70 < 100 < np.linalg.norm(lab("red"))
    for vision in VISIONS.values():
        np.testing.assert_allclose(np.sum(vision, axis=1), 1, atol=1e-5)  # grey stays grey
    assert distance("C1", "C2") < 5 < APART < distance("C0", "C1")


@functools.cache
def all_figures() -> list[Figure]:
    of_study = [drawn(draw, arguments, width) for draw, arguments in CASES for width in (WIDE, NARROW)]
    return of_study + [draw(*arguments) for draw, arguments in OF_SCRIPTS]


def test_everyone_can_tell_the_curves_apart() -> None:
    seen = 0
    for axes in (axes for figure in all_figures() for axes in figure.axes):
        colors = {color for _, color in curves(axes)}
        if len(colors) > 6:
            continue  # of more candidates the order is what one sees, and the markers
        for one, other in combinations(colors, 2):
            assert distance(one, other) >= APART, (axes.get_ylabel(), one, other)
            seen += 1
    assert seen > 20


def test_everyone_can_tell_the_digits_apart() -> None:
    assert len(mnist_vae.DIGITS) == 10
    assert min(distance(one, other) for one, other in combinations(mnist_vae.DIGITS, 2)) >= APART


@pytest.mark.parametrize("best", range(6))
def test_the_winner_is_the_strongest_curve(best: int) -> None:
    values = [float(i) for i in range(6)]
    figure = drawn(figures.candidates, ("learning rate", values, [history(5, 1.0)] * 6, values[best]), WIDE)
    for axes in figure.axes:
        *others, winner = sorted(curves(axes), key=lambda curve: curve[0].get_linewidth() * curve[0].get_zorder())
        winners = [curve for curve in (*others, winner) if curve[1] == winner[1]]
        others = [curve for curve in others if curve[1] != winner[1]]
        assert len(winners) == 2  # in training and validation
        assert len(others) == 10
        for line, color in others:
            assert all(w.get_linewidth() >= 2 * line.get_linewidth() for w, _ in winners)
            assert all(w.get_zorder() > line.get_zorder() for w, _ in winners)
            assert distance(winner[1], color) >= 20
        assert 1.05 / (0.05 + luminances(winner[1]) @ [0.2126, 0.7152, 0.0722]) > 3  # its contrast with the paper
        labels = [line.get_label() for line, _ in winners]
        assert f"{best} (best)" in labels


def test_candidates_are_in_the_order_of_their_colours() -> None:
    values = [float(i) for i in range(9)]
    figure = drawn(figures.candidates, ("learning rate", values, [history(5, 1.0)] * 9, 0), WIDE)
    lightness = [lab(color)[0] for line, color in curves(figure.axes[0]) if line.get_linestyle() == "-"][1:]
    assert np.all(np.diff(lightness) > 3)
    assert lightness[-1] < 82  # the palest third of viridis is too near to the paper


# --- axes ------------------------------------------------------------------------------------------------------------


def test_axes_of_accuracies_end_at_100_per_cent() -> None:
    seen = 0
    for axes in (axes for figure in all_figures() for axes in figure.axes):
        if "correctly" in axes.get_ylabel():
            seen += 1
            low, high = axes.get_ylim()
            assert high == 1
            assert 0 <= low < 1
            assert isinstance(axes.yaxis.get_major_formatter(), PercentFormatter)
            assert axes.yaxis.get_major_formatter().xmax == 1
    assert seen == 2 * (2 + 5) + 2


def test_the_two_pictures_of_the_latent_plane_have_equal_axes() -> None:
    codes, labels = 3 * rng.normal(size=(500, 2)), rng.integers(0, 10, 500)
    figure = mnist_vae.draw_latent_plane(codes, labels, rng.random((20, 20, 28, 28)), 3.0)
    figure.draw_without_rendering()
    top, bottom = figure.axes
    assert top.get_xlim() == bottom.get_xlim() == top.get_ylim() == bottom.get_ylim() == (-3, 3)
    one, other = top.get_window_extent(), bottom.get_window_extent()
    assert one.size == pytest.approx(other.size)
    assert one.x0 == pytest.approx(other.x0)
    assert one.width == pytest.approx(one.height)
    assert top.get_title() == f"{np.sum(np.all(np.abs(codes) <= 3, axis=1))} of 500 test images"


def test_epochs_are_counted_in_whole_numbers() -> None:
    for values in ([0.5], [0.5, 0.6], [0.5] * 9):
        words = [word for word, _ in Recorder(drawn(figures.accuracy, (values,), WIDE)).words]
        ticks = words[: words.index("epoch")]
        assert ticks
        assert all(tick.isdecimal() for tick in ticks)


def test_the_study_draws_in_one_file_that_trains_nothing() -> None:
    for path in (*(EXAMPLES / "mnist_study").glob("*.py"), *EXAMPLES.glob("mnist_[fs]*.py")):
        assert ("matplotlib" in path.read_text(encoding="utf-8").replace('"matplotlib"', "")) <= (
            path.name == "figures.py"
        )
    assert "tinygrad_np" not in (EXAMPLES / "mnist_study/figures.py").read_text(encoding="utf-8")
