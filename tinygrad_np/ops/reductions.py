"""Functions that reduce axes: sums, means, extremes."""

import math
from typing import Any

import numpy as np

from ..tensor import constant, primitive
from .cases import Case, each


def _restore(reduced: Any, axis: Any, keepdims: bool) -> Any:
    """The result of a reduction over `axis` with the reduced axes back in place, each of length 1."""
    return reduced if keepdims or axis is None else np.expand_dims(reduced, axis)


def _spread(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of a sum: every element that was reduced gets the whole of it."""
    return np.broadcast_to(_restore(g, axis, keepdims), x.shape)


def _count(x: Any, axis: Any) -> int:
    """How many elements a reduction over `axis` makes into one."""
    axes = range(x.ndim) if axis is None else np.atleast_1d(np.asarray(axis, int))
    return math.prod(x.shape[i] for i in axes)


def _to_extremes(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of an extreme: shared evenly among the elements that attain it."""
    attained = x == _restore(y, axis, keepdims)
    share = attained / np.sum(attained, axis=axis, keepdims=True)
    return _restore(g, axis, keepdims) * share


primitive(
    np.sum,
    lambda g, y, x, *, axis=None, keepdims=False: _spread(g, x, axis, keepdims),
    cases=[
        *each("n m k", axis=(None, 0, -1, (0, 2), (-1, -2), ()), keepdims=(False, True)),
        Case(""),
        Case("n", kwargs={"axis": 0}),
    ],
)
primitive(
    np.mean,
    lambda g, y, x, *, axis=None, keepdims=False: _spread(g / _count(x, axis), x, axis, keepdims),
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
            Case("n M", kwargs={"axis": -1}),
        ],
    )

constant(np.argmax, np.argmin, np.argsort, np.all, np.any, np.count_nonzero, np.nonzero)
