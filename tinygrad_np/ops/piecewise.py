"""Functions that are given piece by piece: linear interpolation, and one function for each condition."""

from typing import Any, NamedTuple

import numpy as np

from .._registry import composite, differentiable
from ..tensor import Array, _arrays, as_array
from .cases import REAL, Case, Domain
from .elementwise import array_of, keep
from .indexing import scatter_add, set_at

# --- interp ----------------------------------------------------------------------------------------------------------


class _Pieces(NamedTuple):
    """For each x, the piece of a piecewise linear function on which it lies: if x is a knot, that to its right.

    At the last knot it is the last piece, with the slope 0 if that is a jump.
    """

    inside: Array  # whether x lies between the first and the last knot
    first: Array  # the number of the knot where the piece begins
    last: Array  # and where it ends
    slope: Any
    weight: Any  # of the value where the piece ends; 1 minus this is that of the value where it begins


def _pieces(x: Any, xp: Any, fp: Any) -> _Pieces:
    x, xp, fp = (np.astype(a, np.float64, copy=False) for a in (x, xp, fp))
    knots, places = array_of(xp), array_of(x)
    inside = (knots[0] <= places) & (places <= knots[-1])
    x = np.where(inside, x, knots[0])  # for infinite x, which would make NaN of derivatives of other x
    first = np.clip(np.searchsorted(knots, array_of(x), "right") - 1, 0, max(0, len(knots) - 2))
    last = np.minimum(first + 1, len(knots) - 1)
    is_jump = knots[first] == knots[last]  # between equal knots at the end, or at the only knot
    length = np.where(is_jump, 1, xp[last] - xp[first])
    weight = np.where(is_jump, 1, (x - xp[first]) / length)
    return _Pieces(inside, first, last, keep((fp[last] - fp[first]) / length, ~is_jump), weight)


def _by_ends(g: Any, pieces: _Pieces, count: int) -> Any:
    """The gradient of the values at the knots, for that of what is interpolated between them."""
    at_first = scatter_add(keep(g * (1 - pieces.weight), pieces.inside), pieces.first, shape=(count,))
    return at_first + scatter_add(keep(g * pieces.weight, pieces.inside), pieces.last, shape=(count,))


def _by_knots(g: Any, y: Any, x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    pieces = _pieces(x, xp, fp)
    return _by_ends(-g * pieces.slope, pieces, len(xp))


def _by_places(g: Any, y: Any, x: Any, xp: Any, fp: Any, left: Any, right: Any) -> Any:
    pieces = _pieces(x, xp, fp)
    return keep(g * pieces.slope, pieces.inside)


@differentiable(
    _by_places,
    _by_knots,
    lambda g, y, x, xp, fp, left, right: _by_ends(g, _pieces(x, xp, fp), len(xp)),
    lambda g, y, x, xp, fp, left, right: keep(g, array_of(x) < array_of(xp)[0]),
    lambda g, y, x, xp, fp, left, right: keep(g, array_of(x) > array_of(xp)[-1]),
    cases=[
        Case(f"{shape}, 4, 4, , ", prepare=lambda x, xp, fp, left, right: (x, np.sort(xp), fp, left, right))
        for shape in ("n", "", "2 n")
    ],
    name="interp",
)
def _interp(x: Array, xp: Array, fp: Array, left: Any, right: Any) -> Array:
    return np.asarray(np.interp(x, xp, fp, left, right))


@composite(
    np.interp,
    cases=[
        Case("n, 4, 4", prepare=lambda x, xp, fp: (x, np.sort(xp), fp)),
        Case(", 1, 1"),
        Case("n m, 3, 3", domains=(Domain(-1, 1), REAL), prepare=lambda x, xp, fp: (x, np.sort(xp), fp, 2.0, -1)),
        Case("n, 3, 3", domains=(REAL, Domain(0.1, 1.9), REAL), kwargs={"period": 2.5}),
    ],
)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """`np.interp`, differentiable in everything, in float64 as NumPy's; `xp` must not decrease.

    At a knot the slope is that to its right, at the last one that to its left, and outside it is 0.
    """
    x, xp, fp = (np.astype(as_array(a), np.float64, copy=False) for a in (x, xp, fp))
    if np.ndim(xp) != 1 or np.shape(xp) != np.shape(fp) or not np.size(xp):
        raise ValueError(f"interp: xp and fp must be 1-D, of one length and not empty: {np.shape(xp)}, {np.shape(fp)}")
    if period is not None:
        if np.ndim(period) or period == 0:
            raise ValueError(f"interp: period must be a number other than 0, not {period!r:.80}")
        period, left, right = np.abs(period), None, None
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if not np.all(np.diff(array_of(xp)) >= 0):
        raise ValueError("interp: xp must not decrease, nor be NaN; sort it, and fp with it")
    if np.ndim(left) or np.ndim(right):
        raise ValueError("interp: left and right must be numbers")
    ends = [fp[i] if end is None else as_array(end) for i, end in ((0, left), (-1, right))]
    return _interp(x, xp, fp, *(np.astype(end, np.float64, copy=False) for end in ends))


# --- piecewise -------------------------------------------------------------------------------------------------------


def _conditions(x: Any, condlist: Any, count: int) -> list[Array]:
    """The conditions of `np.piecewise` as boolean arrays, with that of the rest if there is a function for it."""
    condlist = _arrays(condlist)
    if np.isscalar(condlist) or (not isinstance(condlist[0], list | np.ndarray) and np.ndim(x)):
        condlist = [condlist]
    conditions = np.asarray(condlist, bool)
    if len(conditions) == count - 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, 0, keepdims=True)])
    if len(conditions) != count:
        raise ValueError(f"piecewise: {len(conditions)} conditions need as many functions, or one more, not {count}")
    return [np.asarray(condition) for condition in conditions]


def _around_zero(x: Any) -> Any:
    return [array_of(x) < 0, array_of(x) >= 0]


@composite(
    np.piecewise,
    cases=[
        Case("n m", prepare=lambda x: (x, _around_zero(x), [np.square, np.sin])),
        Case("n", prepare=lambda x: (x, _around_zero(x)[:1], [np.exp, np.cos])),
        Case("N, ", prepare=lambda x, value: (x + 0 * value, _around_zero(x)[0], [value, np.exp])),
        Case("", prepare=lambda x: (x, _around_zero(x), [2.0, np.square])),
        Case("n", prepare=lambda x: (x, _around_zero(x), [np.power, np.multiply], 3)),
        Case("3", prepare=lambda x: (x, [np.array([True, True, False]), np.array([True, False, False])], [np.sin, 1])),
    ],
    complex=True,
)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any) -> Any:
    """`np.piecewise`: each function of the elements where its condition holds; a later one wins, 0 where none holds."""
    conditions = _conditions(x, condlist, len(funclist))
    y = set_at(x, ~np.any(conditions, 0), 0)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            y = set_at(y, condition, function)
        elif np.any(condition):
            y = set_at(y, condition, np.astype(function(x[condition], *args), x.dtype, copy=False))
    return y
