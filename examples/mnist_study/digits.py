"""Read a picture of handwritten digits as MNIST images: light ink on black, centred, 20 of 28 pixels large.

The picture may have any size. It may be dark on light or light on dark, grey, coloured or transparent. A border around
the paper, a soft shadow, printed lines that run straight across or down, and specks are left out. Digits stand side by
side in one row, without touching.
"""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

LARGEST = 100_000_000  # pixels
ENOUGH = 2000  # pixels a side; larger pictures are scaled down first
FAINTEST = 0.05  # the smallest contrast of ink and paper, as a fraction of that of black and white
FAINTEST_INK = 0.04  # as a fraction of the darkest; anything fainter is paper
SMALLEST_PAGE = 60  # pixels a side; smaller pictures have no border and no printed lines
SMALLEST_DIGIT = 8  # pixels of its larger side
SPECK = 0.15  # the largest side of a speck, as a fraction of the largest stroke's
NEAR = 0.08  # a speck no farther from a stroke is a part of its digit
MOST_STROKES = 200
HALF_WAY = 1e-4  # pixels; a centre this near to half-way between two places counts as exactly there
FORMATS = ("PNG", "PPM", "JPEG", "WEBP", "AVIF", "HEIF")  # the last two where Pillow reads them
READABLE = "a PNG, PGM, JPEG or WebP image"


def read_digits(path: Path, shape: tuple[int, int] = (28, 28)) -> list[np.ndarray]:
    """The digits in a picture, from left to right, each as an MNIST image: uint8, of this shape, paper 0, ink to 255.

    As in MNIST, a digit's larger side is 20/28 of the image's, and its centre of mass is in the middle. Source:
    Y. LeCun, "The MNIST database of handwritten digits", on the preparation of the images.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a picture that Pillow reads, is damaged, has over 100 million pixels, shows no digit, or
            more than 200 strokes.
    """
    brightness = _page(_brightness(path))
    ink = _without_lines(_ink(brightness))
    if ink.max() < FAINTEST:
        raise ValueError(f"{path}: all of it has the same brightness; there is no digit to be seen")
    digits = _split(ink, path)
    if (largest := max(max(digit.shape) for digit in digits)) < SMALLEST_DIGIT:
        raise ValueError(
            f"{path}: the largest thing on it is {largest} pixels large, too small for a digit ({SMALLEST_DIGIT});"
            " take the picture from nearer"
        )
    return [_as_mnist(digit, shape) for digit in digits]


def _page(brightness: np.ndarray) -> np.ndarray:
    """What is inside a border of another brightness, such as the table around a sheet of paper; or else everything."""
    height, width = brightness.shape
    if min(height, width) < SMALLEST_PAGE:
        return brightness
    outside = np.median(_edge(brightness))
    paper = np.median(brightness)
    if abs(paper - outside) < 0.2:
        return brightness
    is_paper = np.abs(brightness - paper) < np.abs(brightness - outside)
    rows, columns = (np.flatnonzero(is_paper.mean(axis=axis) > 0.4) for axis in (1, 0))
    if min(len(rows) / height, len(columns) / width) < 0.4:
        return brightness
    margin = max(2, min(height, width) // 50)  # the border's soft edge
    top, bottom = rows[0] + margin, rows[-1] + 1 - margin
    left, right = columns[0] + margin, columns[-1] + 1 - margin
    inside = (slice(top, bottom), slice(left, right))
    if _edge(is_paper[inside]).mean() < 0.95 or is_paper[inside].all():  # a large digit, not a sheet
        return brightness
    return brightness[inside]


def _edge(page: np.ndarray) -> np.ndarray:
    return np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])


def _ink(brightness: np.ndarray) -> np.ndarray:
    """The difference of every pixel from the paper, whichever of the two is darker; 0 where it is faint."""
    ink = np.abs(brightness - _paper(brightness))
    edge = _edge(brightness)
    grain = np.median(np.abs(edge - np.median(edge))) / 0.6745  # the standard deviation, if the noise is Gaussian
    threshold = max(FAINTEST_INK * ink.max(), 7 * grain)
    ink[ink < min(threshold, ink.max() / 2)] = 0  # ink or shade at the edge makes the grain too large
    return ink


def _paper(brightness: np.ndarray) -> np.ndarray | float:
    """The brightness of the paper: that of the edge, or, under a shadow, the quadratic surface nearest to the paper."""
    paper = float(np.median(_edge(brightness)))
    step = max(1, min(brightness.shape) // 100)
    sample = brightness[::step, ::step]
    if np.ptp(_edge(sample)) < FAINTEST or min(sample.shape) < 20:
        return paper
    near = np.abs(sample - paper) < 0.35
    if near.mean() < 0.6:
        return paper
    terms = _quadratic_terms(sample.shape)
    for _ in range(5):  # with fewer pixels that are ink each time
        surface = terms @ np.linalg.lstsq(terms[near], sample[near], rcond=None)[0]
        difference = np.abs(sample - surface)
        near = difference < max(0.02, 2.5 * np.median(difference))
    return _quadratic_terms(brightness.shape) @ np.linalg.lstsq(terms[near], sample[near], rcond=None)[0]


def _quadratic_terms(shape: tuple[int, ...]) -> np.ndarray:
    y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in shape), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _without_lines(ink: np.ndarray) -> np.ndarray:
    """The ink without printed lines, thin and straight from edge to edge. A stroke that crosses one stays whole."""
    for _ in range(2):  # across, then down
        ink = ink.T.copy()
        length = len(ink)
        line = np.flatnonzero((ink > 0).mean(axis=1) > 0.75)
        for run in np.split(line, np.flatnonzero(np.diff(line) > 1) + 1) if len(line) else []:
            if length >= SMALLEST_PAGE and len(run) <= max(3, length // 40):
                above, below = max(run[0] - 1, 0), min(run[-1] + 1, length - 1)
                ink[run] = np.minimum(ink[above], ink[below])
    return ink


def _split(ink: np.ndarray, path: Path) -> list[np.ndarray]:
    """The ink of each digit, from left to right. Strokes above each other are one digit; specks are none."""
    rows, starts, ends, labels = _strokes(ink > 0)
    names, labels = np.unique(labels, return_inverse=True)
    low = np.full((len(names), 2), max(ink.shape))
    high = np.zeros((len(names), 2), int)
    np.minimum.at(low, labels, np.stack([rows, starts], axis=1))
    np.maximum.at(high, labels, np.stack([rows + 1, ends], axis=1))
    sizes = (high - low).max(axis=1)
    largest = sizes.max()
    strokes = np.flatnonzero(sizes >= SPECK * largest)
    if len(strokes) > MOST_STROKES:
        raise ValueError(
            f"{path}: it shows {len(strokes):,} separate strokes, which are no digits on paper; cut them out, or write"
            " darker"
        )
    gaps = np.full(len(low), max(ink.shape))
    for stroke in strokes:  # one by one: of a noisy picture there may be 100,000 specks
        np.minimum(gaps, np.maximum(low - high[stroke], low[stroke] - high).max(axis=1), out=gaps)
    groups: list[list[int]] = []
    for stroke in sorted(np.flatnonzero((sizes >= SPECK * largest) | (gaps < NEAR * largest)), key=lambda i: low[i, 1]):
        if groups and _belongs(low, high, groups[-1], stroke, largest):
            groups[-1].append(stroke)
        else:
            groups.append([stroke])
    digits = []
    for group in groups:
        mine = np.zeros(ink.shape, bool)
        for run in np.flatnonzero(np.isin(labels, group)):
            mine[rows[run], starts[run] : ends[run]] = True
        (top, left), (bottom, right) = low[group].min(axis=0), high[group].max(axis=0)
        digits.append(np.where(mine, ink, 0)[top:bottom, left:right])
    return digits


def _belongs(low: np.ndarray, high: np.ndarray, group: list[int], stroke: int, largest: int) -> bool:
    """Whether a stroke is a part of a digit: under or over it, or a short one beside it."""
    left, right = low[group, 1].min(), high[group, 1].max()
    overlap = min(right, high[stroke, 1]) - max(left, low[stroke, 1])
    narrower = min(right - left, high[stroke, 1] - low[stroke, 1])
    heights = high[stroke, 0] - low[stroke, 0], high[group, 0].max() - low[group, 0].min()
    return bool(overlap > 0.3 * narrower or (min(heights) < 0.6 * largest and overlap > -0.15 * largest))


def _strokes(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Connected pixels, diagonals included, as runs along the rows: row, start, end and label of each run.

    Runs that touch get the smaller label of the two, until none changes.
    """
    width = mask.shape[1] + 2
    padded = np.pad(mask, 1).ravel()
    edges = np.flatnonzero(np.diff(padded.astype(np.int8))) + 1
    starts, ends = edges[::2], edges[1::2]
    first = np.searchsorted(ends, starts + width, "left")
    last = np.searchsorted(starts, ends + width, "right")
    counts = np.maximum(last - first, 0)
    a = np.repeat(np.arange(len(starts)), counts)
    b = np.arange(len(a)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    labels = np.arange(len(starts))
    while np.any(labels[a] != labels[b]):
        smaller = np.minimum(labels[a], labels[b])
        np.minimum.at(labels, labels[a], smaller)
        np.minimum.at(labels, labels[b], smaller)
        labels = labels[labels]
    rows = starts // width
    return rows - 1, starts - rows * width - 1, ends - rows * width - 1, labels


def _as_mnist(ink: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The ink of a digit, cut to its box, as an image of MNIST."""
    scale = min(side * 20 / 28 / length for side, length in zip(shape, ink.shape, strict=True))
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    small = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.HAMMING))
    small = small / small.max()  # thin lines are as dark as thick ones
    result = np.zeros(shape)
    top, left = (
        int(np.clip(np.ceil(side / 2 - centre - HALF_WAY), 0, side - length))  # MNIST rounds so
        for side, length, centre in zip(shape, small.shape, _centre_of_mass(small), strict=True)
    )
    result[top : top + height, left : left + width] = small
    return np.round(255 * np.clip(result, 0, 1)).astype(np.uint8)


def _brightness(path: Path) -> np.ndarray:
    """The brightness of every pixel, from 0 to 1; transparent pixels are white."""
    Image.init()  # without it Pillow knows some of its formats only
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is raised below
            with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
                if image.width * image.height > LARGEST:
                    raise ValueError(f"{image.width} x {image.height} pixels are more than {LARGEST:,}")
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith("I"):  # 16 bits a pixel
                    return _no_larger_than_needed(Image.fromarray(np.asarray(image, np.float32) / 65535))
                if not image.has_transparency_data:
                    return _no_larger_than_needed(image.convert("L")) / 255
                ink = image.convert("RGBA")
                for paper in ("white", "black"):  # black if the ink is white
                    page = Image.alpha_composite(Image.new("RGBA", ink.size, paper), ink).convert("L")
                    if page.getextrema()[0] != page.getextrema()[1]:
                        break
                return _no_larger_than_needed(page) / 255
    except OSError as error:
        if error.errno is not None:  # the file system's, which names the file
            raise
        if _is_heic(path):
            raise ValueError(f"{path}: a HEIC image, which Pillow does not read here; save it as JPEG") from error
        raise ValueError(f"{path}: not {READABLE}, or a damaged one") from error
    except (SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not {READABLE} that can be read: {error}") from error


def _is_heic(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(12)[4:] in (b"ftypheic", b"ftypheix", b"ftypmif1")


def _no_larger_than_needed(image: Image.Image) -> np.ndarray:
    image.thumbnail((ENOUGH, ENOUGH))
    return np.asarray(image, np.float64)


def _centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    rows, columns = (np.arange(length) + 0.5 for length in ink.shape)
    return float(ink.sum(axis=1) @ rows / ink.sum()), float(ink.sum(axis=0) @ columns / ink.sum())
