"""How a layer prints: as it would be written to build it again."""

import inspect
from typing import Any

from .module import Module


def described(module: Module) -> str:
    """The call that builds the module, without options at their defaults, rng and dtype: `LayerNorm((8,), bias=False)`.

    Each argument is looked for in the attribute of its name; where that holds a Tensor or None for an option that is
    True or False, as `bias` does, it is whether there is one.
    """
    parts, leading = [], True
    for name, parameter in inspect.signature(type(module)).parameters.items():
        if name in ("rng", "dtype"):
            continue
        value: Any = getattr(module, name)
        yes_or_no = isinstance(parameter.default, bool)
        if yes_or_no:
            value = value is not None and value is not False
        shown = f"array of {value.shape}" if hasattr(value, "shape") else repr(value)
        if shown == repr(parameter.default):
            leading = False
            continue
        leading = leading and parameter.kind is parameter.POSITIONAL_OR_KEYWORD and not yes_or_no
        parts.append(shown if leading else f"{name}={shown}")
    return f"{type(module).__name__}({', '.join(parts)})"
