"""Normalisation: what batch, layer and root-mean-square normalisation have in common, in one operation.

Large arrays are normalised some channels or rows at a time, on all cores.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .. import _validation as check
from .._machine.arrays import DOT, FEW_ROWS, FOLDS, LONG, power_of_two, summed, unbuffered_rows
from .._machine.threads import blocks, run
from .._registry import differentiable
from ..tensor import Array, _fit
from .cases import Case
from .elementwise import array_of
from .examples import STANDARDIZE

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Elements per block. A thread that computes less at a time often waits for the other one, which holds the interpreter's
# lock: blocks of 2**16 elements take four times as long as blocks of 2**20.
BLOCK = 1 << 20
Part: TypeAlias = tuple[slice, ...]
Axes: TypeAlias = tuple[int, ...]


def _rows(ndim: int, axis: Axes) -> int:
    """How many of the axes are the last ones: the rows of numbers that lie side by side."""
    return next((i for i, n in enumerate(reversed(axis)) if n != ndim - 1 - i), len(axis))


def _sum(x: Any, axis: Axes) -> Any:
    """The sum, axes kept."""
    return _sum_product(x, None, axis)


def _sum_product(a: Any, b: Any, axis: Axes) -> Any:
    """The sum of a * b, or of a, axes kept, without an array of the products: 5 us instead of 36 for 64 x 1024.

    b broadcasts to the shape of a.
    """
    if type(a) is np.ndarray and not a.flags.c_contiguous:  # such as images whose channels come last in memory
        order = sorted(range(a.ndim), key=lambda i: -abs(a.strides[i]))
        if order != [*range(a.ndim)]:
            b = None if b is None else np.broadcast_to(b, a.shape).transpose(order)
            places = tuple(place for place, i in enumerate(order) if i in axis)
            return _sum_product(a.transpose(order), b, places).transpose(np.argsort(order))
    last = _rows(a.ndim, axis)
    row = a.shape[a.ndim - last :]
    if last == 1 == len(axis) and row[0] in DOT and type(a) is np.ndarray and (b is None or b.shape[-1:] == row):
        return np.vecdot(a, np.ones(row, a.dtype) if b is None else b)[..., np.newaxis]  # as below, 3 us faster
    if last and math.prod(row) in DOT and type(a) is np.ndarray and (b is None or b.shape[-last:] == row):
        rows = a.reshape(*a.shape[:-last], -1)
        sums = np.vecdot(rows, np.ones(rows.shape[-1:], a.dtype) if b is None else b.reshape(*b.shape[:-last], -1))
        sums = summed(sums, axis[:-last]) if len(axis) > last else sums
        return sums.reshape([1 if i in axis else n for i, n in enumerate(a.shape)])
    if type(a) is np.ndarray and a.size and 0 < last < len(axis):
        return _sum(_sum_product(a, b, axis[:-last]), axis[-last:])
    if b is not None and b.shape != a.shape:
        b = np.broadcast_to(b, a.shape)
    adjacent = axis and axis[-1] - axis[0] == len(axis) - 1
    if type(a) is np.ndarray and adjacent and not last and a.size and axis != (0,):
        return _sum_of_middle(a, b, axis)
    if b is None:
        return np.expand_dims(summed(a, axis), axis)
    letters = LETTERS[: a.ndim]
    left = letters.translate({ord(letters[i]): None for i in axis})
    total: Any = None
    if 0 in axis and len(a) > FEW_ROWS:  # folded as `summed` does it, for the same reason
        folded = len(a) // FOLDS
        c, d = (x[: folded * FOLDS].reshape(FOLDS, folded, *x.shape[1:]) for x in (a, b))
        total = summed(np.einsum(f"z{letters},z{letters}->a{left}", c, d), (0,))
        a, b = a[folded * FOLDS :], b[folded * FOLDS :]
    rest = np.einsum(f"{letters},{letters}->{left}", a, b)
    return np.expand_dims(rest if total is None else total + rest, axis)


def _sum_of_middle(a: Array, b: Any, axis: Axes) -> Array:
    """`_sum_product` over adjacent axes that are not the last: of rows that are added up for each place in them."""
    before, rows, row = (math.prod(a.shape[i] for i in s) for s in (range(axis[0]), axis, range(axis[-1] + 1, a.ndim)))
    kept = [1 if i in axis else n for i, n in enumerate(a.shape)]
    if before == 1:
        b = None if b is None else b.reshape(rows, row)
        return np.asarray(_sum_product(a.reshape(rows, row), b, (0,)).reshape(kept))
    # Several short rows as a long one: the sum of 32 x 784 x 32 takes 0.11 ms instead of 0.41, that of products 0.12
    # instead of 0.20.
    wide = min(FOLDS, rows & -rows)
    shape = before, rows // wide, wide * row
    if b is None:
        sums = np.add.reduce(a.reshape(shape), 1)
    else:
        sums = np.einsum("abc,abc->ac", a.reshape(shape), b.reshape(shape))
    return np.asarray(np.add.reduce(sums.reshape(before, wide, row), 1).reshape(kept))


def _count(x: Any, axis: Axes) -> int:
    return math.prod(x.shape[i] for i in axis)


def _along_which_alike(parameters: tuple[Any, ...], axis: Axes, ndim: int) -> Axes:
    """Those of the axes along which weight and bias are the same, as those of channels are along all."""
    given = [p.shape for p in parameters if p is not None]
    return tuple(i for i in axis if all(ndim - i > len(shape) or shape[i - ndim] == 1 for shape in given))


def _spread(statistic: Array, x: Array, alike: Axes) -> Array:
    """A mean or a scale for each number that the weight has, if channels of x come last in memory.

    One for a group of them would make the rows that NumPy goes over shorter.
    """
    if not alike or x.strides[-1] == x.itemsize:
        return statistic
    shape = tuple(1 if i in alike else n for i, n in enumerate(x.shape))
    return statistic if statistic.shape == shape else np.ascontiguousarray(np.broadcast_to(statistic, shape))


def _parts(shape: tuple[int, ...], axis: Axes, *parameters: Any) -> list[Part]:
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
    if parameter is None or not part:
        return parameter
    parameter = parameter.reshape((1,) * (ndim - parameter.ndim) + parameter.shape)
    return parameter[tuple(p if n > 1 else slice(None) for p, n in zip(part, parameter.shape, strict=False))]


def _for_each(work: Callable[[Part], Any], parts: list[Part], x: Array, axis: Axes) -> list[Any]:
    """`[work(part) for part in parts]`, on all cores."""
    # What is broadcast is a number to a row of numbers, or a row to many rows.
    length = math.prod(
        x.shape[x.ndim - _rows(x.ndim, axis) :] if x.ndim - 1 in axis else x.shape[max(axis, default=-1) + 1 :]
    )
    if len(parts) == 1 and length < LONG:  # spares 3 us
        return [work(parts[0])]
    with unbuffered_rows(length):
        return run(work, parts)


def _standardized(x: Any, axis: Axes, eps: float, centre: bool) -> tuple[Any, Any, Any, Any]:
    """Standardised x, the scale 1 / sqrt(variance + eps), and the mean and variance of x.

    Also where squares overflow or underflow, or where the rounding of the mean is not small beside deviations.
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


def _gradients(g: Any, standard: Any, scale: Any, weight: Any, axis: Axes, centre: bool) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias.

    That of x is scale * (h - mean(h) - standard * mean(h * standard)), where h = g * weight.
    """
    h, count = g if weight is None else g * weight, _count(standard, axis)
    rest = h - _sum(h, axis) / count if centre else h
    return scale * (rest - standard * (_sum_product(h, standard, axis) / count)), g * standard, g


def _standardize_back(
    g: Any, x: Any, weight: Any, bias: Any, needed: tuple[bool, ...], axis: Axes, eps: float, centre: bool, saved: Any
) -> tuple[Any, Any, Any]:
    """The gradients of x, weight and bias."""
    axis = tuple(sorted(i % x.ndim for i in axis))
    standard, scale, mean = saved or (*_standardized(x, axis, eps, centre)[:2], None)
    if mean is None:
        return _gradients(g, standard, scale, weight, axis, centre)
    if x.dtype == np.float16:
        x = x.astype(np.float32)
    count, alike = _count(x, axis), _along_which_alike((weight, bias), axis, x.ndim)
    to_x = np.empty_like(x, np.result_type(g, x)) if needed[0] else None

    def work(part: Part) -> tuple[Any, ...]:
        h, s, b, w = g[part], scale[part], _of_part(bias, part, x.ndim), _of_part(weight, part, x.ndim)
        out = np.empty_like(x[part], h.dtype) if to_x is None else to_x[part]
        centred = np.subtract(x[part], _spread(mean[part], out, alike), out=out) if centre else x[part]
        if alike:
            to_weight, to_bias = s * _sum_product(h, centred, alike), _sum(h, alike) if centre or needed[2] else 0.0
            if needed[0] and alike == axis:
                np.multiply(centred, s * to_weight / -count, out=out)
                out += h
                if centre:
                    out -= to_bias / count
                out *= s if w is None else s * w
            elif needed[0]:
                factor = 1 if w is None else w
                np.multiply(centred, _spread(s * s * _sum(to_weight * factor, axis) / -count, out, alike), out=out)
                out += h * (s * factor)
                if centre:
                    out -= _spread(s * _sum(to_bias * factor, axis) / count, out, alike)
        else:
            standard = np.multiply(centred, s, out=out)
            product = h * standard
            to_weight, to_bias = _fit(product, w) if needed[1] else None, h
            if needed[0]:
                out *= _sum_product(product, w, axis) / -count
                if centre:
                    out -= _sum_product(h, w, axis) / count
                out += h if w is None else np.multiply(h, w, out=None if product is to_weight else product)
                out *= s
        # In the dtype of g: those of a float16 weight are not rounded before they are added.
        return tuple(
            _fit(gradient, p if p.dtype == h.dtype else p.astype(h.dtype)) if need else None
            for gradient, p, need in ((to_weight, w, needed[1]), (to_bias, b, needed[2]))
        )

    parts = _parts(x.shape, axis, weight, bias)
    to_weight, to_bias = zip(*_for_each(work, parts, x, axis), strict=True)
    return to_x, _joined(to_weight, weight, parts, x.ndim), _joined(to_bias, bias, parts, x.ndim)


def _joined(gradients: tuple[Any, ...], parameter: Any, parts: list[Part], ndim: int) -> Any:
    """The gradient of a weight or bias from those of its parts, or of all of it from each part."""
    if len(parts) == 1 or gradients[0] is None:
        return gradients[0]
    along = len(parts[0]) - 1
    if np.ndim(parameter) >= ndim - along and np.shape(parameter)[along - ndim] > 1:
        return np.concatenate(gradients, axis=along)
    return summed(np.stack(gradients), (0,))


SPREAD = np.array([-9.0, -3.0, 2.0, 8.0])  # keeps variances away from 0


@differentiable(
    joint=lambda g, y, x, weight, bias, *, needed, axis, eps, centre=True, statistics=None, saved: _standardize_back(
        g, x, weight, bias, needed, axis, eps, centre, saved
    ),
    wide=True,
    examples=STANDARDIZE,
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
    saved: tuple[Any, Any, Any]  # standardised x, if it is needed; the scale; the mean
    count, alike = _count(x, axis), _along_which_alike((weight, bias), axis, x.ndim)
    kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    scale, mean, variance = (np.empty(kept, x.dtype) for _ in range(3))
    y = np.empty_like(x, np.result_type(x, *(p for p in (weight, bias) if p is not None)))

    def work(part: Part) -> bool:
        """Standardise a part, unless that needs care."""
        w, b, out, centred = _of_part(weight, part, x.ndim), _of_part(bias, part, x.ndim), y[part], x[part]
        m = 0
        with np.errstate(over="ignore", invalid="ignore"):
            if centre:
                m = mean[part] = _sum(centred, axis) / count
                centred = np.subtract(centred, _spread(m, out, alike), out=out)
            v = variance[part] = _sum_product(centred, centred, axis) / count
            if not (m * m <= 100 * v).all() or not np.max(v, initial=0) < np.inf:
                return False
        if eps < 1e-20 and np.min(v, initial=1) < 1e-30:
            return False
        s = scale[part] = 1 / np.sqrt(v + eps)
        np.multiply(centred, s * w if alike and w is not None else s, out=out)
        if w is not None and not alike:
            out *= w
        if b is not None:
            out += b
        return True

    if all(_for_each(work, _parts(x.shape, axis, weight, bias), x, axis)):
        saved = None, scale, mean
    else:
        y, scale, mean, variance = _standardized(x, axis, eps, centre)
        saved = y, scale, None
        y = y if weight is None else y * weight
        y = y if bias is None else y + bias
    if statistics is not None:
        statistics += [mean, variance]
    return y, saved
