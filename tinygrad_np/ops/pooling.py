"""Pooling of images: `max_pool2d` and `avg_pool2d`.

Both use the primitives `_gather`, a weighted sum over the elements of each window, and `_scatter`. Each is the gradient
of the other.
"""

from typing import Any

import numpy as np

from .. import _validation as check
from ..tensor import Array, differentiable
from .cases import CONDITION, REAL, Case
from .elementwise import array_of, keep
from .windows import Pair, Window, as_images, check_room, sliding


def _padded(x: Array, window: Window, value: float) -> Array:
    if not any(map(sum, window.padding)):
        return x
    (top, bottom), (left, right) = window.padding
    padded = np.full((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right), value, x.dtype)
    padded[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
    return padded


def _weighted(x: Array, weight: Array) -> Array:
    return np.asarray(keep(x, weight)) if weight.dtype == bool else x * weight


PLAIN = Window((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))
OVERLAPPING = Window((3, 2), (2, 1), ((1, 1), (1, 1)), (1, 2))


@differentiable(
    lambda g, y, x, weights, *, window: _scatter(g, weights, window=window, sizes=x.shape[2:]),
    None,
    wide=True,
    cases=[
        Case("n 2 4 4, 4 1 1 2 2", kwargs={"window": PLAIN}, domains=(REAL, CONDITION)),
        Case(
            "2 1 4 5, 6 2 1 2 5",
            kwargs={"window": OVERLAPPING},
            domains=(REAL, CONDITION),
            prepare=lambda x, weights: (x, weights * 0.25),
        ),
    ],
    name="avg_pool2d",
)
def _gather(x: Array, weights: Array, window: Window) -> Array:
    """The weighted sum over the elements of each window; weights[i], for element i, broadcasts with the outputs."""
    outputs = window.outputs(x.shape[2:])
    padded = _padded(x, window, 0)
    y = np.zeros((*x.shape[:2], *outputs), x.dtype)
    for i, part in window.parts(outputs):
        y += _weighted(padded[part], weights[i])
    return y


@differentiable(
    lambda g, y, x, weights, *, window, sizes: _gather(g, weights, window=window),
    None,
    wide=True,
    cases=[
        Case("n 2 2 2, 4 1 1 2 2", kwargs={"window": PLAIN, "sizes": (5, 4)}, domains=(REAL, CONDITION)),
        Case("2 1 2 5, 6 2 1 2 5", kwargs={"window": OVERLAPPING, "sizes": (4, 5)}, domains=(REAL, CONDITION)),
    ],
    name="avg_pool2d",
)
def _scatter(x: Array, weights: Array, window: Window, sizes: Pair) -> Array:
    """The gradient of `_gather`: add each output, times the weights, to the elements of its window."""
    (top, bottom), (left, right) = window.padding
    padded = np.zeros((*x.shape[:2], sizes[0] + top + bottom, sizes[1] + left + right), x.dtype)
    for i, part in window.parts(x.shape[2:]):
        padded[part] += _weighted(x, weights[i])
    return padded[:, :, top : top + sizes[0], left : left + sizes[1]]


def _to_largest(g: Any, y: Any, x: Any, window: Window) -> Any:
    """The gradient of max pooling: g goes to the largest element of each window, split evenly among ties."""
    sizes = x.shape[2:]
    x, y = array_of(x), array_of(y)
    padded = _padded(x, window, -np.inf)
    with_nan = np.isnan(y).any()  # the largest of a NaN is NaN, and so g goes to it
    largest = np.stack(
        [
            (part == y) | (np.isnan(part) & np.isnan(y)) if with_nan else part == y
            for part in (padded[place] for _, place in window.parts(y.shape[2:]))
        ]
    )
    return _scatter(g / np.add.reduce(largest, dtype=x.dtype), largest, window=window, sizes=sizes)


@differentiable(
    lambda g, y, x, *, window: _to_largest(g, y, x, window),
    cases=[Case("n 2 4 4", kwargs={"window": PLAIN}), Case("2 1 4 5", kwargs={"window": OVERLAPPING})],
    name="max_pool2d",
)
def _max_pool(x: Array, window: Window) -> Array:
    outputs = window.outputs(x.shape[2:])
    padded = _padded(x, window, -np.inf)
    parts = (padded[part] for _, part in window.parts(outputs))
    y: Array = next(parts).copy()
    for part in parts:
        np.maximum(y, part, out=y)
    return y


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
    dtype = x.dtype
    if count_include_pad:
        return _gather(
            x,
            np.full((window.kernel[0] * window.kernel[1], 1, 1, 1, 1), 1 / np.prod(window.kernel), dtype),
            window=window,
        )
    outputs = window.outputs(x.shape[2:])
    inside = _padded(np.ones((1, 1, *x.shape[2:]), dtype), window, 0)
    counted = np.stack([inside[part] for _, part in window.parts(outputs)])
    return _gather(x, counted / np.sum(counted, axis=0), window=window)


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
