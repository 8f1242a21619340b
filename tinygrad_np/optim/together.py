"""Updates of many parameters as a few long arrays, on all cores, for methods that treat every element alike.

An update is some ten calls of NumPy whatever the size of the array, and a thread with short arrays often waits for the
other one, which holds the interpreter's lock. Small parameters are gathered, and large ones are updated in pieces.
"""

from collections.abc import Callable, Mapping, Set
from functools import partial
from operator import call, is_not
from typing import Any, TypeAlias

import numpy as np

from .._machine.arrays import memory_of
from .._machine.threads import blocks, run
from ..tensor import Array, Tensor

PIECE = 1 << 18  # elements of a piece. Two threads update 2**20 elements in 0.70 ms; in 1.1 ms with pieces of 2**16
SHARED = 1 << 18  # elements in all from which on all cores work; of fewer, waking them takes longer than they save
State: TypeAlias = dict[str, Array]


class Bundle:
    """Small parameters whose states are parts of one array for each name."""

    def __init__(self, parameters: list[Tensor], states: dict[Tensor, State], scalars: Set[str]) -> None:
        self.parameters = parameters
        ends = np.cumsum([p.size for p in parameters]).tolist()
        self.parts = [slice(end - p.size, end) for p, end in zip(parameters, ends, strict=True)]
        own = [states[p] for p in parameters]
        self.state = {name: np.concatenate([state[name].ravel() for state in own]) for name in own[0]}
        self.scalars = [name for name in own[0] if name in scalars]
        for i, (parameter, part, state) in enumerate(zip(parameters, self.parts, own, strict=True)):
            for name, array in self.state.items():
                one = name in self.scalars
                state[name] = array[i : i + 1].reshape(()) if one else array[part].reshape(parameter.shape)

    def holds(self, states: dict[Tensor, State]) -> bool:
        """Whether the states are still parts of its arrays. Those of a copied optimiser are not."""
        return all(memory_of(states[self.parameters[0]][name]) is array for name, array in self.state.items())

    def can_be_updated(self, gradients: Mapping[Tensor, Any]) -> bool:
        """Whether all parameters have a gradient and have taken equally many steps."""
        scalars = (self.state[name] for name in self.scalars)
        return all(type(gradients.get(p)) is np.ndarray for p in self.parameters) and all(
            (array == array[0]).all() for array in scalars
        )

    def update(self, update: Callable[..., None], gradients: Mapping[Tensor, Any], values: Mapping[str, Any]) -> None:
        """Update the parameters and their states."""
        weights, gradient = (
            np.concatenate([array.reshape(-1) for array in arrays])
            for arrays in ([p.data for p in self.parameters], [gradients[p] for p in self.parameters])
        )
        state = self.state | {name: self.state[name][:1].reshape(()).copy() for name in self.scalars}
        update(weights, gradient, state, **values)
        for name in self.scalars:
            self.state[name][...] = state[name]
        for parameter, part in zip(self.parameters, self.parts, strict=True):
            parameter.data[...] = weights[part].reshape(parameter.shape)


class Together:
    """The parameters of a group, and how they are updated.

    Args:
        parameters, states: of the group.
        gathered: elements up to which parameters are gathered. Where an update is a pass or two, the copies of larger
            ones take longer than they save.
        cut: whether large parameters are updated in pieces, on all cores.
        scalars: names of what is one number for the whole parameter; the rest of a state has one for each element.
    """

    def __init__(
        self, parameters: list[Tensor], states: dict[Tensor, State], gathered: int, cut: bool, scalars: Set[str]
    ) -> None:
        self.scalars = scalars
        self.parameters, self.states, self.bundles = list(parameters), states, list[Bundle]()
        self.large = [p for p in parameters if cut and p.size > PIECE]
        self._seen: list[Array] = []
        by_dtype: dict[np.dtype[Any], list[list[Tensor]]] = {}
        for p in parameters:
            if p in states and p.size <= gathered and p.dtype.itemsize > 2 and states[p] and self._has_elements(p):
                lists = by_dtype.setdefault(p.dtype, [[]])
                if sum(other.size for other in lists[-1]) + p.size > PIECE:
                    lists.append([])
                lists[-1].append(p)
        for lists in by_dtype.values():
            self.bundles += [Bundle(several, states, scalars) for several in lists if len(several) > 1]

    def _has_elements(self, p: Tensor) -> bool:
        """Whether the state has a number for each element, or for the whole parameter."""
        return all(
            name in self.scalars or (array.shape == p.shape and array.dtype == p.dtype)
            for name, array in self.states[p].items()
        )

    def holds(self, parameters: list[Tensor], states: dict[Tensor, State]) -> bool:
        """Whether these are still its parameters and states."""
        same = len(parameters) == len(self.parameters) and not any(map(is_not, parameters, self.parameters))
        return same and states is self.states and all(bundle.holds(states) for bundle in self.bundles)

    def update(
        self, update: Callable[..., None], gradients: Mapping[Tensor, Any], values: Mapping[str, Any]
    ) -> set[Tensor]:
        """Update what can be updated together or in pieces; return these parameters."""
        if not self.bundles and not self.large:
            return set()
        bundles = [bundle for bundle in self.bundles if bundle.can_be_updated(gradients)]
        large = [p for p in self.large if self._can_be_cut(p, gradients.get(p))]
        done = [*large, *(p for bundle in bundles for p in bundle.parameters)]
        if not self._memory_is_separate([p.data for p in done]):
            return set()
        cut = [self._pieces(p, gradients[p]) for p in large]
        work = [partial(update, *arrays, **values) for pieces in cut for arrays in pieces]
        work += [partial(bundle.update, update, gradients, values) for bundle in bundles]
        if sum(p.size for p in done) >= SHARED:
            run(call, work)
        else:
            for piece in work:
                piece()
        for p, pieces in zip(large, cut, strict=True):
            for name, array in self.states[p].items():
                if name in self.scalars:
                    array[...] = pieces[0][2][name]
        return set(done)

    def _can_be_cut(self, p: Tensor, gradient: Any) -> bool:
        arrays = (p.data, gradient, *self.states[p].values())
        return self._has_elements(p) and all(type(a) is np.ndarray and a.flags.c_contiguous for a in arrays)

    def _pieces(self, p: Tensor, gradient: Array) -> list[tuple[Array, Array, State]]:
        """Weights, gradient and state of each piece, with scalars of their own."""
        return [
            (
                p.data.reshape(-1)[part],
                gradient.reshape(-1)[part],
                {name: a.copy() if name in self.scalars else a.reshape(-1)[part] for name, a in self.states[p].items()},
            )
            for part in blocks(p.size, 1, PIECE)
        ]

    def _memory_is_separate(self, arrays: list[Array]) -> bool:
        """Whether no two parameters share memory, so that all can be written at once."""
        if len(arrays) != len(self._seen) or any(map(is_not, arrays, self._seen)):
            if len({id(memory_of(array)) for array in arrays}) < len(arrays):
                return False
            self._seen = arrays
        return True
