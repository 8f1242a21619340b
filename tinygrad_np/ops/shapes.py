"""Functions that move elements about without changing them, and those that change only their dtype."""

from typing import Any

import numpy as np

from ..tensor import Array, Tensor, composite, constant, differentiable, primitive
from .cases import Case, each

primitive(
    np.reshape,
    lambda g, y, x, *, shape: np.reshape(g, x.shape),
    cases=[*each("4 6", shape=(24, (3, 8), (2, -1, 3), (-1,))), Case("0 2", (), {"shape": (2, 0)})],
)


def _inverse(axes: Any) -> Any:
    axes = None if axes is None else np.atleast_1d(axes)
    return None if axes is None else tuple(np.argsort(axes % len(axes)))


primitive(
    np.transpose,
    lambda g, y, x, *, axes=None: np.transpose(g, _inverse(axes)),
    cases=[
        *each("n m k", axes=(None, (0, 1, 2), (2, 0, 1), (-1, 0, -2))),
        Case("n"),
        Case("n", kwargs={"axes": -1}),
        Case(""),
    ],
)
primitive(
    np.expand_dims,
    lambda g, y, x, *, axis: np.reshape(g, x.shape),
    cases=[*each("n m", axis=(0, -1, (0, -1), (1, 2), ()))],
)
primitive(
    np.squeeze,
    lambda g, y, x, *, axis=None: np.reshape(g, x.shape),
    cases=[*each("1 n 1", axis=(None, 0, -1, (0, 2), ()))],
)
primitive(np.ravel, lambda g, y, x: np.reshape(g, x.shape), cases=[Case("n m")])
primitive(
    np.swapaxes,
    lambda g, y, x, *, axis1, axis2: np.swapaxes(g, axis1, axis2),
    cases=each("n m k", axis1=(0, -1), axis2=(1, -3)),
)
primitive(
    np.broadcast_to,
    lambda g, y, x, *, shape: g,  # the walk sums over what was repeated
    cases=[*each("3 1", shape=((3, 1), (3, 2), (2, 3, 4), (3, 0))), Case("", (), {"shape": (2, 2)})],
)
primitive(np.copy, lambda g, y, x: g, cases=[Case("n m")])


def _piece(i: int, g: Any, arrays: Any, axis: int) -> Any:
    """The part of a concatenation's gradient that belongs to its array `i`."""
    start = sum(np.shape(a)[axis] for a in arrays[:i])
    part = slice(start, start + np.shape(arrays[i])[axis])
    return g[(slice(None),) * (axis % g.ndim) + (part,)]


@differentiable(each=lambda i, g, y, *arrays, axis=0: _piece(i, g, arrays, axis), cases=[Case("n m, k m")])
def _concatenate(*arrays: Array, axis: int = 0) -> Array:
    return np.concatenate(arrays, axis=axis)


JOINED = [
    Case("[n m, k m]"),
    *each("[m n, m k, m n]", axis=(1, -1)),
    Case("[n, m]", kwargs={"axis": None}),
    Case("[n m, ]", kwargs={"axis": None}),
]


@composite(np.concatenate, cases=JOINED)
def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    """`np.concatenate` of Tensors and arrays; `axis=None` flattens them first."""
    if axis is None:
        return _concatenate(*(np.ravel(a) for a in arrays), axis=0)
    return _concatenate(*arrays, axis=axis)


@composite(np.stack, cases=[Case("[n m, n m]"), *each("[n m, n m, n m]", axis=(1, -1, -3)), Case("[, ]")])
def stack(arrays: Any, axis: int = 0) -> Any:
    """`np.stack` of Tensors and arrays of one shape, along a new axis."""
    return _concatenate(*(np.expand_dims(a, axis) for a in arrays), axis=axis)


@differentiable(lambda g, y, x, *, dtype: g, cases=each("n m", dtype=(np.float64, np.longdouble)))
def _astype(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


@composite(np.astype, cases=[Case("n m", (np.float64,))])
def astype(x: Any, dtype: Any, *, copy: bool = True) -> Any:
    """`np.astype`: floating point keeps the gradient, which returns in the argument's dtype; other kinds have none."""
    if np.dtype(dtype).kind == "f":
        return x if x.dtype == dtype and not copy else _astype(x, dtype=dtype)
    return Tensor(x.data, dtype=dtype)


constant(np.shape, np.ndim, np.size, np.result_type)
