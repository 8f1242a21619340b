"""Hypothesis strategies that draw test arguments for an operation from the cases in its registry entry."""

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from ..ops.cases import REAL, Case, Domain
from ..tensor import Array

GRID = 400  # elements are distinct points of a grid on their domain, so that none is close to another or to a kink
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": lambda x: x,
    "Fortran order": lambda x: np.array(x, order="F"),
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
    "every second element": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
}


@cache  # making and validating a strategy takes longer than drawing from it
def shapes(notation: str) -> st.SearchStrategy[list[tuple[int, ...]]]:
    """Shapes in the notation of `Case.shapes`: `"2 3, n"` gives [(2, 3), (0,)], [(2, 3), (1,)], ..."""
    parts = [part.split() for part in notation.strip("[]").split(",")]
    if parts == [["*"]]:
        return hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3).map(lambda shape: [shape])
    if ["*"] in parts:
        drawn = hnp.mutually_broadcastable_shapes(num_shapes=len(parts), min_side=0, max_side=3, max_dims=3)
        return drawn.map(lambda drawn: list(drawn.input_shapes))
    letters = sorted(set(re.findall("[a-zA-Z]", notation)))
    sizes = st.tuples(*(st.integers(1 if letter.isupper() else 0, 3) for letter in letters))

    def filled(drawn: tuple[int, ...]) -> list[tuple[int, ...]]:
        size = dict(zip(letters, drawn, strict=True))
        return [tuple(size[token] if token in size else int(token) for token in part) for part in parts]

    return sizes.map(filled)


@cache
def _places(count: int) -> st.SearchStrategy[list[int]]:
    """`count` distinct grid points in random order, drawn as one seed, which takes a fifth of the time of a list."""
    return st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).permutation(GRID)[:count].tolist())


_layouts = st.sampled_from(sorted(LAYOUTS))


def _array(shape: tuple[int, ...], domain: Domain, places: list[int], layout: str) -> Array:
    """The array with elements at these grid points of the domain, in this memory layout."""
    if domain.kind == "f":
        place = np.array(places, np.float64)
        x = domain.low + (domain.high - domain.low) * (place + 0.5) / GRID
        if domain.either_sign:
            x *= 1 - 2 * (place % 2)
    else:
        x = (domain.low + np.array(places, np.int64) % int(domain.high - domain.low)).astype(
            {"i": np.int64, "b": np.bool_}[domain.kind]
        )
    return np.asarray(LAYOUTS[layout](x.reshape(shape)))


def arrays(shape: tuple[int, ...], domain: Domain = REAL) -> st.SearchStrategy[Array]:
    """An array of the given shape with distinct elements in the domain, in one of several memory layouts."""
    return st.builds(_array, st.just(shape), st.just(domain), _places(math.prod(shape)), _layouts)


@st.composite
def arguments(draw: st.DrawFn, case: Case) -> list[Any]:
    """The arrays of a case; no number occurs twice in any of them."""
    drawn = draw(shapes(case.shapes))
    places = draw(_places(sum(map(math.prod, drawn))))
    result: list[Any] = []
    for i, shape in enumerate(drawn):
        domain = case.domains[min(i, len(case.domains) - 1)]
        result.append(_array(shape, domain, places[: math.prod(shape)], draw(_layouts)))
        del places[: math.prod(shape)]
    return result


def example(case: Case) -> list[Any]:
    """Some arrays of a case, always the same ones; with elements, unless the case is of arrays without any."""
    options = settings(
        database=None, derandomize=True, max_examples=20, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    try:
        return find(arguments(case), lambda drawn: all(array.size for array in drawn), settings=options)
    except NoSuchExample:
        return find(arguments(case), lambda drawn: True, settings=options)
