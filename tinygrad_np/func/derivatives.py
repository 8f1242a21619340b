"""Derivatives of functions: gradients, Jacobians, Hessians, and products with them."""

import inspect
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import FunctionType
from typing import Any

import numpy as np

from .. import tensor
from .._messages import kind
from .._passes import backward, by_two_vjps, forward, jacobians, mixes_elements, nested, plan
from .._per_example import backward_of_examples, check_losses
from ..tensor import Tensor
from .trees import branches_of, instead_of, leaves_like, leaves_of, tree_like

Function = Callable[..., Any]

# --- arguments --------------------------------------------------------------------------------------------------------


def _tracked(tree: Any) -> tuple[Any, list[Tensor]]:
    """The tree with a Tensor that requires a gradient at each leaf, and the list of these Tensors."""
    leaves = [_tracked_leaf(leaf) for leaf in leaves_of(tree)]
    return tree_like(tree, iter(leaves)), leaves


def _tracked_leaf(leaf: Any) -> Tensor:
    if type(leaf) is Tensor:
        return +leaf if leaf.requires_grad else Tensor(leaf._data, requires_grad=True)
    if type(leaf) is np.ndarray and leaf.dtype.kind in "fc" and leaf.dtype.isnative:
        tracked = tensor._as_tensor(leaf)
        tracked._requires_grad = True
        return tracked
    if not isinstance(leaf, int | float | complex | np.generic | np.ndarray):
        raise TypeError(
            "arguments to differentiate are Tensors, arrays, numbers, or tuples, named tuples, lists and dicts of them,"
            f" not {type(leaf).__name__}{instead_of(leaf)}"
        )
    is_integer = type(leaf) is int or (isinstance(leaf, np.generic | np.ndarray) and leaf.dtype.kind in "iu")
    if type(leaf) is complex:
        return Tensor(np.asarray(leaf), requires_grad=True)
    return Tensor(np.asarray(leaf, np.float64) if is_integer or type(leaf) is float else leaf, requires_grad=True)


# --- results: of the kind of the arguments ---------------------------------------------------------------------------


def _called(function: Function, *args: Any, **kwargs: Any) -> Any:
    """The function's result. The derivatives in it return Tensors: it may return what they return."""
    token = nested.set(True)
    try:
        return function(*args, **kwargs)
    finally:
        nested.reset(token)


def _checked(function: Any) -> Function:
    if not callable(function):
        instead = "; for the gradient of a Tensor write tinygrad_np.grad(y, x)" if type(function) is Tensor else ""
        raise TypeError(f"expected a function to differentiate, not {type(function).__name__}{instead}")
    return function  # type: ignore[no-any-return]


def _arguments(function: Function, primals: Any) -> tuple[Any, ...]:
    """The primals as a tuple, checked for whether the function takes as many arguments."""
    args = tuple(primals) if isinstance(primals, (tuple, list)) else (primals,)
    if type(function) is FunctionType and not hasattr(function, "__wrapped__"):
        code = function.__code__
        if code.co_argcount == len(args) and not code.co_kwonlyargcount:
            return args  # as nearly always; a signature takes 30 us
    try:
        parameters = inspect.signature(_checked(function))
    except ValueError:  # a builtin that does not tell them
        return args
    try:
        parameters.bind(*args)
    except TypeError as error:
        name = _name(function)
        raise TypeError(
            f"{name} called with {len(args)} primals: {error}; they are its arguments, one by one"
        ) from None
    return args


def _along(primals: Any, tangents: Any, trees: tuple[Any, ...]) -> list[Any]:
    """The leaves of the tangents, in the order of those of the trees that the primals have become."""
    is_list = isinstance(primals, (tuple, list))
    return leaves_like(tangents, trees if is_list else trees[0], "tangents")


def _name(function: Function) -> str:
    return getattr(function, "__name__", "the function")


def _are_tensors(leaves: Sequence[Any]) -> list[bool]:
    """For each leaf of the arguments, whether its derivative is a Tensor."""
    return [nested.get() or type(leaf) is Tensor for leaf in leaves]


def _finished(
    found: Sequence[Tensor], tensors: Sequence[bool], inputs: Sequence[Tensor], record: bool, values: int = 0
) -> list[Any]:
    """Results without the graph that they were computed in, unless they depend on more than the inputs.

    Args:
        found: the results.
        tensors: for each, whether it stays a Tensor if it depends on nothing else.
        inputs: the Tensors that the results were differentiated with respect to.
        record: whether anything may depend on more.
        values: how many of them, the first, the function has returned; these may be arrays that its caller holds.
    """
    more = _dependent(found, inputs) if record else set()
    results: list[Any] = []
    for i, (y, is_tensor) in enumerate(zip(found, tensors, strict=True)):
        array = y._data
        if id(y) in more:
            results.append(y)
            continue
        if i < values:
            array = array.copy()
        results.append(tensor._as_tensor(array) if is_tensor else array if array.ndim else array[()])
    return results


class _Recording:
    """Record operations even under no_grad; gives False under no_grad, where results must be detached."""

    def __enter__(self) -> bool:
        outside = tensor._pauses.get()
        self.token = tensor._pauses.set(0)
        return not outside

    def __exit__(self, *error: object) -> None:
        tensor._pauses.reset(self.token)


def _dependent(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> set[int]:
    """The ids of the Tensors that depend on a leaf that requires a gradient and is not one of the inputs."""
    known, oldest = {id(x) for x in inputs if x.is_leaf}, _oldest(inputs)
    found: set[int] = set()
    for t in _ancestors(outputs, oldest):  # a Tensor comes after what it was computed from
        if t._serial < oldest or (id(t) not in known if t.is_leaf else not found.isdisjoint(map(id, t._node[1]))):
            found.add(id(t))
    return found


def _depend_on_more(values: Sequence[Any], inputs: Sequence[Tensor]) -> bool:
    """Whether a value depends on a leaf that requires a gradient and is not one of the inputs."""
    oldest = _oldest(inputs)
    order = _ancestors(values, oldest)
    return any(t._serial < oldest for t in order[:1]) or _begin_elsewhere(order, inputs)


def _oldest(inputs: Sequence[Tensor]) -> float:
    """When the first of the inputs was made: what is older and requires a gradient depends on something else.

    So nobody looks at what that was computed from: a derivative in a loop, of a state that the loop has computed, would
    take longer in each turn.
    """
    return min((x._serial for x in inputs), default=math.inf)


def _begin_elsewhere(order: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Whether a leaf is not one of the inputs."""
    known = {id(x) for x in inputs}
    for t in order:  # noqa: SIM110 - any() takes 0.4 us longer
        if t._node is None and id(t) not in known:
            return True
    return False


def _ancestors(values: Sequence[Any], since: float = 0) -> list[Tensor]:
    """All that the Tensors among the values were computed from and that requires a gradient, themselves included.

    It goes back to what is older than `since`. The oldest comes first.
    """
    return tensor._ancestors([y for y in values if type(y) is Tensor and y._requires_grad], None, since)


def _replaced(args: Sequence[Any], numbers: Sequence[int], trees: Sequence[Any]) -> list[Any]:
    """The arguments, with those at the given positions replaced."""
    replaced = dict(zip(numbers, trees, strict=True))
    return [replaced.get(i, a) for i, a in enumerate(args)]


def _freeze(leaves: Sequence[Tensor]) -> None:
    """Make leaves stop requiring a gradient, so that an outer derivative ignores them."""
    for leaf in leaves:
        if leaf._node is None:
            leaf._requires_grad = False


def _numbers(argnums: int | tuple[int, ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[int, ...]:
    """argnums as a tuple of distinct positions, counted from 0."""
    try:
        numbers = tuple(map(operator.index, argnums if isinstance(argnums, tuple | list) else (argnums,)))
    except TypeError:
        raise TypeError(f"argnums must be an integer or a tuple of integers, not {argnums!r:.60}") from None
    counted = tuple(i + len(args) if i < 0 else i for i in numbers)
    if not all(0 <= i < len(args) for i in counted) or len(set(counted)) < len(counted):
        hint = "; give what is differentiated by position, not by name" if kwargs else ""
        raise ValueError(
            f"argnums must be distinct positions of the {len(args)} positional arguments, not {argnums}{hint}"
        )
    return counted


def _no_tensor(function: Function, expected: str, value: Any) -> TypeError:
    """The error for a result that is no Tensor."""
    return TypeError(
        f"{_name(function)} must return {expected}, not {type(value).__name__}: constants and what is computed from"
        " .data, .item() or float() have no gradient; compute with the Tensors that it is given, and return the result"
    )


def _outputs(function: Function, result: Any) -> list[Tensor]:
    outputs = leaves_of(result)
    for output in outputs:
        if type(output) is not Tensor:
            raise _no_tensor(function, "Tensors to be differentiated", output)
    return outputs


def _by_arguments(function: Function, argnums: int | tuple[int, ...], derive: Function) -> Function:
    """A function of the same arguments that returns `derive(result, inputs, kinds, arranged, may_record)`.

    `inputs` are the Tensors to differentiate with respect to, and `kinds` says for each whether its derivative is a
    Tensor. `arranged` maps one derivative for each of them to trees like the arguments, and `may_record` says whether
    derivatives may be differentiable themselves.
    """

    @wraps(_checked(function))
    def derivative(*args: Any, **kwargs: Any) -> Any:
        with _Recording() as may_record:
            numbers = _numbers(argnums, args, kwargs)
            given = tuple(args[i] for i in numbers)
            kinds = _are_tensors(leaves_of(given))
            trees, inputs = _tracked(given)

            def arranged(leaves: Sequence[Any]) -> Any:
                found = tree_like(trees, iter(leaves))
                return found if isinstance(argnums, tuple | list) else found[0]

            result = _called(function, *_replaced(args, numbers, trees), **kwargs)
            derived = derive(result, inputs, kinds, arranged, may_record)
            _freeze(inputs)
            return derived

    return derivative


# --- values ----------------------------------------------------------------------------------------------------------


def value(function: Function) -> Function:
    """The function itself, called and answering as its derivatives do.

    It is for SciPy, where the function itself, called with arrays, would fail or return Tensors: since it calls methods
    of Tensors, or computes with a Tensor that it holds.

    Args:
        function: returns a tree of Tensors, or of anything else, which is left as it is.

    Returns:
        A function of the same arguments. Floating point arrays and numbers among them, also in trees, are given to the
        function as Tensors; its results are arrays and NumPy scalars if no argument was a Tensor.

    >>> scale = Tensor([1.0, 10.0])
    >>> value(lambda x: x.at[0].add(1.0) * scale)(np.array([1.0, 2.0]))
    array([ 2., 20.])
    """

    @wraps(_checked(function))
    def call(*args: Any, **kwargs: Any) -> Any:
        with _Recording() as may_record:
            leaves = leaves_of([args, list(kwargs.values())])
            is_tensor = any(_are_tensors(leaves))
            given = tree_like(args, map(_constant, leaves_of(args)))
            named = {name: tree_like(kwargs[name], map(_constant, leaves_of(kwargs[name]))) for name in kwargs}
            result = _called(function, *given, **named)
            found = leaves_of(result)
            return tree_like(
                result,
                iter([_finished([y], [is_tensor], [], may_record, 1)[0] if type(y) is Tensor else y for y in found]),
            )

    return call


def _constant(leaf: Any) -> Any:
    """A floating point array or number as a Tensor without a gradient."""
    if isinstance(leaf, float | np.floating | np.ndarray) and np.asarray(leaf).dtype.kind == "f":
        return Tensor(np.asarray(leaf))
    return leaf


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
        expected = "a Tensor of one element to have a gradient"
        if type(value) is not Tensor and branches_of(value) is None:
            raise _no_tensor(function, expected, value)
        if type(value) is not Tensor or value.size != 1:
            found = f"shape {value.shape}" if type(value) is Tensor else type(value).__name__
            raise (ValueError if type(value) is Tensor else TypeError)(
                f"{_name(function)} must return {expected}, not {found}; see jacobian"
            )
        record = may_record and _depend_on_more([value], inputs)
        gradients = backward([value], inputs, [None], record)
        value, *gradients = _finished([value, *gradients], [any(kinds), *kinds], inputs, record, values=1)
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
    return _second_of(value_and_grad(function, argnums))


def _second_of(both: Function) -> Function:
    """The function that returns the derivative of a pair of value and derivative."""

    @wraps(both)
    def derivative(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return derivative


def elementwise_grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the derivative of each element of the result by its own element of the argument.

    Args:
        function: elementwise: returns a Tensor of the shape of the argument to differentiate with respect to, each of
            whose elements depends on the element of the argument at the same index only.
        argnums: the position of the argument to differentiate with respect to, or a tuple of positions.

    Returns:
        A function of the same arguments. It returns an array of the shape of the argument, or a tree of them for a
        tree, each of whose leaves has the shape of the result. It takes one backward pass, and may be nested for
        derivatives of any order.

    Raises:
        TypeError (when called): the function did not return a Tensor.
        ValueError (when called): the result has another shape than the argument, or an element of the result depends on
            other elements; or argnums are invalid. A function that is made of elementwise operations alone is known to
            be elementwise. For any other a second backward pass looks whether the elements mix: their gradients are
            scaled by different powers of two, and have to come out scaled by the same.

    >>> x = np.array([-1.0, 0.0, 1.0])
    >>> elementwise_grad(lambda x: x**3)(x)
    array([3., 0., 3.])
    >>> elementwise_grad(elementwise_grad(np.sin))(x) + np.sin(x)
    array([0., 0., 0.])
    >>> elementwise_grad(np.cumsum)(x)
    Traceback (most recent call last):
    ValueError: cumsum is not elementwise: an element of its result depends on several of the argument; see jacobian
    """

    def derive(y: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool) -> Any:
        if type(y) is not Tensor:
            raise _no_tensor(function, "a Tensor of the shape of the argument", y)
        for t in (y, *inputs):
            if t.dtype.kind != "f":
                raise TypeError(f"{_name(function)}: expected real floating point numbers, not {kind(t)}")
        for x in inputs:
            if x.shape != y.shape:
                raise ValueError(
                    f"{_name(function)} returned shape {y.shape} for an argument of shape {x.shape}: only elementwise"
                    " functions have one derivative for each element; see jacobian"
                )
        record = may_record and _depend_on_more([y], inputs)
        gradients = backward([y], inputs, [np.ones(y.shape, y.dtype)], record)
        if mixes_elements(y, inputs, gradients):
            raise ValueError(
                f"{_name(function)} is not elementwise: an element of its result depends on several of the argument;"
                " see jacobian"
            )
        return arranged(_finished(gradients, kinds, inputs, record))

    return _by_arguments(function, argnums, derive)


def holomorphic_grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the complex derivative f'(z) of a holomorphic function of complex numbers.

    Args:
        function: returns a complex Tensor of one element.
        argnums: as for `value_and_grad`. The arguments are complex.

    Raises:
        TypeError (when called): an argument or the result is real, for which there is `grad`.
        ValueError (when called): the result has several elements; or the function is not holomorphic there, since its
            derivatives along the real and the imaginary axis differ by more than their rounding.

    >>> holomorphic_grad(lambda z: z**3)(1 + 2j)
    np.complex128(-9+12j)
    """

    def derive(
        value: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool
    ) -> Any:
        if type(value) is not Tensor:
            raise _no_tensor(function, "a complex Tensor of one element", value)
        if value.size != 1:
            raise ValueError(f"{_name(function)} must return a Tensor of one element, not shape {value.shape}")
        real = next((t for t in (value, *inputs) if t.dtype.kind != "c"), None)
        if real is not None:
            what = "the result" if real is value else "an argument"
            raise TypeError(f"holomorphic_grad of {_name(function)}: {what} is {real.dtype}, not complex; see grad")
        record = may_record and _depend_on_more([value], inputs)
        one, i = np.ones(value.shape, value.dtype), np.full(value.shape, 1j, value.dtype)
        gradients = backward([value], inputs, [one], record)
        for along_real, along_imaginary in zip(gradients, backward([value], inputs, [i], False), strict=True):
            _check_holomorphic(function, along_real._data, along_imaginary._data / 1j)
        return arranged(_finished(gradients, kinds, inputs, record))

    return _by_arguments(function, argnums, derive)


def _check_holomorphic(function: Function, along_real: Any, along_imaginary: Any) -> None:
    error = np.abs(along_real - along_imaginary)
    largest = np.max(np.abs(along_real), initial=0)
    if np.any(error > 1e3 * np.finfo(along_real.dtype).eps * largest):
        index = np.unravel_index(np.argmax(error), error.shape)
        raise ValueError(
            f"{_name(function)} is not holomorphic here: its derivative is {along_real[index]:.6g} along the real axis"
            f" and {along_imaginary[index]:.6g} along the imaginary one; see grad for a real-valued function"
        )


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
    with _Recording() as may_record:
        kinds = _are_tensors(leaves_of(_arguments(function, primals)))
        trees, inputs = _tracked(primals)
        result = _called(function, *trees)
        outputs = _outputs(function, result)
        depends = _depend_on_more(outputs, inputs)
        planned = plan(outputs, inputs)
        finished = _finished(outputs, [any(kinds)] * len(outputs), inputs, may_record and depends, values=len(outputs))

    def pull(gradients: Any) -> Any:
        seeds = leaves_like(gradients, result, "gradients")
        with _Recording() as may_record:
            record = may_record and (depends or _depend_on_more(seeds, ()))
            found = backward(outputs, inputs, seeds, record, planned)
            tensors = [kind or nested.get() for kind in kinds]
            return tree_like(trees, iter(_finished(found, tensors, inputs, record)))

    return tree_like(result, iter(finished)), pull


def jvp(function: Function, primals: Any, tangents: Any) -> tuple[Any, Any]:
    """The value of a function and its Jacobian-vector product, the derivative along a direction.

    Args:
        function: returns a tree of Tensors.
        primals: a tuple or list of its arguments, each a tree; or its only argument, if that is neither.
        tangents: the direction, of the same structure as the primals.

    Returns:
        `(outputs, derivatives)`, two trees of the same structure.

    Raises:
        TypeError, ValueError: the function takes another number of arguments, the tangents do not fit, or an argument
            or a result cannot be differentiated.

    It goes forward over the graph, node by node. For operations that are neither elementwise nor linear, and in a
    function that is being differentiated, it is the vjp of the vjp, which is linear in the gradient of the output (J.
    Townsend 2017, "A new trick for calculating Jacobian vector products").

    >>> y, dy = jvp(lambda x: x * x, np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    >>> dy
    array([ 2., 40.])
    """
    with _Recording() as may_record:
        args = _arguments(function, primals)
        trees, inputs = _tracked(args)
        directions = _along(primals, tangents, trees)
        is_tensor = any(_are_tensors([*leaves_of(args), *directions]))
        result = _called(function, *trees)
        outputs = _outputs(function, result)
        order = _ancestors([*outputs, *directions])
        record = may_record and _begin_elsewhere(order, inputs)
        along = by_two_vjps(outputs, inputs, directions) if record else forward(order, outputs, inputs, directions)
        found = [*outputs, *along]
        leaves = iter(_finished(found, [is_tensor] * len(found), inputs, record, values=len(outputs)))
        _freeze(inputs)
        return tree_like(result, leaves), tree_like(result, leaves)


# --- matrices of derivatives -----------------------------------------------------------------------------------------


def value_and_jacobian(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the value and the Jacobian: the derivatives of all outputs with respect to all inputs.

    Args:
        function: returns a tree of Tensors.
        argnums: the position of the argument to differentiate with respect to, or a tuple of positions.

    Returns:
        A function of the same arguments that returns `(value, jacobian)`, both trees like the outputs. The leaves of
        the Jacobian are trees like the arguments; the leaf for an output of shape S and an input of shape T has shape
        (*S, *T). One backward pass takes the gradients of many output elements together; where the inputs are few,
        forward passes take their place.

    Raises:
        TypeError (when called): the function returned something else than Tensors.
        ValueError (when called): argnums are invalid.

    >>> value_and_jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    (array([1., 4.]), array([[2., 0.],
           [0., 4.]]))

    That of `value_and_grad` gives value, gradient and Hessian by one call of the function, as Newton's method wants:

    >>> newton = value_and_jacobian(value_and_grad(lambda x: (x**3).sum()))
    >>> (value, slope), (_, curvature) = newton(np.array([1.0, 2.0]))
    >>> float(value), slope, curvature
    (9.0, array([ 3., 12.]), array([[ 6.,  0.],
           [ 0., 12.]]))
    """

    def derive(
        result: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool
    ) -> Any:
        outputs = _outputs(function, result)
        record = may_record and _depend_on_more(outputs, inputs)
        found = jacobians(outputs, inputs, record)
        rows = [arranged(_finished(row, kinds, inputs, record)) for row in found]
        values = _finished(outputs, [any(kinds)] * len(outputs), inputs, record, values=len(outputs))
        return tree_like(result, iter(values)), tree_like(result, iter(rows))

    return _by_arguments(function, argnums, derive)


def jacobian(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the Jacobian; see `value_and_jacobian`.

    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """
    return _second_of(value_and_jacobian(function, argnums))


def per_example_grad(function: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the gradient of each example's loss: `grad` for every example of a batch.

    Args:
        function: takes a batch, and returns one loss for each of its examples: a Tensor of shape (batch,).
        argnums: the position of the argument to differentiate with respect to, such as weights, or a tuple of
            positions.

    Returns:
        A function of the same arguments. It returns a tree like the argument, or a tuple of them, whose leaves have the
        shape (batch, *S) for a leaf of shape S: row i is the gradient of loss i.

    Raises:
        TypeError (when called): the function did not return a Tensor.
        ValueError (when called): the Tensor has another number of axes than one; or argnums are invalid.

    These are the rows of `jacobian`. One backward pass takes them all where operations say how they treat the examples
    of a batch: elementwise ones, matrix products, sums over other axes, convolutions, layer normalisation, losses. For
    a network with others it computes what `jacobian` does, whose time grows with the square of the batch; recurrent
    layers are such, since the batch is the second axis of their sequences. Where the examples mix, as in batch
    normalisation, a loss depends on all of them, and so does its gradient.

    For the weights of a model, which the function does not take as an argument, see `tinygrad_np.per_example_grad`.

    >>> def losses(w, x, y):
    ...     return (x @ w - y) ** 2
    >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0])
    >>> per_example_grad(losses)(np.array([1.0, 1.0]), x, y)
    array([[ 4.,  8.],
           [36., 48.]])
    """

    def derive(
        result: Any, inputs: Sequence[Tensor], kinds: Sequence[bool], arranged: Function, may_record: bool
    ) -> Any:
        if type(result) is not Tensor:
            raise _no_tensor(function, "a Tensor with one loss for each example", result)
        check_losses(f"{_name(function)}:", result, inputs)
        record = may_record and _depend_on_more([result], inputs)
        found = [tensor._as_tensor(g) for g in backward_of_examples(result, inputs, record)]
        return arranged(_finished(found, kinds, inputs, record))

    return _by_arguments(function, argnums, derive)


def hessian(function: Function, argnums: int = 0) -> Function:
    """A function that returns the Hessian of a scalar function with respect to one argument.

    The Hessian is an array of shape (*S, *S) for an argument of shape S, and a tree of trees for a tree.

    >>> hessian(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(function, argnums), argnums)


def hvp(function: Function, primals: Any, tangents: Any) -> Any:
    """The Hessian of a scalar function times a direction, computed without forming the Hessian.

    Args:
        function: returns a Tensor of one element.
        primals: a tuple or list of its arguments, each a tree; or its only argument, if that is neither.
        tangents: the direction, of the same structure as the primals.

    Returns:
        A tuple of trees like the primals; or one like the only argument.

    Raises:
        TypeError, ValueError: as for `jvp`.

    >>> hvp(lambda x: (x**3).sum(), np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([  6., 120.])
    """
    with _Recording() as may_record:
        args = _arguments(function, primals)
        kinds = _are_tensors(leaves_of(args))
        trees, inputs = _tracked(args)
        directions = _along(primals, tangents, trees)
        gradients = leaves_of(grad(function, tuple(range(len(trees))))(*trees))
        record = may_record and _depend_on_more([*gradients, *directions], inputs)
        found = _finished(backward(gradients, inputs, directions, record), kinds, inputs, record)
        _freeze(inputs)
        products = tree_like(trees, iter(found))
        return products if isinstance(primals, (tuple, list)) else products[0]
