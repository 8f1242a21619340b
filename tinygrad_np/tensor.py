"""Tensors that remember how they were computed, and the backward pass that turns this graph into gradients.

NumPy is the forward, this file is the backward. `primitive` registers a function on ndarrays with one vjp
("vector-Jacobian product") per argument. From then on the function takes a `Tensor` wherever it takes an array, and its
result is a node of a graph. `Tensor.backward()` and `grad()` go over this graph from the youngest node to the oldest.

Reading order: `apply` runs an operation and adds a node to the graph; `_backward_pass` goes back over the nodes; the
registry says which functions take Tensors; `Tensor` is the surface on top.
"""

import difflib
import inspect
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from functools import cached_property, wraps
from operator import attrgetter, getitem, iadd, setitem
from typing import Any, NoReturn, Protocol, TypeAlias, final

import numpy as np

from ._machine.arrays import Array as Array
from ._machine.arrays import Product, memory_of

Function: TypeAlias = Callable[..., Any]
registry: "dict[Function, Primitive | Composite | Constant]" = {}


# --- forward: run an operation, and add a node to the graph ----------------------------------------------------------


def apply(function: Function, *args: Any, **kwargs: Any) -> "Tensor":
    """Call a registered primitive. Where an argument is a Tensor, the result is a Tensor, and a node of the graph.

    This is the hot path: 0.7 us above NumPy's own 0.4 us for eight floats (`python -m benchmarks.overhead`).
    """
    operation: Any = registry[function]
    if kwargs or len(args) != operation.arity:
        args, kwargs = operation.bind(args, kwargs)
    requires_grad = None  # until a Tensor is seen: without one, the result is NumPy's own
    arrays = []
    for a in args:
        if type(a) is Tensor:
            arrays.append(a._data)
            requires_grad = requires_grad or a._requires_grad
        elif (a.dtype.kind in "fiub") if type(a) is _ndarray else type(a) in _PLAIN:
            arrays.append(a)
        else:
            return apply(function, *(_plain(a, operation.name) for a in args), **kwargs)
    observer = _observer
    try:
        data = function(*arrays, **kwargs) if observer is None else observer.run(function, args, arrays, kwargs)
    except (ValueError, TypeError, IndexError) as error:
        raise _explained(error, operation.name, arrays) from error
    if operation.saves:
        data, kwargs["saved"] = data
    if requires_grad is None:
        return data  # type: ignore[no-any-return]
    output = _new(Tensor)  # not Tensor(...): its checks cost 0.5 us
    output._data = data if type(data) is _ndarray else _zero_dimensional(data, operation.name)
    output.grad = None
    output._serial = next(_serials)
    if requires_grad and not _pauses.get():
        output._requires_grad = True
        output._node = (operation, args, arrays, kwargs, None)
        if operation.has_fixed_arguments:
            _refuse_gradients(operation, args)
    else:
        output._requires_grad, output._node = False, None
    if observer is not None:
        observer.ran(operation, args, kwargs, output)
    return output


class Observer(Protocol):
    """What `apply` calls while operations are observed; `debug` has the only one."""

    def run(self, function: Function, args: Sequence[Any], arrays: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The function's result for these arrays."""

    def ran(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: "Tensor") -> None:
        """Look at a result. It may put an `Observation` into its node, which the backward pass then calls."""


class Observation(Protocol):
    """What the backward pass calls at a node that was observed."""

    def before(self, output: "Tensor") -> None:
        """Look at the node before its gradients are computed."""

    def after(self, i: int, gradient: Any, g: Any, y: Any, inputs: Sequence[Any]) -> None:
        """Look at the gradient of argument i."""


_observer: Observer | None = None


def observe(observer: Observer | None) -> None:
    """Let an observer look at every operation, in all threads; None ends it."""
    global _observer
    _observer = observer


_pauses: ContextVar[int] = ContextVar("pauses", default=0)  # how many no_grad this thread or task is inside of
_serials = itertools.count()


class no_grad(ContextDecorator):  # noqa: N801 - used like a function, and named as everywhere in the field
    """Record no graph in this thread: `with no_grad():`, or `@no_grad()` on a function.

    Inside a generator it also holds for the caller's code until the generator goes on, as every `with` does.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """

    def __enter__(self) -> None:
        _pauses.set(_pauses.get() + 1)

    def __exit__(self, *error: object) -> None:
        _pauses.set(_pauses.get() - 1)  # counted, so that generators may leave in any order


def _refuse_gradients(operation: "Primitive", args: Sequence[Any]) -> None:
    for i, (a, vjp) in enumerate(zip(args, operation.vjps, strict=True)):
        if vjp is None and type(a) is Tensor and a._requires_grad:
            raise TypeError(f"{operation.name} is not differentiable in argument {i}: pass the Tensor's .detach()")


def _zero_dimensional(data: Any, name: str) -> Array:
    """The array for a result that NumPy, or a function of its scalars, gives as a scalar."""
    if not isinstance(data, np.generic | float | int):
        raise TypeError(f"{name} returned {type(data).__name__}; an operation returns one ndarray")
    return np.asarray(data)


_ndarray = np.ndarray
_PLAIN = {bool, int, float, slice, tuple, type(None), type(...)}


def _plain(a: Any, name: str) -> Any:
    """An argument of another type as an array, if it is numbers. What would mean something else in a vjp is refused.

    A masked array loses its mask there, np.matrix multiplies differently, and complex numbers have no gradient here.
    """
    if type(a) is Tensor or type(a) in _PLAIN:
        return a
    if isinstance(a, list | np.generic | np.ndarray) and not isinstance(a, np.ma.MaskedArray | np.matrix):
        array = np.asarray(a)
        if array.dtype.kind in "fiub":
            return array
    kind = f"array of {a.dtype}" if type(a) is _ndarray else type(a).__name__
    raise TypeError(f"{name} of a Tensor takes arrays of real numbers or booleans, and numbers, but no {kind}")


def _explained(error: Exception, name: str, arrays: Sequence[Any]) -> Exception:
    """An error of the same kind that names the operation and what it was given."""
    given = ", ".join(_kind(a) if isinstance(a, np.ndarray) else f"{a!r:.60}" for a in arrays)
    kinds = (np.exceptions.AxisError, IndexError, ValueError, TypeError)
    reason = str(error).removeprefix(f"{name}: ")  # the package's own checks name the operation, too
    explained = next(kind for kind in kinds if isinstance(error, kind))(f"{name} of {given}: {reason}")
    for note in getattr(error, "__notes__", ()):
        explained.add_note(note)
    return explained


def _kind(array: Any) -> str:
    """The dtype and the shape, as messages give them: `float32[2, 3]`."""
    return f"{array.dtype}{list(array.shape)}"


# --- writes: versions belong to memory -------------------------------------------------------------------------------

_last_write = -1  # the serial of the latest write to any Tensor: nodes that are younger need no further look
_writes: "dict[int, tuple[weakref.ref[Array], int]]" = {}  # by id of the array that owns the memory: its last write


def _note_write(array: Array) -> int:
    """Note that the memory of an array was written to, for all Tensors and arrays that use it; return the serial."""
    global _last_write
    memory = memory_of(array)
    key = id(memory)
    known = _writes.get(key)
    reference = known[0] if known is not None else weakref.ref(memory, lambda _: _writes.pop(key, None))
    serial = _last_write = next(_serials)
    _writes[key] = reference, serial
    return serial


def _check(output: "Tensor") -> None:
    """Look at a node before its gradients are computed: for writes since, if there were any, and by an observation."""
    if output._serial < _last_write:
        _refuse_changes(output)
    if (observation := output._node[4]) is not None:
        observation.before(output)


def _refuse_changes(output: "Tensor") -> None:
    """Raise if anything that a node holds was written to after the operation."""
    operation, args, _, _, _ = output._node
    result, *held = _held(output)
    for i, (place, value) in enumerate([*held, result]):
        versions = [_writes.get(id(memory_of(array)), (None, -1))[1] for array in _arrays_in(value)]
        if i < len(args) and type(args[i]) is Tensor:
            versions.append(args[i]._serial)  # its data was replaced, or it was switched to requires_grad=True
        if max(versions, default=-1) > output._serial:
            kind = f", {_kind(value)}," if isinstance(value, np.ndarray) else ""
            raise RuntimeError(
                f"{place} of {operation.name}{kind} was changed after the operation: written to, updated by"
                " an optimiser, loaded, or switched to requires_grad=True"
            )


def _held(output: "Tensor") -> list[tuple[str, Any]]:
    """The result, the arguments and the keywords of a node, with their names in messages."""
    _, _, arrays, kwargs, _ = output._node
    keywords = [(f"keyword {name}", value) for name, value in kwargs.items() if name != "saved"]
    return [("the result", output._data), *((f"argument {i}", a) for i, a in enumerate(arrays)), *keywords]


def _arrays_in(value: Any) -> "Iterator[Array]":
    """The arrays in a value, which may be one, or lists and tuples of them."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _arrays_in(part)


# --- backward: over the graph, from the youngest node to the oldest --------------------------------------------------


def _backward_pass(
    order: "list[Tensor]", gradients: dict[int, Any], needed: set[int], inputs: set[int], last: "Tensor | None",
    create_graph: bool, retain_graph: bool, lazy: bool,
) -> "list[tuple[Tensor, Any]]":  # fmt: skip
    """The gradients of leaves and inputs, from those of the outputs in `gradients`; keys are ids of Tensors."""
    results = []
    summed: set[int] = set()  # whose gradient was allocated here, and may be added to in place
    while order:  # the youngest first: by then everything that it was used for has been visited
        output = order.pop()
        g, node = gradients.pop(id(output), None), output._node
        if node is None or id(output) in inputs:
            results.append((output, g))
        if node is None or output is last:
            continue
        operation, args, arrays, kwargs, observation = node
        if output._serial < _last_write or observation is not None:
            _check(output)
        y, arrays, kwargs = _as_tensors(output) if create_graph else (output._data, arrays, kwargs)
        parts = None if operation.joint is None else _joint(operation, g, y, args, arrays, kwargs, needed)
        try:
            for i, (a, vjp) in enumerate(zip(args, operation.vjps)):  # noqa: B905 - one None for all under `joint`
                if type(a) is Tensor and (key := id(a)) in needed:
                    part, x = vjp(g, y, *arrays, **kwargs) if parts is None else parts[i], a._data
                    if type(part) is not _ndarray or part.shape != x.shape or part.dtype is not x.dtype:
                        part = _fit(part, x, lazy and a._node is None and observation is None)  # a call is 0.2 us
                    if observation is not None:
                        observation.after(i, part, g, y, arrays)
                    if key not in gradients:
                        gradients[key] = part
                    elif key in summed and not create_graph:
                        gradients[key] += part
                    else:
                        gradients[key] = gradients[key] + part
                        summed.add(key)
        except Exception as error:
            error.add_note(f"in the backward pass of {operation.name}, argument {i}")
            raise
        if not retain_graph:
            output._node = operation.freed  # so activations are freed as the pass goes on
    return results


def _gradients(
    outputs: "Sequence[tuple[Tensor, Any]]",
    inputs: "Sequence[Tensor] | None",
    create_graph: bool,
    retain_graph: bool | None,
    lazy: bool = False,
) -> "list[tuple[Tensor, Any]]":
    """From outputs, each with its gradient, to the inputs (all leaves if inputs is None), each with its gradient.

    Gradients are ndarrays, so that a step costs what hand-written NumPy costs. Under create_graph they are Tensors, and
    with `lazy` that of a leaf may be a `Product`.
    """
    order, needed, input_ids, last = _plan([output for output, _ in outputs], inputs)
    gradients: dict[int, Any] = {}
    for output, g in outputs:
        g = _as_tensor(g) if create_graph else _arrays(g)
        gradients[id(output)] = gradients[id(output)] + g if id(output) in gradients else g
    retain_graph = create_graph if retain_graph is None else retain_graph
    token = _pauses.set(0 if create_graph else 1)
    try:
        with np.errstate(all="ignore"):  # at a singular point an infinite gradient is the answer, not an accident
            results = _backward_pass(order, gradients, needed, input_ids, last, create_graph, retain_graph, lazy)
            return _unshare(results, [g for _, g in outputs])
    finally:
        _pauses.reset(token)


def _plan(
    outputs: "Sequence[Tensor]", inputs: "Sequence[Tensor] | None"
) -> "tuple[list[Tensor], set[int], set[int], Tensor | None]":
    """What a backward pass goes over.

    Returns:
        The Tensors to visit, oldest first; the ids of those that need a gradient; the ids of the inputs; and the Tensor
        to end at, if there is just one input.
    """
    last = inputs[0] if inputs is not None and len(inputs) == 1 else None
    order = _ancestors(outputs, last)
    if inputs is None:
        return order, {id(t) for t in order}, set(), None
    input_ids = {id(t) for t in inputs}
    needed = input_ids.copy()
    for t in order:  # only what lies between the outputs and the inputs
        if t is not last and t._node and not needed.isdisjoint(map(id, t._node[1])):
            needed.add(id(t))
    return [t for t in order if id(t) in needed], needed, input_ids, last


def _ancestors(outputs: Iterable["Tensor"], last: "Tensor | None") -> "list[Tensor]":
    """All Tensors that require a gradient and that the outputs were computed from, themselves included, oldest first.

    A Tensor is younger than what it was computed from, so the order of creation is a topological order. What lies
    beyond `last` is left out.
    """
    found = {id(output): output for output in outputs}
    stack = list(found.values())
    while stack:
        output = stack.pop()
        if output._node is None or output is last:
            continue
        operation, args, _, _, _ = output._node
        if args is None:
            raise RuntimeError(
                f"the graph was freed by an earlier backward (found at {operation.name});"
                " give that one retain_graph=True to go over it again"
            )
        for a in args:
            if type(a) is Tensor and a._requires_grad and id(a) not in found:
                found[id(a)] = a
                stack.append(a)
    return sorted(found.values(), key=attrgetter("_serial"))


def _as_tensors(output: "Tensor") -> tuple["Tensor", list[Any], dict[str, Any]]:
    """The result and the inputs of a node as Tensors, so that its vjps are recorded; what was saved has no graph."""
    operation, args, arrays, kwargs, _ = output._node
    inputs = [a if type(a) is Tensor and a._requires_grad else array for a, array in zip(args, arrays, strict=True)]
    return output, inputs, kwargs | {"saved": None} if operation.saves else kwargs


def _joint(
    operation: Any, g: Any, y: Any, args: Sequence[Any], inputs: Sequence[Any], kwargs: Any, needed: set[int]
) -> Sequence[Any]:
    """The gradients of all arguments of an operation with a joint vjp; None where no gradient is needed."""
    which = tuple(type(a) is Tensor and id(a) in needed for a in args)
    try:
        parts: Sequence[Any] = operation.joint(g, y, *inputs, needed=which, **kwargs)
        if len(parts) != len(args):
            raise TypeError(f"the joint vjp returned {len(parts)} gradients, expected one for each of {len(args)}")
    except Exception as error:
        error.add_note(f"in the backward pass of {operation.name}")
        raise
    return parts


def _as_tensor(g: Any) -> "Tensor":
    """A gradient as a Tensor; not by Tensor(...), whose checks cost 1 us."""
    if type(g) is Tensor:
        return g
    t = _new(Tensor)
    t._data, t.grad, t._requires_grad, t._node, t._serial = np.asarray(g), None, False, None, next(_serials)
    return t


def _fit(g: Any, x: Array, lazy: bool = False) -> Any:
    """The gradient in the shape and dtype of its argument: what broadcasting repeated is summed."""
    if type(g) is Product and not lazy:
        g = g.computed()
    shape = getattr(g, "shape", None)
    if shape != x.shape:
        if shape is None:
            raise TypeError(f"the vjp returned {type(g).__name__}, expected an array of shape {x.shape}")
        extra = g.ndim - x.ndim
        axes = tuple(range(extra))
        if shape[extra:] != x.shape:  # more than new axes in front; spares a bias 1.4 of 4.5 us
            if extra < 0 or any(n not in (1, m) for n, m in zip(x.shape, shape[extra:], strict=True)):
                raise ValueError(f"the vjp returned shape {shape}, expected {x.shape} or what it broadcasts to")
            axes += tuple(i for i, n in enumerate(x.shape, extra) if n == 1 and shape[i] != 1)
        g = np.add.reduce(g, axes, dtype=g.dtype) if type(g) is _ndarray else np.sum(g, axis=axes)  # saves 2 us
        if g.shape != x.shape:
            g = np.reshape(g, x.shape)
    if g.dtype != x.dtype:
        if g.dtype.kind == "c":
            raise TypeError(f"the gradient of a {x.dtype} Tensor is complex; complex numbers are not supported")
        g = g.astype(x.dtype)
    return g


def _unshare(results: "list[tuple[Tensor, Any]]", given: Sequence[Any]) -> "list[tuple[Tensor, Any]]":
    """Give each gradient an array of its own: two arguments of an addition, for example, are handed the same one."""
    taken = {id(_arrays(g)) for g in given}
    for i, (t, g) in enumerate(results):
        if type(g) is Product:
            continue
        array = g if type(g) is _ndarray else np.asarray(_arrays(g))
        if array.base is not None or not array.flags.writeable or id(array) in taken:
            results[i] = (t, np.positive(g))  # copies arrays and Tensors alike, and is recorded
        taken.add(id(array))
    return results


def _seed(output: "Tensor", gradient: Any) -> Any:
    """The gradient to start from, checked: ones for a scalar."""
    if type(output) is not Tensor:
        raise TypeError(f"a gradient is taken of a Tensor, not of {type(output).__name__}")
    if not output._requires_grad:
        raise RuntimeError(
            "no gradient: this Tensor was computed under no_grad(), or from nothing that has requires_grad=True"
        )
    if gradient is None:
        if output._data.size != 1:
            raise ValueError(
                f"the output has shape {output.shape}, so its own gradient must be given; only for a scalar is it 1"
            )
        return np.ones(output.shape, output.dtype)
    if np.shape(gradient) != output.shape:
        raise ValueError(f"the output has shape {output.shape}, its gradient {np.shape(gradient)}; they must be equal")
    if type(gradient) is Tensor:
        return gradient.astype(output.dtype)
    return np.asarray(gradient, dtype=output.dtype)


def grad(
    outputs: "Tensor | Sequence[Tensor]",
    inputs: "Tensor | Sequence[Tensor]",
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> Any:
    """The gradients of the outputs with respect to the inputs, as new Tensors; nothing is stored in `.grad`.

    Args:
        outputs: a Tensor, or several, whose gradients add up.
        inputs: a Tensor, or several; leaves or intermediate ones. One that the outputs do not depend on gets zeros.
        grad_outputs: the gradient of each output, in its shape; may be left out for scalars, where it is 1.
        create_graph: record the computation of the gradients, so that they can be differentiated again.
        retain_graph: keep the graph for another backward; defaults to `create_graph`.

    Returns:
        A Tensor for one input, a tuple of them for several; each with its input's shape and dtype.

    Raises:
        TypeError, ValueError: an input is no Tensor or needs no gradient; shapes of `grad_outputs` do not fit.
        RuntimeError: an output was made of nothing that requires a gradient; its graph was freed; or a Tensor or array
            in it was written to after its use.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> slope = grad((x**3).sum(), x, create_graph=True)
    >>> grad(slope.sum(), x)
    Tensor([ 6., 12.], dtype=float32)
    """
    sources = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if isinstance(outputs, Tensor):
        targets, seeds = [outputs], [grad_outputs]
    elif isinstance(outputs, Iterable):
        targets = list(outputs)
        seeds = [None] * len(targets) if grad_outputs is None else list(grad_outputs)
    else:
        raise TypeError(f"outputs is a Tensor or several of them, not {type(outputs).__name__}")
    if len(seeds) != len(targets):
        raise ValueError(f"{len(targets)} outputs need as many grad_outputs, not {len(seeds)}")
    for i, source in enumerate(sources):
        if type(source) is not Tensor or not source._requires_grad:
            raise TypeError(f"input {i} is not a Tensor with requires_grad=True: {source!r:.80}")
    starts = [(target, _seed(target, seed)) for target, seed in zip(targets, seeds, strict=True)]
    found = {id(t): g for t, g in _gradients(starts, sources, create_graph, retain_graph)}
    results = [_as_tensor(found.get(id(t), np.zeros_like(t._data))) for t in sources]
    for result in results:
        result._requires_grad |= create_graph  # a constant can be differentiated again too: to zeros
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def lazy_gradients(output: "Tensor", inputs: "Sequence[Tensor]") -> "list[tuple[Tensor, Array | Product]]":
    """For an optimiser: each input that a scalar depends on, with its gradient, which may be a product to be computed.

    No product reads from the memory of an input, so that these may be changed one by one.
    """
    found = _gradients([(output, _seed(output, None))], inputs, create_graph=False, retain_graph=False, lazy=True)
    changing = {id(memory_of(t._data)) for t in inputs}

    def is_safe(array: Array) -> bool:
        memory = memory_of(array)
        return memory.flags.owndata and id(memory) not in changing  # memory that is not NumPy's own may be shared

    return [(t, g.computed() if type(g) is Product and not (is_safe(g.a) and is_safe(g.b)) else g) for t, g in found]


# --- the registry: which functions take Tensors, and how -------------------------------------------------------------


def primitive(
    function: Function,
    *vjps: Function | None,
    joint: Function | None = None,
    reads: Sequence[str] | None = None,
    cases: Any = (),
) -> Function:
    """Make a function on ndarrays differentiable, and return it as a function on Tensors.

    Args:
        function: a pure function of ndarrays that returns one ndarray: NumPy's or your own.
        *vjps: for each positional argument a pure function `vjp(g, y, *inputs, **keywords)` that takes the gradient
            `g` of the output `y` to the gradient of this argument. Its keyword-only parameters are the keywords that
            the operation supports. It is written in NumPy expressions only: they run on Tensors as well, which gives
            derivatives of every order. None marks an argument that is not differentiable: a condition, an index, a
            label. A keyword-only parameter named `saved` is for what the forward has already computed: the function
            then returns `(result, saved)`. The vjps must not write to it. For derivatives of higher order it is None,
            and they compute it again.
        joint: in the place of `vjps`, where gradients share work: one function
            `joint(g, y, *inputs, needed, **keywords)` that returns a gradient for each input, or None where the
            boolean `needed[i]` is False. With `*inputs` the operation takes any number of arguments.
        reads: for `debug.guard`, what the gradient of each argument reads: the names of those parameters among `y` and
            the inputs whose elements it depends on, separated by spaces, as `("b", "a")` for a * b. Arguments left out
            at the end read nothing. By default each may read all.
        cases: what the generated tests draw its arguments from; see `tinygrad_np.ops.cases`.

    The backward pass sums the gradient over broadcast axes and gives it the argument's dtype, so a vjp need not.

    Raises:
        TypeError: no vjp is given, one takes other arguments than `g`, `y` and as many inputs as there are vjps, or
            they take different keywords.
        ValueError: the function is registered already.

    >>> cube = primitive(lambda x: x * x * x, lambda g, y, x: 3 * g * x * x)
    >>> x = Tensor(2.0, requires_grad=True)
    >>> grad(cube(x), x)
    Tensor(12., dtype=float32)
    >>> times = primitive(
    ...     lambda a, b: a * b,
    ...     joint=lambda g, y, a, b, *, needed: (g * b if needed[0] else None, g * a if needed[1] else None),
    ... )
    >>> grad(times(x, x), x)
    Tensor(4., dtype=float32)
    """
    _register(Primitive(function, vjps, joint, reads, cases))

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return apply(function, *args, **kwargs)

    return call


def differentiable(
    *vjps: Function | None, joint: Function | None = None, reads: Sequence[str] | None = None, cases: Any = ()
) -> Callable[[Function], Function]:
    """`primitive` as a decorator: the gradient stands above the forward.

    >>> @differentiable(lambda g, y, x: 3 * g * x * x)
    ... def cube(x):
    ...     return x * x * x
    >>> cube(Tensor([1.0, 2.0]))
    Tensor([1., 8.], dtype=float32)
    """
    return lambda function: primitive(function, *vjps, joint=joint, reads=reads, cases=cases)


def composite(function: Function, cases: Any = ()) -> Callable[[Function], Function]:
    """A decorator: the NumPy `function`, given Tensors, is what the decorated function of Tensors computes."""

    def register(implementation: Function) -> Function:
        _register(Composite(function, implementation, cases))
        return implementation

    return register


def constant(*functions: Function) -> None:
    """Register NumPy functions without a gradient: given Tensors, they see ndarrays and return what NumPy returns."""
    for function in functions:
        _register(Constant(function))


def _register(operation: "Primitive | Composite | Constant") -> None:
    if operation.function in registry:
        raise ValueError(f"{operation.name} is registered already")
    registry[operation.function] = operation


class Primitive:
    """A function on ndarrays with its vjps: the entry that `primitive` makes.

    Attributes:
        vjps: one for each argument; under `joint` None for each.
        arity: the number of differentiable and fixed arguments; None for any number.
        names: of the parameters of the vjps, from `y` on.
        reads: for each argument the positions in `names` that its gradient reads; None if that is not declared.
        keywords: the names of those that the operation supports.
        saves: whether the function returns `(result, saved)`.
    """

    def __init__(
        self,
        function: Function,
        vjps: Sequence[Function | None],
        joint: Function | None,
        reads: Sequence[str] | None,
        cases: Any,
    ) -> None:
        self.function, self.joint, self.cases = function, joint, cases
        self.name = name = name_of(function)
        given = [vjp for vjp in (joint, *vjps) if vjp is not None]
        if not given or (joint is not None and vjps):
            raise TypeError(f"{name} needs a vjp for each of its arguments, or one for all of them in joint=")
        (parameters, self.arity, keywords), *others = map(_parameters, given)
        for _, arity, other in [(parameters, self.arity, keywords), *others]:
            if joint is None and arity not in (None, len(vjps)):
                count = (arity or 0) + 2
                raise TypeError(f"a vjp of {name} takes g, y and {len(vjps)} inputs, not {count} positional arguments")
            if other != keywords:
                raise TypeError(f"the vjps of {name} take different keywords; each is given all of them")
        if joint is None:
            self.arity = len(vjps)
        elif "needed" not in keywords:
            raise TypeError(f"the joint vjp of {name} takes a keyword-only argument `needed`")
        self.vjps: Iterable[Function | None] = vjps or itertools.repeat(None)
        self.names = parameters[1:]
        if unknown := {word for read in reads or () for word in read.split()} - {*self.names}:
            raise TypeError(f"reads= of {name} names {sorted(unknown)}, not one of {self.names}")
        self.reads = None if reads is None else [{*map(self.names.index, read.split())} for read in reads]
        self.has_fixed_arguments = None in vjps
        self.keywords, self.saves = keywords - {"saved", "needed"}, "saved" in keywords
        self.freed = (self, None, None, None, None)  # the node after the backward pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return apply(self.function, *args, **kwargs)

    @cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.function)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The same call, checked, with the arguments that have a vjp by position and all others by name."""
        countable = self.arity is not None and not isinstance(self.function, np.ufunc)
        if countable and (len(args) != self.arity or not kwargs.keys() <= self.keywords):
            given = dict(self.signature.bind(*args, **kwargs).arguments)
            names = list(self.signature.parameters)[: self.arity]
            if missing := [name for name in names if name not in given]:
                raise TypeError(f"{self.name} of a Tensor needs its argument {missing[0]!r}")
            args = tuple(given.pop(name) for name in names)
            defaults = self.signature.parameters
            kwargs = {name: value for name, value in given.items() if value is not defaults[name].default}
        for name, value in kwargs.items():
            if name not in self.keywords:
                supported = ", ".join(sorted(self.keywords)) or "none"
                raise TypeError(f"{self.name} of a Tensor does not support {name}=; keywords supported: {supported}")
            if type(value) is Tensor:
                raise TypeError(f"{self.name} is not differentiable in {name}=: pass the Tensor's .data")
        return args, kwargs


class Composite:
    """A function made of other operations: its implementation runs on Tensors as it stands and needs no vjp."""

    def __init__(self, function: Function, implementation: Function, cases: Any) -> None:
        self.function, self.implementation, self.cases = function, implementation, cases
        self.name = name_of(function)

    @cached_property
    def keywords(self) -> set[str]:
        return set(inspect.signature(self.implementation).parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if unsupported := sorted(kwargs.keys() - self.keywords):
            supported = ", ".join(sorted(self.keywords))
            raise TypeError(f"{self.name} of a Tensor does not support {unsupported[0]}=; supported: {supported}")
        return self.implementation(*(np.asarray(a) if _is_nested_numbers(a) else a for a in args), **kwargs)


class Constant:
    """A function with nothing to differentiate (a comparison, argmax, shape): it sees ndarrays and returns its own."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.name = name_of(function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TypeError(f"{self.name} of a Tensor does not support out=")
        return self.function(*_arrays(args), **{name: _arrays(value) for name, value in kwargs.items()})


def name_of(function: Function) -> str:
    """The name as it is written after `np.`: `sum`, `add.reduce`, `linalg.inv`."""
    ufunc = getattr(function, "__self__", None)
    name = f"{ufunc.__name__}.{function.__name__}" if isinstance(ufunc, np.ufunc) else function.__name__
    module = function.__module__ or ""
    return f"{module.removeprefix('numpy.')}.{name}" if module.startswith("numpy.") else name


def _parameters(vjp: Function) -> tuple[list[str], int | None, set[str]]:
    """The positional parameters of a vjp, how many inputs it takes (None: any number), and its keyword-only ones."""
    if inspect.isfunction(vjp) and not hasattr(vjp, "__wrapped__"):  # 0.1 ms for all operations; signature() takes 3
        code, count = vjp.__code__, vjp.__code__.co_argcount
        names, keywords = code.co_varnames[:count], code.co_varnames[count : count + code.co_kwonlyargcount]
        any_number = bool(code.co_flags & inspect.CO_VARARGS)
        return list(names), None if any_number else count - 2, set(keywords)
    parameters = inspect.signature(vjp).parameters.values()
    names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    return list(names), None if any_number else len(names) - 2, set(keywords)


def _dispatch(function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What NumPy calls when one of its functions meets a Tensor."""
    operation = registry.get(function)
    if operation is None:
        name = name_of(function)
        near = difflib.get_close_matches(name, [known.name for known in registry.values()], n=1, cutoff=0)
        raise TypeError(
            f"{name} of a Tensor is not supported; the nearest that is: {''.join(near)}."
            " For the bare array, without a gradient, pass the Tensor's .data"
        )
    return operation(*args, **kwargs)


def _is_nested_numbers(value: Any) -> bool:
    """Whether the value is a list of numbers, or of such lists; an empty one may be of anything."""
    if not isinstance(value, list) or not value:
        return False
    for part in value:  # noqa: SIM110 - all() takes 0.4 us longer
        if not (isinstance(part, (int, float, np.generic)) or _is_nested_numbers(part)):
            return False
    return True


def _arrays(value: Any) -> Any:
    """The value with its Tensors, also those in lists and tuples, replaced by their arrays."""
    if type(value) is Tensor:
        return value._data
    if isinstance(value, tuple):
        return tuple(map(_arrays, value))
    if isinstance(value, list):
        return list(map(_arrays, value))
    return value


# --- the surface -----------------------------------------------------------------------------------------------------


def _method(function: Function) -> Function:
    """The NumPy function as a method of the same name: `t.sum(axis=0)` is `np.sum(t, axis=0)`."""

    @wraps(function)
    def method(self: "Tensor", *args: Any, **kwargs: Any) -> Any:
        return _dispatch(function, (self, *args), kwargs)

    return method


def _in_place(function: np.ufunc, sign: str) -> Any:
    """The augmented assignment `w -= step`: in place for a leaf that requires a gradient, under no_grad.

    Any other Tensor becomes a new one, as `y = y - step` makes it.
    """

    def operator(self: "Tensor", other: Any) -> "Tensor":
        if self._node is not None or not self._requires_grad:
            return NotImplemented  # type: ignore[no-any-return]
        if not _pauses.get():
            raise RuntimeError(
                f"w {sign}= ... on a leaf that requires a gradient writes to its memory, which needs no_grad():"
                f" `with no_grad(): w {sign}= ...`. For a new Tensor write w = w {sign} ..."
            )
        array = _arrays(other)
        try:
            function(self._data, array, out=self._data, casting="same_kind")
        except (ValueError, TypeError) as error:
            raise _explained(error, f"{function.__name__} in place", [self._data, array]) from error
        self._changed()
        return self

    return operator


@final
class Tensor:
    """An ndarray, in `.data`, with respect to which functions of it can be differentiated.

    Args:
        data: an ndarray or NumPy scalar, which keeps its dtype (and shares its memory), or Python numbers in nested
            lists, which become float32 (booleans stay so). Floating point, integer or boolean.
        requires_grad: record what is computed from it, so that `backward()` stores its gradient in `.grad`.
        dtype: overrides the dtype that the data would have.

    Raises:
        TypeError: data of another kind (complex, text, objects), or integers and booleans with `requires_grad`.

    NumPy's functions, operators and indexing work on Tensors and return Tensors; those without a gradient (comparison,
    argmax) return plain arrays. Assigning to elements is refused, since earlier results may have been computed from
    them. Arrays are not copied, so for the same reason leave those that you computed with alone until the backward is
    done. Changes by an optimiser, by `load_state_dict`, by `w.data = ...`, `w.data -= ...` and `w -= ...` are noticed,
    through views of the memory as well: a backward over earlier uses raises. Writes to elements of the array,
    `w.data[:] = 0`, are noticed under `guard` only.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> np.exp(x * 0).sum().backward(); x.grad
    Tensor([[0., 0.],
            [0., 0.]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_data", "_node", "_requires_grad", "_serial", "grad")

    _data: Array
    grad: "Tensor | None"
    _requires_grad: bool
    # Two counters in one, on one clock (`_serials`). It is the order of creation, which is a topological order of the
    # graph. For a leaf it is also its version: a write gives it a new number, which is larger than those of all nodes
    # that have used it before.
    _serial: int
    # (operation, args, their arrays, kwargs, observation or None); None for a leaf, operation.freed after the backward
    # pass. It points at parents only, so there is no cycle, and a graph is freed by reference counting alone.
    _node: Any

    def __init__(self, data: Any, requires_grad: bool = False, dtype: "np.typing.DTypeLike | None" = None) -> None:
        if isinstance(data, Tensor | np.ma.MaskedArray | np.matrix):
            raise TypeError(f"a Tensor is made of an array, not of a {type(data).__name__}; see detach() or filled()")
        array = np.asarray(data, dtype)
        if dtype is None and not isinstance(data, np.ndarray | np.generic) and array.dtype.kind in "iuf":
            array = array.astype(np.float32)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"a Tensor holds real numbers or booleans, not {array.dtype}: {data!r:.80}")
        self._data = array
        self.grad = None
        self._serial = next(_serials)
        self._node = None
        self._requires_grad = bool(requires_grad) and self._can_require_grad()

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("Tensor cannot be subclassed: write functions of Tensors, or a Module that holds one")

    @property
    def data(self) -> Array:
        """The array. Assigning another one, as `w.data = array` or `w.data -= step`, counts as a change.

        A backward over earlier uses then raises, as it does after an optimiser's step.

        Raises (on assignment):
            TypeError: it is no ndarray, or has another dtype.
            ValueError: it has another shape.
            RuntimeError: this Tensor was computed: its data follows from its inputs.
        """
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        if self._node is not None:
            if array is self._data:  # as in `y.data -= 1`, which has written to it
                _note_write(array)
            raise RuntimeError("the data of a computed Tensor follows from its inputs; change that of y.detach()")
        if isinstance(array, np.generic):  # what NumPy makes of 0-d arrays
            array = np.asarray(array)
        if type(array) is not _ndarray:
            raise TypeError(f"data must be an ndarray, not {type(array).__name__}; of a Tensor, take its .data")
        if array.shape != self._data.shape:
            raise ValueError(f"data must keep the shape {self._data.shape}, not get {array.shape}; make a new Tensor")
        if array.dtype != self._data.dtype:
            dtype = self._data.dtype
            raise TypeError(f"data must keep the dtype {dtype}, not get {array.dtype}; use .astype(np.{dtype})")
        self._data = array
        self._changed()

    def _changed(self) -> None:
        """Note that the data was written to: a backward over earlier uses of its memory will raise."""
        self._serial = _note_write(self._data)

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this Tensor is recorded; can be switched on a leaf, as in freezing a layer."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            raise RuntimeError("requires_grad of a computed Tensor follows from its inputs; detach() cuts it off")
        if value and self._can_require_grad() and not self._requires_grad:
            self._changed()  # earlier uses are not recorded: a backward over later ones only would be wrong
        self._requires_grad = bool(value)

    def _can_require_grad(self) -> bool:
        if self._data.dtype.kind != "f":
            raise TypeError(f"only floating point can require a gradient, not {self._data.dtype}; see astype")
        return True

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was given, and not computed from others that require a gradient."""
        return self._node is None

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The kind of numbers, NumPy's."""
        return self._data.dtype

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The Tensor with its axes reversed."""
        return self.transpose()

    def backward(self, gradient: Any = None, *, create_graph: bool = False, retain_graph: bool | None = None) -> None:
        """Add the gradient of this Tensor to the `.grad` of every leaf that it was computed from.

        Two threads must not do so with the same leaf at once. With `create_graph`, `.grad` remembers how it was
        computed and so points back at the leaf: set it to None, or let the garbage collector find this cycle.

        Args:
            gradient: the gradient of this Tensor itself, in its shape; may be left out for a scalar, where it is 1.
            create_graph: record the computation of the gradients, so that they can be differentiated again.
            retain_graph: keep the graph for another backward; defaults to `create_graph`.

        Raises:
            ValueError: no gradient is given and this is no scalar, or its shape is another.
            RuntimeError: nothing that this was computed from requires a gradient; the graph was freed; or a Tensor or
                array in it was written to after its use.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        Tensor([2., 4.], dtype=float32)
        """
        for leaf, g in _gradients([(self, _seed(self, gradient))], None, create_graph, retain_graph):
            before = leaf.grad if create_graph or leaf.grad is None else leaf.grad._data
            leaf.grad = _as_tensor(g if before is None else before + g)

    def detach(self) -> "Tensor":
        """The same array in a Tensor that no gradient flows through."""
        return Tensor(self._data)

    def item(self) -> Any:
        """The one element, as a Python number. Raises ValueError if there is not just one."""
        if self._data.size != 1:
            raise ValueError(f"item() needs a Tensor of one element, not of shape {self.shape}")
        return self._data.item()

    # Operators. The key is the NumPy function, so that this file need not import the operations.

    def __add__(self, other: Any) -> "Tensor":
        return apply(np.add, self, other)

    def __radd__(self, other: Any) -> "Tensor":
        return apply(np.add, other, self)

    def __sub__(self, other: Any) -> "Tensor":
        return apply(np.subtract, self, other)

    def __rsub__(self, other: Any) -> "Tensor":
        return apply(np.subtract, other, self)

    def __mul__(self, other: Any) -> "Tensor":
        return apply(np.multiply, self, other)

    def __rmul__(self, other: Any) -> "Tensor":
        return apply(np.multiply, other, self)

    def __truediv__(self, other: Any) -> "Tensor":
        return apply(np.divide, self, other)

    def __rtruediv__(self, other: Any) -> "Tensor":
        return apply(np.divide, other, self)

    def __pow__(self, other: Any) -> "Tensor":
        if type(other) in (int, float) and other == 2:  # as ndarray does: np.power(x, 2) takes 4 times as long
            return apply(np.square, self)
        return apply(np.power, self, other)

    def __rpow__(self, other: Any) -> "Tensor":
        return apply(np.power, other, self)

    def __matmul__(self, other: Any) -> "Tensor":
        return apply(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> "Tensor":
        return apply(np.matmul, other, self)

    __iadd__ = _in_place(np.add, "+")
    __isub__ = _in_place(np.subtract, "-")
    __imul__ = _in_place(np.multiply, "*")
    __itruediv__ = _in_place(np.divide, "/")
    __ipow__ = _in_place(np.power, "**")
    __imatmul__ = _in_place(np.matmul, "@")

    def __neg__(self) -> "Tensor":
        return apply(np.negative, self)

    def __pos__(self) -> "Tensor":
        return apply(np.positive, self)

    def __abs__(self) -> "Tensor":
        return apply(np.absolute, self)

    def __getitem__(self, index: Any) -> "Tensor":
        return apply(getitem, self, _arrays(index) if type(index) is not list or index else np.array([], int))

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a Tensor's elements cannot be assigned, since earlier results may have been computed from them;"
            " make a new Tensor: x = x.at[index].set(value), or np.where"
        )

    @property
    def at(self) -> "_At":
        """New Tensors with other elements at an index: `x.at[index].set(value)` and `x.at[index].add(value)`.

        `add` adds as often as an element is selected; `set` refuses to set one twice.

        >>> x = Tensor([1.0, 2.0, 3.0])
        >>> x.at[1].set(9.0), x.at[[0, 0]].add(1.0)
        (Tensor([1., 9., 3.], dtype=float32), Tensor([3., 2., 3.], dtype=float32))
        """
        return _At(self)

    def __eq__(self, other: object) -> Any:
        return _dispatch(np.equal, (self, other), {})

    def __ne__(self, other: object) -> Any:
        return _dispatch(np.not_equal, (self, other), {})

    def __lt__(self, other: Any) -> Any:
        return _dispatch(np.less, (self, other), {})

    def __le__(self, other: Any) -> Any:
        return _dispatch(np.less_equal, (self, other), {})

    def __gt__(self, other: Any) -> Any:
        return _dispatch(np.greater, (self, other), {})

    def __ge__(self, other: Any) -> Any:
        return _dispatch(np.greater_equal, (self, other), {})

    __hash__ = object.__hash__

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.__array__().item())  # refuses what requires a gradient; item() is the explicit way

    def __int__(self) -> int:
        return int(self.__array__().item())

    def __reduce__(self) -> Any:
        """Copies and pickles are new leaves, without `.grad`: the order of creation means nothing elsewhere."""
        if self._node is not None:
            raise TypeError("a computed Tensor is not copied or pickled, since its graph would be; detach() it first")
        return Tensor, (self._data, self._requires_grad)

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __repr__(self) -> str:
        numbers = np.array2string(self._data, separator=", ", prefix="Tensor(")
        return f"Tensor({numbers}, dtype={self.dtype}{', requires_grad=True' if self._requires_grad else ''})"

    # ndarray's methods that have a NumPy function of their name: all of them, whether or not the operation is
    # registered, so that a new operation need not touch this file.

    all = _method(np.all)
    any = _method(np.any)
    argmax = _method(np.argmax)
    argmin = _method(np.argmin)
    argpartition = _method(np.argpartition)
    argsort = _method(np.argsort)
    astype = _method(np.astype)
    choose = _method(np.choose)
    clip = _method(np.clip)
    copy = _method(np.copy)
    cumprod = _method(np.cumprod)
    cumsum = _method(np.cumsum)
    diagonal = _method(np.diagonal)
    dot = _method(np.dot)
    max = _method(np.max)
    mean = _method(np.mean)
    min = _method(np.min)
    nonzero = _method(np.nonzero)
    prod = _method(np.prod)
    ravel = _method(np.ravel)
    repeat = _method(np.repeat)
    round = _method(np.round)
    searchsorted = _method(np.searchsorted)
    squeeze = _method(np.squeeze)
    std = _method(np.std)
    sum = _method(np.sum)
    swapaxes = _method(np.swapaxes)
    take = _method(np.take)
    trace = _method(np.trace)
    var = _method(np.var)

    def reshape(self, *shape: Any, **kwargs: Any) -> "Tensor":
        """`t.reshape(2, 3)` or `t.reshape((2, 3))`, as `np.reshape(t, (2, 3))`."""
        return apply(np.reshape, self, shape=shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> "Tensor":
        """`t.transpose()`, `t.transpose(1, 0)` or `t.transpose((1, 0))`, as `np.transpose(t, axes)`."""
        return apply(np.transpose, self, axes=(axes[0] if len(axes) == 1 else axes) if axes else None)

    # NumPy's protocols: np.exp(t), np.concatenate([t, u]), ndarray + t.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        return _dispatch(ufunc if method == "__call__" else getattr(ufunc, method), args, kwargs)

    def __array_function__(
        self, function: Function, types: Iterable[type], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        if all(issubclass(kind, Tensor | np.ndarray) for kind in types):
            return _dispatch(function, args, kwargs)
        return NotImplemented

    def __array__(self, dtype: "np.typing.DTypeLike | None" = None, copy: bool | None = None) -> Array:
        if self._requires_grad:
            raise TypeError("a Tensor that requires a gradient becomes no array or number unasked: see .data, .item()")
        return np.array(self._data, dtype, copy=copy)


class _At:
    """A Tensor, and with brackets an index into it, on the way to `set` or `add`."""

    def __init__(self, tensor: Tensor, index: Any = None) -> None:
        self._tensor, self._index = tensor, index

    def __getitem__(self, index: Any) -> "_At":
        return _At(self._tensor, _arrays(index))

    def set(self, value: Any) -> Tensor:
        """The Tensor with these elements replaced."""
        return _dispatch(setitem, (self._tensor, self._index, value), {})  # type: ignore[no-any-return]

    def add(self, value: Any) -> Tensor:
        """The Tensor with the value added to these elements, as often as each is selected."""
        return _dispatch(iadd, (self._tensor, self._index, value), {})  # type: ignore[no-any-return]


_new = object.__new__
