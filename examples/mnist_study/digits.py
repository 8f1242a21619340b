"""Read a picture of a handwritten digit as an MNIST image: light ink on black, centred, 20 of 28 pixels large.

The picture may have any size. It may be dark on light or light on dark, grey, coloured or transparent. Its background
must be clean: everything on it counts as ink.
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


def read_digit(path: Path, shape: tuple[int, int] = (28, 28)) -> np.ndarray:
    """The digit in a PNG or PGM file as an MNIST image: uint8, of this shape, with paper 0 and ink up to 255.

    As in MNIST, the digit's larger side is 20/28 of the image's, and its centre of mass is in the middle. Source:
    Y. LeCun, "The MNIST database of handwritten digits", on the preparation of the images.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a PNG or PGM file, is damaged, has over 100 million pixels, or has one brightness only.
    """
    brightness = _brightness(path)
    edge = np.concatenate([brightness[0], brightness[-1], brightness[:, 0], brightness[:, -1]])
    paper = np.median(edge)
    grain = np.median(np.abs(edge - paper)) / 0.6745  # the standard deviation, if the noise is Gaussian
    ink = np.abs(brightness - paper)  # whichever of the two is darker
    if ink.max() < FAINTEST:
        raise ValueError(f"{path}: all of it has the same brightness; there is no digit to be seen")
    threshold = max(FAINTEST_INK * ink.max(), 7 * grain)
    ink[ink < min(threshold, ink.max() / 2)] = 0  # ink or shade at the edge makes the grain too large
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    scale = min(side * 20 / 28 / length for side, length in zip(shape, ink.shape, strict=True))
    height, width = (max(1, round(length * scale)) for length in ink.shape)
    small = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.HAMMING))
    small = small / small.max()  # thin lines are as dark as thick ones
    result = np.zeros(shape)
    top, left = (
        int(np.clip(np.ceil(side / 2 - centre), 0, side - length))  # MNIST rounds so
        for side, length, centre in zip(shape, small.shape, _centre_of_mass(small), strict=True)
    )
    result[top : top + height, left : left + width] = small
    return np.round(255 * np.clip(result, 0, 1)).astype(np.uint8)


def _brightness(path: Path) -> np.ndarray:
    """The brightness of every pixel, from 0 to 1; transparent pixels are white."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours is raised below
            with Image.open(path, formats=("PNG", "PPM")) as image:
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
        raise ValueError(f"{path}: not a PNG or PGM image, or a damaged one") from error
    except (SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a PNG or PGM image that can be read: {error}") from error


def _no_larger_than_needed(image: Image.Image) -> np.ndarray:
    image.thumbnail((ENOUGH, ENOUGH))
    return np.asarray(image, np.float64)


def _centre_of_mass(ink: np.ndarray) -> tuple[float, float]:
    rows, columns = (np.arange(length) + 0.5 for length in ink.shape)
    return float(ink.sum(axis=1) @ rows / ink.sum()), float(ink.sum(axis=0) @ columns / ink.sum())
