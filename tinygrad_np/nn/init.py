"""Initialise weights: functions of a shape and a generator that return an array.

    layer.weight = Tensor(init.orthogonal(layer.weight.shape, rng=rng), requires_grad=True)

Replace weights before you pass the parameters to an optimiser. He initialisation preserves the scale of activations
through ReLU layers, Glorot initialisation through linear ones.
"""

import math
from typing import Any

import numpy as np

from .. import _validation as check
from .._machine.arrays import aligned
from .._messages import module_getattr, shown, with_hints
from ..tensor import Array

__all__ = [
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "normal",
    "orthogonal",
    "uniform",
    "zeros",
]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """fan_in and fan_out: the number of inputs of each output, and of outputs of each input.

    Args:
        shape: (in, out) for a linear map, or (out, in / groups, *kernel) for a convolution.

    Raises:
        ValueError: the shape has fewer than two axes.

    >>> fans((784, 10)), fans((8, 3, 5, 5))
    ((784, 10), (75, 200))
    """
    if not isinstance(shape, tuple | list) or len(shape) < 2:
        raise ValueError(f"weights must have shape (in, out) or (out, in / groups, *kernel), not {shown(shape)}")
    if len(shape) == 2:
        return shape
    places = math.prod(shape[2:])
    return shape[1] * places, shape[0] * places


@with_hints()
def he_normal(
    shape: tuple[int, ...], *, rng: "np.random.Generator", dtype: "np.typing.DTypeLike" = np.float32
) -> Array:
    """Normal weights with variance 2 / fan_in; see `fans`.

    Source: K. He et al., "Delving deep into rectifiers" (2015), equation 10.

    >>> he_normal((784, 10), rng=np.random.default_rng(0)).shape
    (784, 10)
    """
    return normal(shape, std=math.sqrt(2 / fans(shape)[0]), rng=rng, dtype=dtype)


@with_hints()
def he_uniform(
    shape: tuple[int, ...], *, rng: "np.random.Generator", dtype: "np.typing.DTypeLike" = np.float32
) -> Array:
    """Uniform weights with variance 2 / fan_in, so between +-sqrt(6 / fan_in); see `fans`.

    Source: as for `he_normal`.

    >>> he_uniform((784, 10), rng=np.random.default_rng(0)).shape
    (784, 10)
    """
    limit = math.sqrt(6 / fans(shape)[0])
    return uniform(shape, -limit, limit, rng=rng, dtype=dtype)


@with_hints()
def glorot_normal(
    shape: tuple[int, ...], *, rng: "np.random.Generator", dtype: "np.typing.DTypeLike" = np.float32
) -> Array:
    """Normal weights with variance 2 / (fan_in + fan_out); see `fans`.

    Source: X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010),
    equation 12.

    >>> glorot_normal((784, 10), rng=np.random.default_rng(0)).shape
    (784, 10)
    """
    return normal(shape, std=math.sqrt(2 / sum(fans(shape))), rng=rng, dtype=dtype)


@with_hints()
def glorot_uniform(
    shape: tuple[int, ...], *, rng: "np.random.Generator", dtype: "np.typing.DTypeLike" = np.float32
) -> Array:
    """Uniform weights with variance 2 / (fan_in + fan_out), so between +-sqrt(6 / (fan_in + fan_out)); see `fans`.

    Source: as for `glorot_normal`, equation 16.

    >>> glorot_uniform((784, 10), rng=np.random.default_rng(0)).shape
    (784, 10)
    """
    limit = math.sqrt(6 / sum(fans(shape)))
    return uniform(shape, -limit, limit, rng=rng, dtype=dtype)


@with_hints()
def normal(
    shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    rng: "np.random.Generator",
    dtype: "np.typing.DTypeLike" = np.float32,
) -> Array:
    """Normal weights with the given mean and standard deviation.

    >>> normal((2, 3), std=0.02, rng=np.random.default_rng(0)).dtype
    dtype('float32')
    """
    check.real("normal", "mean", mean)
    check.real("normal", "std", std, at_least=0)
    check.generator("normal", "rng", rng)
    return aligned(np.asarray(rng.normal(mean, std, shape)), dtype)


@with_hints()
def uniform(
    shape: Any,
    low: float = 0.0,
    high: float = 1.0,
    *,
    rng: "np.random.Generator",
    dtype: "np.typing.DTypeLike" = np.float32,
) -> Array:
    """Uniform weights between low and high.

    >>> uniform((2, 3), -1.0, 1.0, rng=np.random.default_rng(0)).dtype
    dtype('float32')
    """
    check.real("uniform", "low", low)
    check.real("uniform", "high", high, at_least=low)
    check.generator("uniform", "rng", rng)
    return aligned(np.asarray(rng.uniform(low, high, shape)), dtype)


@with_hints()
def orthogonal(
    shape: tuple[int, ...],
    gain: float = 1.0,
    *,
    rng: "np.random.Generator",
    dtype: "np.typing.DTypeLike" = np.float32,
) -> Array:
    """A random matrix with orthogonal rows or columns, whichever are fewer, of norm `gain`.

    All axes after the first are treated as one. The matrix is drawn uniformly (from the Haar measure).

    Raises:
        ValueError: the shape has fewer than two axes.

    Source: A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks" (2014); the signs: F. Mezzadri, "How to generate random matrices from the classical compact
    groups" (2007), section 5.

    >>> q = orthogonal((5, 3), rng=np.random.default_rng(0), dtype=np.float64)
    >>> np.allclose(q.T @ q, np.eye(3))
    True
    """
    check.real("orthogonal", "gain", gain)
    check.generator("orthogonal", "rng", rng)
    if len(shape) < 2:
        raise ValueError(f"orthogonal weights need a shape of at least two axes, not {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q *= gain * np.sign(np.diagonal(r))
    return np.asarray(q if rows >= columns else q.T).reshape(shape).astype(dtype)


@with_hints()
def zeros(shape: Any, *, dtype: "np.typing.DTypeLike" = np.float32) -> Array:
    """An array of zeros.

    >>> zeros(3)
    array([0., 0., 0.], dtype=float32)
    """
    return np.zeros(shape, dtype)


__getattr__ = module_getattr(__name__)
