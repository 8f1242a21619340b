"""Lion, whose steps are signs."""

from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.fused import scale_and_add
from ..schedules import Schedule
from ..tensor import Array
from .adaptive import GATHERED, two_fractions
from .base import Optimizer, Parameters
from .blocks import blocks


class Lion(Optimizer):
    """Lion: each weight moves by lr in the direction of its momentum. It keeps half as much state as Adam.

        w <- (1 - weight_decay * lr) * w - lr * sign(beta1 * m + (1 - beta1) * gradient)
        m <- beta2 * m + (1 - beta2) * gradient

    The authors advise a learning rate 3 to 10 times smaller than AdamW's, and a weight decay that is larger by as much.

    Source: X. Chen et al., "Symbolic discovery of optimization algorithms" (2023), algorithm 2.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the part of m in a step, and its decay rate, each at least 0 and below 1.
        weight_decay: at least 0; decoupled, as in `AdamW`.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0, 0.0], requires_grad=True)
    >>> Lion([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9,  0. ], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "weight_decay": partial(check.real, at_least=0),
    }

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {"mean": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
    ) -> None:
        for w, g, m in blocks(weights, gradient, state["mean"]):
            change = np.multiply(m, betas[0], out=np.empty_like(m))
            scale_and_add(change, 1, g, 1 - betas[0])
            scale_and_add(w, 1 - weight_decay * lr, np.sign(change, out=change), -lr)
            scale_and_add(m, betas[1], g, 1 - betas[1])
