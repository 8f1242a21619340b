"""Functions that are registered: their names, their parameters, and whether those of a vjp agree with them."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Function: TypeAlias = Callable[..., Any]


def name_of(function: Function) -> str:
    """The name as it is written after `np.`: `sum`, `add.reduce`, `linalg.inv`. A method is named with its class."""
    if isinstance(function, partial):
        return f"partial({name_of(function.func)})"
    owner = getattr(function, "__self__", None)
    name = str(getattr(function, "__name__", type(function).__name__))
    if isinstance(owner, np.ufunc):
        name = f"{owner.__name__}.{name}"
    elif inspect.ismethod(function):
        name = f"{(owner if isinstance(owner, type) else type(owner)).__name__}.{name}"
    module = getattr(function, "__module__", None) or ""  # ufuncs of other libraries have none
    return f"{module.removeprefix('numpy.')}.{name}" if module.startswith("numpy.") else name


# --- parameters ------------------------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """The parameters of a function or of a vjp."""

    positional: list[str]
    any_number: bool  # *args
    keywords: set[str]  # those that are keyword-only
    any_keyword: bool  # **kwargs
    defaults: dict[str, Any]

    @classmethod
    def of(cls, function: Function) -> "Parameters":
        """Raises ValueError for a builtin that does not tell its parameters."""
        function = inspect.unwrap(function)
        if inspect.isfunction(function):  # 0.7 ms for all operations and their vjps; signature() takes 5
            code, count = function.__code__, function.__code__.co_argcount
            names, keywords = code.co_varnames[:count], code.co_varnames[count : count + code.co_kwonlyargcount]
            values = function.__defaults__ or ()
            defaults = dict(zip(names[count - len(values) :], values, strict=True)) | (function.__kwdefaults__ or {})
            any_number, any_keyword = (
                code.co_flags & flag != 0 for flag in (inspect.CO_VARARGS, inspect.CO_VARKEYWORDS)
            )
            return cls(list(names), any_number, set(keywords), any_keyword, defaults)
        parameters = inspect.signature(function).parameters.values()
        kinds = [p.kind for p in parameters]
        return cls(
            [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)],
            inspect.Parameter.VAR_POSITIONAL in kinds,
            {p.name for p in parameters if p.kind is p.KEYWORD_ONLY},
            inspect.Parameter.VAR_KEYWORD in kinds,
            {p.name: p.default for p in parameters if p.default is not p.empty},
        )


def refuse_other_arguments(
    function: Function, arity: int | None, keywords: set[str], vjps: Sequence[Parameters]
) -> None:
    """Raise if vjps take other arguments than their function, or other defaults: their gradients would be wrong."""
    name = name_of(function)
    if isinstance(function, np.ufunc):
        if arity not in (None, function.nin):
            raise TypeError(f"{name} takes {function.nin} arguments, its vjps {arity}; give one for each, or None")
        if function.nout != 1:
            raise TypeError(f"{name} returns {function.nout} arrays; an operation returns one")
        return
    try:
        own = Parameters.of(function)
    except ValueError:
        return
    if arity is not None:
        required = [p for p in own.positional[arity:] if p not in own.defaults and p not in keywords]
        if required or (arity > len(own.positional) and not own.any_number):
            count = len(own.positional)
            raise TypeError(
                f"{name} takes {count} positional arguments ({', '.join(own.positional)}), but has vjps for {arity}:"
                " give one for each, None for one that is not differentiable, or name it as a keyword of the vjps"
            )
    if needed := sorted(own.keywords - own.defaults.keys() - keywords):
        raise TypeError(
            f"{name} needs its keyword {needed[0]}, which its vjps do not take: write *, {needed[0]} in each of them"
        )
    for keyword in sorted(keywords):
        if keyword not in own.positional and keyword not in own.keywords and not own.any_keyword:
            raise TypeError(f"the vjps of {name} take a keyword {keyword}, which {name} does not have")
        if own.defaults.get(keyword, np._NoValue) is np._NoValue:
            continue  # always given, or not comparable: NumPy's own mark for arguments left out
        default = own.defaults[keyword]
        for vjp in vjps:
            if keyword not in vjp.defaults or not _are_equal(vjp.defaults[keyword], default):
                found = f"{vjp.defaults[keyword]!r}" if keyword in vjp.defaults else "none"
                raise TypeError(
                    f"{name} has the default {keyword}={default!r}, and its vjp {found}: write *, {keyword}={default!r}"
                    f" in the vjp as well, since a call without {keyword} passes none on"
                )


def refuse_other_rows(name: str, rows: Sequence[Function | None], vjp: Parameters) -> None:
    """Raise if vjps for stacked gradients take other arguments than those for one, or other defaults."""
    for row in rows:
        own = None if row is None else Parameters.of(row)
        if own is None:
            continue
        if not own.any_number and len(own.positional) != len(vjp.positional):
            raise TypeError(
                f"rows= of {name} takes g, y and {len(vjp.positional) - 2} inputs, not {len(own.positional)} positional"
                " arguments"
            )
        if not own.any_keyword and own.keywords != vjp.keywords:
            raise TypeError(f"rows= of {name} takes other keywords than its vjps; it is given all of theirs")
        for keyword in own.keywords & vjp.defaults.keys():
            default = vjp.defaults[keyword]
            if keyword not in own.defaults or not _are_equal(own.defaults[keyword], default):
                raise TypeError(f"a vjp of {name} has the default {keyword}={default!r}, and rows= another or none")


def _are_equal(a: Any, b: Any) -> bool:
    return a is b or (not isinstance(a, np.ndarray) and not isinstance(b, np.ndarray) and bool(a == b))
