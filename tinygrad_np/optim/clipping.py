"""Gradient clipping, between `backward()` and the optimiser's `step()`."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import _validation as check
from .._messages import with_hints
from ..tensor import Array, Tensor
from .base import as_list
from .norms import norm


@with_hints()
def clip_grad_norm(
    parameters: Iterable[Tensor], max_norm: float, *, per_parameter: bool = False, error_if_nonfinite: bool = True
) -> float:
    """Scale the gradients of all parameters so that their total norm is at most `max_norm`; return the norm before.

    The norm is the Euclidean norm of all gradients as one vector. Squares are added up in float64, of float32 after the
    first 256 of them, and it does not overflow where it is representable there. As in torch.nn.utils.clip_grad_norm_,
    the gradients are multiplied by min(1, max_norm / (norm + 1e-6)). `Optimizer.minimize` stores no gradients, so there
    is nothing to clip.

    Args:
        parameters: Tensors; those without a gradient are skipped.
        max_norm: at least 0; infinity only measures the norm.
        per_parameter: scale the gradient of each parameter by its own norm instead of that of all.
        error_if_nonfinite: raise an error if the norm is infinite or NaN. Otherwise the gradients become 0 or NaN, as
            by default in PyTorch.

    To leave out such a step, catch the error:

        try:
            clip_grad_norm(parameters, 1.0)
            optimizer.step()
        except FloatingPointError:
            skipped += 1

    Returns:
        The norm of the gradients before they were scaled.

    Raises:
        ValueError: `max_norm` is out of its range.
        TypeError: one of the parameters is not a leaf Tensor.
        RuntimeError: no parameter has a gradient.
        FloatingPointError: the norm is not finite, and `error_if_nonfinite` is set. Nothing has changed.

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
    per_parameter = check.boolean("clip_grad_norm", "per_parameter", per_parameter)
    gradients = _gradients("clip_grad_norm", parameters)
    norms = [norm([gradient]) for _, gradient in gradients] if per_parameter else []
    total = math.hypot(*norms) if per_parameter else norm([gradient for _, gradient in gradients])
    if error_if_nonfinite and not math.isfinite(total):
        raise FloatingPointError(f"clip_grad_norm: the norm of the gradients is {total}")
    for (parameter, gradient), size in zip(gradients, norms or [total] * len(gradients), strict=True):
        coefficient = max_norm / (size + 1e-6) if max_norm < math.inf else 1.0
        if not coefficient >= 1:  # true for NaN as well, which must reach the gradients
            parameter.grad = Tensor(_scaled(gradient, coefficient))
    return total


@with_hints()
def clip_grad_value(parameters: Iterable[Tensor], max_value: float) -> None:
    """Clip each element of the gradients to the interval from -max_value to max_value.

    As torch.nn.utils.clip_grad_value_, but for NaN, which is refused.

    Args:
        parameters: Tensors; those without a gradient are skipped.
        max_value: at least 0.

    Raises:
        ValueError: `max_value` is out of its range.
        TypeError: one of the parameters is not a leaf Tensor.
        RuntimeError: no parameter has a gradient.
        FloatingPointError: an element is NaN. Nothing has changed.

    >>> w = Tensor([3.0, -0.5], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value([w], 2.0)
    >>> w.grad.data
    array([ 2., -1.], dtype=float32)
    """
    max_value = check.real("clip_grad_value", "max_value", max_value, at_least=0)
    clipped = [(p, _clipped(g, max_value)) for p, g in _gradients("clip_grad_value", parameters)]
    for i, (_, gradient) in enumerate(clipped):
        if np.isnan(gradient).any():
            raise FloatingPointError(f"clip_grad_value: gradient {i} has elements that are NaN")
    for parameter, gradient in clipped:
        parameter.grad = Tensor(gradient)


def _gradients(owner: str, parameters: Any) -> list[tuple[Tensor, Array]]:
    """The parameters that have a gradient, with it; at least one."""
    given = as_list(owner, parameters)
    for i, parameter in enumerate(given):
        if type(parameter) is not Tensor or not parameter.is_leaf:
            raise TypeError(f"{owner}: parameter {i} is not a leaf Tensor: {parameter!r:.80}")
    gradients = [(parameter, parameter.grad.data) for parameter in given if parameter.grad is not None]
    if not gradients:
        raise RuntimeError(f"{owner}: no parameter has a gradient; call backward() on the loss first")
    return gradients


def _clipped(gradient: Array, limit: float) -> Array:
    limit = min(limit, float(np.finfo(gradient.dtype).max))
    return np.clip(gradient, -limit, limit)


def _scaled(gradient: Array, coefficient: float) -> Array:
    few_digits = coefficient < np.finfo(gradient.dtype).tiny or gradient.dtype == np.float16
    scaled = gradient.astype(np.float64) * coefficient if few_digits else gradient * coefficient
    return scaled.astype(gradient.dtype, copy=False)
