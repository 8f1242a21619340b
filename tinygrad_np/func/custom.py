"""Functions whose derivatives are given by a rule: `custom_vjp`, for trees, and with functions among the arguments."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from .. import tensor
from .._functions import Parameters, name_of
from .._messages import kind
from .._passes import nested
from .._registry import Primitive
from ..tensor import Tensor
from .trees import branches_of, flatten, leaves_like, leaves_of, path_of, tree_like

Function = Callable[..., Any]


# --- calls as nodes of the graph -------------------------------------------------------------------------------------


class Operation(Primitive):
    """An operation that is not registered, since each of its nodes is a call with a rule of its own.

    The keyword `call` of a node has two methods: `gradients(g, y, inputs, needed)`, the joint vjp, and
    `again(inputs)`, which makes a node for other inputs.
    """

    def __init__(self, name: str) -> None:
        super().__init__(_run, (), _gradients, None, False, None, None, (), name)
        self.freed: Any = None
        self.freed = (copy(self), None, None, None, None)  # with itself in it, it would be a cycle

    def __call__(self, *inputs: Any, call: Any) -> Any:
        return call.again(inputs)

    def node(self, args: Sequence[Any], data: Any, call: Any) -> Tensor:
        """A Tensor that is the result of a call with these arguments."""
        output = tensor._as_tensor(data)
        keywords = {"call": call}
        if not tensor._pauses.get() and any(type(a) is Tensor and a._requires_grad for a in args):
            output._requires_grad = True
            output._node = (self, tuple(args), [tensor._arrays(a) for a in args], keywords, None)
        if tensor._observer is not None:
            tensor._observer.ran(self, args, keywords, output)
        return output


def _run(*inputs: Any, call: Any) -> Any:
    return tensor._arrays(call.again(inputs))


def _gradients(g: Any, y: Any, *inputs: Any, needed: Sequence[bool], call: Any) -> Any:
    return call.gradients(g, y, inputs, needed)


# --- rules -----------------------------------------------------------------------------------------------------------


def custom_vjp(function: Function, vjp: Function) -> Function:
    """A function with a vjp of its own, which is used in place of the derivatives of what the function does inside.

    It is for functions that are not written in NumPy, that iterate, or whose derivative has a better form: solvers,
    integrators, calls of other libraries. `primitive` is the same for functions of arrays alone.

    Args:
        function: returns an array, or a tree of arrays, floating point. Each positional argument is a tree of numbers,
            or anything else: a function, a string, an object, which has no gradient. The function is called with arrays
            in place of Tensors.
        vjp: `vjp(gradients, outputs, *args, **keywords)` returns a tuple with one entry for each positional argument: a
            tree like it with the gradients, or None where no gradient is needed, as for a function. `gradients` is a
            tree like the outputs. All are arrays in an ordinary backward pass, and Tensors for derivatives of higher
            order, so the vjp is written in NumPy functions of what it is given. If it has a keyword-only parameter
            `saved`, the function returns `(outputs, saved)`, and the vjp is given what was saved, or None for
            derivatives of higher order.

    Returns:
        A function of the same arguments. Its results are Tensors where one of the arguments has a Tensor in it.

    Raises:
        TypeError: the vjp does not take two arguments more than the function. When called: the function uses a Tensor
            that requires a gradient and is not in its arguments, since this gradient would be lost; such a Tensor is in
            an argument that is no tree of numbers, or in a keyword; the outputs are no floating point numbers. In the
            backward pass: the vjp returns something else than gradients.
        ValueError (in the backward pass): a gradient has another shape or structure than its argument.

    The square root of each number in a tree, by Newton's method, whose steps need no gradient:

    >>> def root(tree, steps):
    ...     found = {}
    ...     for name, a in tree.items():
    ...         y = np.ones_like(a)
    ...         for _ in range(steps):
    ...             y = (y + a / y) / 2
    ...         found[name] = y
    ...     return found
    >>> def root_vjp(gradients, outputs, tree, steps):
    ...     return {name: gradients[name] / (2 * outputs[name]) for name in tree}, None
    >>> from tinygrad_np.func import grad
    >>> sqrt = custom_vjp(root, root_vjp)
    >>> grad(lambda tree: sqrt(tree, 20)["x"].sum())({"x": np.array([4.0, 9.0])})
    {'x': array([0.25      , 0.16666667])}
    """
    rule = _Rule(Operation(name_of(function)), function, vjp, _checked(function, vjp))

    @wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        given = [_Argument.of(rule, k, a) for k, a in enumerate(args)]
        for name, value in kwargs.items():
            if any(type(leaf) is Tensor and leaf.requires_grad for leaf in leaves_of(value)):
                raise TypeError(f"{rule.name} is not differentiable in {name}=: give it by position")
        found = _Call(rule, given, kwargs, None, False, None)
        return found.run([leaf for a in given for leaf in a.leaves])

    return call


def _checked(function: Any, vjp: Any) -> bool:
    """Whether the vjp takes what was saved; raises where the two cannot belong together."""
    for f, what in ((function, "a function"), (vjp, "its vjp")):
        if not callable(f):
            raise TypeError(f"custom_vjp takes a function and its vjp; expected {what}, not {type(f).__name__}")
    own, theirs = _parameters(function), _parameters(vjp)
    if own and theirs and not own.any_number and not theirs.any_number:
        count, found = len(own.positional), len(theirs.positional)
        required = sum(name not in own.defaults for name in own.positional)
        if not required <= found - 2 <= count:
            name = name_of(function)
            raise TypeError(
                f"the vjp of {name} takes the gradients, the outputs and the {count} arguments of {name}, not {found}"
                " arguments"
            )
    return theirs is not None and "saved" in theirs.keywords


def _parameters(function: Any) -> Parameters | None:
    try:
        return Parameters.of(function)
    except ValueError:  # a builtin that does not tell them
        return None


class _Rule(NamedTuple):
    operation: Operation
    function: Function
    vjp: Function
    saves: bool

    @property
    def name(self) -> str:
        return self.operation.name


class _Argument(NamedTuple):
    """A positional argument: a tree of numbers, taken apart, or a constant without leaves."""

    value: Any  # the constant, or the structure of the tree
    leaves: list[Any]
    is_tree: bool

    @classmethod
    def of(cls, rule: _Rule, k: int, value: Any) -> "_Argument":
        leaves = leaves_of(value)
        if leaves and all(isinstance(leaf, Tensor | np.ndarray | np.generic | int | float) for leaf in leaves):
            return cls(tree_like(value, iter([None] * len(leaves))), leaves, True)
        for i, leaf in enumerate(leaves):
            if type(leaf) is Tensor and leaf.requires_grad:
                raise TypeError(
                    f"{rule.name} is not differentiable in argument {k}, which is no tree of numbers: give the Tensor"
                    f" that it holds{path_of(value, i)}, as an argument of its own"
                )
        return cls(value, [], False)

    def filled(self, leaves: Any) -> Any:
        return tree_like(self.value, leaves) if self.is_tree else self.value


class _Call(NamedTuple):
    """A call of a function with a rule: how arguments and outputs become leaves, and what was saved."""

    rule: _Rule
    args: Sequence[_Argument]
    kwargs: dict[str, Any]
    unflatten: Function | None  # makes outputs of the node's vector; None if they are one array
    saves: bool
    saved: Any

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        rest = iter(leaves)
        return [a.filled(rest) for a in self.args]

    def outputs(self, y: Any) -> Any:
        return y if self.unflatten is None else self.unflatten(y)

    def run(self, leaves: Sequence[Any]) -> Any:
        """The outputs for these leaves of the arguments."""
        outputs, saved = self._computed(leaves)
        if not any(type(leaf) is Tensor for leaf in leaves):
            return outputs
        data, unflatten = self._as_one(outputs)
        call = self._replace(unflatten=unflatten, saved=saved)
        return call.outputs(self.rule.operation.node(leaves, data, call))

    def again(self, leaves: Sequence[Any]) -> Tensor:
        outputs, saved = self._computed(leaves)
        data, unflatten = self._as_one(outputs)
        return self.rule.operation.node(leaves, data, self._replace(unflatten=unflatten, saved=saved))

    def _computed(self, leaves: Sequence[Any]) -> tuple[Any, Any]:
        """What the function returns for arrays, and what it saves."""
        token = nested.set(False)  # a derivative that it calls gives arrays for arrays
        try:
            result = self.rule.function(*self.arguments(tensor._arrays(list(leaves))), **self.kwargs)
        finally:
            nested.reset(token)
        saved = None
        if self.rule.saves:
            if not isinstance(result, tuple) or len(result) != 2:
                raise TypeError(f"{self.rule.name} must return (outputs, saved), since its vjp takes saved")
            result, saved = result
        for leaf in leaves_of(result):
            if type(leaf) is Tensor and leaf.requires_grad:
                raise TypeError(
                    f"{self.rule.name} uses a Tensor that requires a gradient and is not in its arguments, so this"
                    " gradient would be lost: give it as an argument, or .detach() it"
                )
        return tree_like(result, map(tensor._arrays, leaves_of(result))), saved

    def _as_one(self, outputs: Any) -> tuple[Any, Function | None]:
        """All outputs as one array, and what makes outputs of it again."""
        for i, leaf in enumerate(leaves_of(outputs)):
            if not isinstance(leaf, np.ndarray | np.floating | float) or np.asarray(leaf).dtype.kind != "f":
                found = kind(leaf) if isinstance(leaf, np.ndarray | np.generic) else type(leaf).__name__
                raise TypeError(
                    f"{self.rule.name} returned {found}{path_of(outputs, i)}; a differentiable function returns"
                    " floating point arrays, or a tree of them"
                )
        return (np.asarray(outputs), None) if branches_of(outputs) is None else flatten(outputs)

    def gradients(self, g: Any, y: Any, inputs: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
        """The joint vjp: the gradients of all leaves, None where no gradient is needed."""
        name, recorded = self.rule.name, type(g) is Tensor
        saved = {"saved": None if recorded else self.saved} if self.rule.saves else {}
        args = self.arguments(inputs)
        found = self.rule.vjp(self.outputs(g), self.outputs(y), *args, **self.kwargs, **saved)
        if isinstance(found, tuple | list) and not any(entry is not None for entry in found[len(args) :]):
            found = found[: len(args)]  # the rest is for arguments that were left out
        if not isinstance(found, tuple | list) or len(found) != len(args):
            what = f"{len(found)} entries" if isinstance(found, tuple | list) else type(found).__name__
            raise TypeError(
                f"the vjp of {name} returned {what}, expected a tuple of {len(args)}: the gradients of each argument,"
                " or None where no gradient is needed"
            )
        parts: list[Any] = []
        for k, (argument, value, entry) in enumerate(zip(self.args, args, found, strict=True)):
            where = f"the vjp of {name} for argument {k}"
            count = len(argument.leaves)
            if not argument.is_tree and entry is not None:
                raise TypeError(f"{where} returned {type(entry).__name__}, expected None: it is no tree of numbers")
            if not any(needed[len(parts) : len(parts) + count]):
                parts += [None] * count
                continue
            if entry is None:
                raise TypeError(f"{where} returned None, but its gradient is needed; without influence it is zeros")
            parts += self._as_gradients(entry, value, where, recorded)
        return parts

    def _as_gradients(self, entry: Any, value: Any, where: str, recorded: bool) -> list[Any]:
        """The gradients of the leaves of one argument, checked."""
        arrays = tree_like(value, (leaf if type(leaf) is Tensor else np.asarray(leaf) for leaf in leaves_of(value)))
        parts = leaves_like(entry, arrays, where)
        for part in parts:
            if type(part) is Tensor and not recorded:
                raise TypeError(
                    f"{where} returned a Tensor where it was given arrays; a Tensor that it needs must be an argument"
                )
        return [part if isinstance(part, Tensor | np.ndarray) else np.asarray(part) for part in parts]
