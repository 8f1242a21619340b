"""Ways for an object to hold another one: those in which a module finds it, and those in which it refuses it."""

import collections
import contextlib
import dataclasses
import functools
import itertools
import queue
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclasses.dataclass
class Data:
    held: Any


@dataclasses.dataclass(slots=True)
class Slots:
    held: Any


class Plain:
    def __init__(self, held: Any) -> None:
        self.held = held


class PlainSlots:
    __slots__ = ("held",)

    def __init__(self, held: Any) -> None:
        self.held = held


def object_array(x: Any) -> np.ndarray:
    array = np.empty(2, object)
    array[0] = x
    return array


def decorated(x: Any) -> Any:
    @functools.wraps(max)
    def function(y: Any) -> Any:
        return y

    function.held = x  # type: ignore[attr-defined]
    return function


class Array(np.ndarray):
    def __new__(cls) -> Any:
        return np.zeros(2).view(cls)


def with_attribute(base: Any, x: Any) -> Any:
    """An object of a class derived from `base`, with an attribute that is no element and no field of it."""
    subclass = type("Subclass", (base,), {})
    made = subclass(1) if base is Data else subclass(1, 2) if base is Pair else subclass()
    made.extra = x
    return made


def context_variable(x: Any) -> Any:
    variable: ContextVar[Any] = ContextVar("variable")
    variable.set(x)
    return variable


def queue_of(x: Any) -> Any:
    held: queue.Queue[Any] = queue.Queue()
    held.put(x)
    return held


FOUND: list[Callable[[Any], Any]] = [
    lambda x: [x],
    lambda x: (x,),
    lambda x: {"a": x},
    lambda x: collections.deque([x]),
    lambda x: collections.UserList([x]),
    lambda x: collections.UserDict(a=x),
    lambda x: collections.OrderedDict(a=x),
    lambda x: collections.defaultdict(list, a=x),
    lambda x: collections.ChainMap({}, {"a": x}),
    lambda x: types.MappingProxyType({"a": x}),
    lambda x: Pair(1, x),
    lambda x: Data(x),
    lambda x: Slots(x),
    *(
        lambda x, base=base: with_attribute(base, x)
        for base in (list, tuple, dict, collections.deque, collections.UserList, collections.UserDict, Data, Pair)
    ),
]
REFUSED: list[Callable[[Any], Any]] = [
    lambda x: {x},
    lambda x: frozenset([x]),
    lambda x: {x: 1},
    lambda x: {"a": x}.values(),
    lambda x: Plain(x),
    lambda x: PlainSlots(x),
    lambda x: types.SimpleNamespace(a=x),
    object_array,
    lambda x: functools.partial(max, x),
    lambda x: functools.partial(max, key=x),
    lambda x: Plain(Plain([PlainSlots({"a": x})])),
    lambda x: lambda: x,
    lambda x: lambda y=x: y,
    lambda x: decorated(x),
    lambda x: functools.lru_cache(lambda: x),
    lambda x: contextlib.contextmanager(lambda: x),
    lambda x: iter([x]),
    lambda x: itertools.cycle([x]),
    lambda x: zip([x], [1], strict=True),
    lambda x: [1, x].append,
    lambda x: queue_of(x),
    lambda x: with_attribute(set, x),
    lambda x: with_attribute(Array, x),
    lambda x: with_attribute(str, x),
    lambda x: type("OfClass", (), {"held": x})(),
    lambda x: np.array([(x,)], [("held", object)]),
    context_variable,
]
