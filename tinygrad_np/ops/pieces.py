"""Functions of large arrays, some elements or rows at a time, on all cores: `in_pieces`, `written`, `in_rows`,
`over_rows`.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from .._machine.arrays import unbuffered_rows
from .._machine.threads import blocks, run

# Elements of a piece. A thread with less to do at a time often waits for the other one, which holds the interpreter's
# lock. Arrays of fewer elements are not divided.
PIECE = 1 << 18

Result = TypeVar("Result")


def _are_alike(arrays: tuple[Any, ...]) -> bool:
    """Whether these are arrays of one shape and dtype, whose elements lie in order."""
    shape, dtype = arrays[0].shape, arrays[0].dtype
    return all(type(a) is np.ndarray and a.shape == shape and a.dtype == dtype and a.flags.c_contiguous for a in arrays)


def in_pieces(function: Callable[..., Result], into: Callable[..., None], *arrays: Any, outputs: int = 1) -> Result:
    """`function(*arrays)`; for large arrays of one shape `into(*arrays, *outputs)`, which writes each element."""
    x = arrays[0]
    if type(x) is not np.ndarray or x.size < PIECE or not _are_alike(arrays):
        return function(*arrays)
    results = [np.empty(x.shape, x.dtype) for _ in range(outputs)]
    flat = [a.reshape(-1) for a in (*arrays, *results)]
    run(lambda piece: into(*(a[piece] for a in flat)), blocks(x.size, 1, PIECE))
    return cast(Result, results[0] if outputs == 1 else tuple(results))


def written(into: Callable[..., None], *arrays: Any) -> Any:
    """What `into(*arrays, output)` writes, in the shape and dtype of the first array; of large arrays in pieces."""

    def whole(*arrays: Any) -> Any:
        result = np.empty(arrays[0].shape, arrays[0].dtype)
        into(*arrays, result)
        return result

    return in_pieces(whole, into, *arrays)


def in_rows(function: Callable[..., Result], into: Callable[..., None], *arrays: Any, axis: int) -> Result:
    """`function(*arrays, axis=axis)`; of many numbers `into(*arrays, output)`, for matrices of rows along the axis."""
    x = arrays[0]
    few = type(x) is not np.ndarray or x.size < PIECE >> 4
    if few or axis not in (-1, x.ndim - 1) or not _are_alike(arrays):
        return function(*arrays, axis=axis)
    result, length = np.empty(x.shape, x.dtype), x.shape[-1]
    matrices = [a.reshape(-1, length) for a in (*arrays, result)]
    over_rows(lambda rows: into(*(a[rows] for a in matrices)), matrices[0])
    return cast(Result, result)


def over_rows(work: Callable[[slice], Any], matrix: Any) -> list[Any]:
    """`work(rows)` for slices of the rows of a matrix."""
    rows, length = matrix.shape
    with unbuffered_rows(length):
        return run(work, blocks(rows, length, PIECE))
