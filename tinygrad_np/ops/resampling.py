"""Sequences, images and volumes of another size: `interpolate`.

Every mode is linear in x and works along one axis after the other. Along an axis, an element of the result is a
weighted sum of a few elements of x. These weights are a sparse matrix; the gradient is the same by its transpose.
"""

import math
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from .. import _validation as check
from .._machine.threads import blocks, run
from .._messages import shown
from .._registry import differentiable
from ..tensor import Array
from .cases import Case
from .examples import FIRST
from .windows import as_images

BLOCK = 1 << 18  # elements of the smaller of x and the result that are resampled at a time


class Sampling(NamedTuple):
    """The matrix that resamples one axis from `source` elements to `target`.

    Attributes:
        kernel: "nearest", "nearest-exact", "linear", "cubic" or "area".
        step: the distance between samples, in elements of x, unless `align_corners`, or None for source / target.
        align_corners: whether the first and last samples are the first and last elements.
        transposed: whether to take the transpose, from `target` elements to `source`.
    """

    kernel: str
    source: int
    target: int
    step: float | None = None
    align_corners: bool = False
    transposed: bool = False

    @property
    def output(self) -> int:
        return self.source if self.transposed else self.target


class Term(NamedTuple):
    """Adds x at `sources`, times the weights, to the result at `targets`; weights of None are ones."""

    targets: Any
    sources: Any
    weights: Any


def _entries(sampling: Sampling) -> tuple[Array, Array, Array]:
    """The rows, columns and values of the matrix, row by row."""
    kernel, source, target = sampling.kernel, sampling.source, sampling.target
    i = np.arange(target)
    same = source == target and kernel == "linear"  # PyTorch then ignores a scale_factor such as 1.2
    step = source / target if sampling.step is None or same else sampling.step
    if kernel.startswith("nearest"):  # in float32, as PyTorch computes it
        place = (i.astype(np.float32) + np.float32(0.5 * (kernel == "nearest-exact"))) * np.float32(step)
        return i, np.minimum(place.astype(int), source - 1), np.ones(target)
    if kernel == "area":
        first, end = i * source // target, -(-(i + 1) * source // target)
        counts = end - first
        rows = np.repeat(i, counts)
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + first[rows]
        return rows, columns, 1 / counts[rows]
    if sampling.align_corners:
        place = i * ((source - 1) / (target - 1) if target > 1 else 0.0)
    else:
        place = (i + 0.5) * step - 0.5
    if kernel == "linear":
        place = np.clip(place, 0, source - 1)
        near, offsets = np.minimum(place.astype(int), max(source - 2, 0)), np.arange(2)
        weights = 1 - np.abs(place[:, np.newaxis] - near[:, np.newaxis] - offsets)
    else:
        near, offsets = np.floor(place).astype(int), np.arange(-1, 3)
        weights = _cubic(np.abs(place[:, np.newaxis] - near[:, np.newaxis] - offsets))
    columns = np.clip(near[:, np.newaxis] + offsets, 0, source - 1)
    rows = np.repeat(i, len(offsets))
    used = weights.ravel() != 0
    return rows[used], columns.ravel()[used], weights.ravel()[used]


def _cubic(distance: Array) -> Array:
    """The cubic convolution kernel for a = -0.75 (R. Keys, "Cubic convolution interpolation", 1981, equation 15)."""
    a, d = -0.75, distance
    return np.where(d <= 1, ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a)


@lru_cache(maxsize=256)
def _terms(sampling: Sampling) -> list[Term]:
    """The matrix as terms, in each of which a row occurs at most once: term k has entry k of each row."""
    rows, columns, weights = _entries(sampling)
    if sampling.transposed:
        rows, columns = columns, rows
    order = np.argsort(rows, kind="stable")
    rows, columns, weights = rows[order], columns[order], weights[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    terms = []
    for k in range(int(rank.max(initial=-1)) + 1):
        of_term = rank == k
        w = weights[of_term]
        terms.append(Term(_progression(rows[of_term]), _progression(columns[of_term]), None if (w == 1).all() else w))
    return terms


def _progression(index: Array) -> Any:
    """The index as a slice, which makes no copy, if its steps are equal."""
    step = int(index[1] - index[0]) if len(index) > 1 else 1
    if step > 0 and (np.diff(index) == step).all():
        return slice(int(index[0]), int(index[-1]) + 1, step)
    return index


def _along(x: Array, sampling: Sampling, axis: int) -> Array:
    """x resampled along an axis, which is negative."""
    after: Any = (slice(None),) * (-axis - 1)
    y = np.zeros((*x.shape[:axis], sampling.output, *x.shape[x.ndim + axis + 1 :]), x.dtype)
    for k, (targets, sources, weights) in enumerate(_terms(sampling)):
        part = x[(..., sources, *after)] if isinstance(sources, slice) else x.take(sources, axis)
        if weights is not None:
            part = part * weights.astype(x.dtype).reshape(-1, *[1] * len(after))
        if k:
            y[(..., targets, *after)] += part
        else:
            y[(..., targets, *after)] = part
    return y


NEAREST, LINEAR = Sampling("nearest", 3, 7), Sampling("linear", 3, 5)
CORNERS, CUBIC = Sampling("linear", 5, 3, align_corners=True), Sampling("cubic", 4, 7, 0.5)
EXACT, AREA = Sampling("nearest-exact", 5, 2), Sampling("area", 5, 3)


@differentiable(
    lambda g, y, x, *, samplings: _resample(
        g, samplings=tuple(s._replace(transposed=not s.transposed) for s in samplings)
    ),
    reads=(),
    wide=True,
    jvp="linear",
    rows=True,
    examples=FIRST,
    cases=[
        Case("n 2 3", kwargs={"samplings": (NEAREST,)}),
        Case("2 1 3 5", kwargs={"samplings": (LINEAR, CORNERS)}),
        Case("1 2 4 5", kwargs={"samplings": (CUBIC, EXACT)}),
        Case("1 5 3 4", kwargs={"samplings": (AREA, LINEAR, CUBIC)}),
        Case("2 1 5 7", kwargs={"samplings": (LINEAR._replace(transposed=True), NEAREST._replace(transposed=True))}),
    ],
    name="interpolate",
)
def _resample(x: Array, *, samplings: tuple[Sampling, ...]) -> Array:
    """x resampled along its last axes."""
    axes = range(-len(samplings), 0)
    sizes = tuple(s.output for s in samplings)
    leading = x.shape[: -len(samplings)]
    y = np.empty((*leading, *sizes), x.dtype)
    inner, outer = x.reshape(-1, *x.shape[-len(samplings) :]), y.reshape(-1, *sizes)
    # Columns take longer than rows: they are resampled where there are fewer rows.
    by_axis = [*zip(axes, samplings, strict=True)]
    if math.prod(sizes) > math.prod(inner.shape[1:]):
        by_axis.reverse()

    def work(part: slice) -> None:
        resampled = inner[part]
        for axis, sampling in by_axis:
            resampled = _along(resampled, sampling, axis)
        outer[part] = resampled

    run(work, blocks(len(outer), max(math.prod(sizes), inner[:1].size), BLOCK))
    return y


# By mode, the kernel and the numbers of axes after batch and channels that it is for.
MODES = {
    "nearest": ("nearest", (1, 2, 3)),
    "nearest-exact": ("nearest-exact", (1, 2, 3)),
    "linear": ("linear", (1,)),
    "bilinear": ("linear", (2,)),
    "bicubic": ("cubic", (2,)),
    "trilinear": ("linear", (3,)),
    "area": ("area", (1, 2, 3)),
}
SHAPES = {1: "(n, channels, length)", 2: "(n, channels, height, width)", 3: "(n, channels, depth, height, width)"}


def sizes(owner: str, name: str, value: Any) -> Any:
    """A positive integer, or one for each axis."""
    if isinstance(value, tuple | list) and value:
        return tuple(check.positive_integer(owner, name, each) for each in value)
    return check.positive_integer(owner, name, value)


def factors(owner: str, name: str, value: Any) -> Any:
    """A number above 0, or one for each axis."""
    if isinstance(value, tuple | list) and value:
        return tuple(check.real(owner, name, each, above=0) for each in value)
    return check.real(owner, name, value, above=0)


CHECKS: check.Checks = {
    "size": check.optional(sizes),
    "scale_factor": check.optional(factors),
    "mode": partial(check.one_of, choices=tuple(MODES)),
    "align_corners": check.optional(check.boolean),
}


def check_together(owner: str, size: Any, scale_factor: Any, mode: str, align_corners: bool | None) -> None:
    """Check that options fit together, each of which is possible.

    Raises:
        ValueError: not exactly one of size and scale_factor is given, or align_corners for a mode without it.
    """
    if (size is None) == (scale_factor is None):
        given = "neither" if size is None else "both"
        raise ValueError(f"{owner}: give either size= or scale_factor=, not {given}")
    if align_corners is not None and MODES[mode][0] not in ("linear", "cubic"):
        raise ValueError(f"{owner}: mode {mode!r} has no align_corners; leave it out")


def _of_each_axis(name: str, option: str, value: Any, axes: int) -> Any:
    values = tuple(value) if isinstance(value, tuple | list) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{name}: {option} must be one number, or {axes} for {SHAPES[axes]}, not {shown(value)}")
    return values


def interpolate(
    x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """Sequences, images or volumes of another size, as `torch.nn.functional.interpolate` makes them.

    Args:
        x: shape (n, channels, length), (n, channels, height, width) or (n, channels, depth, height, width), floating
            point.
        size: the size of the result, one number or one for each axis after the channels.
        scale_factor: instead of the size, how many times as large it is, rounded down. Samples then lie 1 /
            scale_factor apart.
        mode: "nearest", or "nearest-exact", which rounds as image libraries do; "linear" for sequences, "bilinear" and
            "bicubic" for images, "trilinear" for volumes; "area" for means over equal parts.
        align_corners: for the modes in between: whether the centres of the first and last elements stay where they are.
            By default the elements are areas, whose edges do.

    Returns:
        n x channels and the new sizes, in the dtype of x.

    Raises:
        TypeError: x is not floating point.
        ValueError: an option is impossible, or not for such an x.

    Source: bicubic weights are those of R. Keys, "Cubic convolution interpolation for digital image processing" (1981),
    with a = -0.75.

    >>> from tinygrad_np import Tensor
    >>> interpolate(Tensor([[[1.0, 3.0]]]), scale_factor=2)
    Tensor([[[1., 1., 3., 3.]]], dtype=float32)
    >>> interpolate(Tensor([[[1.0, 3.0]]]), size=3, mode="linear", align_corners=True)
    Tensor([[[1., 2., 3.]]], dtype=float32)
    """
    options = {"size": size, "scale_factor": scale_factor, "mode": mode, "align_corners": align_corners}
    for option, value in options.items():
        CHECKS[option]("interpolate", option, value)
    return resample("interpolate", x, size, scale_factor, mode, align_corners)


def resample(name: str, x: Any, size: Any, scale_factor: Any, mode: str, align_corners: bool | None) -> Any:
    """`interpolate` for a function or layer of this name, with options each of which is possible."""
    check_together(name, size, scale_factor, mode, align_corners)
    x = check.floating(name, "x", as_images(x))
    kernel, numbers = MODES[mode]
    axes = x.ndim - 2
    if axes not in numbers:
        expected = " or ".join(SHAPES[number] for number in numbers)
        raise ValueError(f"{name}: mode {mode!r} expects x of shape {expected}, not {x.shape}")
    sources = x.shape[2:]
    if 0 in sources:
        raise ValueError(f"{name}: expected x with at least one element along each axis, not shape {x.shape}")
    steps: tuple[float | None, ...] = (None,) * axes
    if scale_factor is None:
        targets = _of_each_axis(name, "size", size, axes)
    else:
        factors = _of_each_axis(name, "scale_factor", scale_factor, axes)
        targets = tuple(math.floor(n * factor) for n, factor in zip(sources, factors, strict=True))
        steps = tuple(1 / float(factor) for factor in factors) if kernel != "area" else steps
        if 0 in targets:
            raise ValueError(f"{name}: scale_factor={scale_factor!r} leaves nothing of x of shape {x.shape}")
    samplings = tuple(
        Sampling(kernel, n, int(target), step, bool(align_corners))
        for n, target, step in zip(sources, targets, steps, strict=True)
    )
    return _resample(x, samplings=samplings)
