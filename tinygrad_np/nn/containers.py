"""Modules of modules."""

from collections.abc import Iterable, Iterator
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


class ModuleList(Module):
    """Modules by number, for a `forward` of one's own to use; a plain list serves as well.

    Their paths are as in PyTorch: with `self.blocks = ModuleList([...])`, `blocks.0.weight`.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleList([nn.ReLU(), nn.Softmax()])
    >>> len(layers), layers[1], [type(layer).__name__ for layer in layers]
    (2, Softmax(), ['ReLU', 'Softmax'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.layers = list(modules)

    def _children(self) -> list[Module]:
        return self.layers

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Module:
        return self.layers[index]

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    def append(self, module: Module) -> None:
        """Add a module at the end."""
        self.layers.append(module)

    def __repr__(self) -> str:
        return f"ModuleList({self.layers!r})"
