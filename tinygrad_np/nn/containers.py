"""Modules that hold other modules: `Sequential` chains them, `ModuleList` stores them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .module import Module, _finite


class _Numbered(Module):
    """A list of modules whose paths are their indices, as in PyTorch."""

    layers: list[Any]

    def _children(self) -> dict[str, Any]:
        attributes = super()._children()
        layers = attributes.pop("layers", ())
        return {str(i): layer for i, layer in enumerate(layers)} | attributes

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index: int) -> Any:
        return self.layers[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.layers)

    def append(self, module: Module) -> None:
        """Append a module."""
        self.layers.append(module)

    @_finite
    def __repr__(self) -> str:
        lines = "".join(f"\n{i}: {layer!r}" for i, layer in enumerate(self.layers))
        return f"{type(self).__name__}({lines}".replace("\n", "\n  ") + "\n)"


class Sequential(_Numbered):
    """A chain of layers: modules, or functions of one argument, each applied to the output of the previous one.

    Raises:
        TypeError: a layer is neither.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> rng = np.random.default_rng(0)
    >>> model = nn.Sequential(nn.Linear(784, 64, rng=rng), nn.ReLU(), nn.Linear(64, 10, rng=rng))
    >>> model
    Sequential(
      0: Linear(784, 64)
      1: ReLU()
      2: Linear(64, 10)
    )
    >>> model[2].weight.shape, sorted(model.state_dict())
    ((64, 10), ['0.bias', '0.weight', '2.bias', '2.weight'])
    """

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        for i, layer in enumerate(layers):
            if not callable(layer) or isinstance(layer, type):
                hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
                if isinstance(layer, Iterable) and not isinstance(layer, str):
                    hint = f"; write Sequential(*layers{'.values()' if isinstance(layer, dict) else ''})"
                raise TypeError(f"Sequential: layer {i} must be a module or a function, not {layer!r}{hint}")
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, for use in a `forward` of your own. A plain list works as well.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleList([nn.ReLU(), nn.Softmax()])
    >>> len(layers), layers[1], [type(layer).__name__ for layer in layers]
    (2, Softmax(), ['ReLU', 'Softmax'])
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self.layers = list(modules)
