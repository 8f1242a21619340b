"""The report in a real browser, opened from the disk as its readers do: Chromium, on a desk and on a telephone.

Needs what `chromium.py` names; without it the tests are skipped.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tinygrad_np

import chromium
import examples_as_run
import pytest
from chromium import open_page

if chromium.MISSING:
    pytest.skip(f"{', '.join(chromium.MISSING)} not found", allow_module_level=True)

from mnist_study.figures import NARROW, WIDE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole study in small: a search, a training, and the page that tells of both."""
    folder = tmp_path_factory.mktemp("study")
    examples_as_run.write_subset(folder / "data")
    common = ("--data", "data", "--epochs", 2, "--quiet", "--report")
    few = ("--validation", 500, "--hidden", "8,16", "--lr", "0.1", "--weight-decay", "0")
    searched = examples_as_run.run("mnist_search.py", folder, *common, *few)
    assert searched.returncode == 0, searched.stderr
    trained = examples_as_run.run("mnist_fcn.py", folder, *common, "--hidden", 16, "--search", "runs/mnist_search")
    assert trained.returncode == 0, trained.stderr
    return folder / "runs/mnist_fcn/report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.started() as driver:
        yield driver


@pytest.mark.parametrize("width", [360, 640, 641, 1280])
def test_the_report_opens_whole_and_fits_the_screen(browser: Any, report: Path, width: int) -> None:
    requests = open_page(browser, report, width)
    assert report.as_uri() in requests
    assert all(url.startswith(("file:", "data:")) for url in requests)
    assert browser.get_log("browser") == []  # no complaint of the browser's
    assert browser.title == "Reading handwritten digits"

    script = "return [innerWidth, document.documentElement.scrollWidth, document.documentElement.lang]"
    inner, scrolled, language = browser.execute_script(script)
    assert inner == scrolled == width  # nothing sticks out, to be scrolled to sideways
    assert language == "en"

    images = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().left,"
        " i.getBoundingClientRect().right, i.alt])"
    )
    assert len(images) == 1 + 7  # of one step of the search, and of the training
    for complete, natural_width, left, right, alt in images:
        assert complete
        assert natural_width > 300
        assert 0 <= left < right <= width
        assert len(alt) > 40


@pytest.mark.parametrize(("width", "inches"), [(360, NARROW), (640, NARROW), (641, WIDE), (1280, WIDE)])
@pytest.mark.parametrize("name", ["mnist_fcn", "mnist_search"])
def test_text_in_pictures_has_nine_points_on_every_screen(
    browser: Any, report: Path, name: str, width: int, inches: float
) -> None:
    """Each picture is drawn for a width in inches, with text of at least 9 points: see test_figures.py."""
    open_page(browser, report.parent.parent / name / "report.html", width)
    pictures = browser.execute_script(
        "return [...document.images].map(i => [i.getBoundingClientRect().width, i.naturalWidth,"
        " i.currentSrc === i.src])"
    )
    assert pictures
    for shown, pixels, is_wide in pictures:
        assert is_wide == (inches == WIDE)
        assert pixels == inches * (120 if is_wide else 200)
        assert 9 <= 9 * shown / (96 * inches) <= 12.5  # nor much larger than the text of the page


def test_a_table_that_is_cut_off_says_so(browser: Any, report: Path) -> None:
    """The words are shown where a table is wider than the screen, and only there; scrolling shows the rest."""
    script = """
        return [...document.querySelectorAll('.wide')].map(wide => {
            const hint = wide.querySelector('.hint'), words = hint.firstElementChild.getBoundingClientRect();
            wide.scrollLeft = 1e6;
            const cells = [...wide.querySelectorAll('th')], last = cells[cells.length - 1].getBoundingClientRect();
            const moved = hint.firstElementChild.getBoundingClientRect();
            return [wide.scrollWidth > wide.clientWidth, hint.getBoundingClientRect().height, words.left, words.right,
                    moved.left, last.right];
        })"""
    cut = {}
    for width in (320, 360, 400, 500, 1280):
        open_page(browser, report, width)
        tables = browser.execute_script(script)
        assert len(tables) == 2  # of the search and of the classes
        for is_cut, height, left, right, left_when_scrolled, end in tables:
            assert (height > 15) == is_cut
            assert 0 <= left < right <= width
            assert left_when_scrolled == pytest.approx(left, abs=1)  # the words stay where they are
            assert end <= width
        cut[width] = sum(is_cut for is_cut, *_ in tables)
    assert cut[320] == 2
    assert cut[360] >= 1
    assert cut[1280] == 0


def test_commands_are_whole_on_a_telephone(browser: Any, report: Path) -> None:
    open_page(browser, report, 360)
    script = "return [...document.querySelectorAll('pre')].map(e => [e.scrollWidth, e.clientWidth])"
    for all_of_it, shown in browser.execute_script(script):
        assert all_of_it == shown


@pytest.mark.parametrize("name", ["mnist_fcn", "mnist_search"])
def test_a_report_begins_with_when_how_long_and_by_what(browser: Any, report: Path, name: str) -> None:
    open_page(browser, report.parent.parent / name / "report.html", 360)
    about = browser.execute_script("return document.querySelector('h1').nextElementSibling.innerText")
    version = re.escape(tinygrad_np.__version__)
    assert re.fullmatch(
        r"Written on 20\d\d-\d\d-\d\d at \d\d:\d\d UTC, \d+\.\d\ss after the command was given, by tinygrad_np "
        + version
        + r"( \(commit [0-9a-f]{7,}(, changed since)?\))?\.",
        about,
    )


def test_text_is_large_enough_for_a_telephone(browser: Any, report: Path) -> None:
    open_page(browser, report, 360)
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('p, td, th, pre, h1, h2')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 13


def test_the_report_of_a_search_opens_too(browser: Any, report: Path) -> None:
    page = report.parent.parent / "mnist_search/report.html"
    assert all(url.startswith(("file:", "data:")) for url in open_page(browser, page, 360))
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    assert browser.execute_script("return document.querySelectorAll('tr.best').length") == 1
    command = browser.execute_script("return document.querySelector('pre').innerText")
    assert re.search(r"mnist_fcn\.py --hidden (8|16) --epochs", command)  # the winner, in the first screen
    assert browser.execute_script("return document.querySelector('pre').getBoundingClientRect().top") < 800
    assert browser.execute_script("return document.querySelector('h2').innerText") == "The winner"
