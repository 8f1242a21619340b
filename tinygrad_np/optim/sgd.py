"""Stochastic gradient descent, with momentum, Nesterov momentum and L2 regularisation."""

from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.fused import Product, scale_and_add
from ..schedules import Schedule
from ..tensor import Array
from .base import Optimizer, Parameters


class SGD(Optimizer):
    """Stochastic gradient descent with L2 regularisation: w <- (1 - weight_decay * lr) * w - lr * gradient.

    With momentum, where g is gradient + weight_decay * w:

        v <- momentum * v + g
        w <- w - lr * v, or w - lr * (g + momentum * v) with `nesterov`

    Source: I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and momentum in deep
    learning" (2013), in the form that PyTorch uses.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        momentum: at least 0 and below 1.
        nesterov: use Nesterov momentum; `momentum` must be above 0.
        weight_decay: the coefficient of L2 regularisation, at least 0: the gradient of weight_decay / 2 * |w|^2 is
            added to that of the loss. It applies to all parameters, biases included.

    Raises:
        ValueError, TypeError: as `Optimizer`; `nesterov` without momentum.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step(); w
    Tensor([0.8], dtype=float32, requires_grad=True)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "momentum": partial(check.real, at_least=0, below=1),
        "nesterov": check.boolean,
        "weight_decay": partial(check.real, at_least=0),
    }

    _adds_products, _gathered = True, 1 << 13

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def start(self, weights: Array, momentum: float, nesterov: bool, **_: Any) -> dict[str, Array]:
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        return {"momentum": np.zeros_like(weights)} if momentum else {}

    def update(
        self,
        weights: Array,
        gradient: Array | Product,
        state: dict[str, Array],
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        kept = 1 - weight_decay * lr
        if not momentum:
            scale_and_add(weights, kept, gradient, -lr)
            return
        if nesterov and type(gradient) is Product:  # it is added twice below
            gradient = gradient.computed()
        velocity = state["momentum"]
        scale_and_add(velocity, momentum, gradient, 1)
        if weight_decay:
            scale_and_add(velocity, 1, weights, weight_decay)
        if nesterov:
            scale_and_add(weights, kept, gradient, -lr)
            scale_and_add(weights, 1, velocity, -lr * momentum)
        else:
            scale_and_add(weights, 1, velocity, -lr)
