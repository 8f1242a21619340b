"""Activation functions as layers, for use in a `Sequential`. The functions themselves are in `tinygrad_np`."""

from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from ..ops.elementwise import relu
from ..ops.special import gelu, leaky_relu, log_softmax, sigmoid, silu, softmax, softplus
from .module import Layer


class ReLU(Layer):
    """max(x, 0), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ReLU()(Tensor([-1.0, 1.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return relu(x)


class LeakyReLU(Layer):
    """x where x > 0, negative_slope * x elsewhere; see `leaky_relu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LeakyReLU(0.2)(Tensor([-1.0, 1.0]))
    Tensor([-0.2,  1. ], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"negative_slope": check.real}

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        return leaky_relu(x, negative_slope=self.negative_slope)


class GELU(Layer):
    """x times the standard normal CDF of x; see `gelu`.

    Args:
        approximate: "none" for the exact function, or "tanh" for an approximation that takes half the time.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GELU("tanh")(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.158808,  0.      ,  0.841192], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"approximate": partial(check.one_of, choices=("none", "tanh"))}

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return gelu(x, approximate=self.approximate)


class SiLU(Layer):
    """x * sigmoid(x), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SiLU()(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.2689414,  0.       ,  0.7310586], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return silu(x)


class Tanh(Layer):
    """The hyperbolic tangent, elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Tanh()(Tensor([0.0, 100.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return np.tanh(x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), elementwise.

    Do not put it before `BCEWithLogitsLoss`, which takes logits.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Sigmoid()(Tensor([0.0, 100.0]))
    Tensor([0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return sigmoid(x)


class Softplus(Layer):
    """log(1 + exp(beta * x)) / beta, elementwise; see `softplus`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softplus(2.0)(Tensor([0.0, 100.0]))
    Tensor([  0.3465736, 100.       ], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"beta": partial(check.real, above=0)}

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, x: Any) -> Any:
        return softplus(x, beta=self.beta)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along an axis, which turns logits into probabilities.

    Do not put it before `CrossEntropyLoss`, which takes logits.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softmax()(Tensor([[0.0, 0.0]]))
    Tensor([[0.5, 0.5]], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"axis": check.integer}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return softmax(x, axis=self.axis)


class LogSoftmax(Layer):
    """log(softmax(x)) along an axis, which turns logits into log-probabilities for `NLLLoss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LogSoftmax()(Tensor([[0.0, 1000.0]]))
    Tensor([[-1000.,     0.]], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"axis": check.integer}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return log_softmax(x, axis=self.axis)
