"""Hypothesis strategies that draw the arguments an operation is proved with, from the cases in its registry entry."""

import re
from collections.abc import Callable
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

from ..ops.cases import REAL, Case, Domain
from ..tensor import Array

GRID = 400  # elements take distinct places on a grid of their domain, so that none is near another, or near a kink
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": lambda x: x,
    "Fortran order": lambda x: np.array(x, order="F"),
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
    "every second element": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
}


@st.composite
def shapes(draw: st.DrawFn, notation: str) -> list[tuple[int, ...]]:
    """The shapes that the notation of `Case.shapes` stands for: `"2 3, n"` gives [(2, 3), (0,)], [(2, 3), (1,)], ..."""
    parts = [part.split() for part in notation.strip("[]").split(",")]
    if ["*"] in parts:
        if len(parts) == 1:
            return [draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))]
        drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=len(parts), min_side=0, max_side=3, max_dims=3))
        return list(drawn.input_shapes)
    letters = sorted(set(re.findall("[a-zA-Z]", notation)))
    sizes = {letter: draw(st.integers(1 if letter.isupper() else 0, 3)) for letter in letters}
    return [tuple(sizes[token] if token in sizes else int(token) for token in part) for part in parts]


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], domain: Domain = REAL, places: list[int] | None = None) -> Array:
    """An array of the shape, its elements in the domain, no two of them alike, in one of several memory layouts."""
    size = int(np.prod(shape))
    if places is None:
        places = draw(_places(size))
    if domain.kind == "f":
        place = np.array(places, np.float64)
        x = domain.low + (domain.high - domain.low) * (place + 0.5) / GRID
        if domain.either_sign:
            x *= 1 - 2 * (place % 2)
    else:
        x = (domain.low + np.array(places, np.int64) % int(domain.high - domain.low)).astype(
            {"i": np.int64, "b": np.bool_}[domain.kind]
        )
    return np.asarray(LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](x.reshape(shape)))


def _places(size: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, GRID - 1), min_size=size, max_size=size, unique=True)


@st.composite
def arguments(draw: st.DrawFn, case: Case) -> list[Any]:
    """The arrays of a case; the numbers in them are distinct across all of them."""
    drawn = draw(shapes(case.shapes))
    sizes = [int(np.prod(shape)) for shape in drawn]
    places = draw(_places(sum(sizes)))
    result: list[Any] = []
    for i, (shape, size) in enumerate(zip(drawn, sizes, strict=True)):
        domain = case.domains[min(i, len(case.domains) - 1)]
        result.append(draw(arrays(shape, domain, [places.pop() for _ in range(size)])))
    return result
