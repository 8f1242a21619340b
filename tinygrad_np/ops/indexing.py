"""Indexing as NumPy does it, and the scatter-add that undoes it."""

from operator import getitem
from types import EllipsisType
from typing import Any

import numpy as np

from ..tensor import Array, differentiable, primitive
from .cases import Case

# Rows 0 to 3, columns 0 to 4: basic, advanced, duplicated, boolean, mixed.
INDICES = (
    1,
    -1,
    slice(1, 3),
    slice(None, None, -2),
    ...,
    None,
    (2, 3),
    (slice(None), -1),
    (..., slice(0, 2), None),
    [0, 0, 1],
    np.array([[2, -1], [2, 2]]),
    (np.array([0, 3, 3]), np.array([1, 1, 1])),
    (np.array([0, 3, 3]), slice(1, None)),
    (slice(None), np.array([4, 4])),
    (1, np.array([4, 4])),
    ((0, 0), (1, 1)),
    np.array([True, False, True, True]),
    (np.array([True, False, False, True]), np.array([0, 2])),
    np.arange(20).reshape(4, 5) % 3 == 0,
    (slice(0, 0), slice(None)),
)


def _selects_once(index: Any) -> bool:
    """Whether no element can be selected twice: true for basic and for boolean indexing."""
    parts = index if type(index) is tuple else (index,)
    return all(
        isinstance(part, int | np.integer | slice | EllipsisType | None)
        or (isinstance(part, np.ndarray) and part.dtype == bool)
        for part in parts
    )


@differentiable(
    lambda g, y, x, index, *, shape: g[index],
    None,
    cases=[Case("3 2", ((np.array([0, 0, 1]),),), {"shape": (4, 2)}), Case("2 5", (slice(1, 3),), {"shape": (4, 5)})],
)
def scatter_add(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape, to whose elements at `index` those of `x` are added, also where an index is repeated.

    >>> from tinygrad_np import Tensor
    >>> scatter_add(Tensor([1.0, 2.0, 3.0]), [0, 0, 2], shape=(4,))
    Tensor([3., 0., 3., 0.], dtype=float32)
    """
    result = np.zeros(shape, x.dtype)
    if _selects_once(index):
        result[index] = x  # np.add.at takes 60 times as long (39 rows of 1024)
    else:
        np.add.at(result, index, x)
    return result


primitive(
    getitem,
    lambda g, y, x, index: scatter_add(g, index, shape=x.shape),
    None,
    cases=[Case("4 5", (index,)) for index in INDICES],
)
