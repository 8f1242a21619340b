"""The documentation as a site: it is built without a warning, its links lead somewhere, every public name is in it.

Needs the extra `docs`; without it this file is skipped.
"""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import tinygrad_np

import pytest
import structure

for package in ("sphinx", "myst_nb", "furo"):
    pytest.importorskip(package)

pytestmark = pytest.mark.slow

ROOT = Path(tinygrad_np.__file__).parents[1]
MODULES = list(structure.public_modules(tinygrad_np))
FROM_OUTSIDE = re.compile(r"url\(\s*[\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//")


class Page(HTMLParser):
    """What a page refers to, what can be referred to in it, and what a browser loads with it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        targets = [given[name] for name in ("href", "src", "data") if given.get(name)]
        (self.links if tag == "a" else self.loaded).extend(targets)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    readme = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    command = re.search(r"python (-m sphinx .*) build/site\n", readme)[1].split()
    run = subprocess.run([sys.executable, *command, folder], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def broken(pages: dict[Path, Page]) -> list[str]:
    """The links and files that lead nowhere."""
    found = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme in ("http", "https", "data", "mailto"):
                continue
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in pages[target].anchors):
                found.append(f"{path.name}: {link}")
    return found


def test_links_and_pictures_of_the_site_lead_somewhere(pages: dict[Path, Page]) -> None:
    assert sum(len(page.links) for page in pages.values()) > 5000
    assert broken(pages) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#here">b</a><img src="x.png"><p id="there">', encoding="utf-8")
    (tmp_path / "b.html").write_text('<a href="a.html#there">a</a><a href="#here">b</a>', encoding="utf-8")
    found = broken({path: Page(path) for path in sorted(tmp_path.iterdir())})
    assert found == ["a.html: b.html#here", "a.html: x.png", "b.html: #here"]


def test_the_site_is_read_without_a_network(site: Path, pages: dict[Path, Page]) -> None:
    loaded = {link for page in pages.values() for link in page.loaded}
    assert loaded
    assert [link for link in loaded if urlsplit(link).netloc] == []
    sheets = list(site.rglob("*.css"))
    assert sheets
    assert [sheet.name for sheet in sheets if FROM_OUTSIDE.search(sheet.read_text(encoding="utf-8"))] == []


def test_the_pages_of_the_front_page_are_in_the_navigation(pages: dict[Path, Page], site: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([^)#]+)\.(?:md|ipynb)\)", text))
    assert {"tinygrad_np/OPERATIONS", "tinygrad_np/docs/nn", "examples/mnist_study", "CONTRIBUTING"} <= linked
    navigation = {*pages[site / "py-modindex.html"].links, *pages[site / "search.html"].links}  # pages without text
    assert {f"{name}.html" for name in linked} <= navigation


def test_formulas_are_set_by_the_browser_itself(site: Path) -> None:
    text = (site / "examples" / "mnist_study.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<math\b.*?<mi>.*?</math>", text, re.DOTALL)) >= 5
    assert "$" not in re.sub(r"<(pre|script)\b.*?</\1>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_in_the_site_and_in_its_search(
    module: object, pages: dict[Path, Page], site: Path
) -> None:
    anchors = pages[site / "docs" / "made" / f"{module.__name__}.html"].anchors
    index = json.loads((site / "searchindex.js").read_text(encoding="utf-8")[len("Search.setIndex(") : -1])
    searched = {f"{prefix}.{entry[-1]}" for prefix, entries in index["objects"].items() for entry in entries}
    names = {f"{module.__name__}.{name}" for name in structure.public_members(module)}
    assert names - anchors == set()
    assert names - searched == set()


def test_docstrings_are_read_as_they_are_meant(site: Path) -> None:
    """Two products are no emphasis, indented code is no quotation, a word before a colon is no type."""
    for page in (site / "docs" / "made").glob("tinygrad_np*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"<em>(?!<span)[^<]*", text) == [], page.name
        assert "<blockquote" not in text, page.name
