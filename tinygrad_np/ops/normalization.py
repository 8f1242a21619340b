"""Normalisation: what batch, layer and root-mean-square normalisation have in common, in one operation.

Large arrays are normalised some channels or rows at a time, on all cores.
"""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .. import _validation as check
from .._machine.arrays import FEW_ROWS, FOLDS, power_of_two, summed
from .._machine.threads import blocks, run
from ..tensor import Array, _fit, differentiable
from .cases import Case
from .elementwise import array_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Elements per block. Two blocks of 2**18 elements each are no faster than one, and of 64 x 16 x 28 x 28 numbers four
# blocks of channels take 1.6 times as long as two: their rows lie far apart in memory.
BLOCK = 1 << 19
Part: TypeAlias = tuple[slice, ...]


def _sum(x: Any, axis: tuple[int, ...]) -> Any:
    """The sum, axes kept."""
    return np.expand_dims(summed(x, axis), axis)


def _sum_product(a: Any, b: Any, axis: tuple[int, ...]) -> Any:
    """The sum of a * b, axes kept, without an array of the products: 11 us instead of 36 for 64 x 1024."""
    letters = LETTERS[: a.ndim]
    left = letters.translate({ord(letters[i]): None for i in axis})
    total: Any = None
    if 0 in axis and len(a) > FEW_ROWS:  # folded as `summed` does it, for the same reason
        rows = len(a) // FOLDS
        c, d = (x[: rows * FOLDS].reshape(FOLDS, rows, *x.shape[1:]) for x in (a, b))
        total = summed(np.einsum(f"z{letters},z{letters}->a{left}", c, d), (0,))
        a, b = a[rows * FOLDS :], b[rows * FOLDS :]
    rest = np.einsum(f"{letters},{letters}->{left}", a, b)
    return np.expand_dims(rest if total is None else total + rest, axis)


def _count(x: Any, axis: tuple[int, ...]) -> int:
    return math.prod(x.shape[i] for i in axis)


def _parts(shape: tuple[int, ...], axis: tuple[int, ...], *parameters: Any) -> list[Part]:
    """Indices of parts with statistics of their own: slices along the longest axis that is not normalised."""
    if math.prod(shape) <= BLOCK:
        return [()]
    along = max((i for i in range(len(shape)) if i not in axis), key=shape.__getitem__, default=None)
    if along is not None:
        found = blocks(shape[along], math.prod(shape[:along] + shape[along + 1 :]), BLOCK)
        fit = len(found) > 1 and all(p is None or np.broadcast_shapes(shape, p.shape) == shape for p in parameters)
        if fit:
            return [(*[slice(None)] * along, block) for block in found]
    return [()]


def _of_part(parameter: Any, part: Part, ndim: int) -> Any:
    """The part of a weight or bias, with as many axes as the input."""
    if parameter is None:
        return None
    parameter = parameter.reshape((1,) * (ndim - parameter.ndim) + parameter.shape)
    return parameter[tuple(p if n > 1 else slice(None) for p, n in zip(part, parameter.shape, strict=False))]


def _standardized(
    x: Any, axis: tuple[int, ...], eps: float, centre: bool, out: Array | None = None
) -> tuple[Any, Any, Any, Any]:
    """Standardised x, the scale 1 / sqrt(variance + eps), and the mean and variance of x."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _sum(x, axis) / _count(x, axis) if centre else 0.0
        standard = np.subtract(x, mean, out=out) if centre else np.positive(x, out=out)  # which may be written to
        variance = _sum_product(standard, standard, axis) / _count(x, axis)
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
    mean = _sum(x, axis) / _count(x, axis) if centre else 0.0
    standard = x - mean
    if centre:
        rest = _sum(standard, axis) / _count(x, axis)
        standard, mean = standard - rest, mean + rest
    variance = _sum_product(standard, standard, axis) / _count(x, axis)
    scale = 1 / np.sqrt(variance + eps / unit / unit)
    with np.errstate(over="ignore"):  # of statistics, which may be infinite
        return standard * scale, scale / unit, mean * unit, variance * unit * unit


def _standardize_back(
    g: Any, x: Any, weight: Any, bias: Any, needed: tuple[bool, ...], axis: tuple[int, ...], eps: float, centre: bool,
    saved: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The gradients of x, weight and bias."""
    axis = tuple(sorted(i % x.ndim for i in axis))
    standard, scale = saved or _standardized(x, axis, eps, centre)[:2]
    parts: list[Part] = _parts(x.shape, axis, weight, bias) if saved else [()]
    if len(parts) == 1:
        return _gradients(g, standard, scale, weight, bias, needed, axis, centre)
    to_x = np.empty(x.shape, np.result_type(g, standard)) if needed[0] else None

    def work(part: Part) -> tuple[Any, ...]:
        of_weight, of_bias = (_of_part(p, part, x.ndim) for p in (weight, bias))
        out = None if to_x is None else to_x[part]
        _, *found = _gradients(g[part], standard[part], scale[part], of_weight, of_bias, needed, axis, centre, out)
        given = zip(found, (of_weight, of_bias), needed[1:], strict=True)
        # In the dtype of g: those of a float16 weight are not rounded before they are added.
        return tuple(_fit(gradient, p.astype(gradient.dtype)) if need else None for gradient, p, need in given)

    to_weight, to_bias = zip(*run(work, parts), strict=True)
    return to_x, _joined(to_weight, weight, parts, x.ndim), _joined(to_bias, bias, parts, x.ndim)


def _joined(gradients: tuple[Any, ...], parameter: Any, parts: list[Part], ndim: int) -> Any:
    """The gradient of a weight or bias from those of its parts, or of all of it from each part."""
    if gradients[0] is None:
        return None
    along = len(parts[0]) - 1
    if np.ndim(parameter) >= ndim - along and np.shape(parameter)[along - ndim] > 1:
        return np.concatenate(gradients, axis=along)
    return summed(np.stack(gradients), (0,))


def _gradients(
    g: Any, standard: Any, scale: Any, weight: Any, bias: Any, needed: tuple[bool, ...], axis: tuple[int, ...],
    centre: bool, out: Array | None = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """The gradients of x, weight and bias.

    That of x is scale * (h - mean(h) - standard * mean(h * standard)), where h = g * weight. A weight of channels is
    the same for all numbers with one mean, and so the means of g and of g * standard give all gradients.
    """
    count, to_x, to_weight, to_bias = _count(standard, axis), None, None, g
    along = [i - standard.ndim for i in axis]
    if count and all(p is None or all(p.shape[i] == 1 for i in along if -i <= p.ndim) for p in (weight, bias)):
        h, scale = g, scale if weight is None else scale * weight
        product, total = _sum_product(g, standard, axis), _sum(g, axis) if centre or needed[2] else 0
        to_weight, to_bias = product, total
    else:
        # Summed here and not by the backward pass: another array of the size of x, alive beside to_x, makes a step of
        # examples/mnist_cnn.py 4 to 10 % slower.
        to_weight = _fit(g * standard, weight) if needed[1] else None
        if needed[0]:
            h = g if weight is None else g * weight
            product, total = _sum_product(h, standard, axis), _sum(h, axis) if centre else 0
    if needed[0]:
        to_x = np.multiply(standard, product / -count, out=out)
        to_x += h
        if centre:
            to_x -= total / count
        to_x *= scale
    return to_x, to_weight, to_bias


SPREAD = np.array([-9.0, -3.0, 2.0, 8.0])  # keeps variances away from 0


@differentiable(
    joint=lambda g, y, x, weight, bias, *, needed, axis, eps, centre=True, statistics=None, saved: _standardize_back(
        g, x, weight, bias, needed, axis, eps, centre, saved
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
    axis = tuple(sorted(normalize_axis_tuple(axis, x.ndim)))
    parts = _parts(x.shape, axis, weight, bias)
    if len(parts) == 1:
        standard, scale, mean, variance = _standardized(x, axis, eps, centre)
        y = standard if weight is None else standard * weight
        y = y if bias is None else y + bias
    else:
        kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
        scale, mean, variance = (np.empty(kept, x.dtype) for _ in range(3))
        standard = np.empty(x.shape, x.dtype)
        given = [p for p in (weight, bias) if p is not None]
        y = np.empty(x.shape, np.result_type(x, *given)) if given else standard

        def work(part: Part) -> None:
            found, scale[part], mean[part], variance[part] = _standardized(x[part], axis, eps, centre, standard[part])
            if found.base is not standard:  # it was done with care
                standard[part] = found
            if weight is not None:
                np.multiply(standard[part], _of_part(weight, part, x.ndim), out=y[part])
            if bias is not None:
                np.add(standard[part] if weight is None else y[part], _of_part(bias, part, x.ndim), out=y[part])

        run(work, parts)
    if statistics is not None:
        statistics += [mean, variance]
    return y, (standard, scale)
