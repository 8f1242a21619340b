"""Functions that reduce axes: sums, means, extremes."""

import math
from typing import Any

import numpy as np

from ..tensor import constant, primitive
from .cases import Case, each
from .elementwise import keep


def _restore(reduced: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The result of a reduction of x over `axis` with the reduced axes back in place, each of length 1."""
    return reduced if keepdims or axis is None or x.ndim == 0 else np.expand_dims(reduced, axis)


def _spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of a sum: every element that was reduced gets the whole of it."""
    return np.broadcast_to(_restore(g, x, axis, keepdims), x.shape)


def _over_count(g: Any, x: Any, axis: Any) -> Any:
    """g divided by how many elements of x a reduction over `axis` makes into one."""
    axes = range(x.ndim) if axis is None or x.ndim == 0 else np.atleast_1d(np.asarray(axis, int))
    count = math.prod(x.shape[i] for i in axes)
    return g / count if count < np.finfo(np.float16).max else g * (1 / count)  # float16 has no larger numbers


def _to_extremes(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of an extreme: shared evenly among the elements that attain it."""
    attained = x == _restore(y, x, axis, keepdims)
    share = _restore(g, x, axis, keepdims) / np.sum(attained, axis=axis, keepdims=True, dtype=g.dtype)
    return keep(share, attained)


primitive(
    np.sum,
    lambda g, y, x, *, axis=None, keepdims=False: _spread(g, x, axis, keepdims),
    cases=[
        *each("n m k", axis=(None, 0, -1, (0, 2), (-1, -2), ()), keepdims=(False, True)),
        Case(""),
        Case("", kwargs={"axis": -1}),
        Case("n", kwargs={"axis": 0}),
    ],
)
primitive(
    np.mean,
    lambda g, y, x, *, axis=None, keepdims=False: _spread(_over_count(g, x, axis), x, axis, keepdims),
    cases=[
        *each("N M K", axis=(None, 0, -1, (0, 2), (-1, -2), ()), keepdims=(False, True)),
        Case(""),
        Case("n M", kwargs={"axis": -1}),
    ],
)
for extreme in (np.max, np.min):
    primitive(
        extreme,
        lambda g, y, x, *, axis=None, keepdims=False: _to_extremes(g, y, x, axis, keepdims),
        cases=[
            *each("N M K", axis=(None, 0, -1, (0, 2), (-1, -2), ()), keepdims=(False, True)),
            Case(""),
            Case("", kwargs={"axis": 0}),
            Case("n M", kwargs={"axis": -1}),
        ],
    )

constant(np.argmax, np.argmin, np.argsort, np.all, np.any, np.count_nonzero, np.nonzero)
