"""Pooling of images: `max_pool2d` and `avg_pool2d`.

Each has two primitives, one that takes numbers from windows and one that adds numbers to their elements. They are each
other's gradients. All go first along one axis of the images and then along the other, which takes few operations on
many numbers, and work on a few images at a time, on all cores.
"""

import math
from collections.abc import Callable
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.threads import blocks, run
from .._registry import differentiable
from ..tensor import Array
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep
from .examples import FIRST
from .windows import Sizes, Window, as_images, check_room, sliding

BLOCK = 1 << 18  # elements of images per block: 1 MB of float32, the best of 2**16 to 2**19


def _padded(x: Array, window: Window, value: float) -> Array:
    if not any(map(sum, window.padding)):
        return x
    padded = np.full((*x.shape[:2], *window.padded(x.shape[2:])), value, x.dtype)
    padded[window.inside(padded.shape[2:])] = x
    return padded


def _over_images(work: Callable[[slice], None], x: Array) -> None:
    run(work, blocks(len(x), x[:1].size, BLOCK))


def _reduced(ufunc: Any, padded: Array, window: Window) -> Array:
    """The elements of each window reduced to one number."""
    rows, columns = window.places(padded.shape[2:])
    tall = reduce(ufunc, [padded[:, :, places] for places in rows])
    return np.asarray(reduce(ufunc, [tall[..., places] for places in columns]))


def _spread(y: Array, window: Window, sizes: Sizes) -> Array:
    """Padded images of these sizes whose elements are the sums of y over the windows that they are in."""
    rows, columns = window.places(sizes)
    put = _add if window.overlaps else np.copyto
    new = np.empty if window.covers(sizes) else np.zeros
    tall = new((*y.shape[:3], sizes[1]), y.dtype)
    for places in columns:
        put(tall[..., places], y)
    padded = new((*y.shape[:2], *sizes), y.dtype)
    for places in rows:
        put(padded[:, :, places], tall)
    return padded


def _add(x: Array, y: Array) -> None:
    x += y


PLAIN = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
OVERLAPPING = Window((3, 2), (2, 1), ((1, 1), (1, 1)), (1, 2))
APART = Window((2, 1), (3, 2), ((1, 1), (0, 0)), (2, 1))
COUNT = Domain(1, 5, "i")


@differentiable(
    lambda g, y, x, counts, *, window: _mean_gradient(g, counts, window=window, sizes=x.shape[2:]),
    None,
    wide=True,
    examples=FIRST,
    cases=[
        Case("n 2 4 4, 1 1 1 1", kwargs={"window": PLAIN}, domains=(REAL, COUNT)),
        Case("2 1 4 5, 1 1 2 5", kwargs={"window": OVERLAPPING}, domains=(REAL, COUNT)),
    ],
    name="avg_pool2d",
)
def _mean(x: Array, counts: Array, window: Window) -> Array:
    """The sum of each window divided by a count, which broadcasts with the outputs."""
    y = np.empty((*x.shape[:2], *window.outputs(x.shape[2:])), x.dtype)
    counts = counts.astype(x.dtype)
    largest = np.max(counts)  # numbers are divided before they are added, so that the sum does not overflow

    def work(images: slice) -> None:
        y[images] = _reduced(np.add, _padded(x[images] / largest, window, 0), window) * (largest / counts)

    _over_images(work, x)
    return y


@differentiable(
    lambda g, y, x, counts, *, window, sizes: _mean(g, counts, window=window),
    None,
    wide=True,
    cases=[
        Case("n 2 2 2, 1 1 1 1", kwargs={"window": PLAIN, "sizes": (5, 4)}, domains=(REAL, COUNT)),
        Case("2 1 2 5, 1 1 2 5", kwargs={"window": OVERLAPPING, "sizes": (4, 5)}, domains=(REAL, COUNT)),
    ],
    name="avg_pool2d",
)
def _mean_gradient(x: Array, counts: Array, window: Window, sizes: Sizes) -> Array:
    y, padded = np.empty((*x.shape[:2], *sizes), x.dtype), window.padded(sizes)

    def work(images: slice) -> None:
        y[images] = _spread(x[images] / counts.astype(x.dtype), window, padded)[window.inside(padded)]

    _over_images(work, y)
    return y


@differentiable(
    lambda g, y, x, *, window: _to_largest(g, x=array_of(x), largest=array_of(y), window=window),
    examples=FIRST,
    cases=[
        Case("n 2 4 4", kwargs={"window": PLAIN}),
        Case("2 1 4 5", kwargs={"window": OVERLAPPING}),
        Case("2 1 5 6", kwargs={"window": APART}),
    ],
    name="max_pool2d",
)
def _max_pool(x: Array, window: Window) -> Array:
    y = np.empty((*x.shape[:2], *window.outputs(x.shape[2:])), x.dtype)

    def work(images: slice) -> None:
        y[images] = _reduced(np.maximum, _padded(x[images], window, -np.inf), window)

    _over_images(work, x)
    return y


def _are_largest(x: Array, y: Array, nan: bool) -> Array:
    """Where x is the largest y; the largest of a NaN is NaN."""
    return (x == y) | (np.isnan(x) & np.isnan(y)) if nan else np.asarray(x == y)


def _not_padding(x: Array, largest: Array, window: Window) -> Any:
    """Where padded images are images, for windows in which the padding, -inf, would be as large as they are."""
    ties = any(map(sum, window.padding)) and np.isneginf(largest).any()
    return _padded(np.ones(x.shape, bool), window, False) if ties else None


IMAGES = np.random.default_rng(0).normal(size=(2, 1, 5, 6))
OF_IMAGES = [{"x": IMAGES, "largest": _max_pool(IMAGES, w), "window": w} for w in (PLAIN, OVERLAPPING, APART)]


@differentiable(
    lambda h, y, g, *, x, largest, window: _mean_of_largest(h, x=x, largest=largest, window=window),
    wide=True,
    cases=[
        Case("2 1 2 3", kwargs=OF_IMAGES[0]),
        Case("2 1 3 6", kwargs=OF_IMAGES[1]),
        Case("2 1 2 3", kwargs=OF_IMAGES[2]),
    ],
    name="max_pool2d",
)
def _to_largest(g: Array, *, x: Array, largest: Array, window: Window) -> Array:
    """The gradient of max pooling: g goes to the largest element of each window of x, split evenly among ties."""
    to_x, sizes = np.empty_like(x, g.dtype), window.padded(x.shape[2:])
    counted = np.min_scalar_type(math.prod(window.kernel))

    def work(images: slice) -> None:
        padded, nan = _padded(x[images], window, -np.inf), bool(np.isnan(largest[images]).any())
        real = _not_padding(x[images], largest[images], window)
        if not window.overlaps:  # an element is in one window, and so all are compared at once: half the time
            equal = _are_largest(padded, _spread(largest[images], window, sizes), nan)
            equal = equal if real is None else equal & real
            share = g[images] / _reduced(np.add, equal.astype(counted), window).astype(g.dtype)
            gradient = keep(_spread(share, window, sizes), equal)
        else:
            places: Any = [(..., *place) for place in product(*window.places(sizes))]
            each = [_are_largest(padded[place], largest[images], nan) for place in places]
            each = each if real is None else [equal & real[at] for equal, at in zip(each, places, strict=True)]
            share = g[images] / reduce(np.add, [equal.astype(counted) for equal in each]).astype(g.dtype)
            gradient = np.zeros(padded.shape, g.dtype)
            for place, equal in zip(places, each, strict=True):
                gradient[place] += keep(share, equal)
        to_x[images] = gradient[window.inside(sizes)]

    _over_images(work, x)
    return to_x


@differentiable(
    lambda g, y, h, *, x, largest, window: _to_largest(g, x=x, largest=largest, window=window),
    wide=True,
    cases=[Case("2 1 5 6", kwargs=of_images) for of_images in OF_IMAGES],
    name="max_pool2d",
)
def _mean_of_largest(h: Array, *, x: Array, largest: Array, window: Window) -> Array:
    """The means of h over the largest elements of each window of x."""
    means = np.empty_like(largest, h.dtype)

    def work(images: slice) -> None:
        of_x, of_h = _padded(x[images], window, -np.inf), _padded(h[images], window, 0)
        real = _not_padding(x[images], largest[images], window)
        total, count = np.zeros_like(means[images]), np.zeros_like(means[images])
        for rows, columns in product(*window.places(of_x.shape[2:])):
            equal = _are_largest(of_x[:, :, rows, columns], largest[images], nan=True)
            equal = equal if real is None else equal & real[:, :, rows, columns]
            total += keep(of_h[:, :, rows, columns], equal)
            count += equal
        means[images] = total / count

    _over_images(work, x)
    return means


def max_pool2d(x: Any, kernel_size: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> Any:
    """The maximum of each window; the gradient goes to the largest element, split evenly among ties.

    Args:
        x: shape (n, channels, height, width), floating point.
        kernel_size, stride, padding, dilation: one number, or one for height and one for width. The stride defaults to
            kernel_size. Padding is at most half the kernel and is never the maximum.

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match.

    >>> from tinygrad_np import Tensor
    >>> max_pool2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    Tensor([[[[4.]]]], dtype=float32)
    """
    x = as_images(x)
    return _max_pool(x, window=_pooling("max_pool2d", x, kernel_size, stride, padding, dilation))


def avg_pool2d(
    x: Any, kernel_size: Any, *, stride: Any = None, padding: Any = 0, count_include_pad: bool = True
) -> Any:
    """The mean of each window.

    Args:
        x: shape (n, channels, height, width), floating point.
        kernel_size, stride, padding: one number, or one for height and one for width. The stride defaults to
            kernel_size. Padding is at most half the kernel.
        count_include_pad: whether the mean includes the padding zeros.

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match.

    >>> from tinygrad_np import Tensor
    >>> avg_pool2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    Tensor([[[[2.5]]]], dtype=float32)
    """
    x = as_images(x)
    window = _pooling("avg_pool2d", x, kernel_size, stride, padding, 1)
    if count_include_pad:
        counts = np.full((1, 1, 1, 1), math.prod(window.kernel))
    else:
        counts = _reduced(np.add, _padded(np.ones((1, 1, *x.shape[2:]), int), window, 0), window)
    return _mean(x, counts, window=window)


def _pooling(name: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> Window:
    if x.ndim != 4:
        raise ValueError(f"{name}: expected x of shape (n, channels, height, width), not {x.shape}")
    check.floating(name, "x", x)
    if 0 in x.shape[2:]:
        raise ValueError(f"{name}: expected images of at least one pixel, not height and width {x.shape[2:]}")
    window = sliding(name, kernel_size, kernel_size if stride is None else stride, padding, dilation)
    if any(2 * before > kernel for (before, _), kernel in zip(window.padding, window.kernel, strict=True)):
        raise ValueError(f"{name}: padding must be at most half the kernel of {window.kernel}, not {padding!r}")
    check_room(name, x, window)
    return window
