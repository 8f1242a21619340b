"""Adafactor, whose state for a matrix is a number for each row and column."""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.fused import scale_and_add
from .._messages import shown
from ..schedules import Schedule
from ..tensor import Array
from .base import Optimizer, Parameters
from .norms import norm


def _two_epsilons(owner: str, name: str, value: Any) -> tuple[float | None, float]:
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{owner}: {name} must be two numbers, the first may be None, not {shown(value)}")
    first = None if value[0] is None else check.real(owner, f"{name}[0]", value[0], at_least=0)
    return first, check.real(owner, f"{name}[1]", value[1], at_least=0)


class Adafactor(Optimizer):
    """Adafactor: mean squares of the gradient from those of its rows and columns, steps in the scale of the weights.

    Where t is the number of steps that this parameter has taken, rms is the root of the mean square of all elements,
    and rows(x) and columns(x) are means over the last axis and over the last but one:

        b  = t^beta2_decay
        a  = max(eps[1], rms(w)) * min(lr, 1 / sqrt(t))
        w <- (1 - weight_decay * lr) * w
        r <- (1 - b) * r + b * rows(gradient^2)
        c <- (1 - b) * c + b * columns(gradient^2)
        v  = r * c / max(mean(r), eps[0])
        u  = gradient / sqrt(max(v, eps[0]^2))
        w <- w - a * u / max(1, rms(u) / d)

    Of parameters with fewer than two axes, v itself is kept: v <- (1 - b) * v + b * gradient^2.

    Source: N. Shazeer and M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost" (2018),
    algorithms 4 and 5, in the form that PyTorch uses.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the largest step relative to the weights, at least 0, or a schedule `step -> lr`.
        beta2_decay: the power of t, at most 0.
        eps: below the mean square, None for the machine epsilon of the dtype; and below the scale of the weights. Each
            is at least 0.
        d: the root mean square of u from which it is scaled down, at least 1.
        weight_decay: at least 0; decoupled, as in `AdamW`.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor(np.ones((3, 4)), requires_grad=True)
    >>> optimizer = Adafactor([w], lr=0.1)
    >>> optimizer.minimize((w * w).sum()); np.round(w.data[0], 3)
    array([0.9, 0.9, 0.9, 0.9])
    >>> optimizer.state_dict()["rows.0"].shape, optimizer.state_dict()["columns.0"].shape
    ((3, 1), (1, 4))
    """

    hyperparameters: ClassVar[check.Checks] = {
        "beta2_decay": partial(check.real, at_most=0),
        "eps": _two_epsilons,
        "d": partial(check.real, at_least=1),
        "weight_decay": partial(check.real, at_least=0),
    }
    never_negative = Optimizer.never_negative | {"count", "mean_square", "rows", "columns"}

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        count = {"count": np.array(0, np.int64)}
        if weights.ndim < 2:
            return count | {"mean_square": np.zeros_like(weights)}
        rows, columns = (*weights.shape[:-1], 1), (*weights.shape[:-2], 1, weights.shape[-1])
        return count | {"rows": np.zeros(rows, weights.dtype), "columns": np.zeros(columns, weights.dtype)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        beta2_decay: float,
        eps: tuple[float | None, float],
        d: float,
        weight_decay: float,
    ) -> None:
        state["count"] += 1
        if weights.size == 0:
            return
        count = int(state["count"])
        least = float(np.finfo(weights.dtype).eps) if eps[0] is None else eps[0]
        root = math.sqrt(weights.size)
        rate = max(eps[1], norm([weights]) / root) * min(lr, 1 / math.sqrt(count))
        change = self._mean_square(gradient, state, count**beta2_decay, least)
        np.maximum(change, least**2, out=change)
        np.sqrt(change, out=change)
        np.divide(gradient, change, out=change)
        rate /= max(1.0, norm([change]) / (root * d))
        scale_and_add(weights, 1 - weight_decay * lr, change, -rate)

    def _mean_square(self, gradient: Array, state: dict[str, Array], new: float, least: float) -> Array:
        """The estimate of the gradient's mean square, in memory of its own."""
        square = np.square(gradient, out=np.empty(gradient.shape, gradient.dtype))
        if gradient.ndim < 2:
            scale_and_add(state["mean_square"], 1 - new, square, new)
            return state["mean_square"].copy()
        rows, columns = state["rows"], state["columns"]
        scale_and_add(rows, 1 - new, square.mean(-1, keepdims=True), new)
        scale_and_add(columns, 1 - new, square.mean(-2, keepdims=True), new)
        mean = np.maximum(rows.mean(-2, keepdims=True), least)
        np.multiply(rows / mean, columns, out=square)
        return square
