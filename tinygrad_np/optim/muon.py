"""Muon, for the weight matrices of hidden layers."""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._machine.arrays import power_of_two
from .._machine.fused import scale_and_add
from ..schedules import Schedule
from ..tensor import Array
from .base import Optimizer, Parameters


class Muon(Optimizer):
    """Momentum with orthogonalised steps, for the weight matrices of hidden layers.

        m <- momentum * m + (1 - momentum) * gradient
        u  = (1 - momentum) * gradient + momentum * m with `nesterov`, else m
        w <- (1 - weight_decay * lr) * w - lr * scale * orthogonal(u)

    `orthogonal` maps U S V^T to approximately U V^T by five Newton-Schulz iterations. All singular values but the very
    small ones end between 0.68 and 1.14.

    It differs from torch.optim.Muon in two ways: the iterations are in the dtype of the weights (float32 for float16)
    instead of bfloat16, and the scale is for weights of shape (in, out), the transpose of PyTorch's. All other
    parameters (biases, embeddings, the last layer) belong in another optimiser, such as `AdamW`.

    Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024),
    https://kellerjordan.github.io/posts/muon/; the scale "match_rms_adamw": J. Liu et al., "Muon is scalable for LLM
    training" (2025).

    Args:
        parameters: Tensors with two axes, or parameter groups of them, see `Optimizer`.
        lr: the learning rate, at least 0, or a schedule `step -> lr`.
        weight_decay: at least 0; decoupled, as in `AdamW`.
        momentum: at least 0 and below 1.
        nesterov: use Nesterov momentum.
        adjust_lr_fn: the scale. "original" is sqrt(max(1, out / in)); "match_rms_adamw" is 0.2 * sqrt(max(in, out)),
            with which the learning rate and weight decay of AdamW can be reused.

    Raises:
        ValueError, TypeError: as `Optimizer`; a parameter does not have two axes.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor(np.zeros((2, 2)), requires_grad=True)
    >>> Muon([w], lr=1.0).minimize((w * np.array([[3.0, 0.0], [0.0, 0.1]])).sum())
    >>> np.round(w.data, 1)  # the gradient is 30 times as long in one direction as in the other
    array([[-0.7,  0. ],
           [ 0. , -1.1]])
    """

    hyperparameters: ClassVar[check.Checks] = {
        "weight_decay": partial(check.real, at_least=0),
        "momentum": partial(check.real, at_least=0, below=1),
        "nesterov": check.boolean,
        "adjust_lr_fn": partial(check.one_of, choices=("original", "match_rms_adamw")),
    }

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        adjust_lr_fn: str = "original",
    ) -> None:
        super().__init__(
            parameters, lr, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov, adjust_lr_fn=adjust_lr_fn
        )

    def start(self, weights: Array, **_: Any) -> dict[str, Array]:
        if weights.ndim != 2:
            raise ValueError(f"Muon: parameters must be matrices; one has shape {weights.shape}")
        return {"momentum": np.zeros_like(weights)}

    def update(
        self,
        weights: Array,
        gradient: Array,
        state: dict[str, Array],
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        adjust_lr_fn: str,
    ) -> None:
        if weights.size == 0:
            return
        mean = state["momentum"]
        scale_and_add(mean, momentum, gradient, 1 - momentum)
        direction = (1 - momentum) * gradient + momentum * mean if nesterov else mean
        rows, columns = weights.shape
        original = adjust_lr_fn == "original"
        scale = math.sqrt(max(1, columns / rows)) if original else 0.2 * math.sqrt(max(rows, columns))
        scale_and_add(weights, 1 - weight_decay * lr, _orthogonal(direction), -lr * scale)


def _orthogonal(matrix: Array) -> Array:
    """Approximately U V^T of a matrix U S V^T, by iterations x <- a x + (b x x^T + c (x x^T)^2) x.

    The coefficients are Jordan's. They make small singular values grow fastest, at the price that large ones end near
    1 instead of at it.
    """
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    unit = power_of_two(np.max(np.abs(wide), initial=0))  # so that no square overflows
    x: Array = wide / unit
    x /= max(np.linalg.norm(x), 1e-7 / unit)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return x if wide is matrix else x.T
