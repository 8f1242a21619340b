"""What an object is, in text that is the same when a program is run again: its class, and the values it was made with.

    described(nn.Dropout(0.5, rng=rng))     # {"": "tinygrad_np.nn.layers.Dropout", "p": "0.5", "rng": ...}

Checkpoints and states of optimisers and loaders hold such text, and are loaded only where it is the same.
"""

import contextlib
import sys
import zlib
from collections import defaultdict
from collections.abc import Mapping, Set
from enum import Enum
from functools import cached_property, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ._contents import GENERATORS, MAPPINGS, NUMPY, SEQUENCES, WEAK, attributes, held_by
from .tensor import Array, Tensor

PLAIN = (bool, int, float, complex, str, bytes)
ATOMS = {*PLAIN, type(None), type(...)}
CHUNK = 1 << 20  # bytes of an array that are made contiguous at a time
CHECKED = 1 << 28  # bytes of an array that its checksum reads; 0.3 s
FROZEN = " without gradient"  # the end of the text of a Tensor
SHORT = 200  # characters of a text that is kept as it is
FEW = 8  # numbers of an array that are shown
NAMED = 5  # differences in a message


def described(value: Any, others: Mapping[int, str] | None = None, values: bool = True) -> dict[str, str]:
    """The class of an object and of all that it holds, and the values of those that are values, by path.

    Classes and functions are known by their names, a lambda by its code, objects by their class and attributes, and
    what tells nothing of itself, such as a lock, by its class alone.

    Args:
        others: objects not to look into, by id, each with the text that stands for it.
        values: whether to look at the numbers of Tensors, or only at their shapes.

    >>> described({"eps": 1e-6, "sizes": [3, (4, 5)], "activation": np.tanh})
    {'': 'dict', 'eps': '1e-06', 'sizes': 'list of 2', 'sizes.0': '3', 'sizes.1': '(4, 5)', 'activation': 'numpy.tanh'}
    """
    found: dict[str, str] = {}
    seen: dict[int, tuple[str, Any]] = {}  # with the objects, so that no id is used again
    stack = [("", value)]
    while stack:  # without recursion, since objects may be nested deeply
        path, value = stack.pop()
        text, parts = _split(value, values)
        if others and id(value) in others:
            text, parts = others[id(value)], {}
        elif parts and id(value) in seen:
            text, parts = f"as at {seen[id(value)][0] or 'the top'}", {}
        elif parts:
            seen[id(value)] = path, value
        found[path] = f"{found[path]}; {text}" if path in found else text
        inner = [(_shortened(f"{path}.{_key(name)}" if path else _key(name)), part) for name, part in parts.items()]
        stack += reversed(inner)
    return found


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], sides: tuple[str, str] = ("checkpoint", "here")
) -> str:
    """What differs between two descriptions, the outermost of it; "" if they are equal.

    >>> differences({"": "Net", "0": "ReLU", "1.p": "0.5"}, {"": "Net", "0": "Tanh", "1.p": "0.1"})
    'checkpoint: ReLU, here: Tanh, at 0; checkpoint: 0.5, here: 0.1, at 1.p'
    """
    paths: list[str] = []
    for path in {**here, **there}:
        if there.get(path) != here.get(path) and not any(path.startswith(f"{other}.") or not other for other in paths):
            paths.append(path)
    pairs = [(there.get(path, "nothing"), here.get(path, "nothing")) for path in paths[:NAMED]]
    texts = [", ".join(f"{side}: {text}" for side, text in zip(sides, pair, strict=True)) for pair in pairs]
    lines = [f"{text}, at {path}" if path else text for text, path in zip(texts, paths, strict=False)]
    return "; ".join(lines + [f"and {len(paths) - NAMED} more"] * (len(paths) > NAMED))


def name_of(thing: Any) -> str:
    """The name of a class or function with that of its module."""
    name = str(getattr(thing, "__qualname__", thing.__name__))
    module = str(getattr(thing, "__module__", None)).replace("__mp_main__", "__main__")  # of a spawned process
    return name if module in ("builtins", "None") else f"{module}.{name}"


def checksum(array: Array, start: int = 0) -> int:
    """The CRC-32 of an array's dtype, shape and elements; of as many as there are in 256 MB.

    It does not depend on how the array is stored. Objects count by their descriptions.
    """
    found = zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), start)
    if isinstance(array, np.ma.MaskedArray):
        return checksum(np.ma.getmaskarray(array), checksum(array.filled(), found))
    if array.dtype.names is not None:  # there may be anything between the fields
        for name in array.dtype.names:
            found = checksum(array[name], zlib.crc32(name.encode(), found))
    elif array.dtype.kind == "T" or array.dtype.hasobject:  # the bytes of objects are addresses
        found = zlib.crc32(repr(described(array.ravel().tolist())).encode(errors="surrogatepass"), found)
    elif array.nbytes:  # elements may have no size
        step = 1 + array.nbytes // CHECKED
        rows = 1 + CHUNK * len(array) // array.nbytes if array.ndim else 1
        for first in range(0, len(array) if array.ndim else 1, step * rows):
            part = np.ascontiguousarray(array[first : first + step * rows : step] if array.ndim else array)
            found = zlib.crc32(part.reshape(-1).view(np.uint8).data, found)
    return found


def _key(name: Any) -> str:
    text = name if isinstance(name, str) else _line(name)
    return text if text.isprintable() else repr(text)


def _line(value: Any) -> str:
    """The description of a value without a place, such as an element of a set, as one text."""
    found = described(value)
    return _shortened(found[""] if len(found) == 1 else repr(found))


def _shortened(text: str) -> str:
    if len(text) <= SHORT:
        return text
    return f"{text[: SHORT // 4]}... with checksum {zlib.crc32(text.encode(errors='surrogatepass'))}"


def _split(value: Any, values: bool) -> tuple[str, Mapping[Any, Any]]:
    """What a value itself is, as text, and what it holds, by name or index."""
    kind = type(value)  # not isinstance(), which fails for a weak proxy of what is gone
    if kind in ATOMS:
        return _plain(kind, value), {}
    if issubclass(kind, Tensor):
        trained = "" if value.requires_grad else FROZEN
        return (_array(value.data) if values else f"{value.dtype}{list(value.shape)}") + trained, {}
    if kind is np.ndarray and value.dtype == object and not ATOMS.issuperset(map(type, value.flat)):
        return f"object{list(value.shape)}", dict(enumerate(value.ravel().tolist()))
    if issubclass(kind, np.ndarray):
        return _array(value), {}
    if issubclass(kind, np.generic):
        return repr(value.item()), {}
    if issubclass(kind, GENERATORS):  # whose state is saved as a part
        return f"generator {type(getattr(value, 'bit_generator', value)).__name__}", {}
    if issubclass(kind, Enum):
        return f"{name_of(kind)}.{value.name}", {}
    if issubclass(kind, ModuleType):
        return str(value.__name__), {}
    if issubclass(kind, WEAK):
        return name_of(kind), {}
    if issubclass(kind, type):
        return name_of(value), {}
    return _function(value) or _container(value) or _object(value)


def _plain(kind: Any, value: Any) -> str:
    """A number or text of a built-in class. Python refuses to write integers of thousands of digits as decimals."""
    return _shortened(hex(value) if kind is int and value.bit_length() > 8 * SHORT else kind.__repr__(value))


def _array(array: Array) -> str:
    shown = array.size <= FEW and array.dtype.kind in "fiub" and type(array) is np.ndarray
    text = repr(array.tolist()) if shown else f"with checksum {checksum(array)}"
    return f"{array.dtype}{list(array.shape)} {text}"


def _function(value: Any) -> tuple[str, Mapping[Any, Any]] | None:
    kind = type(value)
    if issubclass(kind, FunctionType):
        code = f" with code {_code(value.__code__)}" if value.__name__ == "<lambda>" else ""
        return name_of(value) + code, held_by(value)
    if issubclass(kind, MethodType):
        return name_of(value.__func__), {"__self__": value.__self__}
    if issubclass(kind, partial):
        return name_of(kind), held_by(value)
    if issubclass(kind, BuiltinFunctionType | np.ufunc | type(np.reshape)):
        owner = getattr(value, "__self__", None)
        return name_of(value), {} if isinstance(owner, ModuleType | None) else {"__self__": owner}
    return None


def _code(code: CodeType) -> str:
    """A checksum of a function's code, which another version of Python compiles to another one."""
    constants = [_code(part) if isinstance(part, CodeType) else _line(part) for part in code.co_consts]
    text = repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants))
    return f"{zlib.crc32(text.encode(errors='surrogatepass'))} of {sys.implementation.cache_tag}"


def _container(value: Any) -> tuple[str, Mapping[Any, Any]] | None:
    kind = type(value)
    if issubclass(kind, Set):  # in no order
        return f"{name_of(kind)} {_shortened(repr(sorted(map(_line, value))))}", {}
    if issubclass(kind, MAPPINGS):
        if kind is dict and ATOMS.issuperset(map(type, [*value, *value.values()])):
            with contextlib.suppress(ValueError):  # of an integer of thousands of digits
                return _shortened(f"{{{', '.join(sorted(f'{key!r}: {held!r}' for key, held in value.items()))}}}"), {}
        factory = {"default_factory": value.default_factory} if isinstance(value, defaultdict) else {}
        return name_of(kind), {**_own(value), **factory, **value}
    if issubclass(kind, SEQUENCES):
        if kind in (list, tuple) and ATOMS.issuperset(map(type, value)):  # a million numbers at once
            with contextlib.suppress(ValueError):
                return _shortened(repr(value)), {}
        return f"{name_of(kind)} of {len(value)}", {**_own(value), **dict(enumerate(value))}
    return None


def _object(value: Any) -> tuple[str, Mapping[Any, Any]]:
    kind = type(value)
    if plain := next((base for base in PLAIN if issubclass(kind, base)), None):
        return f"{name_of(kind)} {_plain(plain, value)}", _own(value)
    if kind.__module__.partition(".")[0] in NUMPY:  # whose objects tell in their repr what they are
        with contextlib.suppress(Exception):  # of objects in it, whose repr may raise anything
            text = repr(value)
            if " at 0x" not in text and (text.startswith("<") or not getattr(value, "__dict__", None)):
                return _shortened(text), {}  # of values in a __dict__ it may show a part, and sets in any order
    return name_of(kind), _own(value)


def _own(value: Any) -> dict[Any, Any]:
    """The attributes of an object, as it was made: but the mode of a module, what was frozen, and what is computed."""
    found = value._children() if hasattr(value, "_children") else attributes(value)
    computed = {
        name for cls in type(value).__mro__ for name, own in vars(cls).items() if isinstance(own, cached_property)
    }
    mode = {"training", "_frozen"} if hasattr(value, "_children") else set()
    return {name: part for name, part in found.items() if name not in computed | mode}
