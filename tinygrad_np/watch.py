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
import linecache
import os
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import ContextDecorator, nullcontext
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, ClassVar

import numpy as np

from . import tensor
from .accumulate import Product
from .tensor import Array, Tensor

OURS = (os.path.dirname(__file__) + os.sep, os.path.dirname(np.__file__) + os.sep)
NAMED = 5  # indices in a message
Place = tuple[str, int]


class _Watch(ContextDecorator):
    """A context in which this thread's operations are watched; they may stand in each other, in any order."""

    lock: ClassVar[threading.Lock] = threading.Lock()
    in_use: ClassVar[int] = 0  # contexts of all threads
    inside: ClassVar[ContextVar[int]]

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
    An operation that fails for its shapes tells the lines where its arguments were made.

    Raises:
        FloatingPointError: by the operation, or by `backward()`, `grad()` and `minimize()`.

    It makes a step of the MNIST network 1.5 times as long: `python -m benchmarks.watching`.

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
    gradient needs, and compared in the backward. What optimisers and `load_state_dict` write is noticed always.

    Raises:
        RuntimeError: by `backward()`, `grad()` and `minimize()`.

    It makes a step of the MNIST network 1.8 to 1.9 times as long: `python -m benchmarks.watching`.

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
    looking, guarding = detect_anomaly.inside.get(), guard.inside.get()
    if not (looking or guarding):
        return _plain(function, *args, **kwargs)
    place = _place()
    try:
        with np.errstate(all="ignore") if looking else nullcontext():  # what NumPy would warn of is said better below
            y = _plain(function, *args, **kwargs)
    except (ValueError, TypeError, IndexError) as error:
        if looking:
            _note_makers(error, args)
        raise
    if type(y) is Tensor and y._recipe is not None and type(y._recipe[0]) is not _Watched:
        operation, own_args, arrays, own_kwargs = y._recipe
        watched = _Watched(operation, place, bool(looking), _marks(operation, y.data, arrays) if guarding else {})
        y._recipe = watched, own_args, arrays, own_kwargs
    if looking and type(y) is Tensor:
        name = tensor.registry[function].name
        _refuse_new_anomaly(y.data, [a.data if type(a) is Tensor else a for a in args], name, "", place)
    return y


class _Watched:
    """In a record, in the place of an operation: the same, with its line, and with vjps that look first."""

    has_fixed_arguments = False  # which was looked at already

    def __init__(self, operation: Any, place: Place, looking: bool, marks: dict[int, int]) -> None:
        self.operation, self.place, self.looking, self.marks = operation, place, looking, marks
        self.name, self.saves, self.freed = operation.name, operation.saves, operation.freed

    @property
    def vjps(self) -> Iterator[Any]:
        return (vjp and partial(self._run, i, vjp) for i, vjp in enumerate(self.operation.vjps))

    def _run(self, i: int, vjp: Any, g: Any, y: Any, *values: Any, **kwargs: Any) -> Any:
        for j in _read(vjp, 1 + len(values)):
            if j in self.marks and _mark(tensor._arrays((y, *values)[j])) != self.marks[j]:
                array = tensor._arrays((y, *values)[j])
                which = f"argument {j - 1} of {self.name}" if j else f"the result of {self.name}"
                raise RuntimeError(f"{which}, {_kind(array)}, was written to after the operation{_at(self.place)}")
        part = vjp(g, y, *values, **kwargs)
        if self.looking:
            part = part.computed() if type(part) is Product else part
            _refuse_new_anomaly(
                tensor._arrays(part),
                tensor._arrays([g, y, *values]),
                self.name,
                f"the gradient of argument {i} of ",
                self.place,
            )
        return part


# --- what is looked for ----------------------------------------------------------------------------------------------


def _is_finite(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    if isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
        return bool(np.all(np.isfinite(value)))
    return True


def _refuse_new_anomaly(made: Array, sources: list[Any], name: str, of: str, place: Place) -> None:
    if _is_finite(made) or not _is_finite(sources):
        return
    wrong = np.argwhere(~np.isfinite(made))
    told = []
    for index in map(tuple, wrong[:NAMED].tolist()):
        alike = [a for a in sources if isinstance(a, np.ndarray) and a.shape == made.shape]
        of_these = ", ".join(f"{a[index]}" for a in alike)
        told.append(f"{made[index]} at {index}" + (f", of {of_these}" if alike else ""))
    more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    kinds = ", ".join(_kind(a) for a in sources if isinstance(a, np.ndarray))
    what = f"{of}{name}" if of else f"{name} of {kinds}"
    made_of = f"made {len(wrong)} of {made.size} elements infinite or NaN: {'; '.join(told)}{more}"
    raise FloatingPointError(f"{what} {made_of}{_at(place)}")


def _marks(operation: Any, y: Array, arrays: list[Any]) -> dict[int, int]:
    """Checksums of what the vjps will read: 0 is the result, 1 the first argument."""
    read: set[int] = set()
    for vjp, _ in zip(operation.vjps, arrays, strict=False):
        read.update(_read(vjp, 1 + len(arrays)) if vjp else ())
    return {j: _mark(value) for j, value in enumerate((y, *arrays)) if j in read and isinstance(value, np.ndarray)}


def _mark(array: Array) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


@cache
def _read(vjp: Any, count: int) -> tuple[int, ...]:
    """Which of the result and the arguments a vjp reads, by its code; those whose code cannot be read, all."""
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_argcount != 1 + count:
        return tuple(range(count))
    loaded = {i.argval for i in dis.get_instructions(code) if i.opname.startswith("LOAD")}
    nested = set(code.co_cellvars)  # in a function within the function
    return tuple(j for j, name in enumerate(code.co_varnames[1 : 1 + count]) if name in loaded | nested)


# --- words -----------------------------------------------------------------------------------------------------------


def _kind(array: Array) -> str:
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
            error.add_note(f"argument {i}, {_kind(a.data)}, was made by {made_by.name}{_at(made_by.place)}")
