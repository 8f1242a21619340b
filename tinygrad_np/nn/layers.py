"""Layers with weights that are neither windows nor recurrent: what networks are put together from."""

from typing import Any

import numpy as np

from .. import checks
from ..ops.products import linear
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
        checks.positive_integer("Linear", "in_features", in_features)
        checks.positive_integer("Linear", "out_features", out_features)
        checks.generator("Linear", rng)
        weight = rng.normal(0, np.sqrt(2 / in_features), (in_features, out_features))
        self.weight = Tensor(weight, requires_grad=True, dtype=dtype)
        self.bias = Tensor(np.zeros(out_features), requires_grad=True, dtype=dtype)

    def forward(self, x: Any) -> Any:
        return linear(x, self.weight, self.bias)

    def __repr__(self) -> str:
        return f"Linear({self.weight.shape[0]}, {self.weight.shape[1]})"
