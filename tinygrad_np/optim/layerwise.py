"""Methods whose step is in proportion to the norm of each parameter, for large batches: LARS and Lamb."""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.fused import scale_and_add
from ..schedules import Schedule
from ..tensor import Array
from .adaptive import averages, move_averages, two_fractions
from .base import Optimizer, Parameters
from .blocks import blocks
from .norms import norm


class LARS(Optimizer):
    """Momentum with a learning rate for each parameter, in proportion to its norm over that of its gradient.

        r  = trust_coefficient * |w| / (|gradient| + weight_decay * |w|), or 1 where either norm is 0
        v <- momentum * v + lr * r * (gradient + weight_decay * w)
        w <- w - v

    Biases and the weights of normalisation layers are usually left to another optimiser, such as `SGD`.

    Source: Y. You, I. Gitman and B. Ginsburg, "Large batch training of convolutional networks" (2017), algorithm 1.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        momentum: at least 0 and below 1.
        weight_decay: the coefficient of L2 regularisation, at least 0.
        trust_coefficient: the length of a step over that of the weights where lr is 1, above 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> LARS([w], lr=1.0, trust_coefficient=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([2.7, 3.6], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "momentum": partial(check.real, at_least=0, below=1),
        "weight_decay": partial(check.real, at_least=0),
        "trust_coefficient": partial(check.real, above=0),
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule,
        *,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 1e-3,
    ) -> None:
        super().__init__(
            parameters, lr, momentum=momentum, weight_decay=weight_decay, trust_coefficient=trust_coefficient
        )

    def start(self, weights: Array, momentum: float, **_: Any) -> dict[str, Array]:
        return {"momentum": np.zeros_like(weights)} if momentum else {}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        momentum: float,
        weight_decay: float,
        trust_coefficient: float,
    ) -> None:
        size, slope = norm([weights]), norm([gradient])
        rate = lr * (trust_coefficient * size / (slope + weight_decay * size) if size and slope else 1.0)
        if not momentum:
            scale_and_add(weights, 1 - rate * weight_decay, gradient, -rate)
            return
        for w, g, v in blocks(weights, gradient, state["momentum"]):
            scale_and_add(v, momentum, g, rate)
            if weight_decay:
                scale_and_add(v, 1, w, rate * weight_decay)
            scale_and_add(w, 1, v, -1)


class Lamb(Optimizer):
    """Adam with steps in proportion to the norm of each parameter.

        m <- beta1 * m + (1 - beta1) * gradient
        v <- beta2 * v + (1 - beta2) * gradient^2
        u  = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * w
        w <- w - lr * |w| / |u| * u, or w - lr * u where either norm is 0

    Biases and the weights of normalisation layers are usually left to another optimiser, such as `AdamW`.

    Source: Y. You et al., "Large batch optimization for deep learning: training BERT in 76 minutes" (2020),
    algorithm 2, where phi is the identity.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the decay rates of the averages m and v, each at least 0 and below 1.
        eps: added to the denominator, at least 0.
        weight_decay: at least 0; part of the direction u, but not of the averages.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> Lamb([w], lr=0.1, weight_decay=0.0).minimize((w * w).sum()); np.round(w.data, 3)
    array([2.646, 3.646], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
    }
    never_negative = Optimizer.never_negative | {"count", "mean_square"}

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

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
    ) -> None:
        state["count"] += 1
        count = int(state["count"])
        correction = math.sqrt(1 - betas[1] ** count)
        scale = correction / (1 - betas[0] ** count)
        direction = np.empty_like(weights)
        for w, g, m, v, u in blocks(weights, gradient, state["mean"], state["mean_square"], direction):
            move_averages(m, v, g, betas, u)
            np.sqrt(v, out=u)
            u += eps * correction
            np.divide(m, u, out=u)
            scale_and_add(u, scale, w, weight_decay)
        size, length = norm([weights]), norm([direction])
        scale_and_add(weights, 1, direction, -lr * (size / length if size and length else 1.0))
