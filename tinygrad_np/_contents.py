"""What an object refers to, each with its path, and nothing twice.

    for path, found in contents("", model, {}):      # where parameters() looks: attributes, lists, dicts, dataclasses
    for path, found, _ in everything(model):         # also sets, closures, iterators, objects and classes

Weak references, modules of Python and globals are not followed.
"""

import gc
import random
import sys
import weakref
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Iterator, Mapping, Set, ValuesView
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from functools import partial
from types import CodeType, FrameType, FunctionType, MappingProxyType, MethodType, ModuleType, TracebackType
from typing import Any

import numpy as np

from .tensor import Tensor

ATOMS = {bool, int, float, str, bytes, type(None), np.dtype}
SEQUENCES = (list, tuple, deque, UserList)
MAPPINGS = (dict, UserDict, ChainMap, MappingProxyType)
GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random)
WEAK = (weakref.ProxyType, weakref.CallableProxyType, weakref.ref)
SKIPPED = (*WEAK, type, ModuleType, CodeType, FrameType, TracebackType)  # from most, everything can be reached
NUMPY = {*sys.stdlib_module_names, "numpy"}
KNOWN = NUMPY | {__name__.partition(".")[0]}  # packages whose classes hold nothing of a user


def is_module(value: Any) -> bool:
    """Whether a value is an `nn.Module`, which this file may not import."""
    return hasattr(type(value), "_children")


def attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object, those in `__slots__` included."""
    slots = [name for cls in type(value).__mro__ for name in vars(cls).get("__slots__", ()) if name[:2] != "__"]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def held_by(function: Any) -> dict[str, Any]:
    """What a function, without its module, a method or a `functools.partial` holds, by name; nothing of what it is not.

    >>> held_by(lambda x, y=2: x), held_by(partial(max, 1))
    ({'defaults': (2,)}, {'func': <built-in function max>, 'args': (1,), 'keywords': {}})
    """
    if issubclass(type(function), FunctionType):
        cells = map(gc.get_referents, function.__closure__ or ())  # none of a variable that has no value yet
        closure = {name: held[0] for name, held in zip(function.__code__.co_freevars, cells, strict=True) if held}
        defaults = {"defaults": function.__defaults__, "kwdefaults": function.__kwdefaults__}
        return closure | {name: held for name, held in defaults.items() if held}
    if issubclass(type(function), MethodType):
        return {"__self__": function.__self__, "__func__": function.__func__}
    if issubclass(type(function), partial):
        return {"func": function.func, "args": function.args, "keywords": function.keywords}
    return {}


def contents(path: str, value: Any, seen: dict[int, Any]) -> Iterator[tuple[str, Any]]:
    """The Tensors, modules and objects of other classes in a value, itself included, each once, with their paths.

    They come depth first, without recursion. Objects of other classes are not looked into. What was visited is put into
    `seen`, by id.
    """
    stack = [iter([(path, value)])]
    while stack:
        for path, found in stack[-1]:  # noqa: B007
            if type(found) not in ATOMS and not issubclass(type(found), SKIPPED) and id(found) not in seen:
                break
        else:
            stack.pop()
            continue
        seen[id(found)] = found
        parts = None if type(found) is Tensor else _parts(found)
        if parts is None or is_module(found):
            yield path, found
        if isinstance(found, MAPPINGS) and not ATOMS.issuperset(map(type, found)):
            yield f"the keys of {path}", found.keys()
        if parts is not None:
            stack.append(_named(path, parts))


def hidden(others: list[tuple[str, Any]], seen: dict[int, Any]) -> Iterator[tuple[str, Any, Any]]:
    """What objects of other classes, found by `contents`, and the classes of all that was seen lead to.

    Each comes once, with its path and the object or class that holds it. Nothing in `seen` comes again.
    """
    others = others + [(cls.__name__, cls) for kind in set(map(type, seen.values())) for cls in _classes(kind, seen)]
    while others:
        path, holder = others.pop()
        for place, found in contents(path, dict(_hidden_parts(holder)), seen):
            yield place, found, holder
            if not isinstance(found, Tensor) and not is_module(found):
                others.append((place, found))
            others += [(cls.__name__, cls) for cls in _classes(type(found), seen)]


def everything(value: Any) -> Iterator[tuple[str, Any]]:
    """The Tensors, modules and objects that a value leads to, itself included, with their paths."""
    seen: dict[int, Any] = {}
    found = list(contents("", value, seen))
    yield from found
    others = [(path, other) for path, other in found if not isinstance(other, Tensor) and not is_module(other)]
    yield from ((path, other) for path, other, _ in hidden(others, seen))


def _parts(value: Any) -> list[tuple[Any, Any]] | None:
    """What a value holds, each by name or index, if Tensors and modules are found in it."""
    own = list(value._children().items()) if is_module(value) else None
    if isinstance(value, SEQUENCES):  # a million numbers in 0.03 s instead of 0.4
        parts: list[tuple[Any, Any]] = [] if ATOMS.issuperset(map(type, value)) else [*enumerate(value)]
    elif isinstance(value, MAPPINGS):
        parts = list(value.items())
    elif is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value) if hasattr(value, field.name)]
    else:
        return own
    return parts + (own or list(attributes(value).items()))  # of a subclass; a field that comes again is passed over


def _hidden_parts(value: Any) -> Mapping[Any, Any]:
    """What any other object refers to, by name where it has one."""
    if isinstance(value, type):
        return vars(value)
    if isinstance(value, Set | ValuesView):
        return attributes(value) | dict(enumerate(value))
    if isinstance(value, np.ndarray):
        return attributes(value) | (dict(enumerate(value.ravel().tolist())) if value.dtype.hasobject else {})
    if isinstance(value, ContextVar):
        return {"get()": value.get(None)}
    if isinstance(value, FunctionType):  # but its module
        return held_by(value) | vars(value)
    if isinstance(value, GENERATORS):
        return attributes(value)
    return held_by(value) or attributes(value) | dict(enumerate(gc.get_referents(value)))


def _named(path: str, parts: list[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    for name, part in parts:
        yield f"{path}.{name}" if path else str(name), part


def _classes(kind: type, seen: dict[int, Any]) -> Iterator[type]:
    """A class and its base classes, if a user's own, each once."""
    for cls in kind.__mro__:
        if id(cls) not in seen and cls.__module__.partition(".")[0] not in KNOWN:
            seen[id(cls)] = cls
            yield cls
