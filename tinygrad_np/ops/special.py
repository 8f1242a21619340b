"""Special functions, most of them made for networks: sigmoid, softmax and their kin, erf, gelu, sinc."""

import math
from typing import Any

import numpy as np

from ..tensor import Array, composite, differentiable, primitive
from .cases import Case, each
from .elementwise import floating
from .reductions import restore


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


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), each element, without overflow.

    >>> from tinygrad_np import Tensor
    >>> softplus(Tensor([-1000.0, 0.0, 1000.0]))
    Tensor([0.000000e+00, 6.931472e-01, 1.000000e+03], dtype=float32)
    """
    return np.logaddexp(x, 0.0)


@differentiable(lambda g, y, x: g * (2 / math.sqrt(math.pi)) * np.exp(-x * x), cases=[Case("*")])
def erf(x: Array) -> Array:
    """The error function, 2 / sqrt(pi) * integral of exp(-t**2) from 0 to x; each element.

    The C library's, to its last bit, element by element: 70 ns each.

    >>> from tinygrad_np import Tensor
    >>> erf(Tensor([0.0, 1.0]))
    Tensor([0.       , 0.8427008], dtype=float32)
    """
    floating(x, "erf")
    return np.fromiter(map(math.erf, x.ravel().tolist()), x.dtype, x.size).reshape(x.shape)


def gelu(x: Any, approximate: str = "none") -> Any:
    """x times the probability that a standard normal number is below x; each element.

    Args:
        x: any shape, floating point.
        approximate: "none", by erf, or "tanh", 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))).

    Source: D. Hendrycks and K. Gimpel, "Gaussian error linear units" (2016), section 2.

    >>> from tinygrad_np import Tensor
    >>> gelu(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.15865526,  0.        ,  0.8413447 ], dtype=float32)
    """
    if approximate == "none":
        return 0.5 * x * (1 + erf(x / math.sqrt(2)))
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise ValueError(f"gelu: approximate must be 'none' or 'tanh', not {approximate!r}")


@differentiable(
    lambda g, y, x, *, axis=-1: y * (g - np.sum(g * y, axis=axis, keepdims=True)),
    cases=[*each("N M", axis=(-1, 0, 1)), Case("M")],
)
def softmax(x: Array, axis: int = -1) -> Array:
    """exp(x) / sum(exp(x)) along an axis; the maximum is subtracted first, so that nothing overflows.

    >>> from tinygrad_np import Tensor
    >>> softmax(Tensor([[0.0, 0.0], [1000.0, 0.0]]))
    Tensor([[0.5, 0.5],
            [1. , 0. ]], dtype=float32)
    """
    floating(x, "softmax")
    e: Array = x - np.maximum.reduce(x, axis, keepdims=True)
    np.exp(e, out=e)
    e /= np.add.reduce(e, axis, keepdims=True)
    return e


@differentiable(
    lambda g, y, x, *, axis=None, keepdims=False: (
        restore(g, x, axis, keepdims) * np.exp(x - _finite(restore(y, x, axis, keepdims)))
    ),
    cases=[*each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)), Case("")],
)
def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))) over an axis, several or all; the maximum is subtracted first, so that nothing overflows.

    >>> from tinygrad_np import Tensor
    >>> logsumexp(Tensor([1000.0, 1000.0]))
    Tensor(1000.6932, dtype=float32)
    """
    floating(x, "logsumexp")
    top = _finite(np.max(x, axis=axis, keepdims=True))
    with np.errstate(divide="ignore"):  # log(0) = -inf is right where all of x are -inf
        y = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return np.asarray(y if keepdims else np.squeeze(y, axis=axis))


def _finite(x: Any) -> Any:
    """x, with infinities, from which infinities would be subtracted, as 0."""
    return np.where(np.isfinite(x), x, 0)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x)) along an axis, without overflow.

    >>> from tinygrad_np import Tensor
    >>> log_softmax(Tensor([0.0, 1000.0]))
    Tensor([-1000.,     0.], dtype=float32)
    """
    return x - logsumexp(x, axis=axis, keepdims=True)


composite(softplus, cases=[Case("*")])(softplus)
composite(gelu, cases=[Case("*"), Case("*", kwargs={"approximate": "tanh"})])(gelu)
composite(log_softmax, cases=each("N M", axis=(-1, 0)))(log_softmax)


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Array:
    """A plain array of shape (*labels.shape, classes) with a 1 at each label and 0 elsewhere.

    Raises:
        ValueError: labels that are no integers, or out of the range from 0 to classes - 1.

    >>> one_hot([1, 0], 3)
    array([[0., 1., 0.],
           [1., 0., 0.]], dtype=float32)
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels are integers, not {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"label {wrong} is out of range: there are {classes} classes, from 0")
    return np.asarray(np.arange(classes) == labels[..., np.newaxis], dtype)


# --- sinc ------------------------------------------------------------------------------------------------------------


@differentiable(lambda g, y, x, *, order: g * _sinc(x, order=order + 1), cases=each("*", order=(0, 1, 4)))
def _sinc(x: Array, order: int) -> Array:
    """The derivative of an order of sin(u) / u with u = pi * x: by its power series near 0, else by recursion.

    u S_n + n S_(n-1) = sin(u + n pi / 2), from n derivatives of u S_0 = sin(u); stable where u > n.
    """
    u = np.pi * np.asarray(x, np.float64)
    near = np.abs(u) < order + 1
    far = np.where(near, order + 1, u)
    derivative = np.sin(far) / far
    for n in range(1, order + 1):
        derivative = (np.sin(far + n * np.pi / 2) - n * derivative) / far
    small = np.where(near, u, 0)
    series = np.zeros_like(small)
    for k in range((order + 1) // 2, (order + 1) // 2 + 25 + 2 * order):
        power = 2 * k - order
        series += (-1) ** k * small**power / (math.factorial(power) * (2 * k + 1))
    return np.asarray(np.pi**order * np.where(near, series, derivative), x.dtype)


primitive(np.sinc, lambda g, y, x: g * _sinc(x, order=1), cases=[Case("*")])
