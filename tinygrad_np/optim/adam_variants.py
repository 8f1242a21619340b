"""Variants of Adam: with Nesterov momentum, with a warm-up in the formula, and with the largest gradient.

As in `Adam`, m and v are averages of the gradient and of its square, and t is the number of steps that a parameter has
taken.
"""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.fused import scale_and_add
from ..schedules import Schedule
from ..tensor import Array
from .adaptive import GATHERED, averages, move_averages, two_fractions
from .base import Optimizer, Parameters
from .blocks import blocks


class NAdam(Optimizer):
    """Adam with Nesterov momentum: the step looks one gradient ahead.

    Where g is gradient + weight_decay * w:

        mu(t) = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        p(t)  = mu(1) * ... * mu(t)
        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        u  = mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t))
        w <- w - lr * u / (sqrt(v / (1 - beta2^t)) + eps)

    Source: T. Dozat, "Incorporating Nesterov momentum into Adam" (2016), in the form that PyTorch uses.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the decay rates of the averages m and v, each at least 0 and below 1.
        eps: added to the denominator, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.
        momentum_decay: how fast mu rises from beta1 / 2 to beta1, at least 0.
        decoupled_weight_decay: let w decay by itself as in `AdamW`, and g be the gradient alone.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> NAdam([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.894, 99.894], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
        "momentum_decay": partial(check.real, at_least=0),
        "decoupled_weight_decay": check.boolean,
    }
    never_negative = Optimizer.never_negative | {"count", "mean_square", "momentum_product"}

    _gathered, _cut, _scalars = GATHERED, True, frozenset({"count", "momentum_product"})

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return averages(weights) | {"momentum_product": np.array(1.0)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        momentum_decay: float,
        decoupled_weight_decay: bool,
    ) -> None:
        state["count"] += 1
        count = int(state["count"])
        momentum, following = (betas[0] * (1 - 0.5 * 0.96 ** (t * momentum_decay)) for t in (count, count + 1))
        state["momentum_product"] *= momentum
        product = float(state["momentum_product"])
        correction = math.sqrt(1 - betas[1] ** count)  # applied to lr and eps, which saves a pass over the arrays
        of_gradient = lr * correction * (1 - momentum) / (1 - product)
        of_mean = lr * correction * following / (1 - product * following)
        kept = 1 - weight_decay * lr if decoupled_weight_decay else 1
        for w, g, m, v in blocks(weights, gradient, state["mean"], state["mean_square"]):
            if weight_decay and not decoupled_weight_decay:
                g = g + weight_decay * w
            change = move_averages(m, v, g, betas, np.empty_like(g))
            denominator = np.sqrt(v)
            denominator += eps * correction
            np.multiply(m, of_mean, out=change)
            scale_and_add(change, 1, g, of_gradient)
            change /= denominator
            scale_and_add(w, kept, change, -1)


class RAdam(Optimizer):
    """Adam with a rectified denominator, which needs no warm-up: the first steps are those of momentum alone.

    Where g is gradient + weight_decay * w, and m and v are averages as in `Adam`:

        rho    = 2 / (1 - beta2) - 1
        rho(t) = rho - 2 * t * beta2^t / (1 - beta2^t)
        r(t)   = sqrt((rho(t) - 4) * (rho(t) - 2) * rho / ((rho - 4) * (rho - 2) * rho(t)))
        w <- w - lr * m / (1 - beta1^t) * r(t) * sqrt(1 - beta2^t) / (sqrt(v) + eps)  where rho(t) > 5
        w <- w - lr * m / (1 - beta1^t)                                               otherwise

    Source: L. Liu et al., "On the variance of the adaptive learning rate and beyond" (2020), algorithm 2, with the eps
    and the threshold 5 of PyTorch.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the decay rates of the averages m and v, each at least 0 and below 1.
        eps: added to the denominator, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.
        decoupled_weight_decay: let w decay by itself as in `AdamW`, and g be the gradient alone.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> RAdam([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.8, 80. ], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
        "decoupled_weight_decay": check.boolean,
    }
    never_negative = Optimizer.never_negative | {"count", "mean_square"}

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return averages(weights)

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled_weight_decay: bool,
    ) -> None:
        state["count"] += 1
        count = int(state["count"])
        rectification = _rectification(betas[1], count)
        rate = lr / (1 - betas[0] ** count) * (rectification or 1)
        kept = 1 - weight_decay * lr if decoupled_weight_decay else 1
        for w, g, m, v in blocks(weights, gradient, state["mean"], state["mean_square"]):
            if weight_decay and not decoupled_weight_decay:
                g = g + weight_decay * w
            change = move_averages(m, v, g, betas, np.empty_like(g))
            if rectification:
                np.sqrt(v, out=change)
                change += eps
                np.divide(m, change, out=change)
            scale_and_add(w, kept, change if rectification else m, -rate)


def _rectification(beta: float, count: int) -> float:
    """r(t) * sqrt(1 - beta2^t); 0 where the variance of the denominator is not known yet."""
    power = beta**count
    last = 2 / (1 - beta) - 1
    rho = last - 2 * count * power / (1 - power)
    if rho <= 5:
        return 0.0
    variance = (rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho)
    return math.sqrt(variance * (1 - power))


class Adamax(Optimizer):
    """Adam with a decaying maximum of the gradient's magnitude in place of the root of its mean square.

    Where g is gradient + weight_decay * w:

        m <- beta1 * m + (1 - beta1) * g
        u <- max(beta2 * u, |g| + eps)
        w <- w - lr / (1 - beta1^t) * m / u

    Source: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 2, with the eps of
    PyTorch.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the decay rates of the average m and the maximum u, each at least 0 and below 1.
        eps: added to the gradient's magnitude, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adamax([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
    }
    never_negative = Optimizer.never_negative | {"count", "largest"}

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 2e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {"count": np.array(0, np.int64), "mean": np.zeros_like(weights), "largest": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        state["count"] += 1
        rate = lr / (1 - betas[0] ** int(state["count"]))
        for w, g, m, u in blocks(weights, gradient, state["mean"], state["largest"]):
            if weight_decay:
                g = g + weight_decay * w
            scale_and_add(m, betas[0], g, 1 - betas[0])
            change = np.abs(g, out=np.empty_like(g))
            change += eps
            np.multiply(u, betas[1], out=u)
            np.maximum(u, change, out=u)
            scale_and_add(w, 1, np.divide(m, u, out=change), -rate)
