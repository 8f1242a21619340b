"""Normalisation: what batch, layer and root-mean-square normalisation have in common, in one operation."""

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .. import _validation as check
from .._machine.arrays import FEW_ROWS, FOLDS, power_of_two, summed
from ..tensor import Array, _fit, differentiable
from .cases import Case
from .elementwise import array_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _mean(x: Any, axis: tuple[int, ...]) -> Any:
    """The mean, axes kept."""
    return np.expand_dims(summed(x, axis), axis) / math.prod(x.shape[i] for i in axis)


def _mean_product(a: Any, b: Any, axis: tuple[int, ...]) -> Any:
    """The mean of a * b, axes kept, without an array of the products: 11 us instead of 36 for 64 x 1024."""
    letters = LETTERS[: a.ndim]
    left = letters.translate({ord(letters[i]): None for i in axis})
    count = math.prod(a.shape[i] for i in axis)
    total: Any = None
    if 0 in axis and len(a) > FEW_ROWS:  # folded as `summed` does it, for the same reason
        rows = len(a) // FOLDS
        c, d = (x[: rows * FOLDS].reshape(FOLDS, rows, *x.shape[1:]) for x in (a, b))
        total = summed(np.einsum(f"z{letters},z{letters}->a{left}", c, d), (0,))
        a, b = a[rows * FOLDS :], b[rows * FOLDS :]
    rest = np.einsum(f"{letters},{letters}->{left}", a, b)
    return np.expand_dims(rest if total is None else total + rest, axis) / count


def _standardized(x: Any, axis: tuple[int, ...], eps: float, centre: bool) -> tuple[Any, Any, Any, Any]:
    """Standardised x, the scale 1 / sqrt(variance + eps), and the mean and variance of x."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _mean(x, axis) if centre else 0.0
        standard = x - mean if centre else np.positive(x)  # a new array, which may be written to
        variance = _mean_product(standard, standard, axis)
        m, v = array_of(mean), array_of(variance)
        ordinary = ((m * m <= 100 * v) & (v < np.inf)).all() and (eps > 1e-20 or np.min(v, initial=1) > 1e-30)
    if not ordinary:
        return _standardized_with_care(x, axis, eps, centre)
    scale = 1 / np.sqrt(variance + eps)
    standard *= scale
    return standard, scale, mean, variance


def _standardized_with_care(x: Any, axis: tuple[int, ...], eps: float, centre: bool) -> tuple[Any, Any, Any, Any]:
    """The same where squares overflow or underflow, or where the rounding of the mean is not small beside deviations.

    It takes twice as long.
    """
    largest = np.max(np.abs(array_of(x)), axis=axis, keepdims=True, initial=0)
    unit = power_of_two(np.maximum(largest, largest.dtype.type(math.sqrt(eps))))
    x = x / unit
    mean = _mean(x, axis) if centre else 0.0
    standard = x - mean
    if centre:
        rest = _mean(standard, axis)
        standard, mean = standard - rest, mean + rest
    variance = _mean_product(standard, standard, axis)
    scale = 1 / np.sqrt(variance + eps / unit / unit)
    with np.errstate(over="ignore"):  # of statistics, which may be infinite
        return standard * scale, scale / unit, mean * unit, variance * unit * unit


def _standardize_back(
    g: Any, x: Any, weight: Any, needed: tuple[bool, ...], axis: tuple[int, ...], eps: float, centre: bool, saved: Any
) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias.

    That of x is scale * (h - mean(h) - standard * mean(h * standard)), where h = g * weight.
    """
    axis = tuple(sorted(i % x.ndim for i in axis))
    standard, scale = saved or _standardized(x, axis, eps, centre)[:2]
    # Summed here and not by the backward pass: another array of the size of x, alive beside to_x, makes a step of
    # examples/mnist_cnn.py 4 to 10 % slower.
    to_weight = _fit(g * standard, weight) if needed[1] else None
    to_x = None
    if needed[0]:
        h = g if weight is None else g * weight
        to_x = standard * -_mean_product(h, standard, axis)
        to_x += h
        if centre:
            to_x -= _mean(h, axis)
        to_x *= scale
    return to_x, to_weight, g


SPREAD = np.array([-9.0, -3.0, 2.0, 8.0])  # keeps variances away from 0


@differentiable(
    joint=lambda g, y, x, weight, bias, *, needed, axis, eps, centre=True, statistics=None, saved: _standardize_back(
        g, x, weight, needed, axis, eps, centre, saved
    ),
    wide=True,
    cases=[
        Case("N 4, 4, 4", (), {"axis": (-1,), "eps": 0.01}, prepare=lambda x, w, b: (x + SPREAD, w, b)),
        Case("4 2 M, 2 1, 2 1", (), {"axis": (0, 2), "eps": 1e-5}, prepare=lambda x, w, b: ((x.T + SPREAD).T, w, b)),
        Case("N 4, 4", (None,), {"axis": (-1,), "eps": 0.1, "centre": False}, prepare=lambda x, w: (x + SPREAD, w)),
        Case("N 4", (None, None), {"axis": (0, 1), "eps": 0.0}, prepare=lambda x: x + SPREAD),
    ],
)
def standardize(
    x: Array,
    weight: Any,
    bias: Any,
    *,
    axis: tuple[int, ...],
    eps: float,
    centre: bool = True,
    statistics: "list[Array] | None" = None,
) -> tuple[Array, Any]:
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and variance over some axes.

    Args:
        x: floating point, of any shape.
        weight, bias: broadcast to the shape of x; None for neither.
        axis: the axes, a tuple.
        eps: added to the variance, so that the result is finite where x is constant.
        centre: whether to subtract the mean. Without it, the mean of x**2 takes the place of the variance.
        statistics: a list to which the mean and the variance are appended, as arrays with the axes kept.

    Raises:
        TypeError: x is not floating point.

    Source: S. Ioffe and C. Szegedy, "Batch normalization" (2015), algorithm 1 and its gradients in section 3.

    >>> from tinygrad_np import Tensor
    >>> standardize(Tensor([[1.0, 3.0]]), None, None, axis=(-1,), eps=0.0)
    Tensor([[-1.,  1.]], dtype=float32)
    """
    check.floating("standardize", "x", x)
    if x.dtype == np.float16:  # beside a weight in float32
        x = x.astype(np.float32)
    standard, scale, mean, variance = _standardized(x, tuple(sorted(normalize_axis_tuple(axis, x.ndim))), eps, centre)
    if statistics is not None:
        statistics += [mean, variance]
    y = standard if weight is None else standard * weight
    return y if bias is None else y + bias, (standard, scale)
