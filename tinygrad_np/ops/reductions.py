"""Reductions, such as sums and medians, and functions along an axis, such as cumulative sums and differences."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .._machine.arrays import power_of_two
from .._registry import composite, constant, differentiable, in_float32, primitive
from ..tensor import Array, Tensor, as_array
from .cases import REAL, Case, Domain, each
from .elementwise import array_of, conjugate, is_complex, keep, zero_at
from .examples import along
from .rows import along_axis

AXES = (None, 0, -1, (0, 2), (-1, -2), ())
BOTH = (False, True)
MASK = np.array([[True], [False]])  # selects the first of two rows
ALL_KEYWORDS = {"axis": 0, "keepdims": True, "where": MASK}
FEW = 1024  # elements, which are copied in 1.0 us; np.broadcast_to takes 2.4 us of any number
IN_FLOAT64 = Case("2 M", kwargs={"dtype": np.float64})

# --- gradients over reduced axes -------------------------------------------------------------------------------------


def restore(reduced: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The result of a reduction of x over `axis`, with the reduced axes put back as axes of length 1."""
    if keepdims or axis is None or x.ndim == 0:
        return reduced
    shape = [*x.shape]
    for i in (axis,) if isinstance(axis, int) else axis:
        shape[i] = 1
    return reduced.reshape(shape)  # 0.4 us, where np.expand_dims takes 1.8


def _spread(g: Any, x: Any, axis: Any, keepdims: bool, where: Any = True) -> Any:
    """The gradient of a sum: g for every element that was summed, 0 for masked ones."""
    g = restore(g, x, axis, keepdims)
    if type(g) is np.ndarray and x.size <= FEW:
        spread = np.empty(x.shape, g.dtype)
        spread[...] = g
    else:
        spread = np.broadcast_to(g, shape=x.shape)
    return spread if where is True else keep(spread, where)


def _count(x: Any, axis: Any, where: Any = True) -> Any:
    """The number of elements of x reduced to each result; an array if there is a mask."""
    if where is not True:
        return np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=True)
    axes = range(x.ndim) if axis is None or x.ndim == 0 else (axis,) if isinstance(axis, int) else axis
    return math.prod(x.shape[i] for i in axes)


def to_extremes(g: Any, y: Any, x: Any, axis: Any, keepdims: bool, initial: Any = None, where: Any = True) -> Any:
    """The gradient of a maximum or minimum: g split evenly among the elements (and `initial`) that attain it."""
    top = restore(y, x, axis, keepdims)
    attained = (x == top) & where
    if np.any(np.isnan(top)):  # the result of a NaN is NaN, and so g goes to it
        attained |= np.isnan(x) & np.isnan(top) & where
    count = np.sum(attained, axis=axis, keepdims=True) + (False if initial is None else top == initial)
    # float16 has no number for more than 65504 equal elements
    return keep(restore(g, x, axis, keepdims) / count.astype(np.result_type(g.dtype, np.float32)), attained)


def _not_nan(x: Any) -> Any:
    return ~np.isnan(x)


# --- sums and means --------------------------------------------------------------------------------------------------

primitive(
    np.sum,
    lambda g, y, x, *, axis=None, keepdims=False, initial=0, where=True: _spread(g, x, axis, keepdims, where),
    reads=(),
    wide=True,
    jvp="linear",
    rows=along_axis,
    casts=True,
    examples=along(None),
    cases=[
        *each("n m k", axis=AXES, keepdims=BOTH),
        *each("", axis=(None, -1)),
        Case("n", kwargs={"axis": 0, "initial": 3.0}),
        Case("2 m", kwargs=ALL_KEYWORDS),
        Case("2 m", kwargs={"where": MASK}),
        IN_FLOAT64,
    ],
    complex=True,
)
primitive(
    np.mean,
    lambda g, y, x, *, axis=None, keepdims=False, where=True: _spread(
        restore(g, x, axis, keepdims) / _count(x, axis, where), x, axis, True, where
    ),
    reads=(),
    wide=True,
    jvp="linear",
    rows=along_axis,
    casts=True,
    examples=along(None),
    cases=[
        *each("N M K", axis=AXES, keepdims=BOTH),
        Case(""),
        Case("n M", kwargs={"axis": -1}),
        Case("2 m", kwargs=ALL_KEYWORDS),
        Case("2 M", kwargs={"where": MASK}),
        IN_FLOAT64,
    ],
    complex=True,
)
primitive(
    np.nansum,
    lambda g, y, x, *, axis=None, keepdims=False, initial=0, where=True: _spread(
        g, x, axis, keepdims, _not_nan(x) & where
    ),
    wide=True,
    casts=True,
    cases=[*each("n m k", axis=AXES, keepdims=BOTH), Case("2 m", kwargs={**ALL_KEYWORDS, "initial": 3.0}), IN_FLOAT64],
    complex=True,
)
primitive(
    np.nanmean,
    lambda g, y, x, *, axis=None, keepdims=False, where=True: _spread(
        restore(g, x, axis, keepdims) / _count(x, axis, _not_nan(x) & where), x, axis, True, _not_nan(x) & where
    ),
    wide=True,
    casts=True,
    cases=[*each("N M K", axis=AXES, keepdims=BOTH), Case("2 m", kwargs=ALL_KEYWORDS), IN_FLOAT64],
    complex=True,
)


@composite(
    np.average,
    cases=[
        *each("N M", axis=(None, 0, -1), keepdims=BOTH),
        Case("N M, N M", domains=(REAL, Domain(0.2, 2)), prepare=lambda a, w: (a, None, w)),
        Case("2 M, 2", domains=(REAL, Domain(0.2, 2)), prepare=lambda a, w: (a, 0, w)),
        Case("M 3, 3", domains=(REAL, Domain(0.2, 2)), prepare=lambda a, w: (a, -1, w)),
        Case("2 M 3, 3 2", domains=(REAL, Domain(0.2, 2)), prepare=lambda a, w: (a, (2, 0), w)),
        Case("2 M 3, 3", domains=(REAL, Domain(0.2, 2)), prepare=lambda a, w: (a, 2, w, True)),
        *each("N M", axis=(None, 0), returned=(True,), finish=lambda results: results[0]),  # the other is a number
    ],
    complex=True,
)
@in_float32
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """`np.average`, differentiable in the weights too; they have the shape of `a`, or that of the averaged axes.

    With `returned` the sum of the weights comes with it; without weights it is the number of elements.
    """
    if weights is None:
        y = np.mean(a, axis=axis, keepdims=keepdims)
        return (y, np.full(y.shape, a.size / y.size, y.dtype)) if returned else y
    a, weights = (as_array(value) for value in (a, weights))
    dtype = np.result_type(a, weights, *([] if a.dtype.kind == "f" else [np.float64]))
    a, weights = (np.astype(value, dtype, copy=False) for value in (a, weights))
    if weights.shape != a.shape:
        given = f"average: weights of shape {weights.shape} do not match"
        if axis is None:
            raise TypeError(f"{given} the shape {a.shape}; give their axis=")
        axes = normalize_axis_tuple(axis, a.ndim)
        if weights.shape != tuple(a.shape[i] for i in axes):
            raise ValueError(f"{given} axis {axis} of shape {a.shape}")
        sizes = [n if i in axes else 1 for i, n in enumerate(a.shape)]
        weights = np.reshape(np.transpose(weights, np.argsort(axes)), sizes)
    total = np.sum(np.broadcast_to(weights, a.shape), axis=axis, keepdims=keepdims)
    if np.any(total == 0):
        raise ZeroDivisionError("average: the weights sum to 0")
    y = np.sum(np.multiply(a, weights), axis=axis, keepdims=keepdims) / total
    return (y, total) if returned else y


# --- variance --------------------------------------------------------------------------------------------------------


def _deviation(g: Any, x: Any, axis: Any, ddof: Any, keepdims: bool, where: Any) -> Any:
    """The gradient of a variance: 2 * (x - mean) / (count - ddof)."""
    centred = x
    for _ in range(2):  # again, because the rounding of a large mean is not small beside small deviations from it
        mean = np.mean(centred, axis=axis, keepdims=True, where=where)
        centred = keep(centred - mean, where)  # 0 even where x is NaN but masked
    return 2 * restore(g, x, axis, keepdims) * conjugate(centred) / np.maximum(_count(x, axis, where) - ddof, 0)


def _least_of_squares(x: Any) -> Any:
    """The least root of a mean of squares that has lost no digits to underflow."""
    limits = np.finfo(x.dtype)
    return limits.tiny**0.5 / limits.eps


def _std_gradient(g: Any, y: Any, x: Any, axis: Any, ddof: Any, keepdims: bool, where: Any) -> Any:
    """That of the variance, with g / (2 y) for g; 0 where all numbers are equal.

    Their deviation may be the rounding of their mean: twelve times 0.1 have one of 1e-17.
    """
    numbers, along = array_of(x), {"axis": axis, "keepdims": keepdims, "where": where}
    largest = np.max(numbers, initial=-np.inf, **along)
    equal = (largest == np.min(numbers, initial=np.inf, **along)) & np.isfinite(largest)
    size, low = array_of(y), _least_of_squares(x)
    if not np.all(equal | ((size > low) & (size < 1 / low))):  # squares of y, in derivatives, overflow or underflow
        unit = power_of_two(size)  # the gradient is the same in any unit
        x, y = x / restore(unit, x, axis, keepdims), y / unit
    kink = equal & (np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=keepdims) > 1)
    slope = _deviation(0.5 / np.where(equal, 1, y), x, axis, ddof, keepdims, where)
    return restore(g, x, axis, keepdims) * zero_at(slope, restore(kink, x, axis, keepdims))


VARIANCES = [
    *each("N M 2", axis=(None, 0, -1, (0, 2), (-1, -2)), keepdims=BOTH),
    *each("2 3", axis=(0, 1, None), ddof=(1, 0.5)),
    Case("3 m", kwargs={"axis": 0, "where": np.array([[True], [False], [True]]), "ddof": 1}),
    IN_FLOAT64,
]
DEVIATIONS = [
    *each("2 3 2", axis=(None, 0, -1, (0, 2)), keepdims=BOTH, ddof=(0, 0.5)),
    Case("3 2", kwargs={"axis": 0, "where": np.array([[True], [False], [True]])}),
    IN_FLOAT64,
]
primitive(
    np.var,
    lambda g, y, x, *, axis=None, ddof=0, keepdims=False, where=True: _deviation(g, x, axis, ddof, keepdims, where),
    wide=True,
    casts=True,
    cases=VARIANCES,
    complex=True,
)
primitive(
    np.nanvar,
    lambda g, y, x, *, axis=None, ddof=0, keepdims=False, where=True: _deviation(
        g, x, axis, ddof, keepdims, _not_nan(x) & where
    ),
    wide=True,
    casts=True,
    cases=VARIANCES,
    complex=True,
)


def _register_deviation(function: Any, counted: Any) -> None:
    """Register np.std or np.nanstd; `counted(a, where)` selects the numbers that it counts."""

    def deviation(
        a: Array, axis: Any = None, dtype: Any = None, *, ddof: float = 0, keepdims: bool = False, where: Any = True
    ) -> Array:
        a = a if dtype is None else a.astype(dtype)
        # In units of the largest number where squares overflow or underflow.
        with np.errstate(over="ignore"):
            y = function(a, axis=axis, ddof=ddof, keepdims=keepdims, where=where)
        ordinary = (y > _least_of_squares(y)) & (y < np.inf)
        if np.all(ordinary):
            return np.asarray(y)
        unit = power_of_two(np.fmax.reduce(np.abs(a), axis, keepdims=True, initial=0, where=where))
        with warnings.catch_warnings(action="ignore"):  # they were given before
            scaled = function(a / unit, axis=axis, ddof=ddof, keepdims=keepdims, where=where)
        return np.asarray(np.where(ordinary, y, scaled * (unit if keepdims else np.squeeze(unit, axis))))

    deviation.__name__ = function.__name__
    gradient = differentiable(
        lambda g, y, a, *, axis=None, ddof=0, keepdims=False, where=True: _std_gradient(
            g, y, a, axis, ddof, keepdims, counted(a, where)
        ),
        wide=True,
        casts=True,
        cases=DEVIATIONS,
        name=function.__name__,
        complex=True,
    )
    composite(function, cases=DEVIATIONS, complex=True)(gradient(deviation))


_register_deviation(np.std, lambda a, where: where)
_register_deviation(np.nanstd, lambda a, where: _not_nan(a) & where)


# --- products --------------------------------------------------------------------------------------------------------


def along_last(x: Any, axis: Any) -> Any:
    """x with the reduced axes moved to the end and merged into one."""
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = [x.shape[i] for i in kept]
    return np.reshape(np.transpose(x, kept + axes), (*shape, math.prod(x.shape[i] for i in axes)))


def _back_from_last(rows: Any, x: Any, axis: Any) -> Any:
    """The inverse of `along_last` for an array with the shape of x."""
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    return np.transpose(np.reshape(rows, [x.shape[i] for i in order]), np.argsort(order))


def is_normal(x: Array) -> Array:
    """Where x is neither 0 nor subnormal, which has fewer digits, nor infinite nor NaN."""
    return np.asarray((np.abs(x) >= np.finfo(x.dtype).tiny) & np.isfinite(x))


def _can_divide(y: Any, x: Any) -> bool:
    """Whether y / x is the product without x to the last digits: no 0, nothing lost to underflow, no graph to record.

    The derivative of y / x is a difference that loses all digits near 0.
    """
    return isinstance(y, np.ndarray) and bool(np.all(x != 0) and np.all(is_normal(y)))


def _cannot_underflow(x: Any, count: int) -> bool:
    """Whether no product of up to so many of the numbers overflows, underflows or loses digits."""
    sizes = np.abs(x)
    low, high, limits = np.min(sizes, initial=1), np.max(sizes, initial=1), np.finfo(x.dtype)
    return bool(low > 0) and limits.minexp < count * math.log2(low) <= count * math.log2(high) < limits.maxexp


def _times_products_of_others(g: Any, x: Any) -> Any:
    """For each element, g times the product of all others along the last axis; exact even if some are 0.

    It is 0 where g is 0, also where the product is infinite.
    """
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore", invalid="ignore"):
            before, after = products_around(x)
        if np.all(is_normal(before) & is_normal(after)):
            return g * (before * after)
        if is_complex(x):
            return _one_by_one(g, x)
        mantissa, exponent = _apart(x, -1)  # the product of some leaves the range where that of all others may not
        before, after = products_around(mantissa)
        others = _times_power(before * after, np.sum(exponent, axis=-1, keepdims=True) - exponent)
        return keep(g * others, g != 0)
    if _cannot_underflow(array_of(x), x.shape[-1]):  # nor can any product of a derivative
        before, after = products_around(x)
        return g * (before * after)
    if is_complex(x):
        return _one_by_one(g, x)
    rows, last = np.moveaxis(x, -1, 0), np.moveaxis(g, -1, 0)
    weights = np.concatenate([np.zeros((len(rows) - 1, *last.shape[1:]), x.dtype), last], axis=0)
    return np.moveaxis(_derivative_by_factors(rows, weights), 0, -1)


def _one_by_one(weights: Any, x: Any) -> Any:
    """The gradient of sum(weights * cumprod(x)) by complex x, along the last axis; weights of length 1 are of the last.

    It is exact where factors are 0, and can be differentiated any number of times. Products of some factors may
    overflow or underflow where that of all others does not: the exponents of real numbers only are taken apart.
    """
    n = x.shape[-1]
    factors = [x[..., i] for i in range(n)]
    before, after = [np.ones_like(factors[0])], [weights[..., -1]]
    for i in range(n - 1):
        before.append(before[i] * factors[i])
        rest = factors[n - 1 - i] * after[i]
        after.append(rest if weights.shape[-1] == 1 else weights[..., n - 2 - i] + rest)
    return np.stack([b * a for b, a in zip(before, reversed(after), strict=True)], axis=-1)


def _apart(x: Any, axis: int) -> tuple[Any, Array]:
    """Mantissas and exponents of 2: no product of neighbouring mantissas is far from 1, or it is 0, infinite or NaN."""
    sizes = np.abs(array_of(x))
    logarithm = np.log2(np.where((sizes > 0) & (sizes < np.inf), sizes, 1), dtype=np.float64)
    exponent = np.diff(np.rint(np.cumsum(logarithm, axis)).astype(np.int64), axis=axis, prepend=0)
    return _times_power(x, -exponent), exponent


def _times_power(x: Any, exponent: Any) -> Any:
    """x * 2**exponent."""
    return np.ldexp(x, np.clip(exponent, -9999, 9999).astype(np.intc))  # as far as there are numbers


def products_around(x: Any) -> tuple[Any, Any]:
    """For each element, the product of all before it and of all after it, along the last axis."""
    one = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([one, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([one, x[..., :0:-1]], axis=-1), axis=-1)
    return before, after[..., ::-1]


def _product(g: Any, y: Any, x: Any, axis: Any, keepdims: bool, initial: Any = 1, where: Any = True) -> Any:
    factors = x if where is True else np.where(where, x, 1)
    if isinstance(y, np.ndarray) and _cannot_underflow(factors, x.size // max(y.size, 1)):  # no graph to record
        return keep(restore(g, x, axis, keepdims) * (restore(y, x, axis, keepdims) / factors), where)
    if x.ndim == 0:
        return g * initial
    rows = along_last(factors, axis)
    weights = np.reshape(initial * g, (*rows.shape[:-1], 1))
    return keep(_back_from_last(_times_products_of_others(weights, rows), x, axis), where)


PRODUCTS = [
    *each("n m k", axis=AXES, keepdims=BOTH),
    Case(""),
    Case("2 m", kwargs={**ALL_KEYWORDS, "initial": 2.0}),
    IN_FLOAT64,
]
WITH_ZEROS = [  # two, one and none of the three elements in a row are 0
    Case("3 3", kwargs={"axis": axis}, prepare=lambda x: x * np.array([[0, 1, 0], [1, 0, 1], [1, 1, 1]]))
    for axis in (0, 1, None)
]
primitive(
    np.prod,
    lambda g, y, x, *, axis=None, keepdims=False, initial=1, where=True: _product(
        g, y, x, axis, keepdims, initial, where
    ),
    wide=True,
    casts=True,
    cases=PRODUCTS + WITH_ZEROS,
    complex=True,
)
primitive(
    np.nanprod,
    lambda g, y, x, *, axis=None, keepdims=False, initial=1, where=True: _product(
        g, y, x, axis, keepdims, initial, _not_nan(x) & where
    ),
    wide=True,
    casts=True,
    cases=PRODUCTS,
    complex=True,
)

# --- extremes and medians -----------------------------------------------------------------------------------

EXTREMES = [
    *each("N M K", axis=AXES, keepdims=BOTH),
    *each("", axis=(None, 0)),
    Case("n M", kwargs={"axis": -1}),
    *each("2 m", axis=(0,), keepdims=BOTH, where=(MASK,), initial=(0.5,)),
    *each("n", initial=(-9.0, 0.5, 9.0)),
]
for extreme in (np.max, np.min, np.amax, np.amin, np.nanmax, np.nanmin):
    primitive(
        extreme,
        lambda g, y, x, *, axis=None, keepdims=False, initial=None, where=True: to_extremes(
            g, y, x, axis, keepdims, initial, where
        ),
        rows=along_axis,
        examples=along(None),
        cases=EXTREMES,
    )


@composite(np.ptp, cases=each("N M", axis=(None, 0, -1, (0, 1)), keepdims=BOTH))
def ptp(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    """`np.ptp`, the maximum minus the minimum."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


def _to_middle(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """The gradient of a median: g to the middle element in stable order, or half of it to each of the middle two."""
    numbers = along_last(x, axis)
    rows = np.argsort(numbers, axis=-1, kind="stable")
    n = rows.shape[-1]
    if n and np.any(missing := np.isnan(numbers).any(axis=-1)):  # NaN sorts last; g goes to it, as the result is NaN
        rows = np.where(missing[..., np.newaxis], rows[..., -1:], rows)
    weight = np.zeros(rows.shape, g.dtype)
    for middle in ((n - 1) // 2, n // 2):
        chosen = rows[..., middle : middle + 1]
        np.put_along_axis(weight, chosen, np.take_along_axis(weight, chosen, -1) + 0.5, -1)
    return restore(g, x, axis, keepdims) * _back_from_last(weight, x, axis)


primitive(
    np.median,
    lambda g, y, x, *, axis=None, keepdims=False: _to_middle(g, x, axis, keepdims),
    cases=[*each("N M 2", axis=(None, 0, -1, (0, 2)), keepdims=BOTH), *each("4", axis=(0,))],
)


# --- along an axis ---------------------------------------------------------------------------------------------------


def _cumsum_gradient(g: Any, x: Any, axis: Any) -> Any:
    """The gradient of a cumulative sum: the sum of g from each element to the end."""
    if axis is None:
        return np.reshape(np.flip(np.cumsum(np.flip(g, axis=0), axis=0), axis=0), x.shape)
    return np.flip(np.cumsum(np.flip(g, axis=axis), axis=axis), axis=axis)


def _shifted(x: Array, end: Any = 0) -> Array:
    """x moved by one along axis 0, so that element i has the place of i - 1; then `end`."""
    return np.concatenate([x[1:], np.full_like(x[:1], end)], axis=0)


# Numbers m * 2**e, as (m, e), do not overflow or underflow on the way to a result that does not. Where a weight or an
# element of a direction is 0, nothing depends on its product, which is 0 even with an infinite factor; a factor of 0
# makes that NaN. Such a product, and a sum of them, has an e far below that of any number.
_ABSENT = np.int64(-(2**60))
_SIZE_OF_ZERO = np.int64(-(2**40))


def _are_finite(mantissas: Array) -> bool:
    """Whether they are all finite, by their sum, which cannot overflow."""
    return math.isfinite(np.add.reduce(mantissas, None))


def _is_present(e: Array) -> Array:
    return e > _ABSENT // 2


def _parts(weights: Array) -> tuple[Array, Array]:
    m, e = np.frexp(weights)
    return m, np.where(m == 0, _ABSENT, e)


def _times(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    m, e = a[0] * b[0], a[1] + b[1]
    return m if _are_finite(m) else keep(m, _is_present(e)), e


def _total(terms: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    unit = np.maximum.reduce([_size(*term) for term in terms])
    return np.sum([_times_power(m, e - unit) for m, e in terms], axis=0), unit


def _size(m: Array, e: Array) -> Array:
    return np.where(m == 0, _SIZE_OF_ZERO, np.frexp(m)[1]) + e


def _partial_products(x: Array, weights: Array, directions: list[Array]) -> list[tuple[Array, Array]]:
    """For each element i the sum over j of weights[j] and the product of those after i up to j, along axis 0.

    There is one for each subset of the directions, whose bits are the position in the list: its derivative along them.
    """
    rows, exponent = _apart(x, 0)
    reached, are_finite = np.cumsum(exponent, 0), _are_finite(rows)
    found: list[tuple[Array, Array]] = []
    for subset in range(2 ** len(directions)):
        terms = [_times(_parts(h), found[subset ^ 1 << k]) for k, h in enumerate(directions) if subset >> k & 1]
        m, e = _total(terms) if terms else _parts(weights)
        if terms:
            m, e = _shifted(m), _shifted(e, _ABSENT)
        # Powers of 2 are multiplied apart: those of a sum are of the size of its largest term before a 0.
        sizes = reached + _size(m, e)
        zeros = np.cumsum(rows == 0, 0) * (2 * np.max(np.abs(sizes), where=m != 0, initial=0) + 1)
        unit = np.flip(np.maximum.accumulate(np.flip(sizes - zeros, 0), 0), 0) + zeros
        after = _shifted(unit)
        if are_finite and _are_finite(m):
            factors = _times_power(_shifted(rows), after - unit)
        else:  # no factor underflows, because what it is multiplied by may be infinite; so small a one adds nothing
            change = np.maximum(after - unit, np.finfo(x.dtype).minexp // 2)
            factors = keep(_times_power(_shifted(rows), change), _is_present(after))
        sums = _times_power(m, reached + e - unit)
        for i in range(len(sums) - 2, -1, -1):
            sums[i] += factors[i] * sums[i + 1]
        found.append((sums, unit - reached))
    return found


def _products_before(x: Array, directions: list[Array]) -> list[tuple[Array, Array]]:
    """For each element the product of all before it, and its derivatives along each subset of the directions."""
    weights = np.zeros_like(x)
    weights[-1:] = 1
    found = _partial_products(np.flip(x, 0), weights, [np.flip(h, 0) for h in directions])
    return [(np.flip(m, 0), np.flip(e, 0)) for m, e in found]


def _without_each(directions: Any) -> list[Any]:
    return [(*directions[:k], *directions[k + 1 :]) for k in range(len(directions))]


def _joined(arrays: tuple[Array, ...]) -> list[Array]:
    """The arrays in one dtype."""
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ValueError(f"expected one shape, not {' and '.join(str(a.shape) for a in arrays)}")
    dtype = np.result_type(*arrays)
    return [a.astype(dtype, copy=False) for a in arrays]


# Products are linear in each factor, so the derivatives of these two, of every order, are these two along one direction
# more: exact where factors are 0, and where products of more of them overflow or underflow.


@differentiable(
    joint=lambda g, y, *arrays, needed: [
        _derivative_by_factors(arrays[0], g, *directions) if need else None
        for need, directions in zip(needed, [arrays[1:], *_without_each(arrays[1:])], strict=True)
    ],
    wide=True,
    cases=[Case("n m, n m"), Case("3, 3, 3")],
    name="cumprod",
)
def _derivative_of_cumprod(*arrays: Array) -> Array:
    """The derivative of the cumulative product of x along directions: of `x, *directions`, over axis 0."""
    x, *directions = _joined(arrays)
    before = _products_before(x, directions)
    terms = [_times(np.frexp(x), before[-1])]
    terms += [_times(_parts(h), before[~(1 << k)]) for k, h in enumerate(directions)]
    return np.asarray(_times_power(*_total(terms)))


@differentiable(
    joint=lambda g, y, *arrays, needed: [
        derivative() if need else None for need, derivative in zip(needed, _second_derivatives(g, *arrays), strict=True)
    ],
    wide=True,
    cases=[Case("n m, n m"), Case("3, 3, 3")],
    name="cumprod",
)
def _derivative_by_factors(*arrays: Array) -> Array:
    """The gradient of sum(weights * derivative of cumprod(x)) by x: of `x, weights, *directions`, over axis 0."""
    x, weights, *directions = _joined(arrays)
    before, after = _products_before(x, directions), _partial_products(x, weights, directions)
    return np.asarray(_times_power(*_total([*map(_times, before, reversed(after))])))


def _second_derivatives(g: Any, x: Any, weights: Any, *directions: Any) -> list[Callable[[], Any]]:
    return [
        lambda: _derivative_by_factors(x, weights, *directions, g),
        lambda: _derivative_of_cumprod(x, *directions, g),
        *(lambda rest=rest: _derivative_by_factors(x, weights, *rest, g) for rest in _without_each(directions)),
    ]


def _cumprod_gradient(g: Any, y: Any, x: Any, axis: Any) -> Any:
    if _can_divide(y, x) and np.all(is_normal(terms := g * y) | (g == 0)):
        return _cumsum_gradient(terms, x, axis) / x
    if x.size == 0:
        return np.reshape(g, x.shape)
    if axis is None or x.ndim == 0:
        g, rows = np.ravel(g), np.ravel(x)
    else:
        g, rows = np.moveaxis(g, axis, 0), np.moveaxis(x, axis, 0)
    if is_complex(x):
        back = np.moveaxis(_one_by_one(np.moveaxis(g, 0, -1), np.moveaxis(rows, 0, -1)), -1, 0)
    else:
        back = _derivative_by_factors(rows, g)
    return np.reshape(back, x.shape) if axis is None or x.ndim == 0 else np.moveaxis(back, 0, axis)


CUMULATIVE = [*each("n m k", axis=(None, 0, 1, -1)), Case("n"), IN_FLOAT64]
# At most 9 factors: finite differences of a sum of products of 27 lose too many digits by cancellation.
PRODUCTS = [Case("n m"), *each("n m k", axis=(0, 1, -1)), Case("n"), IN_FLOAT64]
primitive(
    np.cumsum,
    lambda g, y, x, *, axis=None: _cumsum_gradient(g, x, axis),
    reads=(),
    wide=True,
    casts=True,
    cases=CUMULATIVE,
    complex=True,
)
primitive(
    np.nancumsum,
    lambda g, y, x, *, axis=None: keep(_cumsum_gradient(g, x, axis), _not_nan(x)),
    wide=True,
    casts=True,
    cases=CUMULATIVE,
    complex=True,
)
primitive(
    np.cumprod,
    lambda g, y, x, *, axis=None: _cumprod_gradient(g, y, x, axis),
    wide=True,
    casts=True,
    cases=PRODUCTS + WITH_ZEROS,
    complex=True,
)
primitive(
    np.nancumprod,
    lambda g, y, x, *, axis=None: keep(_cumprod_gradient(g, y, np.where(np.isnan(x), 1, x), axis), _not_nan(x)),
    wide=True,
    casts=True,
    cases=PRODUCTS,
    complex=True,
)


def _cumulative(function: Any, start: int, x: Any, axis: int | None, include_initial: bool, dtype: Any) -> Any:
    x = np.reshape(x, (1,)) if x.ndim == 0 else x
    if axis is None and x.ndim != 1:
        raise ValueError(f"axis must be given for an array of {x.ndim} dimensions")
    axis = 0 if axis is None else axis
    y = function(x, axis=axis, dtype=dtype)
    if not include_initial:
        return y
    shape = [1 if i == normalize_axis_index(axis, x.ndim) else n for i, n in enumerate(x.shape)]
    return np.concatenate([np.full(shape, start, y.dtype), y], axis=axis)


@composite(
    np.cumulative_sum,
    cases=[
        *each("n m", axis=(0, -1), include_initial=BOTH),
        Case("n"),
        Case(""),
        Case("n", kwargs={"dtype": np.float64, "include_initial": True}),
    ],
    complex=True,
)
def cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """`np.cumulative_sum`."""
    return _cumulative(np.cumsum, 0, x, axis, include_initial, dtype)


@composite(
    np.cumulative_prod,
    cases=[
        *each("n m", axis=(0, -1), include_initial=BOTH),
        Case("n"),
        Case(""),
        Case("n", kwargs={"dtype": np.float64, "include_initial": True}),
    ],
    complex=True,
)
def cumulative_prod(x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
    """`np.cumulative_prod`."""
    return _cumulative(np.cumprod, 1, x, axis, include_initial, dtype)


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """x[..., start:stop, ...] along an axis."""
    return x[(slice(None),) * normalize_axis_index(axis, x.ndim) + (slice(start, stop),)]


@composite(
    np.diff,
    cases=[
        *each("3 4", axis=(0, -1), n=(0, 1, 2)),
        Case("2 M, 2 1", prepare=lambda a, b: (a, 1, -1, b)),
        Case("N", kwargs={"append": 1.5, "prepend": 0.5}),
    ],
    complex=True,
)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """`np.diff`, differentiable in `prepend` and `append` too."""
    if n < 0:
        raise ValueError(f"diff: n must be at least 0, not {n}")
    ends = []
    for end in (prepend, append):
        if end is not None and np.ndim(end) == 0:
            end = np.broadcast_to(
                end, [1 if i == normalize_axis_index(axis, a.ndim) else size for i, size in enumerate(a.shape)]
            )
        ends.append([] if end is None else [end])
    x = np.concatenate([*ends[0], a, *ends[1]], axis=axis) if n and (ends[0] or ends[1]) else a
    for _ in range(n):
        x = _part(x, axis, 1, None) - _part(x, axis, None, -1)
    return np.positive(x) if n == 0 else x


@composite(
    np.ediff1d,
    cases=[Case("3"), Case("2 2"), Case("3, 2", prepare=lambda ary, end: (ary, end, [1.5])), Case("3, n, ")],
    complex=True,
)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """`np.ediff1d`, differentiable in what is put at either end too."""
    ary = np.ravel(ary)
    parts = [np.diff(ary)]
    for name, end in (("to_begin", to_begin), ("to_end", to_end)):
        if end is not None:
            end = np.ravel(as_array(end))
            if not np.can_cast(end.dtype, ary.dtype, "same_kind"):
                raise TypeError(f"ediff1d: {name} of {end.dtype} cannot be cast to {ary.dtype}")
            end = np.astype(end, ary.dtype, copy=False)
            parts = [end, *parts] if name == "to_begin" else [*parts, end]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


@composite(
    np.trapezoid,
    cases=[
        *each("2 3", axis=(0, -1), dx=(1.0, 0.5)),
        Case("2 3, 3"),
        Case("3 M, 3", prepare=lambda y, x: (y, x, 1.0, 0)),
    ],
    complex=True,
)
@in_float32
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    """`np.trapezoid`, differentiable in the sample points `x` too."""
    y = as_array(y)
    if y.ndim == 0:
        raise ValueError("trapezoid: y needs at least one dimension")
    if x is None:
        width: Any = dx
    elif np.ndim(x) == 1:
        width = np.reshape(np.diff(x), [-1 if i == normalize_axis_index(axis, y.ndim) else 1 for i in range(y.ndim)])
    else:
        width = np.diff(x, axis=axis)
    return np.sum(width * (_part(y, axis, 1, None) + _part(y, axis, None, -1)) / 2.0, axis=axis)


def _with_coordinates(f: Any, x: Any) -> tuple[Any, Any]:
    """Values and ascending coordinates, well apart, because second derivatives are huge where coordinates are close."""
    return f, np.sort(x) + np.arange(len(x), dtype=x.dtype)


@composite(
    np.gradient,
    cases=[
        *each("3 4", axis=(0, -1, (0, 1), None), edge_order=(1, 2)),
        Case("4", args=(0.5,)),
        Case("3 4", args=(0.5, 2.0)),
        *(
            Case("4, 4", domains=(REAL, Domain(0, 4)), prepare=_with_coordinates, kwargs={"edge_order": e})
            for e in (1, 2)
        ),
    ],
    complex=True,
)
@in_float32
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`np.gradient`, differentiable in the coordinates too."""
    f = as_array(f)
    f = np.astype(f, np.float64) if f.dtype.kind in "iu" else f
    axes = range(f.ndim) if axis is None else normalize_axis_tuple(axis, f.ndim)
    one = len(varargs) == 1 and np.ndim(varargs[0]) == 0  # one spacing for all axes
    spacings = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if one else 1)
    if len(spacings) != len(axes):
        raise TypeError("gradient: expected one spacing, or one for each axis")
    if edge_order not in (1, 2):
        raise ValueError(f"gradient: edge_order must be 1 or 2, not {edge_order!r}")
    found = [_slope(f, spacing, a, edge_order) for spacing, a in zip(spacings, axes, strict=True)]
    return found[0] if len(found) == 1 else tuple(found)


def _slope(f: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    """Finite differences of second order inside and of `edge_order` at the edges; the spacing may be uneven."""
    n = f.shape[axis]
    if n < edge_order + 1:
        raise ValueError(f"gradient: axis {axis} has {n} elements, expected at least {edge_order + 1}")
    if np.ndim(spacing) > 1 or (np.ndim(spacing) == 1 and np.size(spacing) != n):
        raise ValueError(f"gradient: {np.shape(spacing)} coordinates for axis {axis} of length {n}")
    spacing = as_array(spacing) if np.ndim(spacing) else float(spacing) if isinstance(spacing, np.generic) else spacing
    if np.ndim(spacing) and spacing.dtype.kind != "f":
        if spacing.dtype.kind == "b":
            raise TypeError("gradient: the coordinates must be numbers, not booleans")
        spacing = np.astype(spacing, np.float64)
    before, here, after = (_part(f, axis, i, n - 2 + i) for i in range(3))
    h = np.diff(spacing) if np.ndim(spacing) else spacing
    even = np.ndim(h) == 0 or bool(np.all(array_of(h) == array_of(h)[0]))
    if np.ndim(h) and even and not (type(h) is Tensor and h.requires_grad):
        h = h[0]
    if np.ndim(h) == 0:
        inside = (after - before) / (2.0 * h)
    else:
        h = np.reshape(h, [-1 if i == axis else 1 for i in range(f.ndim)])
        a, b = _part(h, axis, None, -1), _part(h, axis, 1, None)
        middle = (b - a) / (a * b)
        if even:  # a NaN stays out of the slope in its own place, as in NumPy, but not out of that by the coordinates
            bend = here - (a * after + b * before) / (a + b)
            finite = np.isfinite(bend)
            inside = (after - before) / (a + b) + zero_at(middle, ~finite) * np.where(finite, bend, 1)
        else:
            inside = -b / (a * (a + b)) * before + middle * here + a / (b * (a + b)) * after
    left, right = _end_slopes(f, h, axis, edge_order)
    # NumPy takes booleans at uneven coordinates alone.
    dtype = f.dtype if f.dtype.kind in "fc" else np.float64
    return np.astype(np.concatenate([left, inside, right], axis=axis), dtype, copy=False)


def _end_slopes(f: Any, h: Any, axis: int, edge_order: int) -> tuple[Any, Any]:
    """The slopes at both ends of an axis; h is the distance of all elements, or the distances along the axis."""
    n, even = f.shape[axis], np.ndim(h) == 0
    first, last = (h, h) if even else (_part(h, axis, None, 1), _part(h, axis, -1, None))
    if edge_order == 1:
        begin, end = (_part(f, axis, i + 1, i + 2) - _part(f, axis, i, i + 1) for i in (0, n - 2))
        return begin / first, end / last
    if even:
        left, right = (-1.5 / h, 2.0 / h, -0.5 / h), (0.5 / h, -2.0 / h, 1.5 / h)
    else:
        a, b = first, _part(h, axis, 1, 2)
        left = -(2 * a + b) / (a * (a + b)), (a + b) / (a * b), -a / (b * (a + b))
        a, b = _part(h, axis, n - 3, n - 2), last
        right = b / (a * (a + b)), -(a + b) / (a * b), (2 * b + a) / (b * (a + b))
    begin, end = (
        sum(weight * _part(f, axis, start + i, start + i + 1) for i, weight in enumerate(weights))
        for weights, start in ((left, 0), (right, n - 3))
    )
    return begin, end


# --- no gradient -----------------------------------------------------------------------------------------------------

constant(
    np.argmax, np.argmin, np.nanargmax, np.nanargmin, np.argsort, np.argpartition, np.lexsort,
    np.flatnonzero, np.argwhere, np.searchsorted, np.digitize,
)  # fmt: skip
constant(np.all, np.any, np.count_nonzero, np.nonzero, complex=True)
