"""Arrays made of a few numbers: points between two ends, and arrays filled with one value."""

import operator
from typing import Any

import numpy as np

from .._registry import composite, floating, in_float32
from ..tensor import Tensor, as_array
from .cases import POSITIVE, Case, Domain, each
from .elementwise import array_of
from .indexing import refuse_loss

ENDS: dict[str, Any] = {"num": (1, 2, 5), "endpoint": (True, False)}


def _cast(points: Any, dtype: Any, name: str) -> Any:
    return points if dtype is None else floating(points, dtype, name)


def _end(value: Any) -> Any:
    """A list as an array; a number stays one, which takes the dtype of the other end."""
    return as_array(value) if isinstance(value, list) else value


def _count(num: Any, name: str) -> Any:
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"{name}: num must be at least 0, not {num}")
    return num


def _in_one_dtype(start: Any, stop: Any) -> Any:
    """Both ends in the dtype of the points; so are their gradients, until they have been added up."""
    dtype = np.result_type(start, stop, 1.0)
    return np.broadcast_arrays(*(np.astype(as_array(end), dtype, copy=False) for end in (start, stop)))


@in_float32
def _distance(start: Any, stop: Any, num: int, endpoint: bool) -> Any:
    """From one point to the next."""
    start, stop = _in_one_dtype(start, stop)
    return (stop - start) / max(1, num - 1 if endpoint else num)


@in_float32
def _linear(start: Any, stop: Any, num: int, endpoint: bool) -> Any:
    """The points of `np.linspace` along a new first axis."""
    start, stop = _in_one_dtype(start, stop)
    steps = np.arange(num, dtype=start.dtype).reshape(-1, *[1] * start.ndim)
    points = start + steps * _distance(start, stop, num, endpoint)
    return np.concatenate([points[:-1], stop[np.newaxis]]) if endpoint and num > 1 else points


@composite(
    np.linspace,
    cases=[
        *each(", ", **ENDS),
        *each("n, n", num=(3,), axis=(0, -1)),
        Case("n, "),
        Case(", ", kwargs={"num": 3, "retstep": True}),
        Case(", ", kwargs={"num": 3, "dtype": np.float64}),
    ],
    complex=True,
)
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """`np.linspace`, differentiable in both ends; with `retstep` also the distance of the points."""
    num, start, stop = _count(num, "linspace"), _end(start), _end(stop)
    points = _cast(_linear(start, stop, num, endpoint), dtype, "linspace")
    points = np.moveaxis(points, 0, axis) if axis else points
    if not retstep:
        return points
    if num < 1 + bool(endpoint):
        raise ValueError(f"linspace: {num} points have no distance; leave retstep out")
    return points, _distance(start, stop, num, endpoint)


@in_float32
def _powers(start: Any, stop: Any, num: int, endpoint: bool, base: Any, axis: int) -> Any:
    """The points of `np.logspace`."""
    if np.ndim(base):
        rank = max(map(np.ndim, (start, stop, base)))
        start, stop, base = (np.reshape(x, (*[1] * (rank - np.ndim(x)), *np.shape(x))) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    dtype = np.result_type(np.result_type(start, stop, 1.0), base)
    exponents = _linear(*(np.astype(as_array(end), dtype, copy=False) for end in (start, stop)), num, endpoint)
    return np.power(base, np.moveaxis(exponents, 0, axis) if axis else exponents)


EXPONENTS = (Domain(-2, 2), Domain(-2, 2), POSITIVE)


@composite(
    np.logspace,
    cases=[
        *each(", ", domains=EXPONENTS, **ENDS),
        *each("n, n", domains=EXPONENTS, num=(3,), axis=(0, -1)),
        Case(", n", domains=EXPONENTS, kwargs={"num": 3, "base": 2.0, "dtype": np.float64}),
        *(
            Case(f"{shape}, {base}", domains=(Domain(-2, 2), POSITIVE), prepare=lambda x, b: (x, 2.0, 3, True, b))
            for shape, base in (("", ""), ("n", ""), ("2 n", "n"), ("", "n"))
        ),
    ],
    complex=True,
)
def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Any:
    """`np.logspace`, differentiable in both exponents and in the base."""
    points = _powers(_end(start), _end(stop), _count(num, "logspace"), endpoint, _end(base), axis)
    return _cast(points, dtype, "logspace")


@in_float32
def _geometric(start: Any, stop: Any, num: int, endpoint: bool) -> Any:
    """The points of `np.geomspace` along a new first axis."""
    sign = np.sign(array_of(start))
    start, stop = np.broadcast_arrays(start * sign, stop * sign)
    points = _powers(np.log10(start), np.log10(stop), num, endpoint, 10.0, 0)
    ends = [start[np.newaxis]] if num else [], [stop[np.newaxis]] if endpoint and num > 1 else []
    return np.concatenate([*ends[0], points[len(ends[0]) : num - len(ends[1])], *ends[1]]) * sign


@composite(
    np.geomspace,
    cases=[
        *each(", ", domains=(POSITIVE,), **ENDS),
        *each(", ", domains=(Domain(-4, -0.2),), num=(3,)),
        *each("n, n", domains=(POSITIVE,), num=(3,), axis=(0, -1)),
        Case("n, ", domains=(POSITIVE,), kwargs={"num": 4, "dtype": np.float64}),
    ],
)
def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Any:
    """`np.geomspace`, differentiable in both ends; in float64, as NumPy's, if `dtype` is left out."""
    num, start, stop = _count(num, "geomspace"), _end(start), _end(stop)
    common = np.result_type(start, stop, np.dtype(np.float64 if dtype is None else dtype))
    start, stop = (np.astype(as_array(x), common, copy=False) for x in (start, stop))
    if np.any(np.equal(start, 0)) or np.any(np.equal(stop, 0)):
        raise ValueError("geomspace: a geometric sequence cannot include zero")
    points = _cast(_geometric(start, stop, num, endpoint), dtype, "geomspace")
    return np.moveaxis(points, 0, axis) if axis else points


@composite(
    np.full_like,
    cases=[
        Case("", prepare=lambda value: (value * np.ones((2, 3)), value)),
        Case("M", prepare=lambda value: (np.tile(value, (2, 1)), value)),
        Case("2 1", kwargs={"shape": (2, 3), "dtype": np.float64}, prepare=lambda value: (value, value)),
    ],
    complex=True,
)
def full_like(a: Any, fill_value: Any, dtype: Any = None, *, shape: Any = None) -> Any:
    """`np.full_like` of a Tensor, differentiable in the value if that is a Tensor, and a plain array if it is not."""
    fill_value = as_array(fill_value)
    if not isinstance(fill_value, Tensor):
        return np.full_like(array_of(a), fill_value, dtype, shape=shape)
    dtype = np.result_type(a) if dtype is None else np.dtype(dtype)
    refuse_loss("full_like", fill_value.dtype, dtype)
    return np.broadcast_to(fill_value.astype(dtype, copy=False), np.shape(a) if shape is None else shape)
