"""The report in a real browser, opened from the disk as its readers do: Chromium, on a desk and on a telephone.

Needs what `chromium.py` names; without it the tests are skipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import examples_as_run
import pytest
from chromium import open_page

if chromium.MISSING:
    pytest.skip(f"{', '.join(chromium.MISSING)} not found", allow_module_level=True)

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


@pytest.mark.parametrize("width", [360, 1280])
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
    assert len(images) == 1 + 7
    for complete, natural_width, left, right, alt in images:
        assert complete
        assert natural_width > 300
        assert 0 <= left < right <= width
        assert len(alt) > 40


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
