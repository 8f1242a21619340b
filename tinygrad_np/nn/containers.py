"""Modules that hold other modules: `Sequential` chains them, `ModuleList` stores them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .._messages import shown, with_hints
from .module import Module, _finite


def _checked(owner: str, i: int, layer: Any) -> Any:
    """A module or function, refused if it is anything else."""
    if not callable(layer) or isinstance(layer, type):
        hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) else ""
        if owner == "Sequential" and isinstance(layer, Iterable) and not isinstance(layer, str):
            hint = f"; write Sequential(*layers{'.values()' if isinstance(layer, dict) else ''})"
        raise TypeError(f"{owner}: layer {i} must be a module or a function, not {layer!r}{hint}")
    return layer


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
        """Append a module. Raises TypeError if it is neither a module nor a function."""
        self.layers.append(_checked(type(self).__name__, len(self.layers), module))

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
        self.layers = [_checked("Sequential", i, layer) for i, layer in enumerate(layers)]

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = layer(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, for use in a `forward` of your own. A plain list works as well.

    Raises:
        TypeError: one of them is neither a module nor a function.

    >>> from tinygrad_np import nn
    >>> layers = nn.ModuleList([nn.ReLU(), nn.Softmax()])
    >>> len(layers), layers[1], [type(layer).__name__ for layer in layers]
    (2, Softmax(), ['ReLU', 'Softmax'])
    """

    @with_hints("the modules are one list: {name}([...])")
    def __init__(self, modules: Iterable[Module] = ()) -> None:
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList: modules must be a list, not {shown(modules)}; write [...] around it")
        self.layers = [_checked("ModuleList", i, layer) for i, layer in enumerate(modules)]
