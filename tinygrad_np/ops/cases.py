"""Describe the arguments that an operation is tested with; each operation lists its cases in its registry entry.

A `Case` gives the shapes of the array arguments, the domains of their elements, and the other arguments. `each` makes
one case per combination of keyword values. `tinygrad_np.testing.strategies` draws actual arguments from a case.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Domain:
    """The set that the elements of an argument are drawn from.

    Attributes:
        low, high: the ends of the interval, which is open for floating point and half-open for integers.
        kind: 'f', 'i' or 'b' for floating point, integer or boolean, as in NumPy's `dtype.kind`.
        either_sign: whether the mirrored interval (-high, -low) belongs to the domain too.
    """

    low: float
    high: float
    kind: str = "f"
    either_sign: bool = False


REAL = Domain(-3, 3)
POSITIVE = Domain(0.2, 4)
UNIT = Domain(-0.9, 0.9)
NONZERO = Domain(0.3, 4, either_sign=True)
CONDITION = Domain(0, 2, "b")


@dataclass(frozen=True)
class Case:
    """Arguments that an operation is tested with.

    Attributes:
        shapes: one shape for each array argument, separated by commas: `"n K, K m"`. A letter is a size to draw (a
            lowercase letter may be 0, a capital may not), a number is a fixed size, an empty shape is a 0-d array, `*`
            is any shape, and several `*` are any shapes that broadcast together. `"[n m, k m]"` is one list of two
            arrays.
        args: further positional arguments.
        kwargs: keyword arguments.
        domains: the domain of each array; the last one applies to all remaining arrays.
        prepare: maps the drawn arrays to the operation's arguments, for example any matrix to a positive definite one.
        finish: maps the operation's result to what is tested, for example to a function of eigenvectors that does not
            depend on their signs.
    """

    shapes: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    domains: tuple[Domain, ...] = (REAL,)
    prepare: Callable[..., Any] | None = None
    finish: Callable[..., Any] | None = None

    def __str__(self) -> str:
        given = [self.shapes, *map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return "; ".join(given)


def each(
    shapes: str,
    *,
    domains: tuple[Domain, ...] = (REAL,),
    prepare: Callable[..., Any] | None = None,
    finish: Callable[..., Any] | None = None,
    **choices: Iterable[Any],
) -> list[Case]:
    """A case for each combination of keyword values.

    >>> [str(case) for case in each("n m", axis=(0, 1), keepdims=(True,))]
    ['n m; axis=0; keepdims=True', 'n m; axis=1; keepdims=True']
    """
    return [
        Case(shapes, (), dict(zip(choices, values, strict=True)), domains, prepare, finish)
        for values in itertools.product(*choices.values())
    ]


def since(version: str, *cases: Case) -> list[Case]:
    """The cases if NumPy is of this version or newer: an older one refuses what the operation takes with every NumPy.

    >>> [str(case) for case in since("2.2.0", Case("n"))], since("99.0.0", Case("n"))
    (['n'], [])
    """
    return [*cases] if np.lib.NumpyVersion(np.__version__) >= version else []
