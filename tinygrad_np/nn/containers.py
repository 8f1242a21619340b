"""Modules that hold other modules: `Sequential` chains them, `ModuleList` and `ModuleDict` store them."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any

from .._messages import shown, with_hints
from ..tensor import Tensor
from .module import Module, _finite


def _checked(owner: str, i: int | str, layer: Any) -> Any:
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

    def forward(self, x: Any) -> Tensor:
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


class ModuleDict(Module):
    """A dict of modules by name, for use in a `forward` of your own. A plain dict works as well.

    The paths of the modules are their names, as in PyTorch.

    Raises:
        TypeError: a name is not a string, or one of the values is neither a module nor a function.
        ValueError: a name is empty or contains a dot.

    >>> from tinygrad_np import nn
    >>> branches = nn.ModuleDict({"relu": nn.ReLU()})
    >>> branches["soft"] = nn.Softmax()
    >>> list(branches), branches["soft"], "relu" in branches
    (['relu', 'soft'], Softmax(), True)
    """

    layers: dict[str, Any]

    @with_hints("the modules are one dict: {name}(dict(first=..., second=...))")
    def __init__(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self.layers = {}
        self.update(modules)

    def _children(self) -> dict[str, Any]:
        attributes = super()._children()
        layers: dict[str, Any] = attributes.pop("layers", {})
        return layers | attributes

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, name: str) -> Any:
        return self.layers[name]

    def __setitem__(self, name: str, module: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"ModuleDict: a name must be a string, not {shown(name)}")
        if not name or "." in name:
            raise ValueError(f"ModuleDict: a name must not be empty or contain a dot, as {name!r} does")
        self.layers[name] = _checked("ModuleDict", name, module)

    def __delitem__(self, name: str) -> None:
        del self.layers[name]

    def __contains__(self, name: object) -> bool:
        return name in self.layers

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self.layers.keys()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self.layers.values()

    def items(self) -> ItemsView[str, Any]:
        """The names and the modules."""
        return self.layers.items()

    def update(self, modules: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Add or replace modules. Raises as the class does."""
        try:
            given = dict(modules)
        except (TypeError, ValueError):
            raise TypeError(f"ModuleDict: modules must be a dict from names to modules, not {shown(modules)}") from None
        for name, module in given.items():
            self[name] = module

    @_finite
    def __repr__(self) -> str:
        lines = "".join(f"\n{name}: {layer!r}" for name, layer in self.layers.items())
        return f"ModuleDict({lines}".replace("\n", "\n  ") + "\n)"
