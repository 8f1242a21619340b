"""Functions of `scipy.special` that turn what they are given into arrays, written for Tensors: `logsumexp`, `softmax`.

`tinygrad_np.special` has them under SciPy's names and with SciPy's defaults.
"""

import math
from typing import Any

import numpy as np

from ..tensor import as_array
from . import special
from .elementwise import array_of
from .scipy_special import special as scipy


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """log(sum(b * exp(a))) over one, several or all axes, without overflow, as `scipy.special.logsumexp`.

    Args:
        a: any shape, floating point.
        axis: an axis, several, or None for all.
        b: factors of the exponentials, in a shape that broadcasts with that of a; they may be negative or 0.
        keepdims: keep the axes, with length 1.
        return_sign: return a pair, the logarithm of the absolute value of the sum and the sign of the sum.

    Returns:
        NaN where the sum is negative, unless `return_sign` is given.

    >>> from tinygrad_np import Tensor
    >>> logsumexp(Tensor([1000.0, 1000.0]), b=Tensor([3.0, -1.0]))
    Tensor(1000.6932, dtype=float32)
    """
    a = _floating(a)
    if b is None:
        logarithm = special.logsumexp(a, axis=axis, keepdims=keepdims)
        return (logarithm, np.ones_like(array_of(logarithm))) if return_sign else logarithm
    b = as_array(b) if hasattr(b, "dtype") else as_array(b).astype(a.dtype)
    numbers, factors = np.broadcast_arrays(array_of(a), array_of(b))
    top = np.max(np.where(factors == 0, -math.inf, numbers), axis=axis, keepdims=True, initial=-math.inf)
    top = np.where(np.isfinite(top), top, 0).astype(a.dtype)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        beyond = (factors == 0) & (numbers - top > math.log(np.finfo(a.dtype).max) / 2)  # 0 * inf would be NaN
        total = np.sum(np.exp(np.where(beyond, -math.inf, a) - top) * b, axis=axis, keepdims=True)
        sign = np.sign(array_of(total))
        logarithm = np.log(total * sign if return_sign else total) + top
    if not keepdims:
        logarithm, sign = np.squeeze(logarithm, axis=axis), np.squeeze(sign, axis=axis)
    return (logarithm, sign) if return_sign else logarithm


def _floating(x: Any) -> Any:
    """A Tensor or array of floating point; SciPy takes integers as float64."""
    x = as_array(x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def softmax(x: Any, axis: Any = None) -> Any:
    """exp(x) / sum(exp(x)) over one, several or all axes, as `scipy.special.softmax`.

    `tinygrad_np.softmax` is along the last axis, unless it is told another.

    >>> from tinygrad_np import Tensor
    >>> softmax(Tensor([[0.0, 0.0], [0.0, 0.0]]))
    Tensor([[0.25, 0.25],
            [0.25, 0.25]], dtype=float32)
    """
    return _along(special.softmax, x, axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """log(softmax(x)) over one, several or all axes, as `scipy.special.log_softmax`.

    `tinygrad_np.log_softmax` is along the last axis, unless it is told another.

    >>> from tinygrad_np import Tensor
    >>> log_softmax(Tensor([0.0, 1000.0]))
    Tensor([-1000.,     0.], dtype=float32)
    """
    return _along(special.log_softmax, x, axis)


def _along(function: Any, x: Any, axis: Any) -> Any:
    """A function along one axis, over one, several or all axes."""
    x = _floating(x)
    if isinstance(axis, int | np.integer):
        return function(x, axis=axis)
    axes = range(x.ndim) if axis is None else axis
    last = range(-len(axes), 0)
    moved = np.moveaxis(x, axes, last)
    y = function(np.reshape(moved, (*moved.shape[: moved.ndim - len(axes)], -1)))
    return np.moveaxis(np.reshape(y, moved.shape), last, axes)


def multigammaln(a: Any, d: int) -> Any:
    """The logarithm of the gamma function of d dimensions, as `scipy.special.multigammaln`.

    Raises:
        ValueError: d is no positive integer, or an element of a is not above (d - 1) / 2.

    Source: R. J. Muirhead, Aspects of Multivariate Statistical Theory (1982), theorem 2.1.12.

    >>> from tinygrad_np import Tensor
    >>> multigammaln(Tensor([3.0, 4.0]), 2)
    Tensor([1.550195 , 3.5650978], dtype=float32)
    """
    a = _floating(a)
    if not isinstance(d, int | np.integer) or d < 1:
        raise ValueError(f"multigammaln: d must be a positive integer, not {d!r:.80}")
    if np.any(array_of(a) <= (d - 1) / 2):
        raise ValueError(f"multigammaln: a must be above (d - 1) / 2 = {(d - 1) / 2}, not {np.min(array_of(a))}")
    steps = np.arange(d).astype(a.dtype) / 2
    return np.sum(scipy.gammaln(np.expand_dims(a, -1) - steps), axis=-1) + d * (d - 1) / 4 * math.log(math.pi)
