"""Find where a NaN comes from with `detect_anomaly`, and writes to arrays that a gradient still needs with `guard`.

    with tinygrad_np.detect_anomaly():        # stops where NaN or infinity is first made of finite numbers
        loss = cross_entropy(model(x), labels)
        loss.backward()

    with tinygrad_np.guard():                 # an array that a gradient needs, written to in between, is an error
        y = weights * batch
        batch[:] = 0
        y.sum().backward()                    # RuntimeError

Both observe operations: `apply` calls an observer while there is one, and otherwise asks only whether there is one.
"""

import inspect
import linecache
import os
import sys
import threading
import zlib
from collections.abc import Sequence
from contextlib import ContextDecorator, nullcontext
from contextvars import ContextVar
from typing import Any, ClassVar, NamedTuple

import numpy as np

from . import tensor
from ._messages import add_note, as_call
from ._messages import kind as _kind
from .tensor import Array, Tensor

__all__ = ["detect_anomaly", "guard"]

OURS = (os.path.dirname(__file__) + os.sep, os.path.dirname(np.__file__) + os.sep)
NAMED = 5  # indices in a message
Place = tuple[str, int]


class _Context(ContextDecorator):
    """A context in which this thread's operations are observed. Contexts may be nested, and may end in any order."""

    lock: ClassVar[threading.Lock] = threading.Lock()
    in_use: ClassVar[int] = 0  # contexts of all threads
    inside: ClassVar[ContextVar[int]]

    def __call__(self, function: Any) -> Any:
        kinds = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(is_kind(function) for is_kind in kinds):
            raise TypeError(
                f"{type(self).__name__} does not reach into a generator or a coroutine; use `with` inside it"
            )
        return super().__call__(function)

    def __repr__(self) -> str:
        return as_call(self)

    def __enter__(self) -> None:
        self.inside.set(self.inside.get() + 1)
        self._count(1)

    def __exit__(self, *error: object) -> None:
        self.inside.set(self.inside.get() - 1)
        self._count(-1)

    @staticmethod
    def _count(more: int) -> None:
        with _Context.lock:
            before, _Context.in_use = _Context.in_use, _Context.in_use + more
            if not before or not _Context.in_use:
                tensor.observe(_OBSERVER, on=_Context.in_use > 0)


class detect_anomaly(_Context):  # noqa: N801 - used like a function, and named as everywhere in the field
    """Stop where NaN or infinity is made of finite numbers, in this thread: `with detect_anomaly():`, or a decorator.

    The first operation that does so raises, and so does the first gradient in a backward over what was computed inside.
    The message names the operation, the shapes, the indices, the numbers that it was made of, and the line of your
    code. An operation that fails because of its shapes says in which lines its arguments were computed. In the forward,
    NaN made of infinity is found as well. The sum of several gradients of one Tensor is not looked at.

    Raises:
        FloatingPointError: by the operation, or by `backward()`, `grad()` and `minimize()`.

    It makes a step of the MNIST network 1.4 to 1.8 times as long: `python -m benchmarks.watching`.

    >>> x = Tensor([1.0, 0.0], requires_grad=True)
    >>> with detect_anomaly():
    ...     np.log(x)
    Traceback (most recent call last):
    FloatingPointError: log of float32[2] made 1 of 2 elements infinite or NaN: -inf at (1,), of 0.0
    """

    inside = ContextVar("anomalies", default=0)


class guard(_Context):  # noqa: N801
    """Refuse a backward whose arrays were written to since the operation, in this thread: `with guard():`.

    A graph keeps the arrays that it was given and does not copy them. Writing to their elements, as `a[:] = 0` does on
    an ndarray that was multiplied by a Tensor, or on a Tensor's `.data`, makes the gradient wrong. Inside, a checksum
    is taken of each array that a gradient may read, and compared in the backward. What optimisers, `load_state_dict`
    and assignments to `.data` change is always noticed, without `guard`. Functions and vjps that write to the arrays
    that they are given are named. Arrays count that a primitive names in `reads=`, and all of them where it names none,
    so a harmless write may be refused. Arrays that a vjp of your own holds by itself are not seen.

    Raises:
        RuntimeError: by `backward()`, `grad()` and `minimize()`; by an operation that writes to its arguments.

    It makes a step of the MNIST network 2.6 to 3.1 times as long: `python -m benchmarks.watching`.

    >>> x, a = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    >>> with guard():
    ...     y = (x * a).sum()
    >>> a[:] = 0
    >>> y.backward()
    Traceback (most recent call last):
    RuntimeError: argument 1 of multiply, float32[2], was written to after the operation
    """

    inside = ContextVar("guards", default=0)


# --- operations that are observed ------------------------------------------------------------------------------------


class _Observer:
    """What `apply` calls while a context is in use in any thread."""

    def run(self, function: Any, args: Sequence[Any], arrays: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        given = []
        if guard.inside.get():
            given = [_Mark(f"argument {i}", a, _checksum(a)) for i, a in enumerate(arrays) if isinstance(a, np.ndarray)]
        looking = detect_anomaly.inside.get() > 0
        try:
            with np.errstate(all="ignore") if looking else nullcontext():  # `ran` says more than a warning would
                result = function(*arrays, **kwargs)
        except Exception as error:
            if looking:
                _note_origins(error, args)
            raise
        for mark in given:
            mark.refuse("the function wrote to")
        return result

    def ran(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any], output: Tensor) -> None:
        looking, guarding = detect_anomaly.inside.get() > 0, guard.inside.get() > 0
        if not (looking or guarding):
            return
        place = _place()
        if output._node is not None:
            observation = _Observation(operation, place, looking, _marks(output) if guarding else [])
            output._node = (*output._node[:4], observation)
        if looking:
            sources = [("", a) for a in (*args, *(value for name, value in kwargs.items() if name != "saved"))]
            kinds = ", ".join(_kind(a) for _, a in sources if isinstance(a, np.ndarray | Tensor))
            what, elementwise = f"{operation.name} of {kinds}", isinstance(operation.function, np.ufunc)
            _refuse_new_anomaly(output._data, sources, what, elementwise, True, place)


_OBSERVER = _Observer()


class _Observation:
    """At a node: where the operation was called, and the checksums of the arrays that its gradients read."""

    def __init__(self, operation: Any, place: Place, looking: bool, marks: "list[_Mark]") -> None:
        self.operation, self.place, self.looking, self.marks = operation, place, looking, marks

    def before(self, output: Tensor) -> None:
        for mark in self.marks:
            if mark.is_changed():
                kind, name = _kind(mark.array), self.operation.name
                raise RuntimeError(
                    f"{mark.what} of {name}, {kind}, was written to after the operation{_at(self.place)}"
                )

    def after(self, i: int, gradient: Any, g: Any, y: Any, inputs: Sequence[Any]) -> None:
        for mark in self.marks:
            mark.refuse(f"the vjp of {self.operation.name} for argument {i} wrote to")
        if not self.looking:
            return
        labels = [("gradient ", g), ("result ", y), *(("argument ", value) for value in inputs)]
        what = f"the gradient of argument {i} of {self.operation.name}, {_kind(tensor._arrays(inputs[i]))},"
        elementwise = isinstance(self.operation.function, np.ufunc)
        _refuse_new_anomaly(tensor._arrays(gradient), labels, what, elementwise, False, self.place)


# --- detect_anomaly --------------------------------------------------------------------------------------------------


def _none(test: Any, value: Any) -> bool:
    """Whether the test holds for no floating point number in an array, a Tensor, a number, or lists of them."""
    if isinstance(value, Tensor):
        value = value._data
    if isinstance(value, list | tuple):
        return all(_none(test, part) for part in value)
    if isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind in "fc"):
        return not np.any(test(value))
    return True


def _not_finite(value: Any) -> Any:
    return ~np.isfinite(value)


def _refuse_new_anomaly(
    made: Array, sources: list[tuple[str, Any]], what: str, elementwise: bool, forward: bool, place: Place
) -> None:
    """Raise for NaN or infinity that is made of finite numbers; in the forward also for NaN made of infinite ones.

    Args:
        sources: what it is made of, with labels.
        what: what has made it.
        elementwise: whether an element is made of those at the same index.
    """
    if _none(_not_finite, made):
        return
    values = [value for _, value in sources]
    if _none(_not_finite, values):
        wrong = np.argwhere(_not_finite(made))
    elif forward and not _none(np.isnan, made) and _none(np.isnan, values):
        wrong = np.argwhere(np.isnan(made))
    else:
        return
    found = []
    for index in map(tuple, wrong[:NAMED].tolist()):
        of = [
            f"{label}{np.broadcast_to(tensor._arrays(value), made.shape)[index]}"
            for label, value in sources
            if elementwise
            and isinstance(value, np.ndarray | Tensor | float | int)
            and not set(np.shape(value)) - {1, *made.shape}
        ]
        found.append(f"{made[index]} at {index}" + (f", of {', '.join(of)}" if of else ""))
    more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    count = f"{len(wrong)} of {made.size} elements infinite or NaN"
    raise FloatingPointError(f"{what} made {count}: {'; '.join(found)}{more}{_at(place)}")


# --- guard -----------------------------------------------------------------------------------------------------------


class _Mark(NamedTuple):
    what: str
    array: Array
    checksum: int

    def is_changed(self) -> bool:
        """Whether the array was written to since."""
        return _checksum(self.array) != self.checksum

    def refuse(self, who: str) -> None:
        """Raise if the array was written to meanwhile."""
        if self.is_changed():
            raise RuntimeError(f"{who} {self.what}, {_kind(self.array)}; write to a copy")


def _marks(output: Tensor) -> list[_Mark]:
    """Checksums of the arrays that the gradients of a node read."""
    operation, args, arrays, _, _ = output._node
    held = tensor._held(output)
    read = set(range(len(held)))
    if operation.reads is not None:
        differentiated = (type(a) is Tensor and a.requires_grad for a in args)
        of_each = (reads for reads, needed in zip(operation.reads, differentiated, strict=False) if needed)
        read = set().union(*of_each, range(1 + len(arrays), len(held)))  # and every keyword
    return [_Mark(held[i][0], array, _checksum(array)) for i in sorted(read) for array in tensor._arrays_in(held[i][1])]


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


# --- messages --------------------------------------------------------------------------------------------------------


def _place() -> Place:
    """The file and the line of the nearest caller that is neither in this package nor in NumPy."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _at(place: Place) -> str:
    line = linecache.getline(*place).strip()
    return f", at {place[0]}:{place[1]}" + (f": {line}" if line else "")


def _note_origins(error: Exception, args: Sequence[Any]) -> None:
    """Note on an error where its arguments were computed."""
    for i, a in enumerate(args):
        observation = a._node[4] if type(a) is Tensor and a._node is not None else None
        if observation is not None:
            name, place = observation.operation.name, observation.place
            add_note(error, f"argument {i}, {_kind(a.data)}, was made by {name}{_at(place)}")
