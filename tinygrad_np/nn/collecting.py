"""`collect_activations`: the outputs of layers inside of a network, as it is called."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._contexts import computing_again
from .._messages import foreign
from .module import Module, watchers
from .patterns import matching


class _Collector:
    """Appends the outputs of modules, which are known by their ids, to lists by their paths."""

    def __init__(self, paths: dict[int, str]) -> None:
        self.paths, self.found = paths, {path: list[Any]() for path in paths.values()}

    def before(self, module: Module) -> None:
        pass

    def after(self, module: Module, result: Any) -> None:
        path = self.paths.get(getattr(module, "_copy_of", id(module)))
        if path is not None and not computing_again.get():
            self.found[path].append(result)


@contextmanager
def collect_activations(model: Module, *patterns: str) -> Iterator[dict[str, list[Any]]]:
    """A context that collects what layers return while the model is called in it, by this thread or task.

    Outputs are not copied or detached, so gradients flow through them, and `grad(loss, found["0"][0])` is the gradient
    of an activation. They are kept for as long as the dict is. After the context, or an error, nothing is left in the
    model. Calls by `func.functional_call` are collected as well; what a checkpoint computes again in the backward pass
    is not.

    Args:
        model: the module to look into.
        *patterns: of the paths in `named_modules`, in which `*` stands for any text, dots included: "layers.*". By
            default all modules; the path of the model itself is "".

    Returns:
        A dict, when entered, with a list for each path, of one entry for each call of that layer, in order. A layer
        that is shared has one path, the first. Functions in a `Sequential` are no modules, and are not collected.

    Raises:
        TypeError: it is no module.
        ValueError: a pattern matches no module.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> rng = np.random.default_rng(0)
    >>> model = nn.Sequential(nn.Linear(3, 5, rng=rng), nn.ReLU(), nn.Linear(5, 2, rng=rng))
    >>> with nn.collect_activations(model, "0", "1") as found:
    ...     y = model(np.ones((4, 3), np.float32))
    >>> {path: [y.shape for y in outputs] for path, outputs in found.items()}
    {'0': [(4, 5)], '1': [(4, 5)]}
    """
    if not isinstance(model, Module):
        raise TypeError(f"collect_activations takes a module, not {foreign(model)}")
    modules = dict(model.named_modules())
    paths = matching(type(model).__name__, patterns or ("*",), modules, "module")
    collector = _Collector({id(modules[path]): path for path in paths})
    watchers.set((*watchers.get(), collector))
    try:
        yield collector.found
    finally:
        watchers.set(tuple(other for other in watchers.get() if other is not collector))
