"""Pictures of digits, of any size, dark on light or light on dark, are read in the form of MNIST's."""

from collections.abc import Callable
from pathlib import Path

from tinygrad_np.data import load_mnist

import numpy as np
import pytest
from examples_as_run import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mnist_study.digits import read_digits

DIGITS = load_mnist(EXAMPLES / "data/mnist")[1].images[:40]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits") / "digit.png"


def read_digit(path: Path, shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """The only digit of a picture."""
    (digit,) = read_digits(path, shape)
    return digit


def difference(a: np.ndarray, b: np.ndarray, shift: int = 0) -> float:
    """The mean difference of two images, of 1 for all, at the best of all shifts of up to so many pixels."""
    shifts = range(-shift, shift + 1)
    return min(
        float(np.mean(np.abs(np.roll(a, (i, j), (0, 1)).astype(float) - b))) / 255 for i in shifts for j in shifts
    )


@pytest.mark.parametrize(
    "save",
    [
        lambda digit, path: Image.fromarray(digit).save(path),
        lambda digit, path: Image.fromarray(255 - digit).save(path),
        lambda digit, path: Image.fromarray(digit.astype(np.uint16) * 257).save(path),
        lambda digit, path: Image.fromarray(digit).convert("RGB").save(path),
        lambda digit, path: Image.fromarray(digit).convert("P").save(path),
        lambda digit, path: Image.fromarray(np.stack([0 * digit, digit], axis=-1), "LA").save(path),
        lambda digit, path: Image.fromarray(np.stack([0 * digit + 255, digit], axis=-1), "LA").save(path),
        lambda digit, path: Image.fromarray(digit).save(path, "PPM"),
        lambda digit, path: path.write_bytes(b"P2 28 28 255 " + b" ".join(b"%d" % v for v in digit.ravel())),
    ],
    ids=[
        "light on dark",
        "dark on light",
        "16 bits",
        "colour",
        "palette",
        "transparent",
        "white on transparent",
        "binary PGM",
        "plain PGM",
    ],
)
def test_a_digit_of_mnist_stays_itself(save: Callable[[np.ndarray, Path], None], file: Path) -> None:
    for digit in DIGITS:
        save(digit, file)
        assert difference(read_digit(file), digit) < 0.01


@given(
    which=st.integers(0, len(DIGITS) - 1),
    size=st.integers(60, 400),
    margins=st.tuples(*[st.integers(0, 300)] * 4),
    paper=st.integers(0, 255),
    contrast=st.integers(60, 255),
)
def test_size_place_polarity_and_contrast_do_not_matter(
    file: Path, which: int, size: int, margins: tuple[int, ...], paper: int, contrast: int
) -> None:
    digit = np.asarray(Image.fromarray(DIGITS[which]).resize((size, size), Image.Resampling.BICUBIC)) / 255
    sign = 1 if paper < 128 else -1
    page = np.pad(np.clip(paper + sign * contrast * digit, 0, 255), (margins[:2], margins[2:]), constant_values=paper)
    Image.fromarray(page.round().astype(np.uint8)).save(file)
    assert difference(read_digit(file), DIGITS[which], shift=1) < 0.06


def test_grain_of_the_paper_is_not_ink(file: Path) -> None:
    rng = np.random.default_rng(0)
    for digit in DIGITS:
        large = np.asarray(Image.fromarray(digit).resize((200, 200), Image.Resampling.BICUBIC)).astype(float)
        Image.fromarray(np.clip(200 - large / 2 + rng.normal(0, 5, (200, 200)), 0, 255).astype(np.uint8)).save(file)
        assert difference(read_digit(file), digit, shift=1) < 0.06


def test_shade_across_the_page_does_not_hide_the_digit(file: Path) -> None:
    for digit in DIGITS:
        large = np.asarray(Image.fromarray(digit).resize((200, 200), Image.Resampling.BICUBIC)).astype(float)
        Image.fromarray((np.linspace(250, 220, 200) - 0.7 * large).clip(0, 255).astype(np.uint8)).save(file)
        assert difference(read_digit(file), digit, shift=1) < 0.06


def test_ink_may_touch_the_edge(file: Path) -> None:
    for digit in DIGITS:
        rows, columns = (np.flatnonzero(digit.any(axis=axis)) for axis in (1, 0))
        Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]).save(file)
        assert difference(read_digit(file), digit, shift=1) < 0.06


def test_a_picture_too_small_is_refused(file: Path) -> None:
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(file)
    with pytest.raises(ValueError, match=r"digit.png: the largest thing on it is 2 pixels large, too small for a"):
        read_digit(file)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_noise_is_refused_without_much_memory(file: Path, share: float) -> None:
    noise = np.random.default_rng(0).random((1200, 1200)) < share
    Image.fromarray(np.where(noise, 0, 255).astype(np.uint8)).save(file)
    with pytest.raises(ValueError, match=r"digit.png: it shows [\d,]+ separate strokes, which are no digits on paper"):
        read_digit(file)


def test_an_image_larger_than_needed(file: Path) -> None:
    Image.fromarray(DIGITS[0]).resize((5000, 4000)).save(file)
    wide = np.asarray(Image.fromarray(DIGITS[0]).resize((35, 28)))
    Image.fromarray(wide).save(file.with_name("small.png"))
    assert difference(read_digit(file), read_digit(file.with_name("small.png")), shift=1) < 0.05


def test_a_photograph_that_says_which_way_is_up(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(np.rot90(DIGITS[0])).save(file, exif=exif)
    assert difference(read_digit(file), DIGITS[0]) < 0.01


def test_other_sizes_of_networks(file: Path) -> None:
    Image.fromarray(DIGITS[0]).save(file)
    assert read_digit(file, (20, 28)).shape == (20, 28)
    assert read_digit(file, (1, 1)).tolist() == [[255]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PNG, PGM, JPEG or WebP image"),
        (b"\x89PNG\r\n\x1a\n", "not a PNG, PGM, JPEG or WebP image"),
        (b"P5 4 4 255 \0\0", "not a PNG, PGM, JPEG or WebP image"),
        (b"P5 0 4 255 ", "not a PNG, PGM, JPEG or WebP image"),
        (b"P5 99999999 99999999 255 ", "not a PNG, PGM, JPEG or WebP image"),
        (b"P5 12000 12000 255 ", "12000 x 12000 pixels are more than 100,000,000"),
        (b"P5 3 3 255 " + b"\x80" * 9, "all of it has the same brightness"),
        (b"P5 1 1 255 \xff", "all of it has the same brightness"),
        (b"GIF89a\1\0\1\0\x80\0\0", "not a PNG, PGM, JPEG or WebP image"),
    ],
)
def test_a_file_without_a_digit_is_refused_by_name(content: bytes, message: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_digit(file)
    assert str(file) in str(raised.value)


def test_a_faint_16_bit_picture_is_blank(file: Path) -> None:
    Image.fromarray(DIGITS[0].astype(np.uint16) + 30_000).save(file)  # of 65,536 grades
    with pytest.raises(ValueError, match="all of it has the same brightness"):
        read_digit(file)


@given(st.binary(max_size=60), st.integers(0, 700), st.booleans())
def test_damaged_files_are_refused_or_read(file: Path, noise: bytes, at: int, cut: bool) -> None:
    Image.fromarray(DIGITS[0]).save(file)
    content = file.read_bytes()
    file.write_bytes(content[:at] + noise + (b"" if cut else content[at + len(noise) :]))
    try:
        digit = read_digit(file)
    except ValueError as error:
        assert str(file) in str(error)  # noqa: PT017
    else:
        assert digit.shape == (28, 28)
