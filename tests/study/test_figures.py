"""The pictures as a person sees them: nothing cut off, nothing on top of anything else, words for who cannot see."""

from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
import pytest
from examples_as_run import EXAMPLES
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

import char_transformer
import custom_op
import mnist_cnn
import mnist_vae
import quickstart
import schedules
import second_order
from mnist_study import figures

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
]  # fmt: skip


class Recorder(RendererAgg):
    """Draws, and remembers what words it drew where."""

    def __init__(self, figure: Figure) -> None:
        super().__init__(*figure.bbox.size, figure.dpi)
        self.words: list[tuple[str, Bbox]] = []
        figure.draw(self)

    def draw_text(self, gc: Any, x: float, y: float, s: str, *rest: Any, mtext: Any = None, **keywords: Any) -> None:
        if mtext is not None:
            box = mtext.get_window_extent(self)
        else:  # one line of several
            width, height, descent = self.get_text_width_height_descent(s, *rest[:2])
            box = Bbox.from_bounds(x, self.height - y - descent, width, height)
        self.words.append((s, box))
        super().draw_text(gc, x, y, s, *rest, mtext=mtext, **keywords)


def check(figure: Figure) -> None:
    """Nothing is cut off, and no words overlap."""
    boxes = Recorder(figure).words
    width, height = figure.bbox.size
    assert boxes
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


@pytest.mark.parametrize(("draw", "arguments"), CASES, ids=names(CASES))
def test_nothing_is_cut_off_and_no_words_overlap(draw: Any, arguments: tuple[Any, ...]) -> None:
    picture = draw(*arguments)
    assert picture.png.startswith(b"\x89PNG")
    assert picture.title
    assert len(picture.alt) > 40
    with matplotlib.rc_context({**figures.STYLE, **draw.style}):
        figure, _ = draw.__wrapped__(*arguments)
        check(figure)
        assert len(Recorder(figure).words) > 1


@pytest.mark.parametrize(("draw", "arguments"), OF_SCRIPTS, ids=names(OF_SCRIPTS))
def test_the_pictures_of_the_scripts_are_whole_too(draw: Any, arguments: tuple[Any, ...]) -> None:
    figure = draw(*arguments)
    figure.set_dpi(120)
    check(figure)


def test_epochs_are_counted_in_whole_numbers() -> None:
    for values in ([0.5], [0.5, 0.6], [0.5] * 9):
        with matplotlib.rc_context(figures.STYLE):
            words = [word for word, _ in Recorder(figures.accuracy.__wrapped__(values)[0]).words]
        ticks = words[: words.index("epoch")]
        assert ticks
        assert all(tick.isdecimal() for tick in ticks)


def test_the_study_draws_in_one_file_that_trains_nothing() -> None:
    for path in (*(EXAMPLES / "mnist_study").glob("*.py"), *EXAMPLES.glob("mnist_[fs]*.py")):
        assert ("matplotlib" in path.read_text(encoding="utf-8").replace('"matplotlib"', "")) <= (
            path.name == "figures.py"
        )
    assert "tinygrad_np" not in (EXAMPLES / "mnist_study/figures.py").read_text(encoding="utf-8")
