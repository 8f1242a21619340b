"""Tensors that remember how they were computed, and the backward pass that turns this graph into gradients.

NumPy is the forward, this file is the backward. An operation is a function on ndarrays with one vjp ("vector-Jacobian
product") per argument; `_registry.py` makes it of them. The function then takes a `Tensor` wherever it takes an array,
and its result is a node of a graph. `Tensor.backward()` and `grad()` go over this graph from the youngest node to the
oldest.

Reading order: `apply` runs an operation and adds a node to the graph; `_backward_pass` goes back over the nodes;
`_dispatch` is what NumPy calls; `Tensor` is the surface on top.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from functools import partial, wraps
from importlib import import_module
from operator import attrgetter, getitem, iadd, setitem
from typing import Any, ClassVar, Never, NoReturn, Protocol, TypeAlias, TypeGuard, cast, final, overload

import numpy as np

from . import _html
from ._contexts import StepDecorator
from ._functions import name_of
from ._machine import writes
from ._machine.arrays import Array as Array
from ._machine.arrays import memory_of, summed
from ._machine.fused import Product
from ._machine.scatter import Part, Parts
from ._machine.writes import serials
from ._messages import (
    Hints,
    add_note,
    as_call,
    foreign,
    instead_of,
    needs_call,
    of_call,
    of_keyword,
    of_scipy,
    raise_explained,
)
from ._messages import kind as _kind
from ._neighbours import as_data, as_numbers

Function: TypeAlias = Callable[..., Any]
registry: dict[Function, Any] = {}  # the operations; `_registry.py` makes them


# --- forward: run an operation, and add a node to the graph ----------------------------------------------------------


def apply(function: Function, /, *args: Any, **kwargs: Any) -> "Tensor":
    """Call a registered primitive. Where an argument is a Tensor, the result is a Tensor, and a node of the graph.

    This is the hot path: with its backward pass 2.5 us above NumPy for eight floats (`python -m benchmarks.overhead`).
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
        elif (a.dtype.kind in "fiubc") if type(a) is _ndarray else type(a) in _PLAIN:
            arrays.append(a)
        else:
            return apply(function, *operation.plain(args), **kwargs)
    if operation.real_only:
        for a in arrays:
            if (a.dtype.kind == "c") if type(a) is _ndarray else isinstance(a, complex):
                _refuse_complex(operation.name)
    if (
        operation.wide
        and (getattr(arrays[0], "dtype", None) is _float16 or getattr(arrays[-1], "dtype", None) is _float16)
        and operation.gives_float16(arrays)
    ):
        return _by_float32(operation, operation.name, args, kwargs)  # type: ignore[no-any-return]
    observer = _observer
    try:
        data = function(*arrays, **kwargs) if observer is None else observer.run(function, args, arrays, kwargs)
    except Exception as error:
        raise_explained(error, operation.name, arrays, {} if operation.is_internal else kwargs)
    if operation.saves:
        data, kwargs["saved"] = data
    if requires_grad is None:
        return data  # type: ignore[no-any-return]
    output = _new(Tensor)  # not Tensor(...): its checks cost 0.5 us
    output._data = data if type(data) is _ndarray else _zero_dimensional(data, operation.name)
    output._grad = None
    output._serial = next(serials)
    if requires_grad and not _pauses.get():
        output._requires_grad = True
        output._node = (operation, args, arrays, kwargs, None)
        for i in operation.fixed:
            if type(args[i]) is Tensor and args[i]._requires_grad:
                _refuse_gradient(operation.name, i)
    else:
        output._requires_grad, output._node = False, None
    if observer is not None:
        observer.ran(operation, args, kwargs, output)
    return output


class Observer(Protocol):
    """What `apply` calls while operations are observed, as by `debug` and `nn.summary`."""

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


_observer: Observer | None = None  # what `apply` calls: the one observer, or several as one
_observers: list[Observer] = []


def observe(observer: Observer, on: bool = True) -> None:
    """Let an observer look at every operation, in all threads, until it is called with `on=False`."""
    global _observer
    (_observers.append if on else _observers.remove)(observer)
    _observer = _Several(tuple(_observers)) if len(_observers) > 1 else _observers[0] if _observers else None


class _Several:
    """Several observers as one."""

    def __init__(self, observers: tuple[Observer, ...]) -> None:
        self.observers = observers

    def run(self, function: Function, args: Sequence[Any], arrays: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        for observer in self.observers:
            function = partial(self._run, observer, function, args)
        return function(*arrays, **kwargs)

    @staticmethod
    def _run(observer: Observer, function: Function, args: Sequence[Any], *arrays: Any, **kwargs: Any) -> Any:
        return observer.run(function, args, arrays, kwargs)

    def ran(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: "Tensor") -> None:
        for observer in self.observers:
            observer.ran(operation, args, kwargs, output)


_pauses: ContextVar[int] = ContextVar("pauses", default=0)  # whether this thread or task records nothing
# The no_grad and enable_grad that it is inside of, outermost first, each with what `_pauses` was before.
_modes: ContextVar[tuple[tuple["_Mode", int], ...]] = ContextVar("modes", default=())
_recorded: ContextVar[str | None] = ContextVar("recorded", default=None)  # under create_graph: whose vjp is running


def _refuse_to_leave(what: str) -> None:
    """Raise where a vjp whose computation is recorded would leave the graph: a derivative would silently be lost."""
    if (name := _recorded.get()) is not None:
        raise RuntimeError(
            f"the vjp of {name} uses {what} under create_graph, which would lose the derivatives of higher order."
            " Write it in NumPy functions of the Tensors that it is given; comparisons, as in np.where(x > 0, g, 0),"
            " give plain arrays"
        )


class _Mode(StepDecorator):
    """Base class of no_grad and enable_grad. The youngest decides, in whatever order they are left."""

    _pauses: ClassVar[int]

    def __new__(cls, function: Any = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)  # @no_grad without parentheses

    def __repr__(self) -> str:
        return as_call(self)

    def __enter__(self) -> None:
        _modes.set((*_modes.get(), (self, _pauses.get())))
        _pauses.set(self._pauses)

    def __exit__(self, *error: object) -> None:
        modes = list(_modes.get())
        at = next((i for i in reversed(range(len(modes))) if modes[i][0] is self), None)
        if at is None:
            return  # it was entered by another task, which closes its generator here
        _, before = modes.pop(at)
        if at == len(modes):
            _pauses.set(before)
        else:
            modes[at] = (modes[at][0], before)
        _modes.set(tuple(modes))


class no_grad(_Mode):  # noqa: N801 - used like a function, and named as everywhere in the field
    """Record no graph in this thread or task: `with no_grad():`, or `@no_grad()` on a function, generator or coroutine.

    As a decorator it holds for the steps of a generator or coroutine only. `with no_grad():` inside one also holds for
    the caller's code until it goes on, as every `with` does.

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _pauses = 1

    def __enter__(self) -> None:
        _refuse_to_leave("no_grad()")
        super().__enter__()


class enable_grad(_Mode):  # noqa: N801
    """Record a graph again, inside `no_grad`: `with enable_grad():`, or a decorator as `no_grad` is.

    It is for the one gradient in a function that is called under `no_grad`, such as a step towards an adversarial
    example in an evaluation.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> with no_grad():
    ...     with enable_grad():
    ...         slope = grad((x * x).sum(), x)
    ...     (slope * 2).requires_grad, slope
    (False, Tensor([6.], dtype=float32))
    """

    _pauses = 0


def _refuse_gradient(name: str, i: int) -> NoReturn:
    raise TypeError(f"{name} is not differentiable in argument {i}: pass the Tensor's .detach()")


def _zero_dimensional(data: Any, name: str) -> Array:
    """The array for a result that NumPy, or a function of its scalars, gives as a scalar."""
    if not isinstance(data, (np.generic, float, int)):
        raise TypeError(f"{name} returned {type(data).__name__}; an operation returns one ndarray")
    return np.asarray(data)


_ndarray, _float16 = np.ndarray, np.dtype(np.float16)
_ARRAYS = {  # what NumPy gives from arrays
    np.ndarray, np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128, np.clongdouble
}  # fmt: skip
_PLAIN = {bool, int, float, complex, slice, tuple, type(None), type(...)}


def _refuse_complex(name: str) -> NoReturn:
    raise TypeError(f"{name} of a Tensor takes real numbers, not complex ones: write it of z.real, z.imag or np.abs(z)")


def _digits(dtype: Any) -> int:
    """The bytes of a number, or of the real part of a complex one."""
    return dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize  # type: ignore[no-any-return]


def _plain(a: Any, name: str, argument: str) -> Any:
    """An argument of another type as an array, if it is numbers. What would mean something else in a vjp is refused.

    A masked array loses its mask there, and np.matrix multiplies differently.
    """
    if type(a) is Tensor or type(a) in _PLAIN:
        return a
    if isinstance(a, list) and _has_tensors(a):
        return np.stack([_plain(part, name, argument) for part in a])
    if isinstance(a, list | np.generic | np.ndarray) and not isinstance(a, np.ma.MaskedArray | np.matrix):
        array = np.asarray(a)
        if array.dtype.kind in "fiubc":
            return array
    if (numbers := as_numbers(a)) is not None:
        return numbers
    kind = f"array of {a.dtype}" if type(a) is _ndarray else foreign(a)
    raise TypeError(f"{name} takes arrays of numbers or booleans, and numbers, as {argument}, but no {kind}")


def as_array(value: Any) -> Any:
    """A Tensor as it is, numbers and lists of them as an array."""
    plain = value if type(value) is Tensor else _plain(value, "a function of Tensors", "an argument")
    return plain if type(plain) is Tensor else np.asarray(plain)


def _has_tensors(values: list[Any]) -> bool:
    return any(type(v) is Tensor or (isinstance(v, list) and _has_tensors(v)) for v in values)


def _by_float32(call: Function, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The result of a function, in float16, computed in float32; so are its gradients, since the casts are recorded."""

    def cast(a: Any, before: Any, after: Any) -> Any:
        return a.astype(after) if getattr(a, "dtype", None) == before else a

    wide = [cast(a, _float16, np.float32) for a in args]
    try:
        result = call(*wide, **{name: cast(a, _float16, np.float32) for name, a in kwargs.items()})
    except (ValueError, TypeError, IndexError) as error:  # the message says what was given, not what was made of it
        raise_explained(error.__cause__ or error, name, _arrays(list(args)), kwargs)  # type: ignore[arg-type]
    if isinstance(result, tuple):
        return tuple(cast(y, np.float32, _float16) for y in result)
    return cast(result, np.float32, _float16)


# --- writes in between: what a node holds must not change before its gradients are computed --------------------------


def _check(output: "Tensor") -> None:
    """Look at a node before its gradients are computed: for writes since, if there were any, and by an observation."""
    if output._serial < writes.latest:
        _refuse_changes(output)
    if (observation := output._node[4]) is not None:
        observation.before(output)


def _refuse_changes(output: "Tensor") -> None:
    """Raise if anything that a node holds was written to after the operation."""
    operation, args, _, _, _ = output._node
    result, *held = _held(output)
    for i, (place, value) in enumerate([*held, result]):
        versions = [writes.last_write_to(array) for array in _arrays_in(value)]
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
    keywords = [(f"keyword {name}", value) for name, value in kwargs.items()]
    return [("the result", output._data), *((f"argument {i}", a) for i, a in enumerate(arrays)), *keywords]


def _arrays_in(value: Any) -> "Iterator[Array]":
    """The arrays in a value, which may be one, or lists, tuples and dicts of them."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays_in(part)


# --- backward: over the graph, from the youngest node to the oldest --------------------------------------------------


def _backward_pass(
    order: "list[Tensor]", gradients: dict[int, Any], needed: set[int], inputs: set[int], last: "Tensor | None",
    create_graph: bool, retain_graph: bool, lazy: bool,
) -> "list[tuple[Tensor, Any]]":  # fmt: skip
    """The gradients of leaves and inputs, from those of the outputs in `gradients`; keys are ids of Tensors."""
    results = []
    owned: set[int] = set()  # whose gradient was allocated here, and may be added to in place
    while order:  # the youngest first: by then everything that it was used for has been visited
        output = order.pop()
        g, node = gradients.pop(id(output), None), output._node
        if create_graph and type(g) is Parts:
            g = g.computed()
        if node is None or id(output) in inputs:
            results.append((output, g))
            if node is None or output is last:
                continue
        operation, args, arrays, kwargs, observation = node
        if output._serial < writes.latest or observation is not None:
            _check(output)
        y, arrays, kwargs = _as_tensors(output) if create_graph else (output._data, arrays, kwargs)
        parts = None if operation.joint is None else _joint(operation, g, y, args, arrays, kwargs, needed)
        try:
            for i, a in enumerate(args):
                if type(a) is Tensor and (key := id(a)) in needed:
                    part = operation.vjps[i](g, y, *arrays, **kwargs) if parts is None else parts[i]
                    x = a._data
                    if type(part) not in _ARRAYS or part.shape != x.shape or part.dtype is not x.dtype:
                        adds = (create_graph or key in owned) and not observation
                        part = _fit(part, x, create_graph, lazy and not (a._node or observation), output, i, adds)
                    if observation is not None:
                        observation.after(i, part, g, y, arrays)
                    if key not in gradients:
                        gradients[key] = part
                    elif key in owned and not create_graph:
                        gradients[key] += part
                    elif type(part) is Parts:
                        gradients[key] = part.added_to(gradients[key])
                    else:
                        before = gradients[key]
                        # A sum of many float16 would stop growing where its unit in the last place exceeds the next.
                        gradients[key] = (before.astype(np.float32) if x.dtype is _float16 else before) + part
                        owned.add(key)
        except Exception as error:
            add_note(error, f"in the backward pass of {operation.name}, argument {i}")
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
    plan: Any = None,
) -> "list[tuple[Tensor, Any]]":
    """From outputs, each with its gradient, to the inputs (all leaves if inputs is None), each with its gradient.

    Gradients are ndarrays, so that a step costs what hand-written NumPy costs. Under create_graph they are Tensors, and
    with `lazy` that of a leaf may be a `Product`.
    """
    order, needed, input_ids, last = plan or _plan([output for output, _ in outputs], inputs)
    gradients: dict[int, Any] = {}
    for output, g in outputs:
        g = _as_tensor(g) if create_graph else _arrays(g)
        gradients[id(output)] = gradients[id(output)] + g if id(output) in gradients else g
    retain_graph = create_graph if retain_graph is None else retain_graph
    token = _pauses.set(0 if create_graph else 1)
    recorded = _recorded.set(None) if create_graph else None
    try:
        with np.errstate(all="ignore"):  # at a singular point an infinite gradient is the answer, not an accident
            results = _backward_pass(order, gradients, needed, input_ids, last, create_graph, retain_graph, lazy)
            return _unshare(results, [g for _, g in outputs])
    finally:
        _pauses.reset(token)
        if recorded is not None:
            _recorded.reset(recorded)


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
    needed, between = input_ids.copy(), []  # only what lies between the outputs and the inputs
    for t in order:
        if id(t) in needed or (t._node and not needed.isdisjoint(map(id, t._node[1]))):
            needed.add(id(t))
            between.append(t)
    return between, needed, input_ids, last


def _ancestors(outputs: Iterable["Tensor"], last: "Tensor | None", since: float = 0) -> "list[Tensor]":
    """All Tensors that require a gradient and that the outputs were computed from, themselves included, oldest first.

    A Tensor is younger than what it was computed from, so the order of creation is a topological order. What lies
    beyond `last`, or beyond a Tensor that is older than `since`, is left out.
    """
    found = {id(output): output for output in outputs}
    stack = list(found.values())
    while stack:
        output = stack.pop()
        if (node := output._node) is None or output is last or output._serial < since:
            continue
        if node[1] is None:
            raise RuntimeError(
                f"the graph was freed by an earlier backward (found at {node[0].name});"
                " give that one retain_graph=True to go over it again"
            )
        for a in node[1]:
            if type(a) is Tensor and a._requires_grad and (key := id(a)) not in found:
                found[key] = a
                stack.append(a)
    return sorted(found.values(), key=attrgetter("_serial"))


def _as_tensors(output: "Tensor") -> tuple["Tensor", list[Any], dict[str, Any]]:
    """The result and the inputs of a node as Tensors, so that its vjps are recorded; what was saved has no graph."""
    operation, args, arrays, kwargs, _ = output._node
    _recorded.set(operation.name)
    inputs = [a if type(a) is Tensor and a._requires_grad else array for a, array in zip(args, arrays, strict=True)]
    return output, inputs, kwargs | {"saved": None} if operation.saves else kwargs


def _joint(
    operation: Any, g: Any, y: Any, args: Sequence[Any], inputs: Sequence[Any], kwargs: Any, needed: set[int]
) -> Sequence[Any]:
    """The gradients of all arguments of an operation with a joint vjp; None where no gradient is needed."""
    which = tuple(type(a) is Tensor and id(a) in needed for a in args)
    try:
        parts: Sequence[Any] = operation.joint(g, y, *inputs, needed=which, **kwargs)
        if not isinstance(parts, tuple | list) or len(parts) != len(args):
            found = f"{len(parts)} gradients" if isinstance(parts, tuple | list) else type(parts).__name__
            raise TypeError(
                f"the joint vjp of {operation.name} returned {found}, expected a tuple of {len(args)}: a gradient for"
                " each argument, or None where `needed` is False"
            )
    except Exception as error:
        add_note(error, f"in the backward pass of {operation.name}")
        raise
    return parts


def _as_tensor(g: Any) -> "Tensor":
    """A gradient as a Tensor; not by Tensor(...), whose checks cost 1 us."""
    if type(g) is Tensor:
        return g
    t = _new(Tensor)
    t._data, t._grad, t._requires_grad, t._node, t._serial = np.asarray(g), None, False, None, next(serials)
    return t


def _fit(
    g: Any, x: Array, recorded: bool = True, lazy: bool = False, output: Any = None, i: int = 0, adds: bool = False
) -> Any:
    """The gradient in the shape and dtype of argument i of the node: what broadcasting repeated is summed.

    With `lazy` it may be a `Product`, and with `adds` what is to be added to another one: a `Part` if that is done in
    place, `Parts` if it is recorded.
    """
    if type(g) is not _ndarray and not isinstance(g, np.generic):
        if type(g) is Product:
            g = g if lazy and g.shape == x.shape and g.dtype == x.dtype else g.computed()
        elif type(g) is Part or type(g) is Parts:
            adds = adds and recorded is (type(g) is Parts)
            g = g if adds and g.shape == x.shape != () and g.dtype is x.dtype else g.computed()
        elif type(g) is not Tensor or not recorded:
            raise TypeError(_unfit(g, x, recorded, output, i))
    dtype, shape, expected = g.dtype, g.shape, x.shape
    if dtype is not x.dtype:
        if (
            dtype.kind not in "fc"
            or x.dtype.kind not in "fc"
            or (output is not None and _digits(dtype) < min(_digits(x.dtype), _digits(output._data.dtype)))
        ):
            raise TypeError(_unfit(g, x, recorded, output, i))
        if dtype.kind == "c" and x.dtype.kind == "f":
            if output is not None and output._data.dtype.kind == "f":
                raise TypeError(_unfit(g, x, recorded, output, i))
            g = np.real(g)  # what is real moves along the real line only
    if shape != expected:
        extra = len(shape) - len(expected)
        axes = [*range(extra)]
        if shape[extra:] != expected:  # more than new axes in front; spares a bias 1.1 of 3.9 us
            for axis, n in enumerate(expected, extra):
                if extra < 0 or (n != shape[axis] and n != 1):
                    raise ValueError(_unfit(g, x, recorded, output, i))
                if n != shape[axis]:
                    axes.append(axis)
        g = summed(g, tuple(axes))
        if g.shape != expected:
            g = np.reshape(g, expected)
    return g if g.dtype is x.dtype else g.astype(x.dtype, copy=False)


def _unfit(g: Any, x: Array, recorded: bool, output: "Tensor", i: int) -> str:
    """Why what a vjp returned is no gradient of argument i of a node, and what to write instead."""
    operation, args = output._node[:2]
    if (wrong := next((t for t in (output, args[i]) if t._data.dtype.kind not in "fc"), None)) is not None:
        return _no_number(wrong)
    start = f"the {'joint ' if operation.joint else ''}vjp of {operation.name} for argument {i} returned"
    if type(g) is Tensor and not recorded:
        return (
            f"{start} a Tensor where it was given arrays; a Tensor that it needs must be an argument of the operation"
        )
    if g is None:
        return f"{start} None, expected an array of shape {x.shape}; without influence the gradient is zeros"
    if type(g) is not _ndarray and not isinstance(g, Tensor | np.generic):
        use = "multiply a number by g" if isinstance(g, float | int) else "return one array"
        return f"{start} {type(g).__name__}, expected an array of shape {x.shape}; {use}"
    if g.dtype.kind == "c" and output._data.dtype.kind == x.dtype.kind == "f":
        return f"{start} {_kind(g)}, though argument and result are real; take its .real"
    if g.dtype.kind not in "fc":
        return f"{start} {_kind(g)}, expected floating point; multiply it by g, or use .astype(g.dtype)"
    if _digits(g.dtype) < min(_digits(x.dtype), _digits(output._data.dtype)):
        return f"{start} {_kind(g)}, of lower precision than its argument and its result; compute in the dtype of g"
    return f"{start} shape {g.shape}, expected {x.shape} or what it broadcasts to"


def _no_number(output: "Tensor | None") -> str:
    """Why a node whose result is not floating point has no gradient: the first such result is named."""
    while output is not None:
        operation, first = output._node[0], output
        above = (a for a in output._node[1] if type(a) is Tensor and a._node and a._data.dtype.kind not in "fc")
        output = next(above, None)
    return f"{operation.name} returned {_kind(first._data)}; a differentiable operation returns floating point"


def _unshare(results: "list[tuple[Tensor, Any]]", given: Sequence[Any]) -> "list[tuple[Tensor, Any]]":
    """Give each gradient an array of its own: two arguments of an addition, for example, are handed the same one."""
    taken = {id(t._data) for t, _ in results}
    taken.update(map(id, map(_arrays, given)))
    for i, (t, g) in enumerate(results):
        if type(g) is Product:
            continue
        if g.dtype is not t._data.dtype:  # a sum of float16
            g = _fit(g, t._data)
            results[i] = (t, g)
        array = g if type(g) is _ndarray else np.asarray(_arrays(g))
        if array.base is not None or not array.flags.writeable or id(array) in taken:
            results[i] = (t, np.positive(g))  # copies arrays and Tensors alike, and is recorded
        taken.add(id(array))
    return results


def _seed(output: "Tensor", gradient: Any) -> Any:
    """The gradient to start from, checked: ones for a scalar."""
    if type(output) is not Tensor:
        raise TypeError(
            f"a gradient is taken of a Tensor, not of {foreign(output)}; give it the loss itself, without .item()"
        )
    if not output._requires_grad:
        raise RuntimeError(
            "no gradient: this Tensor was computed under no_grad(), or from nothing that has requires_grad=True"
        )
    if (kind := output._data.dtype.kind) not in "fc":
        raise TypeError(_no_number(output))
    if gradient is None:
        if kind == "c":
            raise TypeError(
                f"the output is {output.dtype}, so its own gradient must be given; only for a real number is it 1:"
                " write loss.real or np.abs(loss), or see func.holomorphic_grad"
            )
        if output._data.size != 1:
            raise ValueError(
                f"the output has shape {output.shape}, so its own gradient must be given; only for a scalar is it 1:"
                " write loss.mean() or loss.sum()"
            )
        return np.array(1, output._data.dtype, ndmin=output._data.ndim)  # np.ones takes 1 us more
    if type(gradient) is not _ndarray or gradient.dtype.kind != "f":
        gradient = _plain(gradient, "backward", "gradient")
    if kind == "f" and np.iscomplexobj(gradient):
        raise TypeError("the output is real, and so is its gradient; a complex one was given")
    if np.shape(gradient) != output.shape:
        raise ValueError(f"the output has shape {output.shape}, its gradient {np.shape(gradient)}; they must be equal")
    if type(gradient) is Tensor:
        return gradient.astype(output.dtype)
    return np.asarray(gradient, dtype=output.dtype)


@overload
def grad(
    outputs: "Tensor | Sequence[Tensor]", inputs: "Tensor", grad_outputs: Any = None, *,
    create_graph: bool = False, retain_graph: bool | None = None,
) -> "Tensor": ...  # fmt: skip
@overload
def grad(
    outputs: "Tensor | Sequence[Tensor]", inputs: "Sequence[Tensor] | Iterator[Tensor]", grad_outputs: Any = None, *,
    create_graph: bool = False, retain_graph: bool | None = None,
) -> "tuple[Tensor, ...]": ...  # fmt: skip
def grad(
    outputs: "Tensor | Sequence[Tensor]",
    inputs: "Tensor | Sequence[Tensor] | Iterator[Tensor]",
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
    if not create_graph:
        _refuse_to_leave("grad() without create_graph=True")
    if not isinstance(inputs, Tensor) and (hasattr(inputs, "parameters") or callable(inputs)):
        raise TypeError(f"inputs is a Tensor or several, not {foreign(inputs)}; write model.parameters()")
    sources: Any = list(inputs) if _are_several(inputs) else [inputs]
    if isinstance(outputs, Tensor):
        targets, seeds = [outputs], [grad_outputs]
    elif _are_several(outputs):
        targets = list(outputs)
        seeds = [None] * len(targets) if grad_outputs is None else list(grad_outputs)
    else:
        raise TypeError(f"outputs is a Tensor or several, not {foreign(outputs)}; give it the loss, without .item()")
    if len(seeds) != len(targets):
        raise ValueError(f"{len(targets)} outputs need as many grad_outputs, not {len(seeds)}")
    for i, source in enumerate(sources):
        if type(source) is not Tensor or not source._requires_grad:
            raise TypeError(f"input {i} is not a Tensor with requires_grad=True: {source!r:.80}")
    starts = [(target, _seed(target, seed)) for target, seed in zip(targets, seeds, strict=True)]
    results = _gradients_of(starts, sources, create_graph, retain_graph)
    for result in results:
        result._requires_grad |= create_graph  # a constant can be differentiated again too: to zeros
    return results[0] if isinstance(inputs, Tensor) else tuple(results)


def _are_several(values: Any) -> TypeGuard[Iterable[Any]]:
    """Whether these are several values, and neither one Tensor nor an array without dimensions."""
    return type(values) is not Tensor and isinstance(values, Iterable) and bool(getattr(values, "ndim", True))


def _gradients_of(
    outputs: "Sequence[tuple[Tensor, Any]]", inputs: "Sequence[Tensor]", create_graph: bool, retain_graph: bool | None,
    plan: Any = None,
) -> "list[Tensor]":  # fmt: skip
    """A Tensor for each input: its gradient, or zeros."""
    found = {id(t): g for t, g in _gradients(outputs, inputs, create_graph, retain_graph, plan=plan)}
    return [_as_tensor(found[id(t)] if id(t) in found else np.zeros_like(t._data)) for t in inputs]


def lazy_gradients(output: "Tensor", inputs: "Sequence[Tensor]") -> "list[tuple[Tensor, Array | Product]]":
    """For an optimiser: each input that a scalar depends on, with its gradient, which may be a product to be computed.

    No product reads from the memory of an input, so that these may be changed one by one.
    """
    found = _gradients([(output, _seed(output, None))], inputs, create_graph=False, retain_graph=False, lazy=True)
    memories = [memory_of(t._data) for t in inputs]
    changing = {*map(id, memories)}
    all_owned = all(memory.flags.owndata for memory in memories)  # what is not NumPy's own may be shared

    def is_safe(array: Array) -> bool:
        memory = memory_of(array)
        return all_owned and memory.flags.owndata and id(memory) not in changing

    return [(t, g.computed() if type(g) is Product and not (is_safe(g.a) and is_safe(g.b)) else g) for t, g in found]


# --- NumPy's functions: each is looked up among the operations -------------------------------------------------------


# Libraries whose functions are registered when one of them first meets a Tensor, and what registers them: by name,
# since neither the engine nor a user without the library should load it.
_LIBRARIES = {"scipy.special": "tinygrad_np.ops.scipy_special"}


def _of_library(function: Function) -> Any:
    """The operation of a function of a library that takes part in NumPy's protocol; None if there is none."""
    for library, module in _LIBRARIES.items():
        if library in sys.modules:
            import_module(module).register()
    return registry.get(function)


def _dispatch(function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What NumPy calls when one of its functions meets a Tensor."""
    operation = registry.get(function) or _of_library(function)
    if operation is None:
        name = name_of(function)
        instead = instead_of(function, name, [known.function for known in registry.values()])
        if _recorded.get() is not None:
            bare = f"A vjp is written in registered functions: register {name}, with a vjp of its own, by primitive()"
        else:
            bare = "For the bare array, without a gradient, pass the Tensor's .data; for a gradient, see primitive()"
        raise TypeError(f"{name} of a Tensor is not supported{instead}. {bare}")
    return operation(*args, **kwargs)


def _arrays(value: Any) -> Any:
    """The value with its Tensors, also those in lists and tuples, replaced by their arrays."""
    if type(value) is Tensor:
        return value._data
    if isinstance(value, tuple):
        return tuple(map(_arrays, value))
    if isinstance(value, list):
        return list(map(_arrays, value))
    return value


def _as_index(index: Any) -> Any:
    """An index with its Tensors replaced by their arrays; an empty list selects nothing, as in NumPy."""
    return _arrays(index) if type(index) is not list or index else np.array([], int)


# --- the surface -----------------------------------------------------------------------------------------------------


def _refuse_call(error: TypeError, function: Function, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise the error again with a hint, if there is one."""
    if type(error) is TypeError and (hint := of_call(error, function, args, kwargs)):
        raise TypeError(f"{error}{hint}") from None


def _method(function: Function) -> "Callable[..., Tensor]":
    """The NumPy function as a method of the same name: `t.sum(axis=0)` is `np.sum(t, axis=0)`."""

    @wraps(function)
    def method(self: "Tensor", *args: Any, **kwargs: Any) -> Any:
        try:
            return _dispatch(function, (self, *args), kwargs)
        except TypeError as error:
            _refuse_call(error, function, (self, *args), kwargs)
            raise

    return method


_constant = cast("Callable[[Function], Function]", _method)  # which returns arrays


def _operator(function: np.ufunc) -> tuple[Function, Function]:
    """The function as an operator of a Tensor and something else, and with the Tensor on the right."""
    return (
        lambda self, other: _dispatch(function, (self, other), {}),
        lambda self, other: _dispatch(function, (other, self), {}),
    )


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
        except Exception as error:
            raise_explained(error, f"{function.__name__} in place", [self._data, array], {})
        self._changed()
        return self

    return operator


# The powers that ndarray's `**` computes by other functions: np.power(x, 2) takes 4 times as long.
_POWERS = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}


@final
class Tensor(Hints):
    """An ndarray, in `.data`, with respect to which functions of it can be differentiated.

    Args:
        data: an ndarray or NumPy scalar, which keeps its dtype (and shares its memory, unless bytes are swapped), or
            Python numbers in nested lists, which become float32 or complex64 (booleans stay so; in `func` a number is
            float64). Floating point, complex, integer or boolean. An array of PyTorch or JAX, a column or table of
            pandas and a picture of Pillow are taken as the ndarray that they are.
        requires_grad: record what is computed from it, so that `backward()` stores its gradient in `.grad`.
        dtype: overrides the dtype that the data would have.

    Raises:
        TypeError: data of another kind (text, objects), or integers and booleans with `requires_grad`.

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

    __pandas_priority__ = 5000  # above a DataFrame's 4000: `series * x` is left to the Tensor, as `array * x` is
    __slots__ = ("__weakref__", "_data", "_grad", "_node", "_requires_grad", "_serial")

    _data: Array
    _grad: "Tensor | None"
    _requires_grad: bool
    # Two counters in one, on one clock (`writes.serials`). It is the order of creation, which is a topological order of
    # the graph. For a leaf it is also its version: a write gives it a new number, which is larger than those of all
    # nodes that have used it before.
    _serial: int
    # (operation, args, their arrays, kwargs, observation or None); None for a leaf, operation.freed after the backward
    # pass. It points at parents only, so there is no cycle, and a graph is freed by reference counting alone.
    _node: Any

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        dtype: "np.typing.DTypeLike | None" = None,
        **unknown: Never,  # 0.02 us; a wrapper that catches the error would take 0.3
    ) -> None:
        if unknown:
            name = next(iter(unknown))
            hint = of_keyword(name, ["data", "requires_grad", "dtype"])
            raise TypeError(f"Tensor() got an unexpected keyword argument {name!r}{hint}")
        if type(requires_grad) is not bool and not isinstance(requires_grad, np.bool_):
            raise TypeError(
                f"requires_grad must be True or False, not {requires_grad!r:.80};"
                " several numbers are one list, as in Tensor([2, 3]), and a dtype is given by name, as dtype="
            )
        if type(data) is not _ndarray:
            if isinstance(data, Tensor | np.ma.MaskedArray | np.matrix):
                raise TypeError(
                    f"a Tensor is made of an array, not of a {type(data).__name__}; see detach() or filled()"
                )
            data = as_data(data, dtype)
        array = np.asarray(data, dtype)
        if array.dtype.kind not in "fiubc":
            raise TypeError(f"a Tensor holds numbers or booleans, not {array.dtype}: {data!r:.80}")
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
        self._data = array
        self._grad = None
        self._serial = next(serials)
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
        if self._requires_grad:
            _refuse_to_leave(".data of a Tensor")
        return self._data

    @data.setter
    def data(self, array: Any) -> None:
        if self._node is not None:
            if array is self._data:  # as in `y.data -= 1`, which has written to it
                writes.note(array)
            raise RuntimeError("the data of a computed Tensor follows from its inputs; change that of y.detach()")
        if isinstance(array, np.generic):  # what NumPy makes of 0-d arrays
            array = np.asarray(array)
        if type(array) is not _ndarray:
            raise TypeError(
                f"data must be an ndarray, not {foreign(array)}; of a Tensor, take its .data, of a number"
                " np.full_like(w.data, number), of a list np.array(list, w.dtype)"
            )
        if array.shape != self._data.shape:
            raise ValueError(f"data must keep the shape {self._data.shape}, not get {array.shape}; make a new Tensor")
        if array.dtype != self._data.dtype:
            dtype = self._data.dtype
            raise TypeError(f"data must keep the dtype {dtype}, not get {array.dtype}; use .astype(np.{dtype})")
        self._data = array
        self._changed()

    @property
    def grad(self) -> "Tensor | None":
        """The gradient that `backward()` has stored, or None. It may be replaced by None or by a Tensor that fits.

        Raises (on assignment):
            TypeError: it is neither a Tensor nor None, or has another dtype.
            ValueError: it has another shape.
        """
        return self._grad

    @grad.setter
    def grad(self, gradient: "Tensor | None") -> None:
        if gradient is not None:
            if type(gradient) is not Tensor:
                use = "None" if isinstance(gradient, int | float) else "Tensor(array)"
                raise TypeError(f"grad must be a Tensor or None, not {foreign(gradient)}: write w.grad = {use}")
            if gradient.shape != self.shape:
                raise ValueError(f"grad must have the shape {self.shape}, not {gradient.shape}")
            if gradient.dtype != (dtype := self.dtype):
                raise TypeError(f"grad must have the dtype {dtype}, not {gradient.dtype}; use .astype(np.{dtype})")
        self._grad = gradient

    def _changed(self) -> None:
        """Note that the data was written to: a backward over earlier uses of its memory will raise."""
        self._serial = writes.note(self._data)

    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from this Tensor is recorded; can be switched on a leaf, as in freezing a layer."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            raise RuntimeError("requires_grad of a computed Tensor follows from its inputs; detach() cuts it off")
        if type(value) is not bool and not isinstance(value, np.bool_):
            raise TypeError(f"requires_grad must be True or False, not {value!r:.80}")
        if value and self._can_require_grad() and not self._requires_grad:
            self._changed()  # earlier uses are not recorded: a backward over later ones only would be wrong
        self._requires_grad = bool(value)

    def _can_require_grad(self) -> bool:
        if self._data.dtype.kind not in "fc":
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
    def itemsize(self) -> int:
        """The number of bytes of an element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements."""
        return self._data.nbytes

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The Tensor with its axes reversed."""
        return self.transpose()

    @property
    def real(self) -> "Tensor":
        """The real parts."""
        return apply(np.real, self)

    @property
    def imag(self) -> "Tensor":
        """The imaginary parts."""
        return apply(np.imag, self)

    @property
    def mT(self) -> "Tensor":  # noqa: N802 - NumPy's name
        """The Tensor with its last two axes exchanged."""
        return apply(np.matrix_transpose, self)

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
        if not create_graph:
            _refuse_to_leave("backward() without create_graph=True")
        for leaf, g in _gradients([(self, _seed(self, gradient))], None, create_graph, retain_graph):
            before = leaf._grad if create_graph or leaf._grad is None else leaf._grad._data
            leaf._grad = _as_tensor(g if before is None else before + g)

    def detach(self) -> "Tensor":
        """The same array in a Tensor that no gradient flows through."""
        if self._requires_grad:
            _refuse_to_leave(".detach() of a Tensor")
        return Tensor(self._data)

    @needs_call
    def item(self) -> Any:
        """The one element, as a Python number. Raises ValueError if there is not just one."""
        if self._requires_grad:
            _refuse_to_leave(".item() of a Tensor")
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
        if type(other) in (int, float) and other in _POWERS:
            kind = self._data.dtype.kind
            if kind in "fc" or (kind == "b" and type(other) is int and other == 2):
                return apply(_POWERS[other], self)
        return apply(np.power, self, other)

    def __rpow__(self, other: Any) -> "Tensor":
        return apply(np.power, other, self)

    __mod__, __rmod__ = _operator(np.remainder)
    __floordiv__, __rfloordiv__ = _operator(np.floor_divide)
    __divmod__, __rdivmod__ = _operator(np.divmod)
    __and__, __rand__ = _operator(np.bitwise_and)
    __or__, __ror__ = _operator(np.bitwise_or)
    __xor__, __rxor__ = _operator(np.bitwise_xor)
    __lshift__, __rlshift__ = _operator(np.left_shift)
    __rshift__, __rrshift__ = _operator(np.right_shift)
    __invert__ = _constant(np.invert)

    def __matmul__(self, other: Any) -> "Tensor":
        return apply(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> "Tensor":
        return apply(np.matmul, other, self)

    __iadd__ = _in_place(np.add, "+")
    __isub__ = _in_place(np.subtract, "-")
    __imul__ = _in_place(np.multiply, "*")
    __itruediv__ = _in_place(np.divide, "/")
    __ipow__ = _in_place(np.power, "**")
    __imod__ = _in_place(np.remainder, "%")
    __ifloordiv__ = _in_place(np.floor_divide, "//")
    __imatmul__ = _in_place(np.matmul, "@")

    def __neg__(self) -> "Tensor":
        return apply(np.negative, self)

    def __pos__(self) -> "Tensor":
        return apply(np.positive, self)

    def __abs__(self) -> "Tensor":
        return apply(np.absolute, self)

    def __getitem__(self, index: Any) -> "Tensor":
        return apply(getitem, self, _as_index(index))

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a Tensor's elements cannot be assigned, since earlier results may have been computed from them;"
            " make a new Tensor: x = x.at[index].set(value), or np.where"
        )

    def __delitem__(self, index: Any) -> NoReturn:
        raise TypeError("a Tensor's elements cannot be deleted; make a new Tensor: x = np.delete(x, index, axis=0)")

    @property
    def at(self) -> "At":
        """New Tensors with other elements at an index: `x.at[index].set(value)` and `x.at[index].add(value)`.

        `add` adds as often as an element is selected; `set` refuses to set one twice.

        >>> x = Tensor([1.0, 2.0, 3.0])
        >>> x.at[1].set(9.0), x.at[[0, 0]].add(1.0)
        (Tensor([1., 9., 3.], dtype=float32), Tensor([3., 2., 3.], dtype=float32))
        """
        return At(self)

    __eq__ = _constant(np.equal)
    __ne__ = _constant(np.not_equal)
    __lt__ = _constant(np.less)
    __le__ = _constant(np.less_equal)
    __gt__ = _constant(np.greater)
    __ge__ = _constant(np.greater_equal)
    __hash__ = object.__hash__

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("a 0-d Tensor has no len() and no elements to iterate over; item() is its number")
        return len(self._data)

    def __iter__(self) -> "Iterator[Tensor]":
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(np.equal(self, value)))

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __index__(self) -> int:
        if self._data.dtype.kind == "f":
            raise TypeError(f"an index is an integer, and no Tensor of {_kind(self._data)}; write int(x.item())")
        return self._data.__index__()

    def __round__(self, digits: int | None = None) -> NoReturn:
        raise TypeError("round() makes a Python number: write round(x.item()), or np.round(x) for a Tensor")

    def _number(self, name: str) -> Any:
        if self._requires_grad:
            _refuse_to_leave("a Tensor as an array or number")
        if self.size != 1:
            raise TypeError(
                f"{name}() and the functions of `math` take one number, not a Tensor of shape {self.shape};"
                " NumPy's functions take Tensors: np.exp(x)"
            )
        return self.__array__().item()  # refuses what requires a gradient; item() is the explicit way

    def __reduce__(self) -> Any:
        """Copies and pickles are new leaves, without `.grad`: the order of creation means nothing elsewhere."""
        if self._node is not None:
            raise TypeError("a computed Tensor is not copied or pickled, since its graph would be; detach() it first")
        if self._requires_grad:
            _refuse_to_leave("a copy of a Tensor")
        return Tensor, (self._data, self._requires_grad)

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __repr__(self) -> str:
        numbers = np.array2string(self._data, separator=", ", prefix="Tensor(")
        return f"Tensor({numbers}, dtype={self.dtype}{', requires_grad=True' if self._requires_grad else ''})"

    def _repr_html_(self) -> str:
        return _html.of_tensor(self._data, self._requires_grad)

    # ndarray's methods that have a NumPy function of their name: all of them, whether or not the operation is
    # registered, so that a new operation need not touch this file.

    all = _constant(np.all)
    any = _constant(np.any)
    argmax = _constant(np.argmax)
    argmin = _constant(np.argmin)
    argpartition = _constant(np.argpartition)
    argsort = _constant(np.argsort)
    astype = _method(np.astype)
    choose = _method(np.choose)
    clip = _method(np.clip)
    conj = _method(np.conj)
    conjugate = _method(np.conjugate)
    copy = _method(np.copy)
    cumprod = _method(np.cumprod)
    cumsum = _method(np.cumsum)
    diagonal = _method(np.diagonal)
    dot = _method(np.dot)
    max = _method(np.max)
    mean = _method(np.mean)
    min = _method(np.min)
    nonzero = _constant(np.nonzero)
    prod = _method(np.prod)
    ravel = _method(np.ravel)
    repeat = _method(np.repeat)
    round = _constant(np.round)
    searchsorted = _constant(np.searchsorted)
    squeeze = _method(np.squeeze)
    std = _method(np.std)
    sum = _method(np.sum)
    swapaxes = _method(np.swapaxes)
    take = _method(np.take)
    trace = _method(np.trace)
    var = _method(np.var)

    def compress(self, condition: Any, axis: int | None = None) -> "Tensor":
        """The elements, or along an axis the parts, where a condition holds, as `np.compress`."""
        return _dispatch(np.compress, (condition, self, axis), {})  # type: ignore[no-any-return]

    def flatten(self, order: str = "C", **unknown: Never) -> "Tensor":
        """All elements along one axis, as `np.ravel`."""
        if unknown or type(order) is not str:
            raise TypeError("flatten() merges all axes and takes order=; write x.reshape(len(x), -1), or nn.Flatten()")
        return apply(np.ravel, self, order=order)

    def tolist(self) -> Any:
        """The elements as Python numbers, in nested lists; of a Tensor of shape () the number."""
        if self._requires_grad:
            _refuse_to_leave(".tolist() of a Tensor")
        return self._data.tolist()

    def reshape(self, *shape: Any, **kwargs: Any) -> "Tensor":
        """`t.reshape(2, 3)` or `t.reshape((2, 3))`, as `np.reshape(t, (2, 3))`."""
        return apply(np.reshape, self, shape=shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any, **unknown: Never) -> "Tensor":
        """`t.transpose()`, `t.transpose(1, 0)` or `t.transpose((1, 0))`, as `np.transpose(t, axes)`."""
        if unknown:
            raise TypeError("transpose() takes the order of all axes by position; write x.swapaxes(0, 1) for two")
        try:
            return apply(np.transpose, self, axes=(axes[0] if len(axes) == 1 else axes) if axes else None)
        except ValueError as error:
            if len(axes) == 2 < self.ndim:
                add_note(error, f"to exchange two axes write x.swapaxes{axes}")
            raise

    # NumPy's protocols: np.exp(t), np.concatenate([t, u]), ndarray + t.

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(out, np.ndarray) for out in kwargs.get("out", ())):
            raise TypeError(
                f"{ufunc.__name__} of a Tensor does not support out=, nor `array += tensor` and its like, which write"
                " into an array: write array += tensor.data, or w.data -= lr * w.grad.data"
            )
        if method == "reduceat":
            kwargs.pop("indices", None)  # NumPy passes what was given by this name by position as well
        return _dispatch(ufunc if method == "__call__" else getattr(ufunc, method), args, kwargs)

    def __array_function__(
        self, function: Function, types: Iterable[type], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        if all(issubclass(kind, Tensor | np.ndarray) for kind in types):
            try:
                return _dispatch(function, args, kwargs)
            except TypeError as error:
                _refuse_call(error, function, args, kwargs)
                raise
        return NotImplemented

    def __array__(self, dtype: "np.typing.DTypeLike | None" = None, copy: bool | None = None) -> Array:
        if self._requires_grad:
            _refuse_to_leave("a Tensor as an array or number")
            instead = of_scipy() or (
                "with its gradient, NumPy's functions take it, as in np.exp(x) and np.stack([x, y]), which"
                " np.array([x, y]), np.r_[x, y] and np.full(2, x) do not: write np.concatenate([x, y]),"
                " np.broadcast_to(x, 2)"
            )
            raise TypeError(
                f"a Tensor that requires a gradient becomes no array or number unasked: see .data, .item(); {instead}"
            )
        return np.array(self._data, dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        """The memory, shared with another library: `torch.from_dlpack(t)`, `np.from_dlpack(t)`.

        What the other library writes into it is not noticed by a backward pass, as with `t.data`.
        """
        if self._requires_grad:
            raise BufferError("a Tensor that requires a gradient is not shared: write from_dlpack(t.detach())")
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()


class At(Hints):
    """A Tensor, and with brackets an index into it, on the way to `set` or `add`."""

    def __init__(self, tensor: Tensor, index: Any = None) -> None:
        self._tensor, self._index = tensor, index

    def __getitem__(self, index: Any) -> "At":
        return At(self._tensor, _as_index(index))

    def __repr__(self) -> str:
        return as_call(self, self._tensor, self._index)

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(
            "a Tensor's elements are not assigned: write x = x.at[index].set(value), or x = x.at[index].add(value)"
        )

    __call__ = __setitem__ = __iadd__ = __isub__ = __imul__ = __itruediv__ = _refuse

    def set(self, value: Any) -> Tensor:
        """The Tensor with these elements replaced. Raises TypeError if its dtype cannot hold the value."""
        return _dispatch(setitem, (self._tensor, self._index, value), {})  # type: ignore[no-any-return]

    def add(self, value: Any) -> Tensor:
        """The Tensor with the value added to these elements, as often as each is selected."""
        return _dispatch(iadd, (self._tensor, self._index, value), {})  # type: ignore[no-any-return]


_new = object.__new__
