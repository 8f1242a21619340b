"""What a function may change without saying so: generators that it draws from, and running averages."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from .._contents import GENERATORS, everything
from ..tensor import Tensor


class State(NamedTuple):
    """Generators, each with its state, and Tensors that no gradient flows to, as running averages are."""

    generators: list[tuple[Any, Any]]
    tensors: list[Tensor]

    @classmethod
    def of(cls, *roots: Any) -> "State":
        """That which a function, its arguments and the globals that it names lead to."""
        found = [thing for _, thing in everything(list(roots))]
        named = [value for thing in found if type(thing) is FunctionType for value in _globals(thing)]
        found += [thing for _, thing in everything(named)] if named else []
        found += [np.random.mtrand._rand, random._inst]
        generators = {id(thing): thing for thing in found if isinstance(thing, GENERATORS)}
        tensors = {id(t): t for t in found if type(t) is Tensor and t._node is None and not t._requires_grad}
        return cls([(g, _state(g)) for g in generators.values()], list(tensors.values()))

    def changed(self, start: int) -> "State":
        """The generators, and the Tensors that were written to since."""
        return State(self.generators, [t for t in self.tensors if t._serial > start])

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Generators are in their earlier state inside, and all is as before afterwards."""
        now = [(g, _state(g)) for g, _ in self.generators]
        data = [t._data.copy() for t in self.tensors]
        for g, state in self.generators:
            _set_state(g, state)
        try:
            yield
        finally:
            for g, state in now:
                _set_state(g, state)
            for t, before in zip(self.tensors, data, strict=True):
                np.copyto(t._data, before)
                t._changed()


def _globals(function: FunctionType) -> list[Any]:
    """The globals that a function names."""
    names = function.__code__.co_names
    return [function.__globals__[name] for name in names if name in function.__globals__]


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return getattr(generator, "bit_generator", generator).state


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        getattr(generator, "bit_generator", generator).state = state
