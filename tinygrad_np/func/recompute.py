"""`checkpoint`: compute again in the backward pass, in place of keeping what the forward computed."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from .. import tensor
from .._contexts import computing_again
from .._functions import name_of
from .._machine.writes import serials
from .._passes import backward, computed_since, nested
from ..tensor import Tensor
from .custom import Operation
from .state import State
from .trees import flatten, leaves_of, tree_like

Function = Callable[..., Any]


def checkpoint(function: Function) -> Function:
    """The same function, of whose intermediate results none is kept: the backward pass computes them again.

    A chain of blocks then needs the memory of the blocks' results, and of the intermediate results of one block, for
    one more forward pass of each. Gradients are those of the function itself, also with respect to what it does not
    have as an argument: weights of layers and Tensors of closures.

    Args:
        function: a function of any arguments, or a layer. It returns Tensors, or a tree of Tensors and other values.

    Returns:
        A function of the same arguments with the same results. Checkpoints may be nested, and derivatives of any order
        are right. `func.jacobian` computes once again for each element of the result, without `rows`.

    Generators that the function draws from are put back for the second time where they can be found: as arguments, in
    layers, closures, and as globals that the function names. The running averages of batch normalisation are updated
    once. Whatever else the function changes is changed twice.

    Raises:
        TypeError: it is no function; or, when called, it returns objects other than Tensors, arrays, numbers and
            strings.
        RuntimeError (when called): the function makes a Tensor that requires a gradient, or writes to one. In the
            backward pass: the second time, the results are other numbers or were computed from other Tensors, as where
            it draws from a generator that was not found.

    Source: T. Chen et al., "Training deep nets with sublinear memory cost" (2016), section 4.

    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> block = checkpoint(lambda x: (w * x) ** 2)
    >>> block(block(np.ones(2, np.float32))).sum().backward()      # the sum of w**6
    >>> w.grad
    Tensor([  6., 192.], dtype=float32)
    """
    if not callable(function):
        instead = "; write checkpoint(block)(x), not checkpoint(block(x))" if isinstance(function, Tensor) else ""
        raise TypeError(f"checkpoint takes a function or a layer, not {type(function).__name__}{instead}")
    operation = Operation(f"checkpoint of {name_of(function)}")

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if tensor._pauses.get():
            return function(*args, **kwargs)
        state = State.of(function, args, kwargs)
        start = next(serials)
        result = function(*args, **kwargs)
        leaves = leaves_of(result)
        for leaf in leaves:
            if not isinstance(leaf, _RESULTS):
                raise TypeError(
                    f"{operation.name}: it returned {type(leaf).__name__}; a checkpoint returns Tensors, arrays,"
                    " numbers and strings, or tuples, named tuples, lists and dicts of them"
                )
        outputs = _computed(leaves, start)
        if not outputs:
            return result
        _, sources = computed_since(outputs, start)
        if any(t._node is None and t._serial > start for t in sources):
            raise RuntimeError(
                f"{operation.name}: it made a Tensor that requires a gradient, or wrote to one; the second time this"
                " would be another one, or a second write: do so outside"
            )
        again = _Again(operation, function, args, kwargs, nested.get(), state.changed(start), sources)
        data, unflatten = _as_one(outputs)
        node = operation.node(sources, data, again)
        found = dict(zip(map(id, outputs), [node] if unflatten is None else unflatten(node), strict=True))
        return tree_like(result, (found.get(id(leaf), leaf) for leaf in leaves))

    return call


_RESULTS = (Tensor, np.ndarray, np.generic, bool, int, float, complex, str, type(None))


def _computed(leaves: Sequence[Any], start: int) -> list[Tensor]:
    """The Tensors among results that were computed since `start` and require a gradient, each once."""
    found = {id(y): y for y in leaves if type(y) is Tensor and y._requires_grad and y._node and y._serial > start}
    return list(found.values())


def _as_one(outputs: Sequence[Tensor]) -> tuple[Any, Function | None]:
    """The arrays of several outputs as one, and what makes a list of it again."""
    arrays = [y._data for y in outputs]
    return (arrays[0], None) if len(arrays) == 1 else flatten(arrays)


class _Again(NamedTuple):
    """A call that is computed again in the backward pass."""

    operation: Operation
    function: Function
    args: Any
    kwargs: dict[str, Any]
    nested: bool
    state: "State"
    sources: Sequence[Tensor]

    def gradients(self, g: Any, y: Any, inputs: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
        """The joint vjp: the gradients of all sources, None where no gradient is needed."""
        record = type(g) is Tensor
        leaves = [_leaf(x, is_needed, record) for x, is_needed in zip(inputs, needed, strict=True)]
        outputs = self._computed_from(leaves)
        data, unflatten = _as_one(outputs)
        if not _are_close(data, tensor._arrays(y)):
            raise RuntimeError(
                f"{self.operation.name}: the second time, its results were other numbers. It draws random numbers from"
                " a generator that was not found: give it as an argument; or something that it reads was changed"
            )
        seeds = [g] if unflatten is None else unflatten(g)
        which = [i for i, is_needed in enumerate(needed) if is_needed]
        found = backward(outputs, [leaves[i] for i in which], seeds, record)
        parts: list[Any] = [None] * len(needed)
        for i, t in zip(which, found, strict=True):
            parts[i] = t if record else t._data
        return parts

    def again(self, inputs: Sequence[Any]) -> Tensor:
        """The result as a Tensor that is computed from other Tensors in place of the sources."""
        outputs = self._computed_from([x if type(x) is Tensor else Tensor(x) for x in inputs])
        return outputs[0] if len(outputs) == 1 else flatten(outputs)[0]

    def _computed_from(self, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The outputs, computed again, in a graph that ends at the given Tensors in place of the sources."""
        start, outputs = self._run()
        instead = {id(t): leaf for t, leaf in zip(self.sources, leaves, strict=True)}
        inside, ends = computed_since(outputs, start)
        found = set(map(id, ends))
        if not {id(t) for t in self.sources if t._requires_grad} <= found <= instead.keys():
            raise RuntimeError(
                f"{self.operation.name}: the second time, its results were computed from other Tensors that require a"
                " gradient; nothing that it reads may change before the backward pass"
            )
        for t in inside:
            operation, args, *rest = t._node
            t._node = (operation, tuple(instead.get(id(a), a) for a in args), *rest)
        return outputs

    def _run(self) -> tuple[int, list[Tensor]]:
        """Call the function as it was called the first time, recorded."""
        contexts: list[tuple[Any, Any]] = [(tensor._pauses, 0), (tensor._recorded, None), (nested, self.nested)]
        contexts.append((computing_again, True))
        tokens = [(variable, variable.set(value)) for variable, value in contexts]
        try:
            with self.state.put_back():
                start = next(serials)
                return start, _computed(leaves_of(self.function(*self.args, **self.kwargs)), start)
        finally:
            for variable, token in tokens:
                variable.reset(token)


def _leaf(x: Any, is_needed: bool, record: bool) -> Tensor:
    """A Tensor in place of a source: one to differentiate with respect to, which under `record` depends on it."""
    if record and type(x) is Tensor:
        return +x
    return Tensor(tensor._arrays(x), requires_grad=is_needed)


def _are_close(a: Any, b: Any) -> bool:
    """Whether arrays are equal but for rounding."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if np.array_equal(a, b, equal_nan=True):
        return True
    largest = np.max(np.abs(b), where=np.isfinite(b), initial=0)
    return np.allclose(a, b, 0, 1000 * np.finfo(b.dtype).eps * largest, equal_nan=True)
