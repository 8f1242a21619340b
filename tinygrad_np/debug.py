"""Watch what operations do: `detect_anomaly` finds where a NaN comes from, `guard` what was written to too early.

    with tinygrad_np.detect_anomaly():        # stops where NaN or infinity is first made of finite numbers
        loss = cross_entropy(model(x), labels)
        loss.backward()

    with tinygrad_np.guard():                 # an array that a gradient needs, changed in between, is an error
        y = weights * batch
        batch[:] = 0
        y.sum().backward()                    # RuntimeError

While neither is in use, nothing of this file runs: the function that runs operations is exchanged as a whole.
"""

import dis
import inspect
import linecache
import os
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import ContextDecorator, nullcontext
from contextvars import ContextVar
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple
from weakref import ref

import numpy as np

from . import tensor
from .tensor import Array, Tensor

OURS = (os.path.dirname(__file__) + os.sep, os.path.dirname(np.__file__) + os.sep)
NAMED = 5  # indices in a message
RESULT = "the result"
ABOUT = ("shape", "ndim", "dtype", "size")
Place = tuple[str, int]


class _Watch(ContextDecorator):
    """A context in which this thread's operations are watched; they may stand in each other, in any order."""

    lock: ClassVar[threading.Lock] = threading.Lock()
    in_use: ClassVar[int] = 0  # contexts of all threads
    inside: ClassVar[ContextVar[int]]

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{type(self).__name__} does not reach into a generator or a coroutine; use `with` inside it"
            )
        return super().__call__(function)

    def __enter__(self) -> None:
        self.inside.set(self.inside.get() + 1)
        self._count(1)

    def __exit__(self, *error: object) -> None:
        self.inside.set(self.inside.get() - 1)
        self._count(-1)

    @staticmethod
    def _count(more: int) -> None:
        with _Watch.lock:
            _Watch.in_use += more
            tensor.run_operations_by(_watched if _Watch.in_use else _plain)


class detect_anomaly(_Watch):  # noqa: N801 - used like a function, and named as everywhere in the field
    """Stop where NaN or infinity is made of finite numbers, in this thread: `with detect_anomaly():`, or a decorator.

    The first operation that does so raises, and so does the first part of a backward over what was computed inside. The
    message says which operation, of what shapes, at which indices, from which numbers, and in which line of your code.
    An operation that fails for its shapes tells the lines where its arguments were made. In the forward, NaN made of
    infinity is found, too. Not looked at is where a backward adds up several gradients of one Tensor.

    Raises:
        FloatingPointError: by the operation, or by `backward()`, `grad()` and `minimize()`.

    It makes a step of the MNIST network 1.7 to 1.9 times as long: `python -m benchmarks.watching`.

    >>> x = Tensor([1.0, 0.0], requires_grad=True)
    >>> with detect_anomaly():
    ...     np.log(x)
    Traceback (most recent call last):
    FloatingPointError: log of float32[2] made 1 of 2 elements infinite or NaN: -inf at (1,), of 0.0
    """

    inside = ContextVar("anomalies", default=0)


class guard(_Watch):  # noqa: N801
    """Refuse a backward whose arrays were written to since the operation, in this thread: `with guard():`.

    A graph keeps the arrays that it was given and does not copy them: `a[:] = 0` on an ndarray that was multiplied by a
    Tensor, or on a Tensor's `.data`, makes the gradient wrong. Inside, a checksum is taken of each array that a
    gradient reads, and compared in the backward. What optimisers and `load_state_dict` write is noticed always. Where a
    gradient needs only the shape of an array, as that of `concatenate` does, a write that does no harm may be refused;
    arrays that a vjp of your own holds by itself are not seen.

    Raises:
        RuntimeError: by `backward()`, `grad()` and `minimize()`.

    It makes a step of the MNIST network 1.4 to 1.7 times as long: `python -m benchmarks.watching`.

    >>> x, a = Tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], np.float32)
    >>> with guard():
    ...     y = (x * a).sum()
    >>> a[:] = 0
    >>> y.backward()
    Traceback (most recent call last):
    RuntimeError: argument 1 of multiply, float32[2], was written to after the operation
    """

    inside = ContextVar("guards", default=0)


# --- operations that are watched -------------------------------------------------------------------------------------

_plain = tensor.apply


def _watched(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What runs operations while something is watched, in any thread."""
    looking, guarding = detect_anomaly.inside.get() > 0, guard.inside.get() > 0
    if not (looking or guarding):
        return _plain(function, *args, **kwargs)
    place = _place()
    try:
        with np.errstate(all="ignore") if looking else nullcontext():  # what NumPy would warn of is said better below
            y = _plain(function, *args, **kwargs)
    except (ValueError, TypeError, IndexError) as error:
        if looking and not hasattr(error, "__notes__"):
            _note_makers(error, args)
        raise
    if type(y) is Tensor and y._recipe is not None and type(y._recipe[0]) is not _Watched:
        operation, *given = y._recipe
        y._recipe = (_Watched(operation, place, looking, _marks(y, guarding), ref(y)), *given)
    if looking and type(y) is Tensor:
        name, sources = _name(tensor.registry[function]), [("", a) for a in (*args, *kwargs.values())]
        kinds = ", ".join(_kind(a) for _, a in sources if isinstance(a, np.ndarray | Tensor))
        _refuse_new_anomaly(y.data, sources, f"{name} of {kinds}", isinstance(function, np.ufunc), True, place)
    return y


class _Watched:
    """In a record, in the place of an operation: the same, with its line, and with vjps that look first."""

    has_fixed_arguments = False  # which was looked at already

    def __init__(
        self, operation: Any, place: Place, looking: bool, marks: "list[_Mark]", output: "ref[Tensor]"
    ) -> None:
        self.operation, self.place, self.looking, self.marks, self.output = operation, place, looking, marks, output
        self.name, self.saves, self.freed = operation.name, operation.saves, operation.freed

    @property
    def vjps(self) -> Iterator[Any]:
        """What the walk asks for once at each node: here the arrays are compared."""
        for mark in self.marks:
            output = self.output() if mark.what == RESULT else None  # whose .data may be another array by now
            if _checksum(mark.array if output is None else output.data) != mark.checksum:
                raise RuntimeError(
                    f"{mark.what} of {_name(self.operation)}, {_kind(mark.array)}, was written to after the operation"
                    f"{_at(self.place)}"
                )
        vjps = enumerate(self.operation.vjps)
        return (partial(self._look, i, vjp) if self.looking and vjp else vjp for i, vjp in vjps)

    def _look(self, i: int, vjp: Any, g: Any, y: Any, *values: Any, **kwargs: Any) -> Any:
        part = vjp(g, y, *values, **kwargs)
        x = tensor._arrays(values[i])
        if getattr(x, "dtype", None) is not None:
            part = tensor._fit(part, x)  # with the sum over what was broadcast, and in the argument's dtype
        labels = [("gradient ", g), ("result ", y), *(("argument ", value) for value in values)]
        what = f"the gradient of argument {i} of {_name(self.operation)}, {_kind(x)},"
        of_each = isinstance(self.operation.function, np.ufunc)
        _refuse_new_anomaly(tensor._arrays(part), labels, what, of_each, False, self.place)
        return part


# --- detect_anomaly --------------------------------------------------------------------------------------------------


def _none(test: Any, value: Any) -> bool:
    """Whether no number in a value, or in a list of them, is of this kind: np.isnan, or not finite."""
    value = value.data if type(value) is Tensor else value
    if isinstance(value, list | tuple):
        return all(_none(test, part) for part in value)
    if isinstance(value, float | np.floating) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return not np.any(test(value))
    return True


def _not_finite(value: Any) -> Any:
    return ~np.isfinite(value)


def _refuse_new_anomaly(
    made: Array, sources: list[tuple[str, Any]], what: str, of_each: bool, forward: bool, place: Place
) -> None:
    """Raise for NaN or infinity that is made of finite numbers; in the forward also for NaN made of infinite ones.

    Args:
        sources: what it is made of, with labels.
        what: what has made it.
        of_each: whether an element is made of those at the same place.
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
    told = []
    for index in map(tuple, wrong[:NAMED].tolist()):
        of = [
            f"{label}{np.broadcast_to(tensor._arrays(value), made.shape)[index]}"
            for label, value in sources
            if of_each
            and isinstance(value, np.ndarray | Tensor | float | int)
            and not set(np.shape(value)) - {1, *made.shape}
        ]
        told.append(f"{made[index]} at {index}" + (f", of {', '.join(of)}" if of else ""))
    more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    count = f"{len(wrong)} of {made.size} elements infinite or NaN"
    raise FloatingPointError(f"{what} made {count}: {'; '.join(told)}{more}{_at(place)}")


# --- guard -----------------------------------------------------------------------------------------------------------


class _Mark(NamedTuple):
    what: str
    array: Array
    checksum: int


def _marks(y: Tensor, guarding: bool) -> list[_Mark]:
    """Checksums of the arrays that the gradients of an operation read."""
    if not guarding:
        return []
    operation, args, arrays, kwargs = y._recipe
    read: set[int] = set()
    for a, vjp in zip(args, operation.vjps, strict=False):
        if type(a) is Tensor and a._requires_grad:
            read.update(_read(getattr(vjp, "func", vjp), 1 + len(arrays)))
    given = [(RESULT, y.data), *((f"argument {i}", a) for i, a in enumerate(arrays))]
    given = [pair for j, pair in enumerate(given) if j in read]
    given += [(f"keyword {name}", value) for name, value in kwargs.items() if name != "saved"]
    return [_Mark(what, array, _checksum(array)) for what, value in given for array in _arrays_in(value)]


def _arrays_in(value: Any) -> Iterator[Array]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _arrays_in(part)


def _checksum(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


_known: dict[tuple[int, int], tuple[Any, tuple[int, ...]]] = {}  # the vjp is kept, so that its id is its own


def _read(vjp: Any, count: int) -> tuple[int, ...]:
    """Which of the result and the arguments a vjp reads, by its code; all, where that cannot be told.

    To ask for shape, ndim, dtype or size is not to read.
    """
    key = id(vjp), count
    if key not in _known:
        code = vjp.__code__ if inspect.isfunction(vjp) else None
        if code is None or code.co_flags & inspect.CO_VARARGS or code.co_argcount != 1 + count:
            _known[key] = vjp, tuple(range(count))
        else:
            loaded = set(code.co_cellvars)  # by a function within the function
            steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
            instructions = [(*step, *after) for step, after in pairwise([*steps, ("", None)])]
            for opname, found, following, asked in instructions:
                if "LOAD" in opname:  # later Pythons load two names in one instruction
                    names = found if isinstance(found, tuple) else (found,)
                    loaded.update(names[:-1] if following == "LOAD_ATTR" and asked in ABOUT else names)
            names = code.co_varnames[1 : 1 + count]
            _known[key] = vjp, tuple(j for j, name in enumerate(names) if name in loaded)
    return _known[key][1]


# --- words -----------------------------------------------------------------------------------------------------------


def _name(operation: Any) -> str:
    return str(operation.name).lstrip("_")


def _kind(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _place() -> Place:
    """The file and the line of the nearest caller that is neither of this package nor of NumPy."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _at(place: Place) -> str:
    line = linecache.getline(*place).strip()
    return f", at {place[0]}:{place[1]}" + (f": {line}" if line else "")


def _note_makers(error: Exception, args: tuple[Any, ...]) -> None:
    for i, a in enumerate(args):
        if type(a) is Tensor and a._recipe is not None and type(a._recipe[0]) is _Watched:
            made_by = a._recipe[0]
            error.add_note(f"argument {i}, {_kind(a.data)}, was made by {_name(made_by)}{_at(made_by.place)}")
