"""All functions of the installed NumPy: which are differentiable, which constant, and which refused, and why."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._functions import Function
from .._messages import REFUSED, reason_of
from .._registry import Constant, registry

METHODS = ("reduce", "accumulate", "outer", "reduceat", "at")
DIFFERENTIABLE, CONSTANT = "differentiable", "constant"


def _public() -> Iterator[tuple[str, Any]]:
    """What can be called in NumPy's namespaces with arrays, under its name after `np.`, except classes."""
    for prefix, module in (("", np), ("linalg.", np.linalg), ("fft.", np.fft)):
        for name, thing in vars(module).items():
            if not name.startswith("_") and callable(thing) and not isinstance(thing, type):
                yield prefix + name, thing
    yield "lib.stride_tricks.sliding_window_view", np.lib.stride_tricks.sliding_window_view
    yield from (("r_", np.r_), ("c_", np.c_))  # which are called by brackets


def _methods(ufunc: np.ufunc) -> Iterator[tuple[str, Any]]:
    """The methods of a ufunc that differ from the ufunc itself."""
    for method in METHODS if ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None else ():
        yield f"{ufunc.__name__}.{method}", getattr(ufunc, method)


def functions() -> dict[str, Function]:
    """NumPy's functions, and the methods of those ufuncs of two arguments that are differentiable; each once.

    >>> [name for name in functions() if name in ("abs", "absolute", "add.at")]
    ['absolute', 'add.at']
    """
    found: dict[Any, str] = {}
    for name, thing in _public():
        if thing not in found or name == getattr(thing, "__name__", ""):  # np.abs is np.absolute
            found[thing] = name
    for thing, name in list(found.items()):
        if isinstance(thing, np.ufunc) and status(name, thing) == DIFFERENTIABLE:
            found |= {method: name for name, method in _methods(thing)}
    return {name: thing for thing, name in sorted(found.items(), key=_name)}


def _name(item: tuple[Any, str]) -> str:
    return item[1].lower()


def status(name: str, function: Function) -> str:
    """`DIFFERENTIABLE`, `CONSTANT`, or the reason why the function is refused; "" if nothing is known of it.

    >>> status("exp", np.exp), status("floor", np.floor), status("isnat", np.isnat)
    ('differentiable', 'constant', 'it works on dates')
    """
    if function in registry:
        return CONSTANT if isinstance(registry[function], Constant) else DIFFERENTIABLE
    return reason_of(name)


def by_status() -> dict[str, list[str]]:
    """The names of NumPy's functions by their status: first the differentiable and constant ones, then the reasons."""
    found: dict[str, list[str]] = {status: [] for status in (DIFFERENTIABLE, CONSTANT, *REFUSED)}
    for name, function in functions().items():
        found.setdefault(status(name, function), []).append(name)
    return found


def counts() -> dict[str, int]:
    """How many functions are differentiable, constant, refused and unaccounted."""
    found = {status: len(names) for status, names in by_status().items()}
    refused = sum(found.get(reason, 0) for reason in REFUSED)
    return {
        DIFFERENTIABLE: found[DIFFERENTIABLE], CONSTANT: found[CONSTANT], "refused": refused,
        "unaccounted": found.get("", 0),
    }  # fmt: skip
