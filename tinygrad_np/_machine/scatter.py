"""Add arrays to chosen elements of another, as often as an index names them; sums and extrema of rows in segments.

    add_at(y, index, x)                              # as np.add.at(y, index, x)
    combine_rows(np.maximum, y, rows, x)             # y[rows[i]] <- the larger of itself and x[i], for each i
    Part(x, index, shape)                            # zeros but for x at an index, not written to memory yet

The order of the additions follows from the index alone, and so do the bits of the result. Rows of the same number are
added in the order in which they stand, 16 at a time, and then these sums likewise, so that errors do not grow with the
number of rows.
"""

import math
from types import EllipsisType
from typing import Any

import numpy as np

from .arrays import Array

WIDE = 8  # elements of a row, from which on rows are added as such; narrower ones element by element
MANY = 2000  # elements above which that takes less time than np.add.at of rows
FOLD = 16  # rows added one by one


def selects_once(index: Any) -> bool:
    """Whether the index cannot select an element twice, which holds for basic and boolean indexing."""
    parts = index if type(index) is tuple else (index,)
    return all(
        isinstance(part, int | np.integer | slice | EllipsisType | None)
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )


def add_at(y: Array, index: Any, x: Any) -> None:
    """Add x to the elements of y at an index, in place, as often as each is selected.

    >>> y = np.zeros((3, 2))
    >>> add_at(y, np.array([0, 0, 2]), np.ones((3, 2)))
    >>> y
    array([[2., 2.],
           [0., 0.],
           [1., 1.]])
    """
    if selects_once(index):
        y[index] += x
        return
    found = _rows(index, y.shape) if np.size(x) > MANY and y.flags.c_contiguous else None
    if found is None:
        np.add.at(y, index, x)
        return
    rows, axes = found
    x = np.broadcast_to(x, (*rows.shape, *y.shape[axes:]))
    combine_rows(np.add, y.reshape(math.prod(y.shape[:axes]), -1), rows.reshape(-1), x.reshape(rows.size, -1))


def _rows(index: Any, shape: tuple[int, ...]) -> tuple[Array, int] | None:
    """The first axes of an array as one, and which of its elements an index selects: their numbers, and how many axes.

    None if these are no whole rows, or if an integer is out of range.
    """
    parts = index if type(index) is tuple else (index,)
    every = slice(None)
    while parts and isinstance(parts[-1], slice) and parts[-1] == every:
        parts = parts[:-1]
    before = next((i for i, part in enumerate(parts) if not (isinstance(part, slice) and part == every)), 0)
    arrays = [np.asarray(part) for part in parts[before:]]
    if len(parts) > len(shape) or any(array.dtype.kind not in "iu" for array in arrays):
        return None
    numbers: Any = np.arange(math.prod(shape[:before]))
    for array, n in zip(arrays, shape[before:], strict=False):
        if array.size and not -n <= array.min() <= array.max() < n:
            return None
    rest = 0
    for array, n in zip(arrays, shape[before:], strict=False):
        array = array.astype(np.intp)
        rest = rest * n + np.where(array < 0, array + n, array) if array.size and array.min() < 0 else rest * n + array
    if before:
        numbers = numbers.reshape(*shape[:before], *[1] * np.ndim(rest))
        rest = numbers * math.prod(shape[before : len(parts)]) + rest
    return np.asarray(rest), len(parts)


def combine_rows(function: np.ufunc, y: Array, rows: Array, x: Array) -> None:
    """y[rows[i]] <- function(y[rows[i]], x[i]) for each i, in place; a function such as np.add or np.maximum.

    Args:
        function: associative and commutative.
        y: shape (n, width), contiguous.
        rows: shape (m,), integers from 0 to n - 1.
        x: shape (m, width).
    """
    width = y.shape[1]
    if width < WIDE:
        if width > 1:
            rows = (rows[:, np.newaxis] * width + np.arange(width)).reshape(-1)
        function.at(y.reshape(-1), rows, x.reshape(-1).astype(y.dtype, copy=False))
        return
    if not rows.size:
        return
    order, rows = _sorted(rows, len(y))
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    sums, which = _of_segments(function, x, order, starts)
    chosen = rows[starts[which]]
    y[chosen] = function(y[chosen], sums)


def _sorted(rows: Array, count: int) -> tuple[Array | None, Array]:
    """The order that sorts integers below `count`, and these in that order; None if they are sorted.

    NumPy sorts integers of 16 bits by counting, others by comparing.
    """
    if (rows[1:] >= rows[:-1]).all():
        return None, rows
    order: Array = np.argsort(rows.astype(np.uint16), kind="stable")
    for shift in range(16, int(count).bit_length(), 16):
        digit = (rows >> shift).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order, rows[order]


def _of_segments(function: np.ufunc, x: Array, order: Array | None, starts: Array) -> tuple[Array, Array]:
    """What a function makes of the rows of each segment.

    Segment i begins with row order[starts[i]], or with row starts[i] if the order is None; the last ends with x.

    Returns:
        The results, in another order, and of each the number of its segment.
    """
    counts = np.diff(starts, append=len(x) if order is None else len(order))
    if counts.max() > FOLD:
        parts = -(-counts // FOLD)
        first = np.cumsum(parts) - parts  # of the parts, where each segment begins
        place = np.arange(parts.sum()) - np.repeat(first, parts)
        sums, which = _of_segments(function, x, order, np.repeat(starts, parts) + FOLD * place)
        back = np.empty_like(which)
        back[which] = np.arange(len(which))
        return _of_segments(function, sums, back, first)
    which = np.argsort((FOLD - counts).astype(np.uint16), kind="stable")  # the longest first
    longer = np.cumsum(np.bincount(counts, minlength=FOLD + 1)[::-1])[::-1]  # of the segments, how many have n rows
    begin = starts[which]
    sums = x[begin if order is None else order[begin]]
    for k in range(1, int(counts.max())):
        n = longer[k + 1]
        places = begin[:n] + k
        function(sums[:n], x[places if order is None else order[places]], out=sums[:n])
    return sums, which


class Part:
    """Zeros but for g at an index, not written to memory yet: the gradient of x, of which x[index] has the gradient g.

    The backward pass adds the parts of one array to a gradient that is there already, without zeros for each of them.

    >>> gradient = np.ones(3)
    >>> gradient += Part(np.array([5.0]), slice(1, 2), (3,))
    >>> gradient
    array([1., 6., 1.])
    """

    __slots__ = ("dtype", "g", "index", "shape")

    def __init__(self, g: Array, index: Any, shape: tuple[int, ...]) -> None:
        self.g, self.index, self.shape, self.dtype = g, index, shape, g.dtype

    def computed(self) -> Array:
        """The whole array."""
        return scattered(self.g, self.index, self.shape)

    def __array_ufunc__(self, function: np.ufunc, method: str, array: Array, part: "Part", out: Any) -> Array:
        """`array += part`, which adds to the array in place; nothing else is done with a part."""
        add_at(array, self.index, self.g)
        return array


def scattered(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape with x added at an index."""
    y = np.zeros(shape, x.dtype)
    if selects_once(index):
        y[index] = x
    else:
        add_at(y, index, x)
    return y
