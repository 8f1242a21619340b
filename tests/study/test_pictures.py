"""Pictures as people take them are read: one of each kind, drawn from test digits of MNIST."""

from pathlib import Path

from tinygrad_np.data import load_mnist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pictures import KINDS, MNIST, draw
from PIL import Image

from mnist_study.digits import _strokes, read_digits

IMAGES, LABELS = load_mnist(MNIST)[1]
THREE = IMAGES[[0, 2, 3]]  # 7, 1 and 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_picture_shows_the_digit_that_was_drawn(kind: str, tmp_path: Path) -> None:
    digits = THREE if kind == "several" else THREE[:1]
    found = read_digits(draw(kind, digits, tmp_path / "picture"))
    assert len(found) == len(digits)
    for image, digit in zip(found, digits, strict=True):
        assert _difference(image, digit) < 0.06


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """The mean difference of two images, of 1 for all, at the best of all shifts of up to one pixel."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return min(float(np.abs(np.roll(a, shift, (0, 1)).astype(float) - b).mean()) / 255 for shift in shifts)


def test_an_empty_page_of_ruled_paper_has_no_digit(tmp_path: Path) -> None:
    page = draw("ruled paper", 0 * THREE[:1], tmp_path / "empty")
    with pytest.raises(ValueError, match="there is no digit to be seen"):
        read_digits(page)


def test_a_format_that_pillow_does_not_read_here_says_what_to_do(tmp_path: Path) -> None:
    if "HEIF" in Image.OPEN:
        pytest.skip("this Pillow reads HEIC")
    (tmp_path / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(ValueError, match="photo.heic: a HEIC image, which Pillow does not read here; save it as JPEG"):
        read_digits(tmp_path / "photo.heic")


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_strokes_are_the_connected_pixels(mask: np.ndarray) -> None:
    rows, starts, ends, labels = _strokes(mask)
    strokes: dict[int, set[tuple[int, int]]] = {}
    for row, start, end, label in zip(rows, starts, ends, labels, strict=True):
        strokes.setdefault(int(label), set()).update((int(row), column) for column in range(start, end))
    rest, expected = {(int(i), int(j)) for i, j in np.argwhere(mask)}, []
    while rest:
        stroke, new = set(), {rest.pop()}
        while new:
            stroke |= new
            new = {p for p in rest for q in new if max(abs(p[0] - q[0]), abs(p[1] - q[1])) == 1}
            rest -= new
        expected.append(stroke)
    assert sorted(map(sorted, strokes.values())) == sorted(map(sorted, expected))
