"""Pooling of images and sequences: `max_pool2d`, `avg_pool2d`, `adaptive_avg_pool2d` and others.

Each has two primitives, one that takes numbers from windows and one that adds numbers to their elements. They are each
other's gradients. All go first along one axis of the images and then along the other, which takes few operations on
many numbers, and work on a few images at a time, on all cores.
"""

import math
from collections.abc import Callable
from functools import lru_cache, reduce
from itertools import product, starmap
from typing import Any, TypeAlias

import numpy as np

from .. import _validation as check
from .._machine.threads import blocks, run
from .._registry import differentiable
from ..tensor import Array
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep
from .examples import FIRST
from .windows import Adaptive, Sizes, Window, as_images, check_room, sizes_of, sliding

Windows: TypeAlias = Window | Adaptive
BLOCK = 1 << 18  # elements of images per block: 1 MB of float32, the best of 2**16 to 2**19


def _padded(x: Array, window: Windows, value: float) -> Array:
    if not any(map(sum, window.padding)):
        return x
    padded = np.full((*x.shape[:2], *window.padded(x.shape[2:])), value, x.dtype)
    padded[window.inside(padded.shape[2:])] = x
    return padded


def _over_images(work: Callable[[slice], None], x: Array) -> None:
    run(work, blocks(len(x), x[:1].size, BLOCK))


def _reduced(ufunc: Any, padded: Array, window: Windows) -> Array:
    """The elements of each window reduced to one number."""
    rows, columns = window.places(padded.shape[2:])
    tall = reduce(ufunc, [padded[:, :, places] for places in rows])
    return np.asarray(reduce(ufunc, [tall[..., places] for places in columns]))


def _spread(y: Array, window: Windows, sizes: Sizes) -> Array:
    """Padded images of these sizes whose elements are the sums of y over the windows that they are in."""
    rows, columns = window.places(sizes)
    new = np.empty if window.covers(sizes) else np.zeros
    tall = new((*y.shape[:3], sizes[1]), y.dtype)
    for places in columns:
        _put(tall, (..., places), y, window)
    padded = new((*y.shape[:2], *sizes), y.dtype)
    for places in rows:
        _put(padded, (slice(None), slice(None), places), tall, window)
    return padded


def _put(x: Array, index: Any, y: Array, window: Windows) -> None:
    if window.repeats:
        np.add.at(x, index, y)
    elif window.overlaps:
        x[index] += y  # adaptive windows repeat those indices only that are of the padding
    else:
        x[index] = y


def _crossing(rows: Any, columns: Any) -> Any:
    """The index of the elements of images in these rows and columns."""
    return (..., rows, columns) if isinstance(rows, slice) else (..., rows[:, np.newaxis], columns)


PLAIN = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
OVERLAPPING = Window((3, 2), (2, 1), ((1, 1), (1, 1)), (1, 2))
APART = Window((2, 1), (3, 2), ((1, 1), (0, 0)), (2, 1))
UNEQUAL = Adaptive((5, 6), (2, 4))
MORE = Adaptive((2, 3), (3, 5))  # than there are elements
COUNT = Domain(1, 5, "i")


@differentiable(
    lambda g, y, x, counts, *, window: _mean_gradient(g, counts, window=window, sizes=x.shape[2:]),
    None,
    wide=True,
    examples=FIRST,
    cases=[
        Case("n 2 4 4, 1 1 1 1", kwargs={"window": PLAIN}, domains=(REAL, COUNT)),
        Case("2 1 4 5, 1 1 2 5", kwargs={"window": OVERLAPPING}, domains=(REAL, COUNT)),
        Case("2 1 5 6, 1 1 2 4", kwargs={"window": UNEQUAL}, domains=(REAL, COUNT)),
        Case("2 1 2 3, 1 1 3 5", kwargs={"window": MORE}, domains=(REAL, COUNT)),
    ],
    name="avg_pool2d",
)
def _mean(x: Array, counts: Array, window: Windows) -> Array:
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
        Case("2 1 2 4, 1 1 2 4", kwargs={"window": UNEQUAL, "sizes": (5, 6)}, domains=(REAL, COUNT)),
        Case("2 1 3 5, 1 1 3 5", kwargs={"window": MORE, "sizes": (2, 3)}, domains=(REAL, COUNT)),
    ],
    name="avg_pool2d",
)
def _mean_gradient(x: Array, counts: Array, window: Windows, sizes: Sizes) -> Array:
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
        Case("2 1 5 6", kwargs={"window": UNEQUAL}),
        Case("2 1 2 3", kwargs={"window": MORE}),
    ],
    name="max_pool2d",
)
def _max_pool(x: Array, window: Windows) -> Array:
    y = np.empty((*x.shape[:2], *window.outputs(x.shape[2:])), x.dtype)

    def work(images: slice) -> None:
        y[images] = _reduced(np.maximum, _padded(x[images], window, -np.inf), window)

    _over_images(work, x)
    return y


def _are_largest(x: Array, y: Array, nan: bool) -> Array:
    """Where x is the largest y; the largest of a NaN is NaN."""
    return (x == y) | (np.isnan(x) & np.isnan(y)) if nan else np.asarray(x == y)


def _not_padding(x: Array, largest: Array, window: Windows) -> Any:
    """Where padded images are images, for windows in which the padding, -inf, would be as large as they are."""
    ties = any(map(sum, window.padding)) and np.isneginf(largest).any()
    return _padded(np.ones(x.shape, bool), window, False) if ties else None


IMAGES = np.random.default_rng(0).normal(size=(2, 1, 5, 6))
OF_IMAGES = [{"x": IMAGES, "largest": _max_pool(IMAGES, w), "window": w} for w in (PLAIN, OVERLAPPING, APART, UNEQUAL)]


@differentiable(
    lambda h, y, g, *, x, largest, window: _mean_of_largest(h, x=x, largest=largest, window=window),
    wide=True,
    cases=[
        Case("2 1 2 3", kwargs=OF_IMAGES[0]),
        Case("2 1 3 6", kwargs=OF_IMAGES[1]),
        Case("2 1 2 3", kwargs=OF_IMAGES[2]),
        Case("2 1 2 4", kwargs=OF_IMAGES[3]),
    ],
    name="max_pool2d",
)
def _to_largest(g: Array, *, x: Array, largest: Array, window: Windows) -> Array:
    """The gradient of max pooling: g goes to the largest element of each window of x, split evenly among ties."""
    to_x, sizes = np.empty_like(x, g.dtype), window.padded(x.shape[2:])
    elements = window.places(sizes)
    counted = np.min_scalar_type(math.prod(map(len, elements)))

    def work(images: slice) -> None:
        padded, nan = _padded(x[images], window, -np.inf), bool(np.isnan(largest[images]).any())
        real = _not_padding(x[images], largest[images], window)
        if not window.overlaps:  # an element is in one window, and so all are compared at once: half the time
            equal = _are_largest(padded, _spread(largest[images], window, sizes), nan)
            equal = equal if real is None else equal & real
            share = g[images] / _reduced(np.add, equal.astype(counted), window).astype(g.dtype)
            gradient = keep(_spread(share, window, sizes), equal)
        else:
            places = list(starmap(_crossing, product(*elements)))
            each = [_are_largest(padded[place], largest[images], nan) for place in places]
            each = each if real is None else [equal & real[at] for equal, at in zip(each, places, strict=True)]
            share = g[images] / reduce(np.add, [equal.astype(counted) for equal in each]).astype(g.dtype)
            gradient = np.zeros(padded.shape, g.dtype)
            for place, equal in zip(places, each, strict=True):
                _put(gradient, place, keep(share, equal), window)
        to_x[images] = gradient[window.inside(sizes)]

    _over_images(work, x)
    return to_x


@differentiable(
    lambda g, y, h, *, x, largest, window: _to_largest(g, x=x, largest=largest, window=window),
    wide=True,
    cases=[Case("2 1 5 6", kwargs=of_images) for of_images in OF_IMAGES],
    name="max_pool2d",
)
def _mean_of_largest(h: Array, *, x: Array, largest: Array, window: Windows) -> Array:
    """The means of h over the largest elements of each window of x."""
    means = np.empty_like(largest, h.dtype)

    def work(images: slice) -> None:
        of_x, of_h = _padded(x[images], window, -np.inf), _padded(h[images], window, 0)
        real = _not_padding(x[images], largest[images], window)
        total, count = np.zeros_like(means[images]), np.zeros_like(means[images])
        for place in starmap(_crossing, product(*window.places(of_x.shape[2:]))):
            equal = _are_largest(of_x[place], largest[images], nan=True)
            equal = equal if real is None else equal & real[place]
            total += keep(of_h[place], equal)
            count += equal
        means[images] = total / count

    _over_images(work, x)
    return means


def max_pool2d(
    x: Any, kernel_size: Any, *, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """The maximum of each window; the gradient goes to the largest element, split evenly among ties.

    Args:
        x: shape (n, channels, height, width), floating point.
        kernel_size, stride, padding, dilation: one number, or one for height and one for width. The stride defaults to
            kernel_size. Padding is at most half the kernel and is never the maximum; beside dilation, each window must
            have an element of the image.
        ceil_mode: whether a last window that ends outside of the padded image counts, if it begins in the image or in
            the padding before it.

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match.

    >>> from tinygrad_np import Tensor
    >>> max_pool2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    Tensor([[[[4.]]]], dtype=float32)
    """
    x = as_images(x)
    window, _ = pooling_window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, axes=2)
    _refuse_padding_alone("max_pool2d", window, x.shape[2:], padding, dilation)
    return _max_pool(x, window=window)


def _refuse_padding_alone(name: str, window: Window, sizes: Sizes, padding: Any, dilation: Any) -> None:
    """Refuse a window that has no element of the images, as one of padding before and behind them."""
    if max(window.dilation) == 1 or not any(map(sum, window.padding)):  # without dilation, half the kernel is inside
        return
    if _has_padding_alone(window, sizes):
        what = f"a sequence of length {sizes[1]}" if name.endswith("1d") else f"an image of {sizes}"
        raise ValueError(
            f"{name}: padding={padding!r} with dilation={dilation!r} gives {what} a window of padding alone, which has"
            " no maximum; write less of either"
        )


@lru_cache(maxsize=256)  # the windows of a layer are the same at each step
def _has_padding_alone(window: Window, sizes: Sizes) -> bool:
    return bool(np.min(_elements_in(window, np.ones((1, 1, *sizes), int))) == 0)


def max_pool1d(
    x: Any, kernel_size: int, *, stride: Any = None, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> Any:
    """The maximum of each window of sequences (n, channels, length); see `max_pool2d`.

    Args:
        x: shape (n, channels, length), floating point.
        kernel_size, stride, padding, dilation, ceil_mode: as for `max_pool2d`, with one number each.

    Raises:
        TypeError, ValueError: as for `max_pool2d`.

    >>> from tinygrad_np import Tensor
    >>> max_pool1d(Tensor([[[1.0, 2.0, 3.0]]]), 2, ceil_mode=True)
    Tensor([[[2., 3.]]], dtype=float32)
    """
    x = as_images(x)
    window, _ = pooling_window("max_pool1d", x, kernel_size, stride, padding, dilation, ceil_mode, axes=1)
    _refuse_padding_alone("max_pool1d", window, (1, *x.shape[2:]), padding, dilation)
    return np.squeeze(_max_pool(np.expand_dims(x, 2), window=window), 2)


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window.

    Args:
        x: shape (n, channels, height, width), floating point.
        kernel_size, stride, padding: one number, or one for height and one for width. The stride defaults to
            kernel_size. Padding is at most half the kernel.
        ceil_mode: as for `max_pool2d`; what is outside of the padded image does not count.
        count_include_pad: whether the mean includes the padding zeros.
        divisor_override: what sums are divided by, in the place of the number of elements.

    Raises:
        TypeError: x is not floating point.
        ValueError: shapes or options do not match.

    >>> from tinygrad_np import Tensor
    >>> avg_pool2d(Tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), 2)
    Tensor([[[[2.5]]]], dtype=float32)
    """
    x = as_images(x)
    window, counts = pooling_window(
        "avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, axes=2
    )
    if divisor_override is not None:
        check.positive_integer("avg_pool2d", "divisor_override", divisor_override)
        counts = np.full((1, 1, 1, 1), divisor_override)
    return _mean(x, counts, window=window)


def avg_pool1d(
    x: Any,
    kernel_size: int,
    *,
    stride: Any = None,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of sequences (n, channels, length); see `avg_pool2d`.

    Args:
        x: shape (n, channels, length), floating point.
        kernel_size, stride, padding, ceil_mode, count_include_pad: as for `avg_pool2d`, with one number each.

    Raises:
        TypeError, ValueError: as for `avg_pool2d`.

    >>> from tinygrad_np import Tensor
    >>> avg_pool1d(Tensor([[[1.0, 2.0, 4.0]]]), 2, stride=1)
    Tensor([[[1.5, 3. ]]], dtype=float32)
    """
    x = as_images(x)
    window, counts = pooling_window(
        "avg_pool1d", x, kernel_size, stride, padding, 1, ceil_mode, count_include_pad, axes=1
    )
    return np.squeeze(_mean(np.expand_dims(x, 2), counts, window=window), 2)


def adaptive_max_pool2d(x: Any, output_size: Any) -> Any:
    """The maxima of images divided into so many parts; see `adaptive_avg_pool2d` and `max_pool2d`.

    >>> from tinygrad_np import Tensor
    >>> adaptive_max_pool2d(Tensor([[[[1.0, 2.0, 3.0]]]]), (1, 2))
    Tensor([[[[2., 3.]]]], dtype=float32)
    """
    x = as_images(x)
    return _max_pool(x, window=_adaptive("adaptive_max_pool2d", x, output_size, axes=2))


def adaptive_max_pool1d(x: Any, output_size: Any) -> Any:
    """The maxima of sequences (n, channels, length) divided into so many parts; see `adaptive_avg_pool2d`.

    >>> from tinygrad_np import Tensor
    >>> adaptive_max_pool1d(Tensor([[[1.0, 2.0, 3.0]]]), 1)
    Tensor([[[3.]]], dtype=float32)
    """
    x = as_images(x)
    window = _adaptive("adaptive_max_pool1d", x, output_size, axes=1)
    return np.squeeze(_max_pool(np.expand_dims(x, 2), window=window), 2)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """The means of images divided into so many parts.

    Of n elements along an axis, part i of m begins at floor(i n / m) and ends before ceil((i + 1) n / m). Parts overlap
    where m does not divide n.

    Args:
        x: shape (n, channels, height, width), floating point.
        output_size: one number, or one for height and one for width, of which None leaves the axis as it is.

    Returns:
        Shape (n, channels, *output_size).

    Raises:
        TypeError: x is not floating point.
        ValueError: the shape or output_size is invalid.

    >>> from tinygrad_np import Tensor
    >>> adaptive_avg_pool2d(Tensor([[[[1.0, 2.0, 4.0]]]]), (None, 2))
    Tensor([[[[1.5, 3. ]]]], dtype=float32)
    """
    x = as_images(x)
    return _adaptive_mean(x, _adaptive("adaptive_avg_pool2d", x, output_size, axes=2))


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """The means of sequences (n, channels, length) divided into so many parts; see `adaptive_avg_pool2d`.

    >>> from tinygrad_np import Tensor
    >>> adaptive_avg_pool1d(Tensor([[[1.0, 2.0, 6.0]]]), 1)
    Tensor([[[3.]]], dtype=float32)
    """
    x = as_images(x)
    window = _adaptive("adaptive_avg_pool1d", x, output_size, axes=1)
    return np.squeeze(_adaptive_mean(np.expand_dims(x, 2), window), 2)


def _adaptive_mean(x: Any, window: Windows) -> Any:
    return _mean(x, _elements_in(window, np.ones((1, 1, *x.shape[2:]), int)), window=window)


def _elements_in(window: Windows, ones: Array) -> Array:
    """How many ones are in each window."""
    return _reduced(np.add, _padded(ones, window, 0), window)


def output_sizes(name: str, output_size: Any, *, axes: int) -> tuple[int | None, ...]:
    """The number of parts along each axis, None where it stays as it is, from what an adaptive pooling was given.

    Raises:
        ValueError: it is something else.

    >>> output_sizes("adaptive_avg_pool2d", (None, 2), axes=2)
    (None, 2)
    """
    several = isinstance(output_size, tuple | list) and axes > 1
    values = tuple(output_size) if several else (output_size,) * axes
    try:
        known = [1 if value is None else value for value in values]
        sizes_of(name, "output_size", known[0] if axes == 1 else known, 1, axes)
    except ValueError:
        expected = "an integer" if axes == 1 else "one or two integers"
        message = f"{name}: output_size must be {expected} of at least 1, or None, not {output_size!r:.80}"
        raise ValueError(message) from None
    return tuple(None if value is None else int(value) for value in values)


def _adaptive(name: str, x: Any, output_size: Any, axes: int) -> Windows:
    _check_images(name, x, axes)
    sizes, given = (1,) * (2 - axes) + x.shape[2:], (None,) * (2 - axes) + output_sizes(name, output_size, axes=axes)
    counts = tuple(size if count is None else count for size, count in zip(sizes, given, strict=True))
    if any(size % count for size, count in zip(sizes, counts, strict=True)):
        return Adaptive(sizes, counts)
    kernel = tuple(size // count for size, count in zip(sizes, counts, strict=True))
    return Window(kernel, kernel, ((0, 0), (0, 0)), (1, 1))


def _check_images(name: str, x: Any, axes: int) -> None:
    if x.ndim != axes + 2:
        sizes = "length" if axes == 1 else "height, width"
        raise ValueError(f"{name}: expected x of shape (n, channels, {sizes}), not {x.shape}")
    check.floating(name, "x", x)
    if 0 in x.shape[2:]:
        what = "sequences of at least one element, not" if axes == 1 else "images of at least one pixel, not height and"
        raise ValueError(f"{name}: expected {what} {'length' if axes == 1 else 'width'} {x.shape[2:]}")


def pooling_window(
    name: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: Any,
    count_include_pad: Any = True,
    *,
    axes: int,
) -> tuple[Window, Array]:
    """The window of a pooling, and how many elements each window has."""
    _check_images(name, x, axes)
    check.boolean(name, "ceil_mode", ceil_mode)
    window = sliding(name, kernel_size, kernel_size if stride is None else stride, padding, dilation, axes=axes)
    if any(2 * before > kernel for (before, _), kernel in zip(window.padding, window.kernel, strict=True)):
        kernel = window.kernel if axes > 1 else window.kernel[1]
        raise ValueError(f"{name}: padding must be at most half the kernel of {kernel}, not {padding!r}")
    sizes = (1,) * (2 - axes) + x.shape[2:]
    further = _further(window, sizes) if ceil_mode else (0, 0)
    longer = tuple((before, after + more) for (before, after), more in zip(window.padding, further, strict=True))
    whole = window._replace(padding=longer)
    check_room(name, x, whole)
    if not count_include_pad:
        return whole, _elements_in(whole, np.ones((1, 1, *sizes), int))
    if not any(further):
        return whole, np.full((1, 1, 1, 1), math.prod(window.kernel))
    outside = window._replace(padding=tuple((0, more) for more in further))
    return whole, _elements_in(outside, np.ones((1, 1, *window.padded(sizes)), int))


def _further(window: Window, sizes: Sizes) -> Sizes:
    """How much further than the padding the last windows go that begin in the images or in the padding before them."""
    further = []
    for size, (before, after), reach, stride in zip(sizes, window.padding, window.reach, window.stride, strict=True):
        last = -(-(size + before + after - reach - 1) // stride) * stride
        last -= stride if last >= size + before else 0
        further.append(max(0, last + reach + 1 - size - before - after))
    return tuple(further)
