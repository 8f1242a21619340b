"""Differentiate functions: gradients, Jacobians, Hessians, and products with them.

    slope = grad(loss)(weights, x)     # the gradient with respect to the first argument

`grad`, `value_and_grad`, `vjp`, `jvp`, `jacobian`, `hessian` and `hvp` take functions of Tensors, or of nested tuples,
lists and dicts of Tensors (*trees*), and nest to any order.

Arguments may be ndarrays, numbers or Tensors; the function is always called with Tensors. A Python number counts as
float64, as in NumPy (`Tensor(2.0)` is float32). Results are of the kind of the arguments:

- ndarrays, or NumPy scalars where they are 0-d, for ndarrays and numbers. So `w -= 0.1 * grad(f)(w)` works, and SciPy's
  optimisers take these functions as they are.
- Tensors for Tensors. A gradient is of the kind of its own argument. The value of the function is a Tensor if one of
  the arguments to differentiate is.
- Differentiable Tensors where a result depends on something else that requires a gradient, such as a parameter or the
  argument of an outer derivative. Inside a function that is itself being differentiated, all results are Tensors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import numpy as np

from . import tensor
from ._messages import module_getattr
from .tensor import Tensor

Function = Callable[..., Any]

# --- trees -----------------------------------------------------------------------------------------------------------


def _leaves(tree: Any) -> list[Any]:
    """The leaves of a tree, from left to right."""
    if isinstance(tree, tuple | list):
        return [leaf for branch in tree for leaf in _leaves(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in _leaves(branch)]
    return [tree]


def _like(tree: Any, leaves: Any) -> Any:
    """A tree of the same structure, with leaves taken from an iterator."""
    if isinstance(tree, tuple | list):
        branches = [_like(branch, leaves) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    if isinstance(tree, dict):
        return {key: _like(branch, leaves) for key, branch in tree.items()}
    return next(leaves)


def _leaves_like(tree: Any, like: Any, what: str) -> list[Any]:
    """The leaves of a tree in the order of those of `like`, which must have the same structure; dicts match by key."""
    if isinstance(like, tuple | list):
        if not isinstance(tree, tuple | list) or len(tree) != len(like):
            raise ValueError(f"{what}: expected a tuple or list of {len(like)} elements, not {tree!r:.60}")
        return [leaf for a, b in zip(tree, like, strict=True) for leaf in _leaves_like(a, b, what)]
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise ValueError(f"{what}: expected a dict with the keys {sorted(like)}, not {tree!r:.60}")
        return [leaf for key in like for leaf in _leaves_like(tree[key], like[key], what)]
    if np.shape(tree) != np.shape(like):
        raise ValueError(f"{what}: expected shape {np.shape(like)}, not {np.shape(tree)}")
    return [tree]


def _tracked(tree: Any) -> tuple[Any, list[Tensor]]:
    """The tree with a Tensor that requires a gradient at each leaf, and the list of these Tensors."""
    leaves = [_tracked_leaf(leaf) for leaf in _leaves(tree)]
    return _like(tree, iter(leaves)), leaves


def _tracked_leaf(leaf: Any) -> Tensor:
    if type(leaf) is Tensor:
        return +leaf if leaf.requires_grad else Tensor(leaf._data, requires_grad=True)
    return Tensor(np.float64(leaf) if type(leaf) in (int, float) else leaf, requires_grad=True)


# --- results: of the kind of the arguments ---------------------------------------------------------------------------

_nested: ContextVar[bool] = ContextVar("nested", default=False)  # inside a function that is being differentiated


def _called(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The function's result. The derivatives in it return Tensors: it may return what they return."""
    token = _nested.set(True)
    try:
        return function(*args, **kwargs)
    finally:
        _nested.reset(token)


def _are_tensors(leaves: Sequence[Any]) -> list[bool]:
    """For each leaf of the arguments, whether its derivative is a Tensor."""
    return [_nested.get() or type(leaf) is Tensor for leaf in leaves]


def _finished(found: Sequence[Tensor], tensors: Sequence[bool], inputs: Sequence[Tensor], record: bool) -> list[Any]:
    """Results without the graph that they were computed in, unless they depend on more than the inputs.

    Args:
        found: the results.
        tensors: for each, whether it stays a Tensor if it depends on nothing else.
        inputs: the Tensors that the results were differentiated with respect to.
        record: whether anything may depend on more.
    """
    more = _dependent(found, inputs) if record else set()
    return [
        y if id(y) in more else Tensor(y._data) if is_tensor else y._data[()] if y.ndim == 0 else y._data
        for y, is_tensor in zip(found, tensors, strict=True)
    ]


@contextmanager
def _recording() -> Iterator[bool]:
    """Record operations even under no_grad; yields False under no_grad, where results must be detached."""
    outside = tensor._pauses.get()
    token = tensor._pauses.set(0)
    try:
        yield not outside
    finally:
        tensor._pauses.reset(token)


def _dependent(outputs: Sequence[Any], inputs: Sequence[Tensor]) -> set[int]:
    """The ids of the Tensors that depend on a leaf that requires a gradient and is not one of the inputs."""
    known = {id(x) for x in inputs if x.is_leaf}
    tracked = [y for y in outputs if type(y) is Tensor and y.requires_grad]
    found: set[int] = set()
    for t in tensor._ancestors(tracked, None):  # a Tensor comes after what it was computed from
        if id(t) not in known if t.is_leaf else not found.isdisjoint(map(id, t._node[1])):
            found.add(id(t))
    return found


def _replaced(args: Sequence[Any], numbers: Sequence[int], trees: Sequence[Any]) -> list[Any]:
    """The arguments, with those at the given positions replaced."""
    replaced = dict(zip(numbers, trees, strict=True))
    return [replaced.get(i, a) for i, a in enumerate(args)]


def _freeze(leaves: Sequence[Tensor]) -> None:
    """Make leaves stop requiring a gradient, so that an outer derivative ignores them."""
    for leaf in leaves:
        if leaf.is_leaf:
            leaf.requires_grad = False


def _numbers(argnums: int | tuple[int, ...], args: Sequence[Any]) -> tuple[int, ...]:
    """argnums as a tuple of distinct positions, counted from 0."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    counted = tuple(i + len(args) if i < 0 else i for i in numbers)
    if not all(0 <= i < len(args) for i in counted) or len(set(counted)) < len(counted):
        raise ValueError(f"argnums must be distinct positions of the {len(args)} positional arguments, not {argnums}")
    return counted


def _outputs(function: Function, result: Any) -> list[Tensor]:
    outputs = _leaves(result)
    for output in outputs:
        if type(output) is not Tensor:
            name = getattr(function, "__name__", "the function")
            raise TypeError(f"{name} must return Tensors to be differentiated, not {type(output).__name__}")
    return outputs


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any], record: bool) -> list[Tensor]:
    """The gradients of outputs with respect to inputs; outputs that do not require a gradient count as constants."""
    pairs = [(y, tensor._seed(y, seed)) for y, seed in zip(outputs, seeds, strict=True) if y.requires_grad]
    token = _nested.set(False)  # in the backward pass, a vjp that calls a derivative gets arrays for arrays
    try:
        return tensor._gradients_of(pairs, inputs, record, True)
    finally:
        _nested.reset(token)


def _by_arguments(function: Function, argnums: int | tuple[int, ...], derive: Function) -> Function:
    """A function of the same arguments that returns `derive(result, inputs, kinds, arranged, may_record)`.

    `inputs` are the Tensors to differentiate with respect to, and `kinds` says for each whether its derivative is a
    Tensor. `arranged` maps one derivative for each of them to trees like the arguments, and `may_record` says whether
    derivatives may be differentiable themselves.
    """

    @wraps(function)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        with _recording() as may_record:
            numbers = _numbers(argnums, args)
            given = tuple(args[i] for i in numbers)
            kinds = _are_tensors(_leaves(given))
            trees, inputs = _tracked(given)

            def arranged(leaves: Sequence[Any]) -> Any:
                found = _like(trees, iter(leaves))
                return found[0] if isinstance(argnums, int) else found

            result = _called(function, *_replaced(args, numbers, trees), **kwargs)
            derived = derive(result, inputs, kinds, arranged, may_record)
            _freeze(inputs)
            return derived

    return derivative


# --- first derivatives -----------------------------------------------------------------------------------------------


def value_and_grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the value and the gradient of a scalar function.

    Args:
        function: returns a Tensor of one element. The arguments to differentiate are trees of floating point Tensors,
            arrays or numbers.
        argnums: the position of the argument to differentiate with respect to, or a tuple of positions.

    Returns:
        A function of the same arguments that returns `(value, gradient)`. The gradient is a tree like the argument, or
        a tuple of such trees if argnums is a tuple.

    Raises:
        TypeError (when called): the function did not return a Tensor.
        ValueError (when called): the Tensor has several elements, or argnums are invalid.

    >>> loss = lambda weights, x: ((x * weights["w"] + weights["b"]) ** 2).sum()
    >>> value, slope = value_and_grad(loss)({"w": 2.0, "b": 1.0}, np.array([1.0, 3.0]))
    >>> float(value), {name: float(g) for name, g in slope.items()}
    (58.0, {'w': 48.0, 'b': 20.0})
    """

    def derive(
        value: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool
    ) -> Any:
        if type(value) is not Tensor or value.size != 1:
            shown = f"shape {value.shape}" if type(value) is Tensor else type(value).__name__
            raise (ValueError if type(value) is Tensor else TypeError)(
                f"the function must return a Tensor of one element to have a gradient, not {shown}; see jacobian"
            )
        record = may_record and bool(_dependent([value], inputs))
        gradients = _gradients([value], inputs, [None], record)
        value, *gradients = _finished([value, *gradients], [any(kinds), *kinds], inputs, record)
        return value, arranged(gradients)

    return _by_arguments(function, argnums, derive)


def grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the gradient of a scalar function; see `value_and_grad`.

    >>> w = np.array([1.0, 2.0])
    >>> w -= 0.1 * grad(lambda w: (w * w).sum())(w); w
    array([0.8, 1.6])
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
    """The value of a function and its vector-Jacobian product, which maps output gradients to argument gradients.

    Args:
        function: returns a tree of Tensors.
        *primals: its arguments, each a tree.

    Returns:
        `(outputs, pull)`; `pull(gradients)` takes a tree like the outputs and returns a tuple of trees like primals.

    >>> y, pull = vjp(lambda a, b: a * b, 2.0, 3.0)
    >>> [float(g) for g in pull(1.0)]
    [3.0, 2.0]
    """
    with _recording() as may_record:
        kinds = _are_tensors(_leaves(primals))
        trees, inputs = _tracked(primals)
        result = _called(function, *trees)
        outputs = _outputs(function, result)
        depends = bool(_dependent(outputs, inputs))
        finished = _finished(outputs, [any(kinds)] * len(outputs), inputs, may_record and depends)

    def pull(gradients: Any) -> Any:
        seeds = _leaves_like(gradients, result, "gradients")
        with _recording() as may_record:
            record = may_record and (depends or bool(_dependent(seeds, ())))
            found = _gradients(outputs, inputs, seeds, record)
            tensors = [kind or _nested.get() for kind in kinds]
            return _like(trees, iter(_finished(found, tensors, inputs, record)))

    return _like(result, iter(finished)), pull


def jvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of a function and its Jacobian-vector product, the derivative along a direction.

    Args:
        function: returns a tree of Tensors.
        primals: its arguments, each a tree.
        tangents: the direction, trees like the primals.

    Returns:
        `(outputs, derivatives)`, two trees of the same structure.

    The vjp is linear in the gradient of the output, so the vjp of the vjp is the Jacobian-vector product (J. Townsend
    2017, "A new trick for calculating Jacobian vector products").

    >>> y, dy = jvp(lambda x: x * x, [np.array([1.0, 2.0])], [np.array([1.0, 10.0])])
    >>> dy
    array([ 2., 40.])
    """
    with _recording() as may_record:
        trees, inputs = _tracked(tuple(primals))
        directions = _leaves_like(tuple(tangents), trees, "tangents")
        kinds = _are_tensors([*_leaves(tuple(primals)), *directions])
        result = _called(function, *trees)
        outputs = _outputs(function, result)
        seeds = [Tensor(np.ones_like(y._data), requires_grad=True) for y in outputs]
        gradients = _gradients(outputs, inputs, seeds, True)
        record = may_record and bool(_dependent([*outputs, *directions], inputs))
        found = [*outputs, *_gradients(gradients, seeds, directions, record)]
        leaves = iter(_finished(found, [any(kinds)] * len(found), [*inputs, *seeds], record))
        _freeze([*inputs, *seeds])
        return _like(result, leaves), _like(result, leaves)


# --- matrices of derivatives -----------------------------------------------------------------------------------------


def jacobian(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the Jacobian: the derivatives of all outputs with respect to all inputs.

    Args:
        function: returns a tree of Tensors.
        argnums: the position of the argument to differentiate with respect to, or a tuple of positions.

    Returns:
        A function of the same arguments. It returns a tree like the outputs, whose leaves are trees like the arguments;
        the leaf for an output of shape S and an input of shape T has shape (*S, *T). It takes one backward pass per
        output element.

    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def derive(
        result: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool
    ) -> Any:
        outputs = _outputs(function, result)
        record = may_record and bool(_dependent(outputs, inputs))

        def block(output: Tensor) -> Any:
            units = np.eye(output.size, dtype=output.dtype).reshape(output.size, *output.shape)
            rows = [_gradients([output], inputs, [unit], record) for unit in units]
            found: list[Any] = [
                np.reshape(np.stack([row[k] for row in rows]), output.shape + x.shape)
                if rows
                else Tensor(np.zeros(output.shape + x.shape, x.dtype))
                for k, x in enumerate(inputs)
            ]
            return arranged(_finished(found, kinds, inputs, record))

        return _like(result, iter([block(output) for output in outputs]))

    return _by_arguments(function, argnums, derive)


def hessian(function: Function, argnums: int = 0) -> Function:
    """A function that returns the Hessian of a scalar function with respect to one argument.

    The Hessian is an array of shape (*S, *S) for an argument of shape S, and a tree of trees for a tree.

    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a direction, computed without forming the Hessian.

    Args:
        function: returns a Tensor of one element.
        primals: its arguments, each a tree.
        tangents: the direction, trees like the primals.

    Returns:
        A tuple of trees like the primals.

    >>> hvp(lambda x: (x**3).sum(), [np.array([1.0, 2.0])], [np.array([1.0, 10.0])])
    (array([  6., 120.]),)
    """
    with _recording() as may_record:
        kinds = _are_tensors(_leaves(tuple(primals)))
        trees, inputs = _tracked(tuple(primals))
        directions = _leaves_like(tuple(tangents), trees, "tangents")
        gradients = _leaves(grad(function, tuple(range(len(trees))))(*trees))
        record = may_record and bool(_dependent([*gradients, *directions], inputs))
        found = _finished(_gradients(gradients, inputs, directions, record), kinds, inputs, record)
        _freeze(inputs)
        return _like(trees, iter(found))


__getattr__ = module_getattr(__name__)
