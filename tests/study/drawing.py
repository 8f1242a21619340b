"""Digits drawn with the mouse on the page of `mnist_fcn.py --page`, in Chromium, and read by page and command alike.

PYTHONPATH=.:examples python tests/study/drawing.py runs/mnist_fcn/model.safetensors 100 [picture.png]

It draws as many digits by strokes, and puts as many of MNIST's test digits on the paper; then it saves each picture,
reads it as `--predict` does, and compares. The picture is of the page with a digit on it, for the documentation. It
needs what `chromium.py` names.
"""

import base64
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tinygrad_np import softmax
from tinygrad_np.data import load_mnist
from tinygrad_np.nn import Sequential

import chromium
import numpy as np
from PIL import Image

import mnist_fcn
from mnist_study.application import SURE, draw_page
from mnist_study.digits import read_digits
from mnist_study.models import load_model

MNIST = Path(__file__).parents[2] / "examples/data/mnist"
Strokes: TypeAlias = list[np.ndarray]  # points (x, y) from 0 to 1, from the paper's left upper corner


def _arc(x: float, y: float, width: float, height: float, start: float, end: float, points: int = 20) -> np.ndarray:
    """A part of an ellipse around (x, y), between two angles in turns: 0 is to the right, 0.25 down."""
    angles = 2 * np.pi * np.linspace(start, end, points)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def _line(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, float)


DIGITS: dict[int, Strokes] = {
    0: [_arc(0.5, 0.5, 0.2, 0.3, -0.25, 0.75)],
    1: [_line((0.53, 0.2), (0.47, 0.8))],
    2: [np.concatenate([_arc(0.5, 0.36, 0.19, 0.16, -0.5, 0.1), _line((0.3, 0.78), (0.72, 0.78))])],
    3: [np.concatenate([_arc(0.47, 0.35, 0.18, 0.15, -0.45, 0.25), _arc(0.47, 0.65, 0.2, 0.15, -0.25, 0.45)])],
    4: [_line((0.36, 0.22), (0.3, 0.52), (0.68, 0.5)), _line((0.64, 0.24), (0.6, 0.82))],
    5: [np.concatenate([_line((0.36, 0.2), (0.34, 0.47)), _arc(0.45, 0.61, 0.2, 0.18, -0.3, 0.4)]),
        _line((0.36, 0.2), (0.68, 0.19))],
    6: [np.concatenate([_line((0.6, 0.2), (0.42, 0.42)), _arc(0.5, 0.65, 0.16, 0.16, -0.5, 0.5)])],
    7: [_line((0.28, 0.24), (0.7, 0.22), (0.45, 0.8))],
    8: [np.concatenate([_arc(0.5, 0.35, 0.15, 0.14, 0.25, 1.25), _arc(0.5, 0.65, 0.17, 0.16, -0.25, 0.75)])],
    9: [np.concatenate([_arc(0.48, 0.36, 0.16, 0.15, 0, 1), _line((0.6, 0.8))])],
}  # fmt: skip


def by_another_hand(digit: int, rng: np.random.Generator) -> Strokes:
    """A digit's strokes, turned, slanted, scaled and moved at random, and drawn less straight."""
    turn = np.eye(2) + rng.normal(0, 0.08, (2, 2))
    size, place = rng.uniform(0.5, 1.1), rng.uniform(-0.08, 0.08, 2)
    strokes = [0.5 + place + size * (stroke - 0.5) @ turn for stroke in DIGITS[digit]]
    return [stroke + rng.normal(0, 0.006, stroke.shape) for stroke in strokes]


def draw(browser: Any, strokes: Strokes) -> None:
    """Draw with the mouse, on whatever is on the paper."""
    from selenium.webdriver import ActionChains  # here for the reason in `chromium.py`

    paper = browser.find_element("id", "paper")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", paper)
    side = paper.rect["width"]
    for stroke in strokes:
        actions = ActionChains(browser, duration=0)
        for i, (x, y) in enumerate(side * (stroke - 0.5)):
            actions.move_to_element_with_offset(paper, round(x), round(y))
            if i == 0:
                actions.click_and_hold()
        actions.release().perform()


def put(browser: Any, image: np.ndarray) -> None:
    """Put a uint8 image with light ink on the paper, in its middle, and let the page look at it."""
    side = 448
    left = (560 - side) // 2
    page = np.full((560, 560), 255, np.uint8)
    page[left : left + side, left : left + side] -= np.asarray(Image.fromarray(image).resize((side, side)))
    browser.execute_script(
        """
        const paper = document.getElementById("paper"), bytes = atob(arguments[0]);
        const pixels = new ImageData(paper.width, paper.height);
        for (let i = 0; i < bytes.length; i++) pixels.data.fill(bytes.charCodeAt(i), 4 * i, 4 * i + 3);
        for (let i = 0; i < bytes.length; i++) pixels.data[4 * i + 3] = 255;
        paper.getContext("2d").putImageData(pixels, 0, 0);
        look();
        """,
        base64.b64encode(page.tobytes()).decode(),
    )


def save_paper(browser: Any, path: Path) -> Path:
    """Save the paper as a PNG, as the page's button does."""
    content = browser.execute_script("return document.getElementById('paper').toDataURL()")
    path.write_bytes(base64.b64decode(content.removeprefix("data:image/png;base64,")))
    return path


def page_readings(browser: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the page shows: the images that it sees, (n, height, width), and the probabilities, (n, classes)."""
    images, probabilities = browser.execute_script(
        """
        const images = [], probabilities = [];
        const count = document.querySelectorAll("#seen button").length;
        for (let i = 0; i < count; i++) {
            document.querySelectorAll("#seen button")[i].click();
            const canvas = document.querySelectorAll("#seen canvas")[i];
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            images.push(Array.from({length: canvas.height}, (_, row) =>
                Array.from({length: canvas.width}, (_, column) => data[4 * (row * canvas.width + column)])));
            probabilities.push([...document.querySelectorAll("progress")].map((bar) => bar.value));
        }
        return [images, probabilities];
        """
    )
    return np.array(images), np.array(probabilities)


def command_readings(path: Path, model: Sequential) -> tuple[np.ndarray, np.ndarray]:
    """What `--predict` reads in a picture: the images that the network sees, and the probabilities."""
    try:
        images = np.stack(read_digits(path))
    except ValueError as error:
        if "there is no digit" not in str(error):
            raise
        return np.empty(0), np.empty(0)
    return images, np.asarray(softmax(mnist_fcn.predict(model, images).astype(np.float64)))


@dataclass
class Agreement:
    """How far the page and the command are apart, the largest over all pictures; and what the page reads correctly."""

    pixels: int = 0  # of 255
    probability: float = 0.0
    pictures: int = 0
    correct: int = 0
    sure: int = 0
    correct_and_sure: int = 0

    def add(self, browser: Any, model: Sequential, digit: int | None = None) -> None:
        """Compare the two on what is on the paper, which shows this digit."""
        with tempfile.TemporaryDirectory() as folder:
            images, probabilities = command_readings(save_paper(browser, Path(folder) / "digit.png"), model)
        shown, shown_probabilities = page_readings(browser)
        assert shown.shape == images.shape, f"the page sees {len(shown)} digits, the command {len(images)}"
        self.pictures += 1
        if not len(images):
            return
        self.pixels = max(self.pixels, int(np.abs(shown - images.astype(int)).max()))
        self.probability = max(self.probability, float(np.abs(shown_probabilities - probabilities).max()))
        correct = shown_probabilities.argmax(axis=1).tolist() == [digit]
        sure = bool((shown_probabilities.max(axis=1) >= SURE).all())
        self.correct += correct
        self.sure += sure
        self.correct_and_sure += correct and sure

    def __str__(self) -> str:
        correct, sure = self.correct / self.pictures, self.sure / self.pictures
        return (
            f"{self.pictures} pictures; pixels differ by at most {self.pixels} of 255, probabilities by at most"
            f" {self.probability:.6f}; the page reads {correct:.1%} correctly, is sure of {sure:.1%}, and of these"
            f" {self.correct_and_sure / max(self.sure, 1):.1%} are correct"
        )


def drawn(browser: Any, model: Sequential, count: int) -> Agreement:
    """Of as many digits drawn with the mouse."""
    rng, agreement = np.random.default_rng(0), Agreement()
    for i in range(count):
        browser.find_element("id", "clear").click()
        draw(browser, by_another_hand(i % 10, rng))
        agreement.add(browser, model, i % 10)
    return agreement


def from_mnist(browser: Any, model: Sequential, count: int) -> Agreement:
    """Of as many of MNIST's test digits, put on the paper."""
    images, labels = load_mnist(MNIST)[1]
    agreement = Agreement()
    for i in range(0, len(labels), len(labels) // count):
        put(browser, images[i])
        agreement.add(browser, model, int(labels[i]))
    return agreement


def take_picture(browser: Any, path: Path) -> None:
    """Save what a reader sees of the page, with a 9 on it that is not closed and may be a 4."""
    size = {"width": 960, "height": 1220, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.find_element("id", "clear").click()
    draw(browser, [_arc(0.48, 0.36, 0.16, 0.15, 0, 0.75), _line((0.64, 0.3), (0.6, 0.8))])
    browser.execute_script("document.activeElement.blur(); scrollTo(0, 0)")
    browser.save_screenshot(str(path))
    Image.open(path).quantize(128, Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main() -> None:
    model, record = load_model(Path(sys.argv[1]), mnist_fcn.network)
    count = int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder, chromium.started() as browser:
        page = Path(folder) / "draw.html"
        page.write_bytes(draw_page(model, record))
        print(f"the page has {page.stat().st_size:,} bytes")
        chromium.open_page(browser, page, 1280)
        print(f"drawn with the mouse: {drawn(browser, model, count)}")
        print(f"MNIST's test digits: {from_mnist(browser, model, count)}")
        milliseconds = browser.execute_script(
            "const start = performance.now(); for (let i = 0; i < 20; i++) look(); return performance.now() - start"
        )
        print(f"{milliseconds / 20:.1f} ms for a look at the paper")
        for name in sys.argv[3:]:
            take_picture(browser, Path(name))


if __name__ == "__main__":
    main()
