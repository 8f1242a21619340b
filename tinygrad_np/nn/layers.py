"""The layers, losses and containers that networks are put together from."""

from typing import Any

import numpy as np

from ..ops.elementwise import relu
from ..ops.losses import cross_entropy
from ..ops.products import linear
from ..ops.special import softmax
from ..tensor import Tensor
from .module import Module


class Linear(Module):
    """`x @ weight + bias`.

    Args:
        in_features, out_features: the sizes of the last axis of input and output.
        rng: where the initial weights come from.
        dtype: of weight and bias.

    Attributes:
        weight: shape (in_features, out_features), initially normal with variance 2 / in_features, which keeps the scale
            of activations from one ReLU to the next (He et al. 2015, "Delving deep into rectifiers", equation 10).
        bias: shape (out_features,), initially zero.

    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        for name, size in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(size, int | np.integer) or size < 1:
                raise ValueError(f"Linear: {name} must be a positive integer, not {size!r}")
        if not isinstance(rng, np.random.Generator):
            raise TypeError(f"Linear: rng must be a np.random.Generator, not {type(rng).__name__}")
        weight = rng.normal(0, np.sqrt(2 / in_features), (in_features, out_features))
        self.weight = Tensor(weight, requires_grad=True, dtype=dtype)
        self.bias = Tensor(np.zeros(out_features), requires_grad=True, dtype=dtype)

    def forward(self, x: Any) -> Any:
        return linear(x, self.weight, self.bias)

    def __repr__(self) -> str:
        return f"Linear({self.weight.shape[0]}, {self.weight.shape[1]})"


class ReLU(Module):
    """max(x, 0), each element.

    >>> ReLU()(Tensor([-1.0, 1.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Any:
        return relu(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along an axis: logits become probabilities.

    Do not put it before `CrossEntropyLoss`, which takes logits.

    >>> Softmax()(Tensor([[0.0, 0.0]]))
    Tensor([[0.5, 0.5]], dtype=float32)
    """

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        return softmax(x, axis=self.axis)


class CrossEntropyLoss(Module):
    """The mean cross-entropy of logits (batch, classes) and integer labels (batch,); see `cross_entropy`.

    >>> CrossEntropyLoss()(Tensor([[0.0, 0.0]]), np.array([1]))
    Tensor(0.6931472, dtype=float32)
    """

    def forward(self, logits: Any, labels: Any) -> Any:
        return cross_entropy(logits, labels)


class Sequential(Module):
    """Layers, each applied to what the one before it returned.

    >>> rng = np.random.default_rng(0)
    >>> Sequential(Linear(784, 64, rng=rng), ReLU(), Linear(64, 10, rng=rng))
    Sequential(
      0: Linear(784, 64)
      1: ReLU()
      2: Linear(64, 10)
    )
    """

    def __init__(self, *layers: Any) -> None:
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x

    def __repr__(self) -> str:
        lines = "".join(f"\n{i}: {layer!r}" for i, layer in enumerate(self.layers))
        return f"Sequential({lines}".replace("\n", "\n  ") + "\n)"
