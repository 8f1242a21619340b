"""Methods of NumPy's functions of two numbers: `outer`, `reduce`, `accumulate` and `reduceat`.

`np.add.reduce` is `np.sum`, with 0 as its default axis, and so on. Functions without a vectorised reduction, such as
`np.divide`, are applied one element after the other, each step a node of the graph.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .._registry import composite, differentiable, floating, in_float32, registry
from ..tensor import Array, as_array
from .cases import NONZERO, REAL, Case, Domain, each
from .elementwise import array_of, keep
from .indexing import scatter_add
from .reductions import BOTH, MASK, along_last, to_extremes
from .special import logsumexp

# --- outer -----------------------------------------------------------------------------------------------------------


def _outer(ufunc: Any) -> Any:
    def outer(a: Any, b: Any) -> Any:
        return ufunc(np.reshape(a, (*np.shape(a), *[1] * np.ndim(b))), as_array(b))

    return outer


def _takes_two_numbers(function: Any) -> bool:
    return isinstance(function, np.ufunc) and (function.nin, function.nout, function.signature) == (2, 1, None)


operations: list[tuple[Any, Any]] = [(f, entry) for f, entry in registry.items() if _takes_two_numbers(f)]
for ufunc, entry in operations:
    if (cases := getattr(entry, "cases", None)) and not getattr(entry, "fixed", ()):
        pairs = [Case(shapes, domains=cases[0].domains) for shapes in ("n m, k", ", k")]
        composite(ufunc.outer, cases=pairs, complex=not entry.real_only)(in_float32(_outer(ufunc)))

# --- reduce ----------------------------------------------------------------------------------------------------------


def _name(ufunc: Any, method: str) -> str:
    return f"{ufunc.__name__}.{method}"


def _given(**keywords: Any) -> dict[str, Any]:
    """The keywords that are not None."""
    return {name: value for name, value in keywords.items() if value is not None}


def _by(function: Any) -> Any:
    """The reduction that NumPy has as a function of its own."""

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        return function(array, axis=axis, keepdims=keepdims, **_given(dtype=dtype, initial=initial, where=where))

    return reduce


def _of_numbers(ufunc: Any) -> Any:
    """The largest or the smallest, without NaN unless there is nothing else; np.nanmax would warn of that."""

    def reduce(x: Array, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Array:
        return np.asarray(ufunc.reduce(x, axis=axis, keepdims=keepdims, where=where, **_given(initial=initial)))

    def vjp(
        g: Any, y: Any, x: Any, *, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        return to_extremes(g, y, x, axis, keepdims, initial, where)

    return differentiable(vjp, name=_name(ufunc, "reduce"), cases=[Case("N M"), Case("N M", kwargs={"axis": 1})])(
        reduce
    )


def _casting(ufunc: Any, function: Any) -> Any:
    """The reduction by a function that takes no dtype=."""

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        array = _cast(ufunc, "reduce", array, dtype)
        return function(array, axis=axis, keepdims=keepdims, **_given(initial=initial, where=where))

    return reduce


def _cast(ufunc: Any, method: str, array: Any, dtype: Any) -> Any:
    return as_array(array) if dtype is None else floating(array, dtype, _name(ufunc, method))


def _with_identity(ufunc: Any, function: Any) -> Any:
    """A reduction by a function without initial= and where=; masked elements become the identity."""

    def reduce(
        array: Any, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False, initial: Any = None, where: Any = True
    ) -> Any:
        x = _cast(ufunc, "reduce", array, dtype)
        x = x if where is True else np.where(np.broadcast_to(where, x.shape), x, x.dtype.type(ufunc.identity))
        y = function(x, axis=None if x.ndim == 0 and axis in (0, -1) else axis, keepdims=keepdims)
        return y if initial is None else ufunc(initial, y)

    return reduce


def _logsumexp2(x: Any, axis: Any, keepdims: bool) -> Any:
    """log2 of the sum of 2**x."""
    return logsumexp(x * np.log(2).astype(x.dtype), axis=axis, keepdims=keepdims) / np.log(2).astype(x.dtype)


@in_float32
def _hypot(x: Any, axis: Any, keepdims: bool) -> Any:
    """Not the norm, which is NaN beside NaN, where np.hypot may be infinite."""
    rows = along_last(x, axis)
    y = np.sum(keep(rows, np.False_), axis=-1)
    for i in range(rows.shape[-1]):
        y = np.hypot(y, rows[..., i])
    if not keepdims:
        return y
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
    return np.expand_dims(y, tuple(axes))


def _stepwise(ufunc: Any) -> Any:
    """The reduction of a function that is not associative, one element after the other."""
    name = _name(ufunc, "reduce")

    @in_float32
    def last(x: Any, axis: int) -> Any:
        return _steps(ufunc, np.moveaxis(x, axis, 0))[-1]

    def reduce(array: Any, axis: Any = 0, dtype: Any = None, *, keepdims: bool = False) -> Any:
        x = _cast(ufunc, "reduce", array, dtype)
        if x.ndim == 0 and axis in (0, -1):
            axis = ()
        axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim)
        if len(axes) > 1:
            raise ValueError(f"{name}: the order counts, so it takes one axis, not {len(axes)}")
        if not axes:
            return np.positive(x)
        if not x.shape[axes[0]]:
            raise ValueError(f"{name} of nothing has no value")
        y = last(x, axes[0])
        return np.expand_dims(y, axes[0]) if keepdims else y

    return reduce


def _steps(ufunc: Any, x: Any) -> list[Any]:
    """The results after one, two, ... elements of the first axis."""
    results: list[Any] = []
    for element in x:
        results.append(ufunc(results[-1], element) if results else np.positive(element))
    return results


ALL_AXES = [Case("N m"), *each("N M", axis=(None, 1, (0, 1)), keepdims=BOTH)]
MASKED = Case("2 m", kwargs={"axis": 0, "where": MASK, "initial": 0.5})
IN_FLOAT64 = Case("2 M", kwargs={"dtype": np.float64})
REDUCTIONS: dict[Any, Any] = {
    np.add: _by(np.sum),
    np.multiply: _by(np.prod),
    np.maximum: _casting(np.maximum, np.max),
    np.minimum: _casting(np.minimum, np.min),
    np.fmax: _casting(np.fmax, _of_numbers(np.fmax)),
    np.fmin: _casting(np.fmin, _of_numbers(np.fmin)),
    np.logaddexp: _with_identity(np.logaddexp, logsumexp),
    np.logaddexp2: _with_identity(np.logaddexp2, in_float32(_logsumexp2)),
    np.hypot: _with_identity(np.hypot, _hypot),
}
# np.power.reduce is left out: in NumPy 2.4 its value depends on how the array lies in memory.
STEPWISE: dict[Any, Domain] = {np.subtract: REAL, np.divide: NONZERO}
DOMAINS = {**STEPWISE, np.hypot: NONZERO}  # away from a pole or a kink
for ufunc, reduce in REDUCTIONS.items():
    domains = (DOMAINS.get(ufunc, REAL),)
    composite(
        ufunc.reduce,
        cases=[replace(case, domains=domains) for case in (*ALL_AXES, MASKED, IN_FLOAT64)],
        complex=not registry[ufunc].real_only,
    )(reduce)
for ufunc, domain in STEPWISE.items():
    options: dict[str, Any] = {"domains": (domain,)}
    composite(
        ufunc.reduce,
        cases=[
            *each("3 m", axis=(0, -2), keepdims=BOTH, **options),
            *each("m 2", axis=(1, ()), **options),
            *each("3", axis=(None,), dtype=(np.float64,), **options),
        ],
        complex=not registry[ufunc].real_only,
    )(_stepwise(ufunc))

# --- accumulate ------------------------------------------------------------------------------------------------------


def _accumulation(ufunc: Any, function: Any) -> Any:
    def accumulate(array: Any, axis: int = 0, dtype: Any = None) -> Any:
        x = _cast(ufunc, "accumulate", array, dtype)
        normalize_axis_index(axis, max(x.ndim, 1))
        if x.ndim == 0:
            raise TypeError("accumulate needs an array of at least one dimension")
        return function(x, axis=axis)

    return accumulate


def _sums_to_the_end(h: Any, run: Array) -> Any:
    """For each element of the first axis the sum of h from there to the end of its run, in log2(n) steps."""
    distance = 1
    while distance < len(run) and np.any(same := run[distance:] == run[:-distance]):
        h = np.concatenate([h[:-distance] + keep(h[distance:], same), h[-distance:]], axis=0)
        distance *= 2
    return h


def _to_running_extremes(g: Any, y: Any, x: Any, axis: int) -> Any:
    """Each g goes to the elements so far that are the largest, or the smallest, in even parts."""
    if not x.size:
        return np.reshape(g, x.shape)
    g, y, x = np.moveaxis(g, axis, 0), np.moveaxis(array_of(y), axis, 0), np.moveaxis(array_of(x), axis, 0)
    attained = (x == y) | (np.isnan(x) & np.isnan(y))
    changes = np.concatenate([np.ones_like(attained[:1]), (y[1:] != y[:-1]) & ~(np.isnan(y[1:]) & np.isnan(y[:-1]))])
    count = np.cumsum(attained, axis=0)
    before = np.maximum.accumulate(np.where(changes, count - attained, 0), axis=0)  # those of runs that have ended
    parts = g / (count - before).astype(np.result_type(g.dtype, np.float32))
    return np.moveaxis(keep(_sums_to_the_end(parts, np.cumsum(changes, axis=0)), attained), 0, axis)


def _running(ufunc: Any) -> Any:
    def running(x: Array, axis: int = 0) -> Array:
        return np.asarray(ufunc.accumulate(x, axis=axis))

    return differentiable(
        lambda g, y, x, *, axis=0: _to_running_extremes(g, y, x, axis),
        name=_name(ufunc, "accumulate"),
        cases=[*each("N m", axis=(0, -1)), Case("7 2")],
    )(running)


def _each_step(ufunc: Any) -> Callable[..., Any]:
    def accumulate(x: Any, axis: int) -> Any:
        if not x.shape[axis]:
            return np.positive(x)
        return np.stack(_steps(ufunc, np.moveaxis(x, axis, 0)), axis=axis)

    accumulate.__name__ = _name(ufunc, "accumulate")
    return in_float32(accumulate)


ACCUMULATIONS: dict[Any, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}
ACCUMULATIONS |= {ufunc: _running(ufunc) for ufunc in (np.maximum, np.minimum, np.fmax, np.fmin)}
ACCUMULATIONS |= {ufunc: _each_step(ufunc) for ufunc in (np.logaddexp, np.logaddexp2, np.hypot, *STEPWISE)}
for ufunc, function in ACCUMULATIONS.items():
    options = {"domains": (DOMAINS.get(ufunc, REAL),)}
    composite(
        ufunc.accumulate,
        cases=[*each("n m", axis=(0, 1, -1), **options), *each("3", dtype=(np.float64,), **options)],
        complex=not registry[ufunc].real_only,
    )(_accumulation(ufunc, function))

# --- reduceat --------------------------------------------------------------------------------------------------------


def _elements(indices: Any, n: int) -> tuple[Array, Array]:
    """The elements that are reduced, and to which result each belongs."""
    ends = np.append(indices[1:], n)
    lengths = np.maximum(ends - indices, 1)
    owners = np.repeat(np.arange(len(indices)), lengths)
    return np.arange(len(owners)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + indices[owners], owners


def _sums_back(g: Any, x: Any, indices: Any, axis: int) -> Any:
    elements, owners = _elements(indices, x.shape[axis])
    before = (slice(None),) * axis
    return scatter_add(g[(*before, owners)], (*before, elements), shape=x.shape)


@differentiable(
    lambda g, y, x, *, indices, axis=0: _sums_back(g, x, indices, axis),
    reads=(),
    wide=True,
    name="add.reduceat",
    cases=[
        Case("6 m", kwargs={"indices": np.array([0, 3, 1, 4])}),
        Case("m 4", kwargs={"indices": np.array([1, 1]), "axis": 1}),
    ],
    complex=True,
)
def _sums_of_parts(x: Array, indices: Any, axis: int = 0) -> Array:
    return np.asarray(np.add.reduceat(x, indices, axis=axis))


def _of_parts(ufunc: Any, reduction: Any) -> Any:
    """The reduction of each part of an axis; a part of one element is this element."""

    @in_float32
    def joined(x: Any, bounds: list[tuple[int, int]], axis: int) -> Any:
        before, parts = (slice(None),) * axis, []
        for start, stop in bounds:
            part = x[(*before, slice(start, max(stop, start + 1)))]
            parts.append(part if part.shape[axis] == 1 else reduction(part, axis=axis, keepdims=True))
        return np.concatenate(parts, axis=axis) if parts else x[(*before, slice(0, 0))]

    def reduceat(x: Any, indices: Any, axis: int) -> Any:
        ends = [*indices[1:].tolist(), x.shape[axis]]
        return joined(x, list(zip(indices.tolist(), ends, strict=True)), axis)

    return reduceat


def _checked(ufunc: Any, function: Any) -> Any:
    name = _name(ufunc, "reduceat")

    def reduceat(array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
        x = _cast(ufunc, "reduceat", array, dtype)
        axis, indices = normalize_axis_index(axis, max(x.ndim, 1)), array_of(indices)
        if x.ndim == 0:
            raise TypeError(f"{name} needs an array of at least one dimension")
        n = x.shape[axis]
        if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
            raise TypeError(f"{name}: the indices must be a vector of integers")
        if indices.size and not np.all((indices >= 0) & (indices < n)):
            raise IndexError(f"{name}: the indices must be from 0 to {n - 1}")
        return function(x, indices=indices.astype(np.intp), axis=axis)

    return reduceat


PARTS = np.array([0, 3, 1, 4])  # of three elements, one, three and two
for ufunc, reduction in (REDUCTIONS | {ufunc: _stepwise(ufunc) for ufunc in STEPWISE}).items():
    options = {"domains": (DOMAINS.get(ufunc, REAL),)}
    composite(
        ufunc.reduceat,
        cases=[
            *(Case("6 m", args=(indices,), **options) for indices in (PARTS, [2])),
            *(Case("m 6", args=(PARTS,), kwargs={"axis": axis, "dtype": np.float64}, **options) for axis in (1, -1)),
        ],
        complex=not registry[ufunc].real_only,
    )(_checked(ufunc, _sums_of_parts if ufunc is np.add else _of_parts(ufunc, reduction)))
