"""Modules of modules."""

from typing import Any

from .module import Module


class Sequential(Module):
    """Layers, each applied to what the one before it returned.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> rng = np.random.default_rng(0)
    >>> nn.Sequential(nn.Linear(784, 64, rng=rng), nn.ReLU(), nn.Linear(64, 10, rng=rng))
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
