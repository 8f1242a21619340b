"""Windows of images as columns, and channels as pixels: `unfold`, `fold`, `pixel_shuffle` and `pixel_unshuffle`.

`unfold` and `fold` are each other's gradients.
"""

import math
from itertools import product
from typing import Any

import numpy as np

from .. import _validation as check
from .._registry import differentiable
from ..tensor import Array
from .cases import Case
from .examples import FIRST
from .windows import Sizes, Window, as_images, check_room, sizes_of, sliding

APART = Window((2, 1), (3, 2), ((1, 1), (0, 0)), (2, 1))
OVERLAPPING = Window((3, 2), (2, 1), ((1, 1), (1, 1)), (1, 2))


@differentiable(
    lambda g, y, x, *, window: _fold(g, window=window, sizes=x.shape[2:]),
    reads=(),
    jvp="linear",
    examples=FIRST,
    cases=[Case("n 2 5 4", kwargs={"window": APART}), Case("2 k 4 3", kwargs={"window": OVERLAPPING})],
    name="unfold",
)
def _unfold(x: Array, window: Window) -> Array:
    padded = np.zeros((*x.shape[:2], *window.padded(x.shape[2:])), x.dtype)
    padded[window.inside(padded.shape[2:])] = x
    columns = np.empty((*x.shape[:2], *window.kernel, *window.outputs(x.shape[2:])), x.dtype)
    for i, j, place in _elements(window, padded):
        columns[:, :, i, j] = padded[place]
    return columns.reshape(len(x), x.shape[1] * math.prod(window.kernel), math.prod(columns.shape[4:]))


@differentiable(
    lambda g, y, x, *, window, sizes: _unfold(g, window=window),
    reads=(),
    wide=True,
    jvp="linear",
    examples=FIRST,
    cases=[
        Case("n 4 4", kwargs={"window": APART, "sizes": (5, 4)}),
        Case("2 6 6", kwargs={"window": OVERLAPPING, "sizes": (4, 3)}),
    ],
    name="fold",
)
def _fold(x: Array, window: Window, sizes: Sizes) -> Array:
    """Images of these sizes, in which each element is the sum of those that windows show of it."""
    channels = x.shape[1] // math.prod(window.kernel)
    columns = x.reshape(len(x), channels, *window.kernel, *window.outputs(sizes))
    padded = np.zeros((*columns.shape[:2], *window.padded(sizes)), x.dtype)
    for i, j, place in _elements(window, padded):
        padded[place] += columns[:, :, i, j]
    return np.array(padded[window.inside(padded.shape[2:])])


def _elements(window: Window, padded: Array) -> list[tuple[int, int, Any]]:
    """The two indices of each element of a window, and the index of padded images that selects it in every window."""
    rows, columns = map(enumerate, window.places(padded.shape[2:]))
    return [(i, j, (..., down, right)) for (i, down), (j, right) in product(rows, columns)]


def unfold(x: Any, kernel_size: Any, *, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns (im2col).

    Args:
        x: shape (n, channels, height, width), floating point.
        kernel_size, dilation, padding, stride: one number, or one for height and one for width.

    Returns:
        Shape (n, channels * kernel height * kernel width, windows).

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match, or the kernel is larger than the padded image.

    >>> from tinygrad_np import Tensor
    >>> unfold(Tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    Tensor([[[1., 2.],
             [2., 3.]]], dtype=float32)
    """
    x = as_images(x)
    if x.ndim != 4:
        raise ValueError(f"unfold: expected x of shape (n, channels, height, width), not {x.shape}")
    check.floating("unfold", "x", x)
    window = sliding("unfold", kernel_size, stride, padding, dilation)
    check_room("unfold", x, window)
    return _unfold(x, window=window)


def fold(x: Any, output_size: Any, kernel_size: Any, *, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Images from columns, the transpose of `unfold`: each pixel is the sum of the elements of all windows on it.

    Args:
        x: shape (n, channels * kernel height * kernel width, windows), floating point.
        output_size: height and width of the images; one number or two.
        kernel_size, dilation, padding, stride: as for `unfold`.

    Returns:
        Shape (n, channels, height, width).

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match, or the kernel is larger than the padded image.

    >>> from tinygrad_np import Tensor
    >>> fold(Tensor([[[1.0, 2.0], [2.0, 3.0]]]), (1, 3), (1, 2))
    Tensor([[[[1., 4., 3.]]]], dtype=float32)
    """
    x = as_images(x)
    sizes = sizes_of("fold", "output_size", output_size, 1)
    window = sliding("fold", kernel_size, stride, padding, dilation)
    check.floating("fold", "x", x)
    elements, outputs = math.prod(window.kernel), window.outputs(sizes)
    if min(outputs) < 1:
        raise ValueError(
            f"fold: a kernel of {window.kernel} with dilation {window.dilation} does not fit into an image of {sizes}"
            f" with padding {window.padding}"
        )
    if x.ndim != 3 or x.shape[1] % elements or x.shape[2] != math.prod(outputs):
        raise ValueError(
            f"fold: expected x of shape (n, channels * {elements}, {math.prod(outputs)}) for images of {sizes} and a"
            f" kernel of {window.kernel}, not {x.shape}"
        )
    return _fold(x, window=window, sizes=sizes)


def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Images r times as high and wide, from the channels of which each r * r become the pixels of a square.

    Args:
        x: shape (..., channels * r * r, height, width).
        upscale_factor: r.

    Returns:
        Shape (..., channels, height * r, width * r).

    Raises:
        ValueError: r is no positive integer, or r * r does not divide the number of channels.

    Source: W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
    neural network" (2016), equation 4.

    >>> from tinygrad_np import Tensor
    >>> pixel_shuffle(Tensor([[[1.0]], [[2.0]], [[3.0]], [[4.0]]]), 2)
    Tensor([[[1., 2.],
             [3., 4.]]], dtype=float32)
    """
    x, r = as_images(x), check.positive_integer("pixel_shuffle", "upscale_factor", upscale_factor)
    if x.ndim < 3 or x.shape[-3] % (r * r):
        raise ValueError(f"pixel_shuffle: expected x of shape (..., channels * {r * r}, height, width), not {x.shape}")
    *n, channels, height, width = x.shape
    split = np.reshape(x, (*n, channels // (r * r), r, r, height, width))
    first, k = range(len(n) + 1), len(n) + 1
    squares = np.transpose(split, (*first, k + 2, k, k + 3, k + 1))
    return np.reshape(squares, (*n, channels // (r * r), height * r, width * r))


def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """The inverse of `pixel_shuffle`: the pixels of each square of r * r become channels.

    Args:
        x: shape (..., channels, height * r, width * r).
        downscale_factor: r.

    Returns:
        Shape (..., channels * r * r, height, width).

    Raises:
        ValueError: r is no positive integer, or does not divide height and width.

    >>> from tinygrad_np import Tensor
    >>> pixel_unshuffle(Tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2).ravel()
    Tensor([1., 2., 3., 4.], dtype=float32)
    """
    x, r = as_images(x), check.positive_integer("pixel_unshuffle", "downscale_factor", downscale_factor)
    if x.ndim < 3 or x.shape[-2] % r or x.shape[-1] % r:
        raise ValueError(
            f"pixel_unshuffle: expected x of shape (..., channels, height * {r}, width * {r}), not {x.shape}"
        )
    *n, channels, height, width = x.shape
    split = np.reshape(x, (*n, channels, height // r, r, width // r, r))
    first, k = range(len(n) + 1), len(n) + 1
    squares = np.transpose(split, (*first, k + 1, k + 3, k, k + 2))
    return np.reshape(squares, (*n, channels * r * r, height // r, width // r))
