"""Derivatives of functions: give one a function, get the function that computes its derivative.

`grad`, `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian` and `hvp` take functions of Tensors and of nested tuples,
lists and dicts of them (*trees*, below), and nest to any order. Where an argument is itself being differentiated, the
derivative is recorded too; otherwise it is a plain result.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from . import tensor
from .tensor import Tensor

Function = Callable[..., Any]

# --- trees -----------------------------------------------------------------------------------------------------------


def _leaves(tree: Any) -> list[Any]:
    """What hangs in the tree, from left to right."""
    if isinstance(tree, tuple | list):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    return [tree]


def _like(tree: Any, leaves: Any) -> Any:
    """A tree of the same shape with other leaves, taken one by one from an iterator."""
    if isinstance(tree, tuple | list):
        branches = [_like(branch, leaves) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    if isinstance(tree, dict):
        return {key: _like(branch, leaves) for key, branch in tree.items()}
    return next(leaves)


def _tracked(tree: Any) -> tuple[Any, list[Tensor], bool]:
    """The tree with a Tensor to differentiate by at each leaf, these Tensors, and whether one is being recorded."""
    leaves: list[Tensor] = []
    recorded = False
    for leaf in _leaves(tree):
        if type(leaf) is Tensor and leaf.requires_grad:
            leaves.append(+leaf)
            recorded = True
        else:
            data = leaf.data if type(leaf) is Tensor else leaf
            leaves.append(Tensor(data, requires_grad=True))
    return _like(tree, iter(leaves)), leaves, recorded


def _with(args: Sequence[Any], numbers: Sequence[int], trees: Sequence[Any]) -> list[Any]:
    """The arguments with those of the given numbers replaced."""
    replaced = dict(zip(numbers, trees, strict=True))
    return [replaced.get(i, a) for i, a in enumerate(args)]


def _outputs(function: Function, result: Any) -> list[Tensor]:
    outputs = _leaves(result)
    for output in outputs:
        if type(output) is not Tensor:
            name = getattr(function, "__name__", "the function")
            raise TypeError(f"{name} returned {type(output).__name__}; only of Tensors are there derivatives")
    return outputs


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any], record: bool) -> Any:
    """As `tensor.grad`, but an output that nothing flows into is a constant, with a gradient of zeros."""
    pairs = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    if not pairs:
        return [Tensor(np.zeros_like(x.data)) for x in inputs]
    chosen, seeds = zip(*pairs, strict=True)
    return tensor.grad(chosen, inputs, seeds, create_graph=record, retain_graph=True)


def _detached(tree: Any, record: bool) -> Any:
    return tree if record else _like(tree, (leaf.detach() for leaf in _leaves(tree)))


# --- first derivatives -----------------------------------------------------------------------------------------------


def value_and_grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that returns both the value of a scalar function and its gradient.

    Args:
        function: returns a Tensor of one element; its differentiated arguments are trees of floating point Tensors,
            arrays or numbers.
        argnums: which positional argument to differentiate by, or which ones.

    Returns:
        A function of the same arguments that returns `(value, gradient)`: the gradient is a tree like the argument, in
        a tuple with others if argnums is one.

    Raises:
        TypeError, ValueError (when called): the function returned no Tensor, or one of several elements.

    >>> loss = lambda weights, x: ((x * weights["w"] + weights["b"]) ** 2).sum()
    >>> value, slope = value_and_grad(loss)({"w": 2.0, "b": 1.0}, np.array([1.0, 3.0], np.float32))
    >>> float(value), {name: float(g) for name, g in slope.items()}
    (58.0, {'w': 48.0, 'b': 20.0})
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        trees, inputs, record = _tracked(tuple(args[i] for i in numbers))
        value = function(*_with(args, numbers, trees), **kwargs)
        if type(value) is not Tensor or value.size != 1:
            shown = f"shape {value.shape}" if type(value) is Tensor else type(value).__name__
            raise (ValueError if type(value) is Tensor else TypeError)(
                f"a gradient is taken of a function that returns a Tensor of one element, not {shown}; see jacobian"
            )
        found = _like(trees, iter(_gradients([value], inputs, [np.ones(value.shape)], record)))
        return _detached(value, record), found[0] if isinstance(argnums, int) else found

    return derivative


def grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The gradient of a scalar function, as a function; see `value_and_grad`.

    >>> cube = lambda x: x**3
    >>> [float(f(2.0)) for f in (cube, grad(cube), grad(grad(cube)), grad(grad(grad(cube))))]
    [8.0, 12.0, 12.0, 6.0]
    """
    both = value_and_grad(function, argnums)

    @wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return derivative


def vjp(function: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of a function, and its vjp: from gradients of the outputs to those of the arguments.

    Args:
        function: returns a tree of Tensors.
        *primals: its arguments, each a tree.

    Returns:
        `(outputs, pull)`: `pull(gradients)` takes a tree like the outputs, and returns a tuple of trees like primals.

    >>> y, pull = vjp(lambda a, b: a * b, 2.0, 3.0)
    >>> [float(g) for g in pull(1.0)]
    [3.0, 2.0]
    """
    trees, inputs, record = _tracked(primals)
    result = function(*trees)
    outputs = _outputs(function, result)

    def pull(gradients: Any) -> Any:
        seeds = _leaves(gradients)
        if len(seeds) != len(outputs):
            raise ValueError(f"{len(seeds)} gradients for {len(outputs)} outputs")
        recorded = record or any(type(seed) is Tensor and seed.requires_grad for seed in seeds)
        return _like(trees, iter(_gradients(outputs, inputs, seeds, recorded)))

    return _detached(result, record), pull


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of a function, and its derivative along a direction.

    Args:
        function: returns a tree of Tensors.
        primals: its arguments, each a tree.
        tangents: the direction, trees like the primals.

    Returns:
        `(outputs, derivatives)`, trees alike.

    The vjp is linear in the output's gradient, so its own vjp there is the derivative (J. Townsend 2017, "A new trick
    for calculating Jacobian vector products").

    >>> y, dy = jvp(lambda x: x * x, [np.array([1.0, 2.0])], [np.array([1.0, 10.0])])
    >>> dy
    Tensor([ 2., 40.], dtype=float64)
    """
    trees, inputs, record = _tracked(tuple(primals))
    directions = _leaves(tuple(tangents))
    shapes, expected = [np.shape(v) for v in directions], [x.shape for x in inputs]
    if shapes != expected:
        raise ValueError(f"tangents of shapes {shapes} for primals of shapes {expected}")
    result = function(*trees)
    outputs = _outputs(function, result)
    seeds = [Tensor(np.zeros_like(y.data), requires_grad=True) for y in outputs]
    gradients = _gradients(outputs, inputs, seeds, True)
    record = record or any(type(v) is Tensor and v.requires_grad for v in directions)
    derivatives = _gradients(gradients, seeds, directions, record)
    return _detached(result, record), _like(result, iter(derivatives))


# --- matrices of derivatives -----------------------------------------------------------------------------------------


def jacobian(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """The function that returns every derivative of every output by every input.

    Args:
        function: returns a tree of Tensors.
        argnums: which positional argument to differentiate by, or which ones.

    Returns:
        A function of the same arguments that returns a tree like the outputs of trees like the arguments, where an
        output of shape S and an input of shape T meet in a Tensor of shape (*S, *T). One backward an output element.

    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    Tensor([[2., 0.],
            [0., 4.]], dtype=float64)
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        trees, inputs, record = _tracked(tuple(args[i] for i in numbers))
        result = function(*_with(args, numbers, trees), **kwargs)

        def block(output: Tensor) -> Any:
            units = np.eye(output.size, dtype=output.dtype).reshape(output.size, *output.shape)
            rows = [_gradients([output], inputs, [unit], record) for unit in units]
            columns = [
                np.reshape(np.stack([row[k] for row in rows]), output.shape + x.shape)
                if rows
                else Tensor(np.zeros(output.shape + x.shape, x.dtype))
                for k, x in enumerate(inputs)
            ]
            found = _like(trees, iter(columns))
            return found[0] if isinstance(argnums, int) else found

        return _like(result, (block(output) for output in _outputs(function, result)))

    return derivative


def hessian(function: Function, argnums: int = 0) -> Function:
    """The function that returns all second derivatives of a scalar function by one argument.

    Returns:
        For an argument of shape S a Tensor of shape (*S, *S); for a tree, a tree of trees.

    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]], dtype=float64)
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a direction, without the Hessian: the derivative of its gradient along it.

    Args:
        function: returns a Tensor of one element.
        primals: its arguments, each a tree.
        tangents: the direction, trees like the primals.

    Returns:
        A tuple of trees like the primals.

    >>> hvp(lambda x: (x**3).sum(), [np.array([1.0, 2.0])], [np.array([1.0, 10.0])])
    (Tensor([  6., 120.], dtype=float64),)
    """
    trees, inputs, record = _tracked(tuple(primals))
    directions = _leaves(tuple(tangents))
    shapes, expected = [np.shape(v) for v in directions], [x.shape for x in inputs]
    if shapes != expected:
        raise ValueError(f"tangents of shapes {shapes} for primals of shapes {expected}")
    gradients = grad(function, tuple(range(len(trees))))(*trees)
    record = record or any(type(v) is Tensor and v.requires_grad for v in directions)
    return _like(trees, iter(_gradients(_leaves(gradients), inputs, directions, record)))
