"""Quantiles and percentiles by every method of NumPy, and medians that leave out NaN.

A quantile is an element of the sorted array, or lies between two neighbours, so its gradient goes to these elements;
among equal ones it goes to those that a stable sort puts at their places. It is differentiable in `q` as well where it
is continuous in it. At a `q` that hits an element, the slope in `q` jumps; its value there is the mean of both sides,
or that of the only side at 0 and 1.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .._registry import composite, in_float32
from ..tensor import Tensor, as_array
from .cases import Case, each
from .elementwise import array_of
from .reductions import along_last

# R. Hyndman and Y. Fan, "Sample quantiles in statistical packages" (1996): the place of a quantile among n elements,
# counted from 0, is n * q + alpha + q * (1 - alpha - beta) - 1.
CONTINUOUS = {
    "interpolated_inverted_cdf": (0, 1),
    "hazen": (1 / 2, 1 / 2),
    "weibull": (0, 0),
    "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
AVERAGING = ("averaged_inverted_cdf", "midpoint")  # an element, or the middle between two
CHOOSING = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")
METHODS = (*CONTINUOUS, *AVERAGING, *CHOOSING)


def _at(rows: Any, places: Any) -> Any:
    """The elements at these places of the last axis: the same in all rows, or others in each."""
    return rows[..., places] if places.ndim == 1 else np.take_along_axis(rows, places, -1)


def _place(q: Any, count: Any, method: str) -> Any:
    if method == "linear":
        return (count - 1) * q
    if method == "midpoint":
        return 0.5 * (np.floor((count - 1) * q) + np.ceil((count - 1) * q))
    if method == "averaged_inverted_cdf":
        return count * q - 1
    alpha, beta = CONTINUOUS[method]
    return count * q + (alpha + q * (1 - alpha - beta)) - 1


def _interpolated(rows: Any, q: Any, count: Any, method: str) -> Any:
    """Quantiles of sorted rows, of which the first `count` elements count, between two neighbours."""
    place = _place(q, count, method)
    numbers, last = array_of(place), np.maximum(count - 1, 0).astype(np.intp)
    if numbers.dtype.kind != "f":  # of the integers 0 and 1, which are the minimum and the maximum themselves
        return _at(rows, np.clip(numbers, 0, last))
    low = np.clip(np.floor(numbers), 0, last).astype(np.intp)
    high = np.where(numbers < 0, low, np.minimum(low + 1, last)).astype(np.intp)
    found, above, weight = _at(rows, low), _at(rows, high), place - low.astype(numbers.dtype)
    if method == "averaged_inverted_cdf":
        weight = np.where(weight == 0, numbers.dtype.type(0.5), numbers.dtype.type(1))
    weight = weight.astype(rows.dtype, copy=False)
    is_near, step = array_of(weight) < 0.5, above - found
    found = np.where(is_near, found, above) + step * np.where(is_near, weight, weight - 1)
    if type(place) is Tensor:
        found = found + _kink(rows, array_of(q), numbers, low, last) * (place - numbers)
    return found


def _kink(rows: Any, q: Any, place: Any, low: Any, last: Any) -> Any:
    """What the slope by the place lacks, where it hits an element, to the mean of the slopes on both sides of it."""
    hit = (place == low) & (last > 0)
    before, here, after = (_at(rows, np.clip(low + i, 0, last)) for i in (-1, 0, 1))
    right, left = after - here, here - before
    mean = np.where(q == 0, right, np.where(q == 1, left, (right + left) / 2))
    return np.where(hit, mean - right, 0)


def _places(q: Any, rows: Any, count: Any, method: str, weights: Any) -> Any:
    """The places that NumPy chooses by a method that takes one element: what it gives for the places themselves."""
    places: Any = np.arange(rows.shape[-1])
    function: Any = np.quantile
    along = {"method": method, "axis": -1}
    if np.ndim(count):
        function, places = np.nanquantile, np.where(places < count, places, np.nan)
    if weights is not None:
        total = np.sum(np.where(places < count, weights, 0), axis=-1, keepdims=True)  # NaN is not less
        if np.any((count > 0) & ((total == 0) | ~np.isfinite(total))):  # which NumPy refuses since 2.4
            raise ValueError("the weights must be finite, and not all zero")
        along |= {"weights": weights}
        places = np.broadcast_to(places, rows.shape)
    found = np.moveaxis(function(places, q, **along), 0, -1)
    return np.where(np.isnan(found), 0, found).astype(np.intp)  # of nothing but NaN


def _checked(weights: Any, a: Any, axis: Any) -> Any:
    """The weights in the shape of `a`."""
    weights = array_of(weights)
    if weights.shape != a.shape:
        if axis is None:
            raise TypeError(f"weights of shape {weights.shape} do not match the shape {a.shape}; give their axis=")
        axes = normalize_axis_tuple(axis, a.ndim)
        if weights.shape != tuple(a.shape[i] for i in axes):
            raise ValueError(f"weights of shape {weights.shape} do not match axis {axis} of shape {a.shape}")
        sizes = [n if i in axes else 1 for i, n in enumerate(a.shape)]
        weights = np.broadcast_to(np.reshape(np.transpose(weights, np.argsort(axes)), sizes), a.shape)
    if np.any(weights < 0):
        raise ValueError("the weights must not be negative")
    return weights


def _quantiles(a: Any, q: Any, percent: int, axis: Any, method: str, weights: Any, without_nan: bool) -> Any:
    """The quantiles of all elements of q along a first axis."""
    rows, is_number = along_last(a, axis), type(q) in (int, float)
    q = np.reshape(q if percent == 1 else np.divide(q, percent), -1)
    if method not in CHOOSING and (method != "linear" or q.dtype.kind == "f"):
        if rows.dtype.kind == "b":
            raise TypeError(f"there is nothing between booleans: write a.astype(np.float64), or a method of {CHOOSING}")
        if rows.dtype.kind != "f" or not is_number:
            rows = np.astype(rows, np.result_type(rows, q.dtype if q.dtype.kind == "f" else np.float64), copy=False)
    order = np.argsort(rows, axis=-1, kind="stable")  # NaN last
    rows = np.take_along_axis(rows, order, -1)
    missing = np.isnan(rows)
    count: Any = rows.shape[-1]
    if without_nan:
        count = count - np.sum(missing, axis=-1, keepdims=True)
    if method in CHOOSING:
        weights = None if weights is None else np.take_along_axis(along_last(weights, axis), order, -1)
        found = _at(rows, _places(array_of(q), rows, count, method, weights))
    else:
        count = count.astype(q.dtype) if without_nan and q.dtype.kind == "f" else count
        found = _interpolated(rows, q, count, method)
    if not without_nan:
        found = np.where(missing[..., -1:], rows[..., -1:], found)
    return np.moveaxis(found, -1, 0)


def _family(name: str, percent: int) -> Any:
    """`np.quantile` or one of its relatives, by name."""
    without_nan = name.startswith("nan")

    def implementation(
        a: Any, q: Any, axis: Any = None, *, method: str = "linear", keepdims: bool = False, weights: Any = None
    ) -> Any:
        if method not in METHODS:
            raise ValueError(f"{name}: {method!r} is not one of the methods {', '.join(METHODS)}")
        if weights is not None and method != "inverted_cdf":
            raise ValueError(f"{name}: weights= needs method='inverted_cdf', not {method!r}")
        if type(weights) is Tensor and weights.requires_grad:
            raise TypeError(
                f"{name} jumps where its weights change and is not differentiable in them: pass weights.data"
            )
        if type(q) is Tensor and q.requires_grad and method not in CONTINUOUS:
            raise TypeError(f"{name} by method={method!r} jumps and is not differentiable in q: pass q.data")
        a = as_array(a)
        q = q if type(q) in (int, float, Tensor) else np.asarray(q)
        numbers = array_of(q)
        if not np.all((numbers >= 0) & (numbers <= percent)):
            raise ValueError(f"{name}: q must be from 0 to {percent:g}")
        if numbers.ndim > 2:
            raise ValueError(f"{name}: q may have at most 2 dimensions, not {numbers.ndim}")
        weights = None if weights is None else _checked(weights, a, axis)
        if without_nan and not a.size:
            return np.nanmean(a, axis=axis, keepdims=keepdims)
        compute = _quantiles if method in CHOOSING else in_float32(_quantiles)
        found = compute(a, q, percent, axis, method, weights, without_nan)
        if keepdims:
            axes = range(a.ndim) if axis is None else normalize_axis_tuple(axis, a.ndim)
            found = np.reshape(found, (len(found), *(1 if i in axes else n for i, n in enumerate(a.shape))))
        return np.reshape(found, numbers.shape + found.shape[1:])

    return implementation


POSITIONS = ([0.0, 0.5, 1.0], [[0.25], [0.9]])
for function, percent in ((np.quantile, 1), (np.percentile, 100), (np.nanquantile, 1), (np.nanpercentile, 100)):
    inside = tuple(percent * number for number in (0.3, 0.85))
    composite(
        function,
        cases=[
            *each("N M 3", q=inside[:1], axis=(None, 0, -1, (0, 2)), keepdims=(False, True)),
            *each("4 M", q=[np.multiply(q, percent).tolist() for q in POSITIONS], axis=(0, None)),
            *each("5 M", q=(list(inside),), axis=(0,), method=METHODS),
            *each("4", q=(0.4 * percent,), weights=(np.array([1.0, 0.5, 2.0, 0.3]),), method=("inverted_cdf",)),
            *each(
                "2 4",
                q=([0.4 * percent, 0.8 * percent],),
                weights=(np.array([[1.0, 0.5, 2.0, 0.3], [0.7, 1.2, 0.0, 0.1]]),),
                method=("inverted_cdf",),
                axis=(None, -1, 1),
            ),
            *(  # places between neighbours of four: the middle ones, and the ones above
                Case(
                    "4 M, 2",
                    prepare=lambda a, q, percent=percent, step=step: (
                        a,
                        percent * (0.5 + 0.1 * np.sin(q) + np.array([0, step])),
                    ),
                    kwargs={"axis": 0, "method": method},
                )
                for method, step in (("linear", 1 / 3), ("hazen", 1 / 4))
            ),
        ],
    )(_family(function.__name__, percent))


@composite(
    np.nanmedian, cases=[*each("N M 2", axis=(None, 0, -1, (0, 2)), keepdims=(False, True)), *each("4", axis=(0,))]
)
@in_float32
def nanmedian(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """`np.nanmedian`; the gradient is that of the median of the numbers alone."""
    if not a.size:
        return np.nanmean(a, axis=axis, keepdims=keepdims)
    rows = np.sort(along_last(a, axis), axis=-1)  # NaN last
    count = np.sum(~np.isnan(rows), axis=-1, keepdims=True)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    high = np.where(count, high, 0)
    below, above = _at(rows, low), _at(rows, high)
    with np.errstate(over="ignore"):  # of what is not chosen
        found = np.where(low == high, below, (below + above) / 2)
    if not keepdims:
        return found[..., 0]
    axes = range(a.ndim) if axis is None else normalize_axis_tuple(axis, a.ndim)
    return np.reshape(found, [1 if i in axes else n for i, n in enumerate(a.shape)])
