"""Sums, means, extrema and softmax of the rows of segments, and `gather`: the operations of graph networks.

    messages = relu(linear(nodes[senders]))
    nodes = segment_sum(messages, receivers, num_segments=len(nodes))

Row i of `data` belongs to segment `segment_ids[i]`, in any order, as in JAX's `segment_sum`. What they do with ids out
of range differs: here these raise an error.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._machine.scatter import combine_rows, scattered
from .._messages import kind
from .._registry import composite, differentiable
from ..tensor import Array, as_array
from .cases import Case
from .elementwise import array_of, keep


def _checked(name: str, data: Array, segment_ids: Any, num_segments: Any) -> tuple[Array, int]:
    """The numbers of the segments of the rows of data, and how many segments there are."""
    ids = np.asarray(segment_ids)
    if ids.dtype.kind not in "iu" and ids.size:
        raise TypeError(f"{name}: segment_ids must be integers, not {kind(ids)}")
    if ids.ndim != 1 or data.shape[:1] != ids.shape:
        raise ValueError(
            f"{name}: expected one segment id for each row of data, which has shape {data.shape}, not segment_ids of"
            f" shape {ids.shape}"
        )
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, -1)
    if num_segments is None:
        num_segments = high + 1
    elif isinstance(num_segments, bool) or not isinstance(num_segments, int | np.integer) or num_segments < 0:
        raise ValueError(f"{name}: num_segments must be an integer of at least 0, not {num_segments!r}")
    if low < 0 or high >= num_segments:
        raise IndexError(
            f"{name}: segment id {low if low < 0 else high} is out of range, expected 0 to {num_segments - 1}"
        )
    return ids.astype(np.intp, copy=False), int(num_segments)


def _integers(segment_ids: Any) -> Array:
    return np.asarray(segment_ids, np.intp)


IDS = np.array([2, 0, 2, 3])  # segment 1 is empty
SEGMENTS = [
    Case("4 n", (IDS,)),
    Case("4 n 2", (IDS,), {"num_segments": 6}),
    Case("4", (np.sort(IDS),)),
    Case("0 n", (IDS[:0],), {"num_segments": 2}),
]

EXTREMES = [
    Case("4 n", (np.array([2, 0, 2, 1]),)),
    Case("4 n 2", (IDS,), {"num_segments": 6}, finish=lambda y: y[[0, 2, 3]]),  # the others are infinite
    Case("4", (np.array([0, 0, 0, 1]),)),
]


def _of_rows(vjp: Any) -> Any:
    """Of stacked gradients, which are further columns of each row of data."""

    def of_rows(g: Any, y: Any, data: Any, segment_ids: Any, **keywords: Any) -> Any:
        def last(a: Any) -> Any:
            return np.expand_dims(a, -1)

        return np.moveaxis(vjp(np.moveaxis(g, 0, -1), last(y), last(data), segment_ids, **keywords), -1, 0)

    return of_rows


@differentiable(
    lambda g, y, data, segment_ids, *, num_segments=None: g[_integers(segment_ids)],
    None,
    reads=("segment_ids",),
    wide=True,
    jvp="linear",
    rows=_of_rows,
    cases=SEGMENTS,
    complex=True,
)
def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The sums of the rows of each segment, of shape (num_segments, ...); of a segment without rows 0.

    Args:
        data: shape (n, ...).
        segment_ids: shape (n,), integers from 0: the segments of the rows, in any order.
        num_segments: the number of segments, by default the largest id and 1.

    Raises:
        TypeError: segment_ids are no integers.
        ValueError: there is not one for each row, or num_segments is no integer of at least 0.
        IndexError: a segment id is negative, or not below num_segments.

    The order of the additions follows from segment_ids, so the last bits do not depend on threads.

    >>> from tinygrad_np import Tensor
    >>> segment_sum(Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), [0, 2, 0], num_segments=4)
    Tensor([[6., 8.],
            [0., 0.],
            [3., 4.],
            [0., 0.]], dtype=float32)
    """
    data = np.asarray(data)
    ids, count = _checked("segment_sum", data, segment_ids, num_segments)
    return scattered(data, ids, (count, *data.shape[1:]))


def _counts(data: Any, segment_ids: Any, count: int) -> Array:
    """The number of rows in each segment, in the shape that divides their sums."""
    counts = np.bincount(segment_ids, minlength=count)
    return counts.reshape(count, *[1] * (np.ndim(data) - 1))


def _mean_back(g: Any, data: Any, segment_ids: Any) -> Any:
    ids = _integers(segment_ids)
    counts = np.maximum(_counts(data, ids, len(g)), 1)
    return (g / counts.astype(array_of(g).real.dtype))[ids]


@differentiable(
    lambda g, y, data, segment_ids, *, num_segments=None: _mean_back(g, data, segment_ids),
    None,
    reads=("segment_ids",),
    wide=True,
    jvp="linear",
    rows=_of_rows,
    cases=SEGMENTS,
    complex=True,
)
def segment_mean(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The means of the rows of each segment; of a segment without rows 0.

    Arguments and errors are those of `segment_sum`. The means of integers are float64.

    >>> from tinygrad_np import Tensor
    >>> segment_mean(Tensor([1.0, 2.0, 4.0]), [0, 2, 2])
    Tensor([1., 0., 3.], dtype=float32)
    """
    data = np.asarray(data)
    ids, count = _checked("segment_mean", data, segment_ids, num_segments)
    if data.dtype.kind not in "fc":
        data = data.astype(np.float64)
    counts = np.maximum(_counts(data, ids, count), 1)
    return scattered(data, ids, (count, *data.shape[1:])) / counts.astype(data.real.dtype)


def _extreme(name: str, function: np.ufunc, identity: float, data: Any, segment_ids: Any, num_segments: Any) -> Array:
    data = np.asarray(data)
    ids, count = _checked(name, data, segment_ids, num_segments)
    if data.dtype.kind != "f":
        raise TypeError(f"{name}: data must be floating point, not {kind(data)}")
    y = np.full((count, *data.shape[1:]), identity, data.dtype)
    if y.size:
        with np.errstate(invalid="ignore"):  # of NaN, which NumPy's np.max passes on in silence
            combine_rows(function, y.reshape(count, -1), ids, data.reshape(len(data), y.size // count))
    return y


def _to_extremes(g: Any, y: Any, data: Any, segment_ids: Any) -> Any:
    """The gradient of a maximum or minimum: g split evenly among the rows that attain it."""
    ids = _integers(segment_ids)
    values, top = array_of(data), array_of(y)[ids]
    attained = (values == top) | (np.isnan(values) & np.isnan(top))
    count = scattered(attained.astype(np.result_type(g.dtype, np.float32)), ids, np.shape(y))
    return keep((g / np.maximum(count, 1))[ids], attained)


@differentiable(
    lambda g, y, data, segment_ids, *, num_segments=None: _to_extremes(g, y, data, segment_ids),
    None,
    reads=("y data segment_ids",),
    rows=_of_rows,
    cases=EXTREMES,
)
def segment_max(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The largest numbers in the rows of each segment; of a segment without rows -inf, as in JAX.

    Arguments and errors are those of `segment_sum`; data must be floating point. Equal numbers share the gradient, as
    those of `np.max` do.

    >>> from tinygrad_np import Tensor
    >>> segment_max(Tensor([1.0, 2.0, 4.0]), [0, 2, 2])
    Tensor([  1., -inf,   4.], dtype=float32)
    """
    return _extreme("segment_max", np.maximum, -np.inf, data, segment_ids, num_segments)


@differentiable(
    lambda g, y, data, segment_ids, *, num_segments=None: _to_extremes(g, y, data, segment_ids),
    None,
    reads=("y data segment_ids",),
    rows=_of_rows,
    cases=EXTREMES,
)
def segment_min(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """The smallest numbers in the rows of each segment; of a segment without rows inf. See `segment_max`.

    >>> from tinygrad_np import Tensor
    >>> segment_min(Tensor([1.0, 2.0, 4.0]), [0, 2, 2])
    Tensor([ 1., inf,  2.], dtype=float32)
    """
    return _extreme("segment_min", np.minimum, np.inf, data, segment_ids, num_segments)


def _softmax_back(g: Any, y: Any, segment_ids: Any, num_segments: Any) -> Any:
    ids = _integers(segment_ids)
    return y * (g - segment_sum(g * y, ids, num_segments)[ids])


@differentiable(
    lambda g, y, data, segment_ids, *, num_segments=None: _softmax_back(g, y, segment_ids, num_segments),
    None,
    reads=("y segment_ids",),
    wide=True,
    rows=_of_rows,
    cases=SEGMENTS,
)
def segment_softmax(data: Any, segment_ids: Any, num_segments: int | None = None) -> Any:
    """Positive numbers in the shape of data that add up to 1 over the rows of each segment: attention in graphs.

    Arguments and errors are those of `segment_sum`; data must be floating point.

    >>> from tinygrad_np import Tensor
    >>> segment_softmax(Tensor([1.0, 3.0, 3.0]), [0, 2, 2])
    Tensor([1. , 0.5, 0.5], dtype=float32)
    """
    data = np.asarray(data)
    largest = _extreme("segment_softmax", np.maximum, -np.inf, data, segment_ids, num_segments)
    ids = _integers(segment_ids)
    e = np.exp(data - largest[ids])
    return e / scattered(e, ids, largest.shape)[ids]


INDEX = np.array([[2, 0], [0, 2], [-1, 2]])


def gather(x: Any, index: Any, axis: int = -1) -> Any:
    """The elements of x at an index along an axis: `y[i, j] = x[i, index[i, j]]` along the last of two, as in PyTorch.

    It is `np.take_along_axis`, but the index may be shorter than x along other axes, and is not broadcast.

    Args:
        x: an array or Tensor.
        index: integers, of as many dimensions as x, and along the other axes of at most its length.
        axis: the axis.

    Raises:
        TypeError: the index is no integers.
        ValueError: it has another number of dimensions, or is longer than x along another axis.
        IndexError: an integer is out of range.

    >>> from tinygrad_np import Tensor
    >>> gather(Tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), [[2, 2], [0, 1]])
    Tensor([[3., 3.],
            [4., 5.]], dtype=float32)
    """
    x, index = as_array(x), np.asarray(array_of(index))
    if index.dtype.kind not in "iu":
        raise TypeError(f"gather: the index must be integers, not {kind(index)}")
    if index.ndim != x.ndim:
        raise ValueError(f"gather: the index must have {x.ndim} dimensions, as x, not shape {index.shape}")
    axis = normalize_axis_index(axis, x.ndim)
    if any(n > m for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if i != axis):
        raise ValueError(f"gather: an index of shape {index.shape} is longer than x of shape {x.shape}")
    grid = np.ogrid[tuple(map(slice, index.shape))]
    return x[tuple(index if i == axis else places for i, places in enumerate(grid))]


composite(
    gather,
    cases=[
        Case("3 3", (INDEX, 1)),
        Case("3 3", (INDEX, 0)),
        Case("4", (INDEX[0],)),
        Case("2 3 3", (INDEX[np.newaxis, :, :2], 1)),
    ],
    complex=True,
)(gather)
