"""Hyperparameters, checked where a layer or an optimiser is built, and states before they are loaded.

Each function returns what it was given, or raises an error that says what was expected:
`self.p = checks.real("Dropout", "p", p, "at least 0 and below 1", 0, 1, "[)")`, as in `nn.Dropout`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._machine.arrays import Array


def positive_integer(owner: str, name: str, value: Any) -> int:
    """An integer of at least 1.

    Raises:
        ValueError: it is not.

    >>> positive_integer("Linear", "in_features", 0)
    Traceback (most recent call last):
    ValueError: Linear: in_features must be a positive integer, not 0
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{owner}: {name} must be a positive integer, not {value!r}")
    return int(value)


def real(
    owner: str, name: str, value: Any, expected: str, low: float = -math.inf, high: float = math.inf, ends: str = "[]"
) -> float:
    """A finite number between two ends, which belong to it ("[]") or not ("()").

    Raises:
        ValueError: it is not; the message says what was `expected`.

    >>> real("Dropout", "p", 1.0, "at least 0 and below 1", 0, 1, "[)")
    Traceback (most recent call last):
    ValueError: Dropout: p must be at least 0 and below 1, not 1.0
    """
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        above = value >= low if ends[0] == "[" else value > low
        below = value <= high if ends[1] == "]" else value < high
        if above and below and math.isfinite(value):
            return float(value)
    raise ValueError(f"{owner}: {name} must be {expected}, not {value!r}")


def one_of(owner: str, name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """One of several values.

    Raises:
        ValueError: it is another.

    >>> one_of("GELU", "approximate", "erf", ("none", "tanh"))
    Traceback (most recent call last):
    ValueError: GELU: approximate must be 'none' or 'tanh', not 'erf'
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, choices))}, not {value!r}")
    return value


def generator(owner: str, rng: Any) -> "np.random.Generator":  # quoted: NumPy imports np.random when it is asked for
    """A `np.random.Generator`.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"{owner}: rng must be a np.random.Generator, not {type(rng).__name__}")
    return rng


def floating(owner: str, dtype: Any) -> np.dtype[Any]:
    """A floating point dtype.

    Raises:
        TypeError: it is another.
    """
    wanted: np.dtype[Any] = np.dtype(dtype)
    if wanted.kind != "f":
        raise TypeError(f"{owner}: dtype must be floating point, not {wanted}")
    return wanted


def state(owner: str, own: Mapping[str, Array], new: Mapping[str, Any]) -> dict[str, Array]:
    """Arrays by name that fit those of the owner: the same names and shapes, and numbers of a kind that can be cast.

    Raises:
        ValueError: names are missing or unknown, or shapes or kinds of numbers differ; all of them are listed.

    >>> state("SGD", {"steps": np.array(0)}, {"step": 1})
    Traceback (most recent call last):
    ValueError: the state does not fit this SGD: step is unknown; steps is missing
    """
    arrays = {name: np.asarray(value) for name, value in new.items()}
    problems = [f"{name} is missing" for name in own.keys() - arrays.keys()]
    problems += [f"{name} is unknown" for name in arrays.keys() - own.keys()]
    problems += [
        f"{name} has shape {array.shape} of {array.dtype}, expected {own[name].shape} of {own[name].dtype}"
        for name, array in arrays.items()
        if name in own
        and (array.shape != own[name].shape or not np.can_cast(array.dtype, own[name].dtype, "same_kind"))
    ]
    if problems:
        raise ValueError(f"the state does not fit this {owner}: {'; '.join(sorted(problems))}")
    return arrays
