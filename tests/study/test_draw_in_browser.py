"""The page to draw on in a real browser: drawn on with the mouse and by keys, and read as `--predict` reads.

Needs what `chromium.py` names; without it the tests are skipped.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinygrad_np.nn import Sequential

import chromium
import drawing
import examples_as_run
import numpy as np
import pytest
from chromium import open_page

import mnist_fcn
from mnist_study.models import load_model

if chromium.MISSING:
    pytest.skip(f"{', '.join(chromium.MISSING)} not found", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that a short training leaves."""
    folder = tmp_path_factory.mktemp("page")
    examples_as_run.write_subset(folder / "data")
    trained = examples_as_run.run("mnist_fcn.py", folder, "--data", "data", "--epochs", 4, "--hidden", 64, "--quiet")
    assert trained.returncode == 0, trained.stderr
    return folder / "runs/mnist_fcn/draw.html"


@pytest.fixture(scope="module")
def model(page: Path) -> Sequential:
    return load_model(page.with_name("model.safetensors"), mnist_fcn.network)[0]


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    with chromium.started() as driver:
        yield driver


@pytest.fixture
def browser(started: Any, page: Path) -> Any:
    """The browser with the page just opened."""
    requests = open_page(started, page, 1280)
    assert all(url.startswith(("file:", "data:")) for url in requests)
    return started


def text(browser: Any, name: str) -> str:
    return browser.find_element("id", name).text


def test_page_and_command_agree_on_what_is_drawn_with_the_mouse(browser: Any, model: Sequential) -> None:
    agreement = drawing.drawn(browser, model, 10)
    print(agreement)
    assert agreement.pixels <= 1  # the last bit of a sine may round the other way
    assert agreement.probability < 0.005
    assert agreement.correct >= 8
    assert browser.get_log("browser") == []


def test_page_and_command_agree_on_digits_of_mnist(browser: Any, model: Sequential) -> None:
    agreement = drawing.from_mnist(browser, model, 50)
    print(agreement)
    assert agreement.pixels <= 1
    assert agreement.probability < 0.005
    assert agreement.correct >= 40


def test_the_command_itself_reads_the_saved_picture_alike(browser: Any, page: Path, tmp_path: Path) -> None:
    for digit, shift in ((4, -0.22), (7, 0.22)):
        drawing.draw(browser, [(s - 0.5) * [0.6, 0.8] + [0.5 + shift, 0.5] for s in drawing.DIGITS[digit]])
    picture = drawing.save_paper(browser, tmp_path / "two.png")
    read = examples_as_run.run(
        "mnist_fcn.py", tmp_path, "--predict", picture, "--model", page.with_name("model.safetensors")
    )
    rows = [line.removesuffix("not sure").split() for line in read.stdout.splitlines()[2:]]
    _, probabilities = drawing.page_readings(browser)
    assert [row[1] for row in rows] == list(text(browser, "digits"))
    assert probabilities.shape == (2, 10)
    np.testing.assert_allclose(100 * probabilities, [[float(word) for word in row[2:]] for row in rows], atol=0.5)


@pytest.mark.parametrize(
    ("strokes", "count"),
    [
        ([np.array([(0.5, 0.5)])], 1),
        ([np.array([(0.5, 0.2), (0.2, 0.5), (-0.3, 0.6), (0.7, 0.8), (0.6, 1.1)])], 1),
        ([np.array([(0.01, 0.3), (1, 0.31)]), np.array([(0.5, 0.3), (0.5, 0.9)])], 1),
        ([np.array([(0.01 + i % 2, i / 20 + 0.01) for i in range(16)])], 1),
        ([np.array([(0, 0.5), (0, 0), (0, 1)])], 0),
        ([*drawing.DIGITS[7], np.array([(0.95, 0.95)])], 1),
    ],
    ids=[
        "a dot",
        "a stroke over the edges",
        "a bar across the whole paper",
        "most of the paper",
        "a bar at the edge, taken for a printed line",
        "a speck beside",
    ],
)
def test_page_and_command_agree_on_odd_drawings(
    strokes: drawing.Strokes, count: int, browser: Any, model: Sequential
) -> None:
    drawing.draw(browser, strokes)
    agreement = drawing.Agreement()
    agreement.add(browser, model)
    assert agreement.pixels <= 1
    assert agreement.probability < 0.005
    assert len(drawing.page_readings(browser)[0]) == count


def test_thin_straight_lines_and_specks_are_left_out_alike(browser: Any, model: Sequential) -> None:
    """The pen is too thick for them, but the page prepares a picture as the command does, whatever is on it."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        browser.find_element("id", "clear").click()
        drawing.draw(browser, drawing.by_another_hand(int(rng.integers(10)), rng))
        browser.execute_script(
            """
            const [across, down, x, y] = arguments;
            context.fillStyle = "#777";
            context.fillRect(0, across, 560, 5);
            context.fillRect(down, 0, 5, 560);
            context.fillRect(x, y, 4, 4);
            look();
            """,
            *(int(place) for place in rng.integers(20, 540, 4)),
        )
        agreement = drawing.Agreement()
        agreement.add(browser, model)
        assert agreement.pixels <= 1
        assert agreement.probability < 0.005


def test_it_says_in_words_what_it_reads_and_whether_it_is_sure(browser: Any) -> None:
    assert text(browser, "digits") == ""
    assert text(browser, "sentence").startswith("From 0 to 9")
    unsure = 0
    rng = np.random.default_rng(1)
    for i in range(20):
        browser.find_element("id", "clear").click()
        if i < 10:
            drawing.draw(browser, drawing.DIGITS[i])
        else:
            drawing.draw(browser, [rng.uniform(0.2, 0.8, (4, 2))])  # a scribble
        _, (probabilities, *_) = drawing.page_readings(browser)
        first, second = np.argsort(-probabilities)[:2]
        sentence = text(browser, "sentence")
        assert text(browser, "digits") == str(first)
        bars = browser.find_elements("css selector", ".bar")
        assert [bar.text.split("\n")[-1] for bar in bars] == [f"{100 * p:.1f} %" for p in probabilities]
        assert ["first" in bar.get_attribute("class") for bar in bars] == [i == first for i in range(10)]
        assert sentence.startswith("I am sure (" if probabilities[first] >= 0.9 else "I am not sure (")
        if probabilities[first] < 0.9:
            unsure += 1
            assert re.search(rf"It may also be an? {second} \({100 * probabilities[second]:.1f} %\)\.", sentence)
        assert browser.execute_script("return document.getElementById('spoken').textContent").endswith(sentence)
    assert 0 < unsure < 20


def test_the_weights_inside_are_those_of_the_network(browser: Any, model: Sequential) -> None:
    for name, layer in (("FIRST", model.layers[0]), ("SECOND", model.layers[2])):
        weight, bias = browser.execute_script(f"return [Array.from({name}.weight), Array.from({name}.bias)]")
        largest = np.abs(layer.weight.data).max(axis=0)
        assert np.all(
            np.abs(np.reshape(weight, layer.weight.shape) - layer.weight.data) <= largest * (0.5 / 2047 + 1e-6)
        )
        np.testing.assert_allclose(bias, layer.bias.data, rtol=1e-6)


def test_hidden_units_light_up_as_in_the_network(browser: Any, model: Sequential) -> None:
    drawing.draw(browser, drawing.DIGITS[3])
    images, _ = drawing.page_readings(browser)
    active = model.layers[0](mnist_fcn.pixels(images.astype(np.uint8))).data[0]
    count = int(re.match(r"(\d+) of the 64 hidden units light up", text(browser, "lit")).group(1))
    assert abs(count - np.count_nonzero(active > 0)) <= np.count_nonzero(np.abs(active) < 0.01)
    orange = browser.execute_script(
        """
        const canvas = document.getElementById("units");
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return [...data.keys()].filter((i) => i % 4 === 0 && data[i] > data[i + 2] + 5).length;
        """
    )
    assert 0.5 * count < orange / 100 <= count  # of 10 by 10 pixels each; the faintest are nearly grey
    assert 1 <= len(browser.find_elements("css selector", "#strongest canvas")) <= 8


def test_clear_takes_all_away(browser: Any) -> None:
    drawing.draw(browser, drawing.DIGITS[8])
    for clear in (browser.find_element("id", "clear").click, lambda: press(browser, "Escape")):
        drawing.draw(browser, drawing.DIGITS[8])
        assert text(browser, "digits") != ""
        clear()
        assert text(browser, "digits") == ""
        assert drawing.page_readings(browser)[0].size == 0
        assert not browser.execute_script(
            "return context.getImageData(0, 0, 560, 560).data.some((value) => value !== 255)"
        )


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains, Keys  # here for the reason in `chromium.py`

    names = {"Escape": Keys.ESCAPE, "Left": Keys.ARROW_LEFT, "Right": Keys.ARROW_RIGHT, "Up": Keys.ARROW_UP,
             "Down": Keys.ARROW_DOWN, "Space": Keys.SPACE, "Tab": Keys.TAB, "Enter": Keys.ENTER}  # fmt: skip
    actions = ActionChains(browser, duration=0)
    for key in keys:
        actions.send_keys(names[key])
    actions.perform()


def test_all_of_it_can_be_used_by_keys(browser: Any, model: Sequential) -> None:
    focused = "return document.activeElement.id"
    press(browser, "Tab")
    assert browser.execute_script(focused) == "paper"
    press(browser, *["Up"] * 7, *["Left"] * 5, "Space", *["Right"] * 9, *["Down", "Down", "Down", "Left"] * 5, "Space")
    agreement = drawing.Agreement()
    agreement.add(browser, model, 7)
    assert agreement.correct == 1
    assert agreement.pixels <= 1
    ink = "return context.getImageData(0, 0, 560, 560).data.reduce((sum, value) => sum + (255 - value), 0)"
    before = browser.execute_script(ink)
    press(browser, *["Up"] * 10)  # the pen is lifted
    assert browser.execute_script(ink) == before > 0
    press(browser, "Tab")
    assert browser.execute_script(focused) == "clear"
    press(browser, "Enter")
    assert browser.execute_script(ink) == 0
    press(browser, "Tab")
    assert browser.execute_script(focused) == "save"


@pytest.mark.parametrize("pointer", ["touch", "pen"])
def test_fingers_and_pens_draw_as_the_mouse_does(pointer: str, browser: Any, model: Sequential) -> None:
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    paper = browser.find_element("id", "paper")
    side = paper.rect["width"]
    actions = ActionBuilder(browser, mouse=PointerInput(pointer, pointer), duration=0)
    (stroke,) = drawing.DIGITS[7]
    for i, (x, y) in enumerate(side * (stroke - 0.5)):
        actions.pointer_action.move_to(paper, round(x), round(y))
        if i == 0:
            actions.pointer_action.pointer_down()
    actions.pointer_action.pointer_up()
    actions.perform()
    agreement = drawing.Agreement()
    agreement.add(browser, model, 7)
    assert agreement.correct == 1
    assert browser.execute_script("return scrollY") == 0


def test_the_button_saves_the_paper(browser: Any, tmp_path: Path) -> None:
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    drawing.draw(browser, drawing.DIGITS[2])
    browser.find_element("id", "save").click()
    saved = tmp_path / "digit.png"
    browser.execute_async_script("setTimeout(arguments[0], 0)")
    for _ in range(600):
        if saved.exists():
            break
        browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert saved.read_bytes() == drawing.save_paper(browser, tmp_path / "same.png").read_bytes()


@pytest.mark.parametrize("width", [360, 1280])
def test_it_fits_the_screen(browser: Any, page: Path, width: int) -> None:
    open_page(browser, page, width)
    for digit, shift in ((4, -0.22), (7, 0.22)):
        drawing.draw(browser, [(s - 0.5) * [0.6, 0.8] + [0.5 + shift, 0.5] for s in drawing.DIGITS[digit]])
    assert browser.execute_script("return document.documentElement.scrollWidth") == width
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('p, span, h1, h2, button')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 13
    too_large = browser.execute_script(
        "return [...document.querySelectorAll('.bar, .bar span')]"
        ".filter(e => e.scrollHeight > e.clientHeight || e.scrollWidth > e.clientWidth).length"
    )
    assert too_large == 0  # no number is broken into two lines, and none sticks out
    assert browser.get_log("browser") == []


def test_a_script_that_is_not_the_pages_does_not_run(browser: Any, page: Path, tmp_path: Path) -> None:
    foreign = "<script>document.title = 'foreign'</script><p style='color: red' onclick='0'></p></body>"
    other = tmp_path / "other.html"
    other.write_text(page.read_text(encoding="utf-8").replace("</body>", foreign), encoding="utf-8")
    open_page(browser, other, 1280)
    assert browser.title == "Draw a digit"
    complaints = " ".join(entry["message"] for entry in browser.get_log("browser"))
    assert "Content Security Policy" in complaints
    assert "script-src" in complaints
    browser.execute_script("const image = new Image(); image.src = 'https://example.org/'; document.body.append(image)")
    assert "https://example.org/" in " ".join(entry["message"] for entry in browser.get_log("browser"))


def test_other_shapes_and_fewer_classes(browser: Any, tmp_path: Path) -> None:
    examples_as_run.write_subset(tmp_path / "data", crop=slice(4, 24), classes=3)
    trained = examples_as_run.run("mnist_fcn.py", tmp_path, "--data", "data", "--epochs", 2, "--hidden", 5, "--quiet")
    assert trained.returncode == 0, trained.stderr
    open_page(browser, tmp_path / "runs/mnist_fcn/draw.html", 360)
    drawing.draw(browser, drawing.DIGITS[2])
    images, probabilities = drawing.page_readings(browser)
    assert images.shape == (1, 20, 28)
    assert probabilities.shape == (1, 3)
    assert abs(probabilities.sum() - 1) < 1e-12
    assert browser.get_log("browser") == []
