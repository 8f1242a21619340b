"""The data beside each operation that its tests are generated from: which arguments it can be given.

A `Case` says the shapes of the array arguments, the domain that their elements come from, and the other arguments.
`each` makes the product of keyword choices. `tinygrad_np.testing.strategies` draws actual arguments from a case.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Domain:
    """Where the elements of an argument come from.

    Attributes:
        low, high: the ends of an open interval; of a half-open one for integers.
        kind: floating point, integer or boolean: 'f', 'i' or 'b', as in NumPy's `dtype.kind`.
        either_sign: whether the mirrored interval belongs to the domain as well.
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
        shapes: one shape for each array argument, separated by commas: `"n K, K m"`. A letter is a size that is drawn
            (a small letter may be 0, a capital letter not), a number is that size, nothing is a 0-d array, `*` is any
            shape, and several `*` are any shapes that broadcast together. `"[n m, k m]"` is one list of two arrays.
        args: further positional arguments.
        kwargs: keyword arguments.
        domains: the domain of each array; the last one serves for all that follow.
        prepare: makes the operation's arguments of the drawn arrays, as a positive definite matrix of any.
        finish: makes what is tested of the operation's result, as what does not depend on the sign of eigenvectors.
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
