"""Gradient clipping, between `backward()` and the optimiser's `step()`."""

import math
from collections.abc import Iterable

import numpy as np

from .. import _validation as check
from .._machine.arrays import power_of_two
from .._messages import with_hints
from ..tensor import Array, Tensor
from .base import as_list
from .blocks import blocks


@with_hints()
def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float, *, error_if_nonfinite: bool = False) -> float:
    """Scale the gradients of all parameters so that their total norm is at most `max_norm`; return the norm before.

    The norm is the Euclidean norm of all gradients as one vector. Squares are added up in float64, of float32 after the
    first 256 of them, and it does not overflow where it is representable there. As in torch.nn.utils.clip_grad_norm_,
    the gradients are multiplied by min(1, max_norm / (norm + 1e-6)). `Optimizer.minimize` stores no gradients, so there
    is nothing to clip.

    Args:
        parameters: Tensors; those without a gradient are skipped.
        max_norm: at least 0; infinity only measures the norm.
        error_if_nonfinite: raise an error if the norm is infinite or NaN. Otherwise the gradients become 0 or NaN.

    Returns:
        The norm of the gradients before they were scaled.

    Raises:
        ValueError: `max_norm` is out of its range.
        TypeError: one of the parameters is not a leaf Tensor.
        RuntimeError: no parameter has a gradient; or the norm is not finite and `error_if_nonfinite` is set, and
            nothing has changed.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks" (2013),
    algorithm 1.

    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w / 2).sum().backward()
    >>> clip_grad_norm([w], 1.0)
    5.0
    >>> np.round(w.grad.data, 3)
    array([0.6, 0.8], dtype=float32)
    """
    error_if_nonfinite = check.boolean("clip_grad_norm", "error_if_nonfinite", error_if_nonfinite)
    if not (isinstance(max_norm, float) and max_norm == math.inf):
        max_norm = check.real("clip_grad_norm", "max_norm", max_norm, at_least=0)
    given = as_list("clip_grad_norm", parameters)
    for i, parameter in enumerate(given):
        if type(parameter) is not Tensor or not parameter.is_leaf:
            raise TypeError(f"clip_grad_norm: parameter {i} is not a leaf Tensor: {parameter!r:.80}")
    gradients = [(parameter, parameter.grad.data) for parameter in given if parameter.grad is not None]
    if not gradients:
        raise RuntimeError("clip_grad_norm: no parameter has a gradient; call backward() on the loss first")
    norm = _norm([gradient for _, gradient in gradients])
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(f"clip_grad_norm: the norm of the gradients is {norm}")
    coefficient = max_norm / (norm + 1e-6) if max_norm < math.inf else 1.0
    if not coefficient >= 1:  # true for NaN as well, which must reach the gradients
        for parameter, gradient in gradients:
            few_digits = coefficient < np.finfo(gradient.dtype).tiny or gradient.dtype == np.float16
            scaled = gradient.astype(np.float64) * coefficient if few_digits else gradient * coefficient
            parameter.grad = Tensor(scaled.astype(gradient.dtype, copy=False))
    return norm


def _norm(arrays: list[Array], unit: float = 1.0) -> float:
    """The Euclidean norm of all arrays as one vector, in float64: unit times the norm of their elements / unit."""
    square = 0.0
    for array in arrays:
        if unit == 1 and (found := _sum_of_squares(array)):
            square += found
            continue
        for (block,) in blocks(array):
            wide = block.astype(np.float64, copy=False).reshape(-1)
            wide = wide if unit == 1 else wide / unit
            with np.errstate(over="ignore"):
                square += float(wide @ wide)
    if unit == 1 and not 1e-280 < square < math.inf:  # squares overflowed or underflowed, or all is 0
        largest = np.max([np.max(np.abs(array), initial=0) for array in arrays])
        unit = float(power_of_two(largest.astype(np.float64)))
        return _norm(arrays, unit) if unit != 1 else math.sqrt(square)
    return unit * math.sqrt(square)


ROW = 256


def _sum_of_squares(array: Array) -> float:
    """That of a large array in float32, in a tenth of the time that float64 takes; 0 where it would lose digits.

    The rounding of 256 numbers, which BLAS adds up in many sums at once, leaves a relative error of 1e-9 in the whole.
    """
    if array.dtype != np.float32 or array.size < 4 * ROW or not array.flags.c_contiguous:
        return 0.0
    flat, end = array.reshape(-1), array.size // ROW * ROW
    rows, rest = flat[:end].reshape(-1, ROW), flat[end:].astype(np.float64)
    with np.errstate(over="ignore"):
        square = float(np.add.reduce(np.vecdot(rows, rows), dtype=np.float64) + rest @ rest)
    # Squares that underflow do not count beside such a sum.
    return square if 1e-30 * array.size < square < math.inf else 0.0
