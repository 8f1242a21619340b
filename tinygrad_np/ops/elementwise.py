"""Arithmetic and the functions that work on each element, broadcasting as NumPy does."""

from functools import partial
from typing import Any

import numpy as np

from ..tensor import Array, composite, constant, differentiable, primitive
from .cases import CONDITION, NONZERO, POSITIVE, REAL, Case

unary = partial(primitive, cases=[Case("*")])
binary = partial(primitive, cases=[Case("*, *")])
of_positive = partial(primitive, cases=[Case("*", domains=(POSITIVE,))])


def floating(x: Any, name: str) -> None:
    """Refuse integers where a function would overflow in their type, as -abs(x) does in uint8."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs floating point, not {x.dtype}; see astype")


# --- arithmetic ------------------------------------------------------------------------------------------------------

binary(np.add, lambda g, y, a, b: g, lambda g, y, a, b: g)
binary(np.subtract, lambda g, y, a, b: g, lambda g, y, a, b: -g)
binary(np.multiply, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a)
primitive(
    np.divide,
    lambda g, y, a, b: g / b,
    lambda g, y, a, b: -g * y / b,
    cases=[Case("*, *", domains=(REAL, NONZERO))],
)
unary(np.negative, lambda g, y, x: -g)
unary(np.positive, lambda g, y, x: g)
unary(np.square, lambda g, y, x: 2 * g * x)
unary(np.absolute, lambda g, y, x: g * np.sign(x))
unary(np.sign, lambda g, y, x: np.zeros_like(g))


def _log_or_zero(x: Any) -> Any:
    """log(x), and 0 where x is 0: the limit that x**y*log(x) takes for y > 0, without a warning or a NaN."""
    return np.log(np.where(x == 0, 1, x))


def _one_less(y: Any, x: Any) -> Any:
    """y - 1, but 0 at x = y = 0, so that y * x**(y - 1) is 0 there and not 0 * inf."""
    if isinstance(y, int | float):  # stays a Python number, which leaves float32 as it is
        return y - 1 if y else 0
    return np.where((x == 0) & (y == 0), 1, y) - 1.0  # a float, since unsigned integers have no -1


primitive(
    np.power,
    lambda g, y, a, b: g * b * np.power(a, _one_less(b, a)),
    lambda g, y, a, b: g * y * _log_or_zero(a),
    cases=[
        Case("*, *", domains=(POSITIVE, REAL)),
        Case("*", args=(3,)),
        Case("*", args=(-1,), domains=(NONZERO,)),
        Case("*", args=(0,)),
        Case("*", args=(2.5,), domains=(POSITIVE,)),
    ],
)

# --- exponentials, logarithms, roots ---------------------------------------------------------------------------------

unary(np.exp, lambda g, y, x: g * y)
of_positive(np.log, lambda g, y, x: g / x)
of_positive(np.sqrt, lambda g, y, x: g / np.where((g == 0) & (y == 0), 1, 2 * y))  # 0/0 is 0: a dead branch of where
unary(np.sin, lambda g, y, x: g * np.cos(x))
unary(np.cos, lambda g, y, x: -g * np.sin(x))
unary(np.tanh, lambda g, y, x: g * (1 - y * y))


@differentiable(lambda g, y, x: g * y * (1 - y), cases=[Case("*")])
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), each element; exp of a negative number only, so that nothing overflows.

    >>> from tinygrad_np import Tensor
    >>> sigmoid(Tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    floating(x, "sigmoid")
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, e, np.ones_like(e)) / (1 + e))


# --- selection: gradients at a tie or a bound are conventions --------------------------------------------------------

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


@differentiable(
    lambda g, y, x, condition: keep(g, condition),
    None,
    cases=[Case("*, *", domains=(REAL, CONDITION)), Case("*", (True,)), Case("*", (False,))],
)
def keep(x: Array, condition: Array) -> Array:
    """x where the condition is true, elsewhere exactly 0: also where x is infinite or NaN, which x * 0 is not.

    >>> keep(np.array([1.0, np.inf, 2.0]), np.array([True, False, False]))
    array([1., 0., 0.])
    """
    x, condition = np.asarray(x), np.asarray(condition)
    bits = _BITS.get(x.dtype.itemsize)
    if bits is None or x.dtype.kind != "f":
        return np.where(condition, x, x.dtype.type(0))
    # The bits of x and all ones or all zeros: 26 us for 64 x 1024 float32, where np.where takes 310 us.
    mask = np.negative(condition.view(np.int8))
    return np.asarray(np.bitwise_and(x.view(bits), mask, dtype=bits)).view(x.dtype)


@differentiable(lambda g, y, x: keep(g, x > 0), cases=[Case("*")])
def relu(x: Array) -> Array:
    """max(x, 0), each element; its gradient at 0 is 0.

    >>> from tinygrad_np import Tensor
    >>> relu(Tensor([-1.0, 2.0]))
    Tensor([0., 2.], dtype=float32)
    """
    return np.maximum(x, 0)


def _share(g: Any, alone: Any, tie: Any) -> Any:
    """g where the argument alone is selected, half of it where both are equal."""
    return keep(g, alone) + keep(g / 2, tie)


binary(np.maximum, lambda g, y, a, b: _share(g, a > b, a == b), lambda g, y, a, b: _share(g, b > a, a == b))
binary(np.minimum, lambda g, y, a, b: _share(g, a < b, a == b), lambda g, y, a, b: _share(g, b < a, a == b))

primitive(
    np.where,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0),
    lambda g, y, condition, a, b: np.where(condition, 0, g),
    cases=[Case("*, *, *", domains=(CONDITION, REAL))],
)


@differentiable(
    lambda g, y, x, low, high: keep(g, (low <= x) & (x <= high)),
    lambda g, y, x, low, high: keep(g, (x < low) & (low <= high)),
    lambda g, y, x, low, high: keep(g, np.maximum(x, low) > high),
    cases=[Case("*, *, *"), Case("*", args=(-1, 1))],
)
def _clip(x: Array, low: Array, high: Array) -> Array:
    return np.clip(x, low, high)


@composite(np.clip, cases=[Case("*, *, *"), Case("*, *", args=(None,)), Case("*", kwargs={"min": -1, "max": 1})])
def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    """`np.clip`: differentiable in the array and in both bounds; at a bound the gradient goes to the array."""
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise TypeError("clip takes a bound by position or as min= and max=, not both")
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    dtype = np.result_type(a)
    lowest, highest = (-np.inf, np.inf) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return _clip(a, lowest if low is None else low, highest if high is None else high)


# --- no gradient: piecewise constant, or no numbers ------------------------------------------------------------------

constant(
    np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor,
    np.isnan, np.isinf, np.isfinite, np.isclose, np.allclose, np.array_equal,
    np.floor, np.ceil, np.trunc, np.rint, np.round, np.floor_divide,
    np.zeros_like, np.ones_like,
)  # fmt: skip
