"""Functions that rearrange, join, split, repeat or pad arrays, or change their dtype."""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from .._registry import composite, constant, differentiable, floating, primitive
from ..tensor import Array, Tensor, as_array
from .cases import Case, each
from .examples import BROADCAST_TO, FIRST, IN_ORDER, STACKED, SWAPAXES, TRANSPOSE, along
from .indexing import scatter_add
from .rows import along_axis, in_order


def _ordered(order: str) -> Any:
    if order not in ("C", "F"):
        raise ValueError(f"order must be 'C' or 'F', not {order!r}, which depends on the memory layout")
    return order


primitive(
    np.reshape,
    lambda g, y, x, *, shape=None, order="C": np.reshape(g, x.shape, order=_ordered(order)),
    reads=(),
    jvp="linear",
    rows=[in_order],
    examples=IN_ORDER,
    cases=[
        *each("4 6", shape=(24, (3, 8), (2, -1, 3), (-1,)), order=("C", "F")),
        Case("0 2", (), {"shape": (2, 0)}),
        Case("", (), {"shape": (1, 1)}),
    ],
    complex=True,
)


def _inverse(axes: Any, ndim: int) -> Any:
    """The axes that undo a transposition."""
    axes = np.arange(ndim)[::-1] if axes is None else np.atleast_1d(axes)
    return tuple(np.argsort(axes % ndim))


primitive(
    np.transpose,
    lambda g, y, x, *, axes=None: np.transpose(g, None if axes is None else _inverse(axes, x.ndim)),
    reads=(),
    jvp="linear",
    rows=[lambda g, y, x, *, axes=None: np.transpose(g, (0, *(i + 1 for i in _inverse(axes, x.ndim))))],
    examples=TRANSPOSE,
    cases=[
        *each("n m k", axes=(None, (0, 1, 2), (2, 0, 1), (-1, 0, -2))),
        Case("n"),
        Case("n", kwargs={"axes": -1}),
        Case(""),
    ],
    complex=True,
)
primitive(
    np.expand_dims,
    lambda g, y, x, *, axis: np.reshape(g, x.shape),
    reads=(),
    jvp="linear",
    rows=[in_order],
    examples=IN_ORDER,
    cases=[*each("n m", axis=(0, -1, (0, -1), (1, 2), ()))],
    complex=True,
)
primitive(
    np.squeeze,
    lambda g, y, x, *, axis=None: np.reshape(g, x.shape),
    reads=(),
    jvp="linear",
    rows=[in_order],
    examples=IN_ORDER,
    cases=[*each("1 n 1", axis=(None, 0, -1, (0, 2), ()))],
    complex=True,
)
primitive(
    np.ravel,
    lambda g, y, x, *, order="C": np.reshape(g, x.shape, order=_ordered(order)),
    reads=(),
    jvp="linear",
    rows=[in_order],
    examples=IN_ORDER,
    cases=each("n m", order=("C", "F")),
    complex=True,
)
primitive(
    np.swapaxes,
    lambda g, y, x, *, axis1, axis2: np.swapaxes(g, axis1, axis2),
    reads=(),
    jvp="linear",
    rows=[lambda g, y, x, *, axis1, axis2: np.swapaxes(g, axis1 % y.ndim + 1, axis2 % y.ndim + 1)],
    examples=SWAPAXES,
    cases=each("n m k", axis1=(0, -1), axis2=(1, -3)),
    complex=True,
)
primitive(
    np.broadcast_to,
    lambda g, y, x, *, shape: g,  # the backward pass sums over broadcast axes
    reads=(),
    jvp="linear",
    rows=True,
    examples=BROADCAST_TO,
    cases=[*each("3 1", shape=((3, 1), (3, 2), (2, 3, 4), (3, 0))), Case("", (), {"shape": (2, 2)})],
    complex=True,
)
primitive(
    np.copy, lambda g, y, x: g, reads=(), jvp="linear", rows=True, examples=FIRST, cases=[Case("n m")], complex=True
)


def _pieces(g: Any, arrays: Any, needed: Any, axis: int) -> list[Any]:
    """The slices of a concatenation's gradient that belong to each of its arrays."""
    before = (slice(None),) * normalize_axis_index(axis, g.ndim)
    ends = [0, *itertools.accumulate(np.shape(a)[axis] for a in arrays)]
    return [g[(*before, slice(*ends[i : i + 2]))] if need else None for i, need in enumerate(needed)]


@differentiable(
    joint=lambda g, y, *arrays, needed, axis=0: _pieces(g, arrays, needed, axis),
    reads=(),
    rows=along_axis,
    examples=along(0),
    cases=[Case("n m, k m")],
    name="concatenate",
    complex=True,
)
def _concatenate(*arrays: Array, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


JOINED = [
    Case("[n m, k m]"),
    *each("[m n, m k, m n]", axis=(1, -1)),
    Case("[n, m]", kwargs={"axis": None}),
    Case("[n m, ]", kwargs={"axis": None}),
]


def _parts(arrays: Any, dtype: Any, name: str) -> list[Any]:
    """What is to be joined as arrays, in the dtype that was given as dtype=, if one was."""
    return [as_array(a) if dtype is None else floating(a, dtype, name) for a in arrays]


@composite(np.concatenate, cases=[*JOINED, Case("[n m, k m]", kwargs={"dtype": np.float64})], complex=True)
def concatenate(arrays: Any, axis: int | None = 0, *, dtype: Any = None) -> Any:
    """`np.concatenate` of Tensors and arrays; `axis=None` flattens them first."""
    arrays = arrays if dtype is None else _parts(arrays, dtype, "concatenate")
    if axis is None:
        if any(type(a) in (int, float) for a in arrays):  # they take the dtype of the others, as in arithmetic
            dtype = np.result_type(*(a if type(a) in (int, float) else as_array(a) for a in arrays))
            arrays = [np.asarray(a, dtype) if type(a) in (int, float) else a for a in arrays]
        return _concatenate(*(np.ravel(a) for a in arrays), axis=0)
    return _concatenate(*arrays, axis=axis)


@composite(
    np.stack,
    cases=[
        Case("[n m, n m]"),
        *each("[n m, n m, n m]", axis=(1, -1, -3)),
        Case("[, ]"),
        Case("[n, n]", kwargs={"dtype": np.float64}),
    ],
    complex=True,
)
def stack(arrays: Any, axis: int = 0, *, dtype: Any = None) -> Any:
    """`np.stack` of Tensors and arrays of one shape, along a new axis."""
    return _concatenate(*(np.expand_dims(a, axis) for a in _parts(arrays, dtype, "stack")), axis=axis)


@differentiable(
    lambda g, y, x, *, dtype: g,
    reads=(),
    jvp="linear",
    rows=True,
    examples=FIRST,
    cases=each("n m", dtype=(np.float64, np.longdouble)),
    name="astype",
    complex=True,
)
def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


@composite(
    np.astype,
    cases=[Case("n m", (np.float64,)), *(Case("n m", (np.float64,), {"copy": c}) for c in (True, False))],
    complex=True,
)
def astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
    """`np.astype`; casts to floating point and complex have a gradient, which is cast back to the dtype of x."""
    kind = np.dtype(dtype).kind
    if x.dtype.kind == "c" and kind != "c":
        raise TypeError(f"astype: {x.dtype} does not become {np.dtype(dtype)}: take the .real part, or np.abs")
    if kind in "fc":
        return x if x.dtype == dtype and not copy else _astype(x, dtype=dtype)
    return Tensor(x._data, dtype=dtype)


# --- axes ------------------------------------------------------------------------------------------------------------

primitive(
    np.moveaxis,
    lambda g, y, x, *, source, destination: np.moveaxis(g, destination, source),
    reads=(),
    jvp="linear",
    cases=[*each("n m k", source=(0, -1), destination=(1, -1)), Case("n m k", ((0, 1), (-1, 0)))],
    complex=True,
)
primitive(
    np.matrix_transpose,
    lambda g, y, x: np.matrix_transpose(g),
    reads=(),
    jvp="linear",
    rows=True,
    examples=STACKED,
    cases=[Case("n m"), Case("b n m")],
    complex=True,
)
primitive(
    np.linalg.matrix_transpose,
    lambda g, y, x: np.matrix_transpose(g),
    reads=(),
    jvp="linear",
    rows=True,
    examples=STACKED,
    cases=[Case("n m"), Case("b n m")],
    complex=True,
)


@composite(np.rollaxis, cases=each("n m k", axis=(0, 2, -2), start=(0, 1, 3)), complex=True)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`np.rollaxis`: move the axis to just before position `start`."""
    order = list(range(a.ndim))
    axis = normalize_axis_index(axis, a.ndim)
    if not -a.ndim <= start <= a.ndim:
        raise np.exceptions.AxisError(f"rollaxis: start must be from {-a.ndim} to {a.ndim}, not {start}")
    start = start + a.ndim if start < 0 else start
    order.remove(axis)
    order.insert(start - (axis < start), axis)
    return np.transpose(a, order)


def _at_least(dimensions: int, new_axes: Any) -> Any:
    def atleast(*arrays: Any) -> Any:
        results = tuple(
            np.reshape(a, new_axes(a.shape)) if a.ndim < dimensions else np.copy(a) for a in map(as_array, arrays)
        )
        return results[0] if len(results) == 1 else results

    return atleast


RANKS = [Case(""), Case("n"), Case("n m"), Case("n m k"), Case("n, , k m")]
composite(np.atleast_1d, cases=RANKS, complex=True)(_at_least(1, lambda shape: (1,)))
composite(np.atleast_2d, cases=RANKS, complex=True)(_at_least(2, lambda shape: (*[1] * (2 - len(shape)), *shape)))
composite(np.atleast_3d, cases=RANKS, complex=True)(
    _at_least(3, lambda shape: ((1, 1, 1), (1, *shape, 1), (*shape, 1))[len(shape)])
)

# --- joining and splitting -------------------------------------------------------------------------------------------


def _concatenate_at_rank(arrays: Any, rank: int, axis: int) -> Any:
    raised = [{1: np.atleast_1d, 2: np.atleast_2d, 3: np.atleast_3d}[rank](a) for a in arrays]
    return np.concatenate(raised, axis=axis)


@composite(
    np.vstack,
    cases=[Case("[k, k]"), Case("[n k, m k]"), Case("[k, m k]"), Case("[k, k]", kwargs={"dtype": np.float64})],
    complex=True,
)
def vstack(tup: Any, *, dtype: Any = None) -> Any:
    """`np.vstack`."""
    return _concatenate_at_rank(_parts(tup, dtype, "vstack"), 2, 0)


@composite(
    np.hstack,
    cases=[Case("[n, m]"), Case("[k n, k m]"), Case("[, ]"), Case("[n, m]", kwargs={"dtype": np.float64})],
    complex=True,
)
def hstack(tup: Any, *, dtype: Any = None) -> Any:
    """`np.hstack`."""
    arrays = _parts(tup, dtype, "hstack")
    return _concatenate_at_rank(arrays, 1, 0 if arrays[0].ndim <= 1 else 1)


@composite(np.dstack, cases=[Case("[k, k]"), Case("[n k, n k]"), Case("[n k m, n k l]")], complex=True)
def dstack(tup: Any) -> Any:
    """`np.dstack`."""
    return _concatenate_at_rank(map(as_array, tup), 3, 2)


@composite(np.column_stack, cases=[Case("[k, k]"), Case("[k, k m]")], complex=True)
def column_stack(tup: Any) -> Any:
    """`np.column_stack`."""
    return np.concatenate([np.reshape(a, (-1, 1)) if a.ndim < 2 else a for a in map(as_array, tup)], axis=1)


def _depth(arrays: Any) -> int:
    """How deep lists are nested, which must be the same everywhere."""
    if isinstance(arrays, tuple):
        raise TypeError("block: only lists arrange blocks, not tuples")
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(part) for part in arrays}
    if len(depths) != 1:
        raise ValueError("block: lists must not be empty" if not depths else "block: lists are not nested equally deep")
    return depths.pop() + 1


def _leaves(arrays: Any) -> Iterator[Any]:
    for part in arrays if isinstance(arrays, list) else ():
        yield from _leaves(part)
    if not isinstance(arrays, list):
        yield arrays


@composite(
    np.block,
    cases=[
        Case("n m, n k, l m, l k", prepare=lambda a, b, c, d: ([[a, b], [c, d]],)),
        Case("n m, n k", prepare=lambda a, b: ([a, b],)),
        Case("k, k", prepare=lambda a, b: ([[a], [b]],)),
        Case("1 m, k", prepare=lambda a, b: ([a, b],)),
        Case(", ", prepare=lambda a, b: ([[a, 2.0], [b, 3.0]],)),
        Case("2 n, 2 n", prepare=lambda a, b: ([[[a]], [[b]]],)),
        Case("n m", prepare=lambda a: (a,)),
    ],
    complex=True,
)
def block(arrays: Any) -> Any:
    """`np.block`: lists join along the last axis, lists of lists along the last but one, and so on."""
    depth = _depth(arrays)
    return _joined(arrays, depth, max(depth, *map(np.ndim, _leaves(arrays))))


def _joined(part: Any, depth: int, rank: int) -> Any:
    """What lists nested so deep join to, of arrays with axes of length 1 in front up to the rank."""
    if depth == 0:
        return np.reshape(as_array(part), (*[1] * (rank - np.ndim(part)), *np.shape(part)))
    return np.concatenate([_joined(each, depth - 1, rank) for each in part], axis=-depth)


@composite(np.append, cases=[Case("n m, k"), Case("n m, k m", (0,)), Case("n m, n k", (-1,))], complex=True)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`np.append`."""
    arr, values = as_array(arr), as_array(values)
    if axis is None:
        arr, values, axis = np.ravel(arr), np.ravel(values), 0
    return np.concatenate([arr, values], axis=axis)


@composite(
    np.array_split,
    cases=[Case("4 n", (3,)), Case("4 n", ([1, 3],)), Case("n 5", (2, -1)), Case("2 n", ([1, 9],))],
    complex=True,
)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`np.array_split`: parts at the given indices, or a number of parts, the first ones longer by one if necessary."""
    n = ary.shape[axis]
    if np.ndim(indices_or_sections) == 0 and indices_or_sections < 1:
        raise ValueError(f"array_split: the number of parts must be at least 1, not {indices_or_sections}")
    if np.ndim(indices_or_sections) == 0:
        each_has, longer = divmod(n, int(indices_or_sections))
        sizes = [each_has + (i < longer) for i in range(int(indices_or_sections))]
        ends = [0, *np.cumsum(sizes).tolist()]
    else:
        ends = [0, *indices_or_sections, n]
    before = (slice(None),) * normalize_axis_index(axis, ary.ndim)
    return [ary[(*before, slice(*pair))] for pair in itertools.pairwise(ends)]


@composite(np.split, cases=[Case("4 n", (2,)), Case("4 n", ([1, 3],)), Case("n 6", (3, -1))], complex=True)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """`np.split`: as `np.array_split`, but only into equal parts."""
    if np.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError(
            f"split: axis {axis} of length {ary.shape[axis]} does not divide into {indices_or_sections} equal parts"
        )
    return np.array_split(ary, indices_or_sections, axis)


def _splitter(name: str, axis: int, least: int) -> Any:
    def splitter(ary: Any, indices_or_sections: Any) -> Any:
        if ary.ndim < least:
            raise ValueError(f"{name}: expected an array of at least {least} dimensions, not {ary.ndim}")
        return split(ary, indices_or_sections, min(axis, ary.ndim - 1))

    return splitter


composite(np.vsplit, cases=[Case("4 n", (2,))], complex=True)(_splitter("vsplit", 0, 2))
composite(np.hsplit, cases=[Case("n 4", (2,)), Case("4", ([1],))], complex=True)(_splitter("hsplit", 1, 1))
composite(np.dsplit, cases=[Case("n m 4", (2,))], complex=True)(_splitter("dsplit", 2, 3))


@composite(np.unstack, cases=[Case("3 n"), Case("n 2", kwargs={"axis": -1})], complex=True)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """`np.unstack`."""
    before = (slice(None),) * normalize_axis_index(axis, x.ndim)
    return tuple(x[(*before, i)] for i in range(x.shape[axis]))


# --- repeating -------------------------------------------------------------------------------------------------------


@composite(np.broadcast_arrays, cases=[Case("*, *"), Case("*, *, *")], complex=True)
def broadcast_arrays(*args: Any) -> tuple[Any, ...]:
    """`np.broadcast_arrays`."""
    shape = np.broadcast_shapes(*(np.shape(a) for a in args))
    return tuple(np.broadcast_to(a, shape) for a in args)


@composite(
    np.meshgrid,
    cases=[*each("n, m, k", indexing=("xy", "ij"), sparse=(False, True)), Case("n, m"), Case("n"), Case(", m")],
    complex=True,
)
def meshgrid(*xi: Any, indexing: str = "xy", sparse: bool = False) -> tuple[Any, ...]:
    """`np.meshgrid`."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', not {indexing!r}")
    rank = len(xi)
    axes = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else range(rank)
    shaped = [np.reshape(x, [-1 if i == axis else 1 for i in range(rank)]) for x, axis in zip(xi, axes, strict=True)]
    return tuple(shaped) if sparse else np.broadcast_arrays(*shaped)


@composite(
    np.repeat,
    cases=[
        *each("n 3", repeats=(2, 0), axis=(None, 0, -1)),
        *each("n 3", repeats=([1, 0, 2],), axis=(1, -1)),
        Case("2 2", ([1, 2, 0, 3],)),
        Case("", (2,)),
    ],
    complex=True,
)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """`np.repeat`."""
    if axis is not None:
        axis = normalize_axis_index(axis, max(a.ndim, 1))  # NumPy gives a 0-d array one axis
    x, axis = (np.ravel(a), 0) if axis is None or a.ndim == 0 else (a, axis)
    if np.size(repeats) == 1:  # broadcast, whose gradient is a sum and cheaper than a scatter
        times = int(np.reshape(repeats, ()))
        wide = np.broadcast_to(np.expand_dims(x, axis + 1), (*x.shape[: axis + 1], times, *x.shape[axis + 1 :]))
        return np.reshape(wide, (*x.shape[:axis], x.shape[axis] * times, *x.shape[axis + 1 :]))
    return x[(slice(None),) * axis + (np.repeat(np.arange(x.shape[axis]), repeats),)]


@composite(
    np.tile,
    cases=[*each("2 n 3", reps=(2, (2, 1), (2, 1, 3), (2, 1, 1, 2), (0, 1, 1), ())), Case("", (3,))],
    complex=True,
)
def tile(A: Any, reps: Any) -> Any:
    """`np.tile`."""
    reps = tuple(operator.index(times) for times in np.atleast_1d(reps).astype(object))  # refuses fractions
    rank = max(A.ndim, len(reps))
    reps, shape = (1,) * (rank - len(reps)) + reps, (1,) * (rank - A.ndim) + A.shape
    pairs = list(zip(reps, shape, strict=True))
    wide = np.broadcast_to(
        np.reshape(A, [size for _, n in pairs for size in (1, n)]), [size for pair in pairs for size in pair]
    )
    return np.reshape(wide, [times * n for times, n in pairs])


# --- reversing and rolling -------------------------------------------------------------------------------------------

primitive(
    np.flip,
    lambda g, y, x, *, axis=None: np.flip(g, axis),
    reads=(),
    jvp="linear",
    cases=each("n m k", axis=(None, 0, -1, (0, 2))),
    complex=True,
)
primitive(np.flipud, lambda g, y, x: np.flipud(g), reads=(), jvp="linear", cases=[Case("n m"), Case("n")], complex=True)
primitive(np.fliplr, lambda g, y, x: np.fliplr(g), reads=(), jvp="linear", cases=[Case("n m")], complex=True)
primitive(
    np.rot90,
    lambda g, y, x, *, k=1, axes=(0, 1): np.rot90(g, -k, axes),
    reads=(),
    jvp="linear",
    cases=each("n m l", k=(1, 2, -1, 3), axes=((0, 1), (2, 0))),
    complex=True,
)
primitive(
    np.roll,
    lambda g, y, x, *, shift, axis=None: np.roll(g, -np.asarray(shift, np.int64), axis),
    reads=(),
    jvp="linear",
    cases=[*each("n m 3", shift=(1, -2, 5), axis=(None, 0, -1)), Case("n m", ((1, 2), (0, 1)))],
    complex=True,
)

# --- padding (its modes: padding.py) and triangles ------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, widths, value: g[
        tuple(slice(low, low + n) for (low, _), n in zip(widths, x.shape, strict=True))
    ],
    reads=(),
    cases=[Case("n 2", kwargs={"widths": ((1, 0), (2, 3)), "value": 1.5})],
    name="pad",
    complex=True,
)
def _pad_constant(x: Array, widths: Any, value: Any) -> Array:
    return np.pad(x, widths, constant_values=value) if widths else x.copy()


primitive(
    np.triu,
    lambda g, y, x, *, k=0: np.triu(g, k),
    reads=(),
    jvp="linear",
    rows=True,
    cases=[*each("n m", k=(0, 1, -1)), Case("b n n")],
    complex=True,
)
primitive(
    np.tril,
    lambda g, y, x, *, k=0: np.tril(g, k),
    reads=(),
    jvp="linear",
    rows=True,
    cases=[*each("n m", k=(0, 1, -1)), Case("b n n")],
    complex=True,
)


@composite(np.diagonal, cases=[*each("3 2 k", offset=(0, 1, -1), axis1=(0,), axis2=(1, -1)), Case("n n")], complex=True)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """`np.diagonal`."""
    if a.ndim < 2:
        raise ValueError(f"diagonal: expected at least two dimensions, not {a.ndim}")
    axes = normalize_axis_index(axis1, a.ndim, "axis1"), normalize_axis_index(axis2, a.ndim, "axis2")
    x = a if axes == (a.ndim - 2, a.ndim - 1) else np.moveaxis(a, axes, (-2, -1))  # 34 us, with its gradient
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(length)
    return x[..., i - min(offset, 0), i + max(offset, 0)]


@composite(np.linalg.diagonal, cases=each("k 3 2", offset=(0, 1, -1)), complex=True)
def linalg_diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """`np.linalg.diagonal`, of the last two axes."""
    return np.diagonal(x, offset, -2, -1)


@composite(
    np.trace,
    cases=[
        *each("3 2 k", offset=(0, 1), axis1=(0,), axis2=(1, -1)),
        Case("n n"),
        Case("2 3", kwargs={"dtype": np.float64}),
    ],
    complex=True,
)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    """`np.trace`."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@composite(
    np.linalg.trace, cases=[*each("k 3 2", offset=(0, 1, -1)), Case("2 3", kwargs={"dtype": np.float64})], complex=True
)
def linalg_trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """`np.linalg.trace`, of the last two axes."""
    return np.trace(x, offset, -2, -1, dtype)


@composite(np.diag, cases=[*each("n", k=(0, 1, -2)), *each("2 3", k=(0, 1, -1))], complex=True)
def diag(v: Any, k: int = 0) -> Any:
    """`np.diag`: the diagonal of a matrix, or the matrix with a given diagonal."""
    if v.ndim == 2:
        return np.diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag: expected one or two dimensions, not {v.ndim}")
    i = np.arange(v.size)
    n = v.size + abs(k)
    return scatter_add(v, (i - min(k, 0), i + max(k, 0)), shape=(n, n))


composite(np.diagflat, cases=each("2 n", k=(0, 1)), complex=True)(lambda v, k=0: np.diag(np.ravel(v), k))


constant(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iterable, np.isscalar, complex=True)
constant(
    np.min_scalar_type, np.common_type, np.shares_memory, np.may_share_memory,
    np.diag_indices_from, np.tril_indices_from, np.triu_indices_from, np.unravel_index, np.ravel_multi_index,
)  # fmt: skip
