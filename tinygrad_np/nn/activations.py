"""Activations as layers, to stand between others in a `Sequential`; the functions are in `tinygrad_np`."""

from typing import Any

from ..ops.elementwise import relu
from ..ops.special import softmax
from .module import Module


class ReLU(Module):
    """max(x, 0), each element.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ReLU()(Tensor([-1.0, 1.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return relu(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis: logits become probabilities.

    Do not put it before `CrossEntropyLoss`, which takes logits.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softmax()(Tensor([[0.0, 0.0]]))
    Tensor([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return softmax(x, axis=self.axis)
