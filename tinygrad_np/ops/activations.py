"""Activation functions beyond those of `special`: exponential, hard and gated linear units, mish, softsign, prelu.

Those with a kink take the gradient there that PyTorch gives them.

Of 256 x 4096 float32 on one thread, after `tune()`, forward and backward of `elu` take 2.3 ms instead of 9.6 since they
write in place and do without np.where, those of `selu` 3.1 instead of 9.1, of `logsigmoid` 3.3 instead of 5.4, of
`prelu` 4.5 instead of 8.6; PyTorch takes 2.2, 2.2, 2.6 and 6.6 ms.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .. import _validation as check
from .._registry import differentiable
from ..tensor import Array
from .cases import Case
from .elementwise import keep, relu, within
from .pieces import in_pieces, written
from .special import (
    _bounded,
    _sech,
    _times,
    _times_probability,
    gelu,
    sigmoid,
    silu,
    softplus,
    softplus_of_minus_abs_into,
    times_sigmoid,
)

# --- exponential linear units ----------------------------------------------------------------------------------------


def _up_to_zero(x: Any) -> Any:
    """min(x, 0), whose gradient at 0 is 1."""
    return np.clip(x, -math.inf, 0)  # with None in the place of -inf, 3 times as long


def _negative_part_into(x: Array, out: Array, rate: float) -> None:
    """Write rate * min(x, 0), where the rate counts as the largest number if it is larger."""
    np.clip(x, -math.inf, 0, out=out)
    if rate != 1:
        with np.errstate(over="ignore"):
            out *= min(rate, float(np.finfo(x.dtype).max))


def _exponential_back(g: Any, x: Any, alpha: float, rate: float, scale: float) -> Any:
    at_zero = alpha * rate * scale

    def back(g: Any, x: Any) -> Any:
        slope = at_zero * np.exp(_times(rate, _up_to_zero(x)))
        return scale * keep(g, x > 0) + keep(g * slope, ~(x > 0))

    def into(g: Array, x: Array, out: Array) -> None:
        _negative_part_into(x, out, rate)
        np.exp(out, out=out)
        out *= at_zero
        if at_zero != scale:
            positive = (x > 0).astype(x.dtype)  # np.where takes 20 times as long as a product
            out *= 1 - positive
            positive *= scale
            out += positive
        out *= g

    return in_pieces(back, into, g, x)


@differentiable(
    lambda g, y, x, *, alpha, rate, scale: _exponential_back(g, x, alpha, rate, scale),
    wide=True,
    jvp="elementwise",
    cases=[
        Case("*", kwargs={"alpha": 1.0, "rate": 1.0, "scale": 1.0}),
        Case("*", kwargs={"alpha": -0.5, "rate": 2.0, "scale": 1.5}),
    ],
    name="elu",
)
def _exponential_unit(x: Array, alpha: float, rate: float, scale: float) -> Array:
    """scale * (x where x > 0, alpha * expm1(rate * x) elsewhere)."""

    def into(x: Array, out: Array) -> None:
        _negative_part_into(x, out, rate)
        np.expm1(out, out=out)
        out *= alpha * scale
        positive = np.clip(x, 0, math.inf)
        out += positive if scale == 1 else scale * positive

    return np.asarray(written(into, x))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere; the gradient at 0 is alpha.

    Raises:
        TypeError, ValueError: x is not floating point, or alpha is not finite.

    Source: D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by exponential
    linear units (ELUs)" (2015), equation 15.

    >>> from tinygrad_np import Tensor
    >>> elu(Tensor([-1000.0, 2.0]))
    Tensor([-1.,  2.], dtype=float32)
    """
    alpha = check.real("elu", "alpha", alpha)
    return _exponential_unit(check.floating("elu", "x", x), alpha=alpha, rate=1.0, scale=1.0)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere: `elu` without a kink for any alpha above 0.

    Raises:
        TypeError, ValueError: x is not floating point, or alpha is not above 0.

    Source: J. T. Barron, "Continuously differentiable exponential linear units" (2017), equation 2.

    >>> from tinygrad_np import Tensor
    >>> celu(Tensor([-1000.0, 2.0]), alpha=3.0)
    Tensor([-3.,  2.], dtype=float32)
    """
    alpha = check.real("celu", "alpha", alpha, above=0)
    return _exponential_unit(check.floating("celu", "x", x), alpha=alpha, rate=1 / alpha, scale=1.0)


SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def selu(x: Any) -> Any:
    """`elu` times a scale, with the two constants for which mean 0 and variance 1 are a fixed point of deep networks.

    The gradient at 0 is scale * alpha, 1.758.

    Raises:
        TypeError: x is not floating point.

    Source: G. Klambauer, T. Unterthiner, A. Mayr and S. Hochreiter, "Self-normalizing neural networks" (2017),
    equation 2, with alpha and lambda as given there.

    >>> from tinygrad_np import Tensor
    >>> selu(Tensor([-1000.0, 1.0]))
    Tensor([-1.7580993,  1.050701 ], dtype=float32)
    """
    return _exponential_unit(check.floating("selu", "x", x), alpha=SELU_ALPHA, rate=1.0, scale=SELU_SCALE)


# --- hard units: straight lines --------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, min_val=-1.0, max_val=1.0: keep(g, (min_val < x) & (x < max_val)),
    reads=("x",),
    jvp="elementwise",
    cases=[Case("*"), Case("*", kwargs={"min_val": 0.0, "max_val": 2.5})],
)
def hardtanh(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x clipped to [min_val, max_val], elementwise; the gradient at both bounds is 0, unlike that of `np.clip`.

    Raises:
        TypeError, ValueError: x is not floating point, or min_val is not below max_val.

    >>> from tinygrad_np import Tensor
    >>> hardtanh(Tensor([-3.0, 0.5, 3.0]))
    Tensor([-1. ,  0.5,  1. ], dtype=float32)
    """
    check.floating("hardtanh", "x", x)
    if not min_val < max_val:
        raise ValueError(f"hardtanh: min_val must be below max_val, not {min_val!r} with max_val={max_val!r}")
    return np.clip(x, min_val, max_val)


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6), elementwise; the gradient at 0 and at 6 is 0.

    Raises:
        TypeError: x is not floating point.

    Source: A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10" (2010), section 2.

    >>> from tinygrad_np import Tensor
    >>> relu6(Tensor([-1.0, 2.0, 7.0]))
    Tensor([0., 2., 6.], dtype=float32)
    """
    return hardtanh(check.floating("relu6", "x", x), min_val=0.0, max_val=6.0)


@differentiable(
    lambda g, y, x: keep(g / 6, (x > -3) & (x < 3)), reads=("x",), wide=True, jvp="elementwise", cases=[Case("*")]
)
def hardsigmoid(x: Array) -> Array:
    """min(max(x + 3, 0), 6) / 6, elementwise: a sigmoid of straight lines; the gradient at -3 and 3 is 0.

    Raises:
        TypeError: x is not floating point.

    Source: A. Howard et al., "Searching for MobileNetV3" (2019), section 5.2.

    >>> from tinygrad_np import Tensor
    >>> hardsigmoid(Tensor([-4.0, 0.0, 4.0]))
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """
    check.floating("hardsigmoid", "x", x)
    return np.asarray(written(_hardsigmoid_into, x))


def _hardsigmoid_into(x: Array, out: Array) -> None:
    np.clip(x, -3, 3, out=out)
    out += 3
    out /= 6


def _hardswish_into(x: Array, out: Array) -> None:
    _hardsigmoid_into(x, out)
    out *= np.clip(x, -3, math.inf)  # -inf * 0 would be NaN


def _hardswish_back(g: Any, x: Any) -> Any:
    return keep(g, x >= 3) + keep(g * (within(x, 3) / 3 + 0.5), (x > -3) & (x < 3))


def _hardswish_back_into(g: Array, x: Array, out: Array) -> None:
    np.clip(x, -3, 3, out=out)
    out /= 3
    out += 0.5
    above = (x >= 3).astype(x.dtype)
    above *= 0.5
    out -= above  # 1.5 there
    out *= g
    out[...] = keep(out, x > -3)


@differentiable(
    lambda g, y, x: in_pieces(_hardswish_back, _hardswish_back_into, g, x),
    reads=("x",),
    wide=True,
    jvp="elementwise",
    cases=[Case("*")],
)
def hardswish(x: Array) -> Array:
    """x * hardsigmoid(x), elementwise; the gradient is 0 at -3, and 1 at 3.

    Raises:
        TypeError: x is not floating point.

    Source: A. Howard et al., "Searching for MobileNetV3" (2019), section 5.2.

    >>> from tinygrad_np import Tensor
    >>> hardswish(Tensor([-4.0, 1.5, 4.0]))
    Tensor([-0.   ,  1.125,  4.   ], dtype=float32)
    """
    check.floating("hardswish", "x", x)
    return np.asarray(written(_hardswish_into, x))


# --- smooth units ----------------------------------------------------------------------------------------------------


def _mish_slope(x: Any) -> Any:
    """t + x * (1 - t**2) * sigmoid(x) for t = tanh(softplus(x)), and 1 - t**2 without cancellation."""
    x = _bounded(x)
    s = softplus(x)
    return np.tanh(s) + x * np.square(_sech(s)) * sigmoid(x)


@differentiable(lambda g, y, x: g * _mish_slope(x), wide=True, jvp="elementwise", cases=[Case("*")])
def mish(x: Array) -> Array:
    """x * tanh(softplus(x)), elementwise.

    Raises:
        TypeError: x is not floating point.

    Source: D. Misra, "Mish: a self regularized non-monotonic activation function" (2019), equation 1.

    >>> from tinygrad_np import Tensor
    >>> mish(Tensor([-1000.0, 0.0, 1.0]))
    Tensor([-0.       ,  0.       ,  0.8650984], dtype=float32)
    """
    check.floating("mish", "x", x)
    return np.asarray(_times_probability(x, np.tanh(softplus(x))))


@differentiable(
    lambda g, y, x: g * np.square(1 / (1 + np.abs(x))), reads=("x",), wide=True, jvp="elementwise", cases=[Case("*")]
)
def softsign(x: Array) -> Array:
    """x / (1 + |x|), elementwise.

    Raises:
        TypeError: x is not floating point.

    Source: J. Bergstra et al., "Quadratic polynomials learn better image features" (2009), section 2.2.

    >>> from tinygrad_np import Tensor
    >>> softsign(Tensor([-1.0, 0.0, 3.0]))
    Tensor([-0.5 ,  0.  ,  0.75], dtype=float32)
    """
    check.floating("softsign", "x", x)
    x = within(x, np.finfo(x.dtype).max)  # inf / inf would be NaN
    return np.asarray(x / (1 + np.abs(x)))


def _logsigmoid_into(x: Array, out: Array) -> None:
    softplus_of_minus_abs_into(x, out)
    np.subtract(_up_to_zero(x), out, out=out)


@differentiable(
    lambda g, y, x: times_sigmoid(g, x, -1.0), reads=("x",), wide=True, jvp="elementwise", cases=[Case("*")]
)
def logsigmoid(x: Array) -> Array:
    """log(sigmoid(x)) = -softplus(-x), elementwise; it does not overflow.

    Raises:
        TypeError: x is not floating point.

    >>> from tinygrad_np import Tensor
    >>> logsigmoid(Tensor([-1000.0, 0.0]))
    Tensor([-1.000000e+03, -6.931472e-01], dtype=float32)
    """
    check.floating("logsigmoid", "x", x)
    return np.asarray(written(_logsigmoid_into, x))


# --- a learned slope -------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, weight: keep(g, x > 0) + keep(g * weight, ~(x > 0)),
    lambda g, y, x, weight: g * _up_to_zero(x),
    reads=("x weight", "x"),
    wide=True,
    jvp="elementwise",
    cases=[Case("*, *"), Case("n c m, c 1"), Case("n m, 1")],
    name="prelu",
)
def _prelu(x: Array, weight: Array) -> Array:
    positive = x > 0
    return np.asarray(keep(x, positive) + keep(weight * _up_to_zero(x), ~positive))  # np.where: 2.3 times as long


def prelu(x: Any, weight: Any) -> Any:
    """x where x > 0, weight * x elsewhere; the gradient at 0 is the weight.

    Args:
        x: shape (batch, channels, ...), or any shape for one weight; floating point.
        weight: shape (1,), or (channels,).

    Raises:
        TypeError, ValueError: x is not floating point, or the weight has another shape.

    Source: K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers" (2015), equation 1.

    >>> from tinygrad_np import Tensor
    >>> prelu(Tensor([[-1.0, -1.0], [2.0, 3.0]]), Tensor([0.5, 0.25]))
    Tensor([[-0.5 , -0.25],
            [ 2.  ,  3.  ]], dtype=float32)
    """
    check.floating("prelu", "x", x)
    shape = np.shape(weight)
    if len(shape) != 1 or (shape[0] != 1 and (x.ndim < 2 or shape[0] != x.shape[1])):
        raise ValueError(f"prelu: expected a weight of shape (1,) or (channels,) for x of shape {x.shape}, not {shape}")
    if shape[0] != 1:
        weight = np.reshape(weight, (-1, *[1] * (x.ndim - 2)))
    return _prelu(x, weight)


# --- gated linear units ----------------------------------------------------------------------------------------------


def _gated(name: str, x: Any, axis: int, activation: Callable[[Any], Any]) -> Any:
    """The first half of x times an activation of the second."""
    check.floating(name, "x", x)
    axis = normalize_axis_index(check.integer(name, "axis", axis), x.ndim, f"{name}: axis")
    if x.shape[axis] % 2:
        raise ValueError(f"{name}: axis {axis} of x must have an even length, to be halved, not shape {x.shape}")
    half, gate = np.split(x, 2, axis=axis)
    return half * activation(gate)


def glu(x: Any, axis: int = -1) -> Any:
    """a * sigmoid(b) for the halves a and b of x along an axis.

    Raises:
        TypeError, ValueError: x is not floating point, or the axis has an odd length.

    Source: Y. N. Dauphin et al., "Language modeling with gated convolutional networks" (2016), equation 1.

    >>> from tinygrad_np import Tensor
    >>> glu(Tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[0.5, 2. ]], dtype=float32)
    """
    return _gated("glu", x, axis, sigmoid)


def reglu(x: Any, axis: int = -1) -> Any:
    """a * relu(b) for the halves a and b of x along an axis.

    Raises:
        TypeError, ValueError: as for `glu`.

    Source: N. Shazeer, "GLU variants improve transformer" (2020), equation 5; there the activated factor comes first.

    >>> from tinygrad_np import Tensor
    >>> reglu(Tensor([[1.0, 2.0, -1.0, 3.0]]))
    Tensor([[0., 6.]], dtype=float32)
    """
    return _gated("reglu", x, axis, relu)


def geglu(x: Any, axis: int = -1) -> Any:
    """a * gelu(b) for the halves a and b of x along an axis.

    Raises:
        TypeError, ValueError: as for `glu`.

    Source: N. Shazeer, "GLU variants improve transformer" (2020), equation 5; there the activated factor comes first.

    >>> from tinygrad_np import Tensor
    >>> np.round(geglu(Tensor([[1.0, 2.0, 0.0, 1.0]])).data, 5)
    array([[0.     , 1.68269]], dtype=float32)
    """
    return _gated("geglu", x, axis, gelu)


def swiglu(x: Any, axis: int = -1) -> Any:
    """a * silu(b) for the halves a and b of x along an axis.

    Raises:
        TypeError, ValueError: as for `glu`.

    Source: N. Shazeer, "GLU variants improve transformer" (2020), equation 5; there the activated factor comes first.

    >>> from tinygrad_np import Tensor
    >>> swiglu(Tensor([[1.0, 2.0, 0.0, 1.0]]))
    Tensor([[0.       , 1.4621172]], dtype=float32)
    """
    return _gated("swiglu", x, axis, silu)
