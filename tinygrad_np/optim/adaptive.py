"""Adaptive methods, which scale the step of every weight by its past gradients.

Adam and AdamW, RMSprop, Adagrad and Adadelta. Variants of Adam are in adam_variants.py.

A gradient whose square overflows, above 1.8e19 in float32, makes an average of squares infinite. NumPy warns of it, and
the weight is not changed any more, but does not become NaN.
"""

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
from .blocks import blocks

GATHERED = 1 << 16  # parameters of up to this many elements are updated together


def two_fractions(owner: str, name: str, value: Any) -> tuple[float, float]:
    """Two numbers, each at least 0 and below 1.

    >>> two_fractions("Adam", "betas", (0.9, 1))
    Traceback (most recent call last):
    ValueError: Adam: betas[1] must be at least 0 and below 1, not 1
    """
    if not isinstance(value, tuple | list) or len(value) != 2:
        pair = getattr(value, "shape", None) == (2,)
        hint = f"; write {name}={tuple(np.asarray(value).tolist())}" if pair else ""
        raise ValueError(f"{owner}: {name} must be two numbers, not {shown(value)}{hint}")
    first, second = (check.real(owner, f"{name}[{i}]", beta, at_least=0, below=1) for i, beta in enumerate(value))
    return first, second


def averages(weights: Array) -> dict[str, Array]:
    """The state of a parameter whose gradient and its square are averaged, before the first step."""
    return {"count": np.array(0, np.int64), "mean": np.zeros_like(weights), "mean_square": np.zeros_like(weights)}


def move_averages(m: Array, v: Array, g: Array, betas: tuple[float, float], square: Array) -> Array:
    """m <- beta1 * m + (1 - beta1) * g and v <- beta2 * v + (1 - beta2) * g^2, in place; returns `square`, now g^2."""
    scale_and_add(m, betas[0], g, 1 - betas[0])
    np.square(g, out=square)
    scale_and_add(v, betas[1], square, 1 - betas[1])
    return square


class Adam(Optimizer):
    """Adam: the step of each weight is about lr, whatever the scale of its gradient.

    Where g is gradient + weight_decay * w and t is the number of steps that this parameter has taken:

        m <- beta1 * m + (1 - beta1) * g
        v <- beta2 * v + (1 - beta2) * g^2
        w <- w - lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    With `amsgrad`, the largest v so far takes its place in the last line.

    Source: D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015), algorithm 1; amsgrad: S. J.
    Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond" (2018), algorithm 2.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        betas: the decay rates of the averages m and v, each at least 0 and below 1.
        eps: added to the denominator, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0. It is part of the gradient; in `AdamW` it is
            not.
        amsgrad: let the denominator never fall.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adam([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "betas": two_fractions,
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
        "amsgrad": check.boolean,
    }
    never_negative = Optimizer.never_negative | {"count", "mean_square", "largest_mean_square"}

    _gathered, _cut, _decoupled = GATHERED, True, False

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)

    def start(self, weights: Array, amsgrad: bool, **_: Any) -> dict[str, Array]:
        return averages(weights) | ({"largest_mean_square": np.zeros_like(weights)} if amsgrad else {})

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        amsgrad: bool,
    ) -> None:
        state["count"] += 1
        count = int(state["count"])
        # The bias corrections are applied to lr and eps, which saves a pass over the arrays.
        correction = math.sqrt(1 - betas[1] ** count)
        rate = lr * correction / (1 - betas[0] ** count)
        kept = 1 - weight_decay * lr if self._decoupled else 1
        more = [state["largest_mean_square"]] if amsgrad else []
        for w, g, m, v, *largest in blocks(weights, gradient, state["mean"], state["mean_square"], *more):
            if weight_decay and not self._decoupled:
                g = g + weight_decay * w
            change = move_averages(m, v, g, betas, np.empty_like(g))
            if largest:
                v = np.maximum(largest[0], v, out=largest[0])
            np.sqrt(v, out=change)
            change += eps * correction
            scale_and_add(w, kept, np.divide(m, change, out=change), -rate)


class AdamW(Adam):
    """`Adam` with decoupled weight decay: w <- (1 - weight_decay * lr) * w before each step.

    Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization" (2019), algorithm 2.

    Args:
        parameters, lr, betas, eps, amsgrad: as for `Adam`.
        weight_decay: at least 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> AdamW([w], lr=0.1, weight_decay=0.5).minimize((w * w).sum()); np.round(w.data, 3)
    array([0.85], dtype=float32)
    """

    _decoupled = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad)


class RMSprop(Optimizer):
    """RMSprop: the gradient divided by the root of a moving average of its square.

    Where g is gradient + weight_decay * w:

        v <- alpha * v + (1 - alpha) * g^2
        b <- momentum * b + g / (sqrt(v) + eps)
        w <- w - lr * b

    With `centered`, m^2 is subtracted from v under the root, where m <- alpha * m + (1 - alpha) * g.

    Source: T. Tieleman and G. Hinton, "Neural networks for machine learning" (2012), lecture 6.5; centered: A. Graves,
    "Generating sequences with recurrent neural networks" (2013), equations 38 to 41.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        alpha: the decay rate of the averages, at least 0 and below 1.
        eps: added to the denominator, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.
        momentum: at least 0 and below 1.
        centered: divide by the standard deviation of the gradient instead.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> RMSprop([w], lr=0.1, alpha=0.75).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.8, 99.8], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "alpha": partial(check.real, at_least=0, below=1),
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
        "momentum": partial(check.real, at_least=0, below=1),
        "centered": check.boolean,
    }
    never_negative = Optimizer.never_negative | {"mean_square"}

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def start(self, weights: Array, momentum: float, centered: bool, **_: Any) -> dict[str, Array]:
        names = ["mean_square"] + ["mean"] * centered + ["momentum"] * bool(momentum)
        return {name: np.zeros_like(weights) for name in names}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None:
        for w, g, *arrays in blocks(weights, gradient, *state.values()):
            own = dict(zip(state, arrays, strict=True))
            if weight_decay:
                g = g + weight_decay * w
            v = own["mean_square"]
            scale_and_add(v, alpha, g * g, 1 - alpha)
            if centered:
                scale_and_add(own["mean"], alpha, g, 1 - alpha)
                square = np.minimum(own["mean"] ** 2, np.finfo(v.dtype).max)  # where v is infinite the variance is
                v = np.maximum(v - square, 0)  # rounding can make a variance of 0 negative
            change = g / (np.sqrt(v) + eps)
            if momentum:
                scale_and_add(own["momentum"], momentum, change, 1)
                change = own["momentum"]
            scale_and_add(w, 1, change, -lr)


class Adagrad(Optimizer):
    """Adagrad: the gradient divided by the root of the sum of its squares over all steps.

    Where g is gradient + weight_decay * w and t is the number of steps that this parameter has taken:

        s <- s + g^2
        w <- w - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Source: J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011), in the form that PyTorch uses.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        lr_decay: how fast the learning rate falls with t, at least 0.
        eps: added to the denominator, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adagrad([w], lr=0.1).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.9, 99.9], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "lr_decay": partial(check.real, at_least=0),
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
    }
    never_negative = Optimizer.never_negative | {"count", "sum_of_squares"}

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        lr_decay: float = 0.0,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {"count": np.array(0, np.int64), "sum_of_squares": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        lr_decay: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        rate = lr / (1 + int(state["count"]) * lr_decay)
        state["count"] += 1
        for w, g, s in blocks(weights, gradient, state["sum_of_squares"]):
            if weight_decay:
                g = g + weight_decay * w
            s += g * g
            scale_and_add(w, 1, g / (np.sqrt(s) + eps), -rate)


class Adadelta(Optimizer):
    """Adadelta: steps in the scale of the past steps, so that the learning rate has no unit.

    Where g is gradient + weight_decay * w:

        v <- rho * v + (1 - rho) * g^2
        d  = g * sqrt(u + eps) / sqrt(v + eps)
        u <- rho * u + (1 - rho) * d^2
        w <- w - lr * d

    Source: M. D. Zeiler, "ADADELTA: an adaptive learning rate method" (2012), algorithm 1, with the learning rate of
    PyTorch.

    Args:
        parameters: Tensors or parameter groups, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        rho: the decay rate of the averages, at least 0 and below 1.
        eps: added under the roots, at least 0.
        weight_decay: the coefficient of L2 regularisation, at least 0.

    Raises:
        ValueError, TypeError: as `Optimizer`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([1.0, 100.0], requires_grad=True)
    >>> Adadelta([w], eps=1e-2).minimize((w * w).sum()); np.round(w.data, 3)
    array([ 0.688, 99.684], dtype=float32)
    """

    hyperparameters: ClassVar[check.Checks] = {
        "rho": partial(check.real, at_least=0, below=1),
        "eps": partial(check.real, at_least=0),
        "weight_decay": partial(check.real, at_least=0),
    }
    never_negative = Optimizer.never_negative | {"mean_square", "mean_square_change"}

    _gathered, _cut = GATHERED, True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1.0,
        *,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        return {name: np.zeros_like(weights) for name in ("mean_square", "mean_square_change")}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        for w, g, v, u in blocks(weights, gradient, state["mean_square"], state["mean_square_change"]):
            if weight_decay:
                g = g + weight_decay * w
            scale_and_add(v, rho, g * g, 1 - rho)
            change = np.sqrt(u + eps)
            change /= np.sqrt(v + eps)
            change *= g
            scale_and_add(w, 1, change, -lr)
            scale_and_add(u, rho, change * change, 1 - rho)
