"""Derivatives of solutions: what a function used from outside, and results with a derivative rule of their own.

A solver finds numbers, without a graph. Its result becomes one node whose arguments are the Tensors that the function
depends on: those that it was given, and those that it reached by itself, such as the parameters of a network. They are
found in the graph of one call, so that none is lost.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _passes, tensor
from .._machine.arrays import Array
from .._machine.writes import serials
from ..func import derivatives
from ..func.custom import Operation
from ..func.trees import flatten, leaves_like, leaves_of, tree_like
from ..tensor import Tensor

Function = Callable[..., Any]
DENSE = 1000  # up to this size, linear systems of derivatives are solved by their matrix


class ConvergenceError(ArithmeticError):
    """A solver did not reach a solution; the message says after how many steps, and how far from it.

    >>> from tinygrad_np import solvers
    >>> solvers.root(lambda x: x * x + 1, 0.5)
    Traceback (most recent call last):
    tinygrad_np.solvers.implicit.ConvergenceError: root: the residual stays at 1 ...
    """


# --- trees as vectors ------------------------------------------------------------------------------------------------


class Layout:
    """How the leaves of a tree lie in one vector.

    Attributes:
        dtype, size: of the vector.
        start: the vector of the tree's own numbers, an array of its own.
    """

    def __init__(self, owner: str, name: str, tree: Any) -> None:
        self.arrays = [_floating(owner, name, leaf) for leaf in leaves_of(tree)]
        self.owner, self.like = owner, tree_like(tree, iter(self.arrays))
        self.start, self.unflatten = flatten(self.like)
        self.dtype, self.size = self.start.dtype, self.start.size
        if not self.size:
            raise ValueError(f"{owner}: {name} has no elements: {tree!r:.60}")

    def vector(self, tree: Any, what: str) -> Any:
        """The leaves of a tree like this one as a Tensor or array of shape (size,)."""
        if isinstance(self.like, np.ndarray) and isinstance(tree, list | tuple):
            tree = stacked(tree)  # [y[1], -y[0]] for an array
        return joined(leaves_like(tree, self.like, f"{self.owner}: {what}"), self.dtype)

    def tree(self, vector: Any) -> Any:
        """The tree of a vector, or of vectors along the last axis of an array or Tensor."""
        lead, leaves, end = vector.shape[:-1], [], 0
        if len(self.arrays) > 1 and not lead:
            return self.unflatten(vector)
        for array in self.arrays:
            begin, end = end, end + array.size
            part = vector if len(self.arrays) == 1 else vector[..., begin:end]
            part = part if array.ndim == 1 else np.reshape(part, lead + array.shape)
            leaves.append(part if part.dtype == array.dtype else part.astype(array.dtype))
        return tree_like(self.like, iter(leaves))

    def finished(self, vector: Tensor, is_tensor: bool) -> Any:
        """The tree of a result: of Tensors, or of arrays and NumPy's scalars."""
        if is_tensor or vector.requires_grad:
            return self.tree(vector)
        tree = self.tree(vector._data)
        return tree_like(tree, iter([a.copy() if a.ndim else a[()] for a in leaves_of(tree)]))


def _floating(owner: str, name: str, leaf: Any) -> Array:
    if isinstance(leaf, Tensor):
        leaf = leaf._data
    if isinstance(leaf, int | float | np.generic | np.ndarray) and not isinstance(
        leaf, bool | np.ma.MaskedArray | np.matrix
    ):
        array = np.asarray(leaf)
        if array.dtype.kind in "iu":
            return array.astype(np.float64)
        if array.dtype.kind == "f" and array.itemsize >= 4:
            return array.astype(array.dtype.newbyteorder("="), copy=False)
        kind = f"{array.dtype}; see astype"
    else:
        kind = type(leaf).__name__
    raise TypeError(
        f"{owner}: {name} must be float32 or float64 (arrays, Tensors, numbers, or tuples, lists and dicts of them),"
        f" not {kind}"
    )


def stacked(parts: Sequence[Any]) -> Any:
    """A list of numbers and Tensors as one Tensor or array; anything else as it is."""
    flat = all(isinstance(part, Tensor | int | float | np.generic | np.ndarray) for part in parts)
    return np.stack([p if isinstance(p, Tensor) else np.asarray(p) for p in parts]) if flat and parts else parts


def joined(leaves: Sequence[Any], dtype: Any) -> Any:
    """All elements of the leaves as one vector of a dtype."""
    parts = [leaf if isinstance(leaf, Tensor) else np.asarray(leaf) for leaf in leaves]
    if unfit := [part.dtype for part in parts if part.dtype.kind not in "fiub"]:
        raise TypeError(
            f"solvers: a function must return real numbers, not {unfit[0]}; see np.real, or use two unknowns"
        )
    parts = [part if part.ndim == 1 else np.reshape(part, -1) for part in parts]
    parts = [part if part.dtype == dtype else part.astype(dtype) for part in parts]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def any_tensors(*trees: Any) -> bool:
    """Whether results are Tensors even without a gradient: where an argument is one, or in a derivative."""
    return _passes.nested.get() or any(type(leaf) is Tensor for tree in trees for leaf in leaves_of(tree))


# --- one call, with its graph ----------------------------------------------------------------------------------------


class Recorded:
    """A call of a function of Tensors that returns one Tensor, with its graph back to what existed before.

    Attributes:
        output: what the function returned, as a Tensor.
        sources: the Tensors from before that it depends on and that require a gradient, arguments among them.
    """

    def __init__(self, function: Function, *args: Tensor) -> None:
        before = next(serials)
        pauses, recorded = tensor._pauses.set(0), tensor._recorded.set(None)
        try:
            output = derivatives._called(function, *args)
        finally:
            tensor._pauses.reset(pauses)
            tensor._recorded.reset(recorded)
        self.output = output if type(output) is Tensor else tensor._as_tensor(output)
        outputs = [self.output] if self.output._requires_grad else []
        self._inside, self.sources = _passes.computed_since(outputs, before)

    def others(self, *args: Tensor) -> list[Tensor]:
        """The sources but the arguments."""
        return [source for source in self.sources if not any(source is a for a in args)]

    def pull(self, seed: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of the output, whose own is the seed, with respect to some of the sources.

        A source counts as given, also where it was computed from another source. Under no_grad, as in an ordinary
        backward pass, the gradients are not recorded.
        """
        record = not tensor._pauses.get()
        needed = {id(x) for x in inputs}
        order = []
        for t in self._inside:
            if not needed.isdisjoint(map(id, t._node[1])):
                needed.add(id(t))
                order.append(t)
        seed = tensor._as_tensor(seed) if record else tensor._arrays(seed)
        gradients = {id(self.output): seed} if id(self.output) in needed else {}
        nested, recorded = _passes.nested.set(False), tensor._recorded.set(None)
        try:
            with np.errstate(all="ignore"):
                tensor._backward_pass(order, gradients, needed, set(), None, record, True, False)
        finally:
            _passes.nested.reset(nested)
            tensor._recorded.reset(recorded)
        found = [gradients.get(id(x)) for x in inputs]
        return [
            tensor._as_tensor(np.zeros_like(x._data) if g is None else tensor._fit(g, x._data))
            for x, g in zip(inputs, found, strict=True)
        ]

    def along(self, x: Tensor, direction: Array) -> Array:
        """The derivative of the output along a direction of one source."""
        order = [x, *self._inside]
        return _passes.forward(order, [self.output], [x], [direction])[0]._data

    def jacobian(self, x: Tensor) -> Any:
        """The matrix of derivatives with respect to a source: an array, or a Tensor where gradients are recorded."""
        return _passes.backward_of_each(self.output, [x], not tensor._pauses.get())[0]


def variable(array: Array) -> Tensor:
    """A new Tensor to differentiate with respect to."""
    x = tensor._as_tensor(array)
    x._requires_grad = True
    return x


def values(function: Function) -> Callable[..., Array]:
    """A function of a Tensor as one of arrays, which records nothing."""

    def call(*args: Array) -> Array:
        pauses = tensor._pauses.set(1)
        try:
            result = derivatives._called(function, *map(tensor._as_tensor, args))
        finally:
            tensor._pauses.reset(pauses)
        return result._data if type(result) is Tensor else np.asarray(result)

    return call


# --- nodes with a rule of their own ----------------------------------------------------------------------------------

Rule = Callable[[Tensor, Tensor], Sequence[Tensor]]


class _Solved(NamedTuple):
    """The call of a node: what takes its gradient, and its value, to the gradients of its sources."""

    operation: Operation
    value: Array
    rule: Rule

    def gradients(self, g: Any, y: Any, inputs: Sequence[Any], needed: Sequence[bool]) -> Sequence[Any]:
        recorded = type(y) is Tensor
        parts = self.rule(tensor._as_tensor(g), y if recorded else variable(y))
        return parts if recorded else [part._data for part in parts]

    def again(self, inputs: Sequence[Any]) -> Tensor:
        return self.operation.node(inputs, self.value, self)


def solution(operation: Operation, value: Array, rule: Rule, sources: Sequence[Tensor]) -> Tensor:
    """A Tensor of a value that was computed without a graph.

    Args:
        operation: names the node.
        value: an array.
        rule: takes the gradient of the solution, and the solution, to the gradients of the sources. It is written in
            operations on Tensors, which are recorded where derivatives of higher order are wanted.
        sources: the Tensors that it depends on.
    """
    return operation.node(sources, value, _Solved(operation, value, rule))
