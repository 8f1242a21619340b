"""Losses as layers, for those who build a network of objects; the functions are in `tinygrad_np.ops.losses`."""

from typing import Any

from ..ops.losses import cross_entropy
from .module import Module


class CrossEntropyLoss(Module):
    """The mean cross-entropy of logits (batch, classes) and integer labels (batch,); see `cross_entropy`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CrossEntropyLoss()(Tensor([[0.0, 0.0]]), [1])
    Tensor(0.6931472, dtype=float32)
    """

    def forward(self, logits: Any, labels: Any) -> Any:
        return cross_entropy(logits, labels)
