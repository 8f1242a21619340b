"""Indexing with its gradient `scatter_add`, functional updates, and functions that select or sort elements."""

import itertools
from operator import getitem, iadd, setitem
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from .._machine.scatter import Part, Parts, is_whole, scattered, selects_once
from .._machine.scatter import add_at as add_in_place
from .._registry import composite, differentiable, primitive, registry
from ..tensor import Array, Tensor, as_array
from .cases import Case, each, since
from .elementwise import array_of
from .examples import GETITEM

# For an array of 4 x 5: basic, advanced, duplicated, boolean and mixed indices.
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


@differentiable(
    lambda g, y, x, index, *, shape: g[index],
    None,
    reads=("index",),
    wide=True,
    cases=[Case("3 2", ((np.array([0, 0, 1]),),), {"shape": (4, 2)}), Case("2 5", (slice(1, 3),), {"shape": (4, 5)})],
    complex=True,
)
def scatter_add(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape with x added at `index`; where an index is repeated, the values add up.

    >>> from tinygrad_np import Tensor
    >>> scatter_add(Tensor([1.0, 2.0, 3.0]), [0, 0, 2], shape=(4,))
    Tensor([3., 0., 3., 0.], dtype=float32)
    """
    return scattered(x, index, shape)


@differentiable(
    joint=lambda g, y, *arrays, needed, indices, shape: [
        g[index] if is_needed else None for index, is_needed in zip(indices, needed, strict=True)
    ],
    reads=(),
    wide=True,
    cases=[
        Case("2, 4 2, 3 2", kwargs={"indices": (1, ..., np.array([0, 0, 1])), "shape": (4, 2)}),
        Case("2 5", kwargs={"indices": (slice(1, 3),), "shape": (4, 5)}),
    ],
    name="scatter_add",
    complex=True,
)
def _scatter_parts(*arrays: Array, indices: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Zeros of the given shape with each array added at its index, one after the other."""
    y = np.zeros(shape, np.result_type(*arrays))
    for x, index in zip(arrays, indices, strict=True):
        add_in_place(y, index, x)
    return y


def _scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """The gradient of x[index]; float16 adds up in float32."""
    if g.dtype.itemsize <= 2:
        return scatter_add(g, index, shape=shape)
    return Parts(_scatter_parts, g, index, shape) if type(g) is Tensor else Part(g, index, shape)


def _only_adds_axes(index: Any) -> bool:
    """Whether an index is made of `np.newaxis`, `:` and `...` alone."""
    parts = index if type(index) is tuple else (index,)
    return all(part is None or part is ... or is_whole(part) for part in parts)


def _scatter_rows(g: Any, y: Any, x: Any, index: Any) -> Any:
    """The gradients of x[index] for several stacked ones."""
    parts = index if type(index) is tuple else (index,)
    if any(isinstance(part, list | np.ndarray) for part in parts):  # whose axes may go in front
        places = np.arange(x.size).reshape(x.shape)[index].ravel()
        g = np.reshape(g, (len(g), y.size))
        return np.reshape(scatter_add(g, (slice(None), places), shape=(len(g), x.size)), (len(g), *x.shape))
    return scatter_add(g, (slice(None), *parts), shape=(len(g), *x.shape))


primitive(
    getitem,
    lambda g, y, x, index: g.reshape(x.shape) if _only_adds_axes(index) else _scatter(g, index, x.shape),
    None,
    reads=("index",),
    jvp="linear",
    rows=(_scatter_rows, None),
    examples=GETITEM,
    cases=[Case("4 5", (index,)) for index in INDICES],
    complex=True,
)


@composite(
    np.bincount,
    cases=[
        Case("4", prepare=lambda w: (np.array([1, 0, 3, 1]), w)),
        Case("4", kwargs={"minlength": 6}, prepare=lambda w: (np.array([1, 0, 3, 1]), w)),
    ],
)
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    """`np.bincount`, differentiable in the weights: the sum of those of equal integers, in float64."""
    integers = np.asarray(x._data if type(x) is Tensor else x)
    if weights is None:
        return np.bincount(integers, minlength=minlength)
    weights = as_array(weights).astype(np.float64)
    counts = np.bincount(integers, weights._data if type(weights) is Tensor else weights, minlength)  # with its checks
    return scatter_add(weights, integers.astype(np.intp), shape=counts.shape)


# --- functional updates: x.at[index].set(value) and .add(value) ------------------------------------------------------


def _with_rank(x: Any, rank: int) -> Any:
    """x with axes of length 1 in front: NumPy drops them from a value with more axes than the elements it is set to."""
    return np.reshape(x, (*[1] * (rank - x.ndim), *x.shape)) if x.ndim < rank else x


@differentiable(
    lambda g, y, x, value, *, index: _overwrite(g, np.zeros((), g.dtype), index=index),
    lambda g, y, x, value, *, index: _with_rank(g[index], np.ndim(value)),
    cases=[
        Case("4 5, 1 2 5", kwargs={"index": slice(1, 3)}),
        Case("4 5, 5", kwargs={"index": 1}),
        Case("4 5, ", kwargs={"index": (slice(None), -1)}),
        Case("4 5, 2 1", kwargs={"index": np.array([0, 3])}),
        Case("4 5, ", kwargs={"index": np.arange(20).reshape(4, 5) % 3 == 0}),
    ],
    name="x.at[index].set",
    complex=True,
)
def _overwrite(x: Array, value: Array, index: Any) -> Array:
    if not selects_once(index):
        chosen = np.arange(x.size).reshape(x.shape)[index]
        if np.unique(chosen).size != chosen.size:
            raise ValueError("the index selects an element twice, so its new value is ambiguous; use add")
    y = x.copy()
    y[index] = value
    return y


_ORDER = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}  # of the kinds of dtypes: an element holds none of a later kind


def _loses(given: np.dtype[Any], dtype: np.dtype[Any]) -> bool:
    """Whether numbers of one dtype would lose fractions or signs, and their gradient, in another."""
    return _ORDER.get(given.kind, 0) > _ORDER[dtype.kind]


def refuse_loss(name: str, given: np.dtype[Any], dtype: np.dtype[Any]) -> None:
    """Raise if values of one dtype do not fit into an array of another, where NumPy would cut them off."""
    if _loses(given, dtype):
        raise TypeError(f"{name}: an array of {dtype} cannot hold {given}: write x.astype(np.{given}) for the array")


def set_at(x: Any, index: Any, value: Any) -> Any:
    """A copy of x with the elements at the index set to the value, as in `x.at[index].set(value)`."""
    value = value if isinstance(value, int | float | complex) else as_array(value)
    if _loses(given := np.result_type(value), x.dtype):
        raise TypeError(f"elements of {x.dtype} cannot be set to {given}: write x.astype(np.{given}).at[...].set(...)")
    return _overwrite(x, value, index=index)


def add_at(x: Any, index: Any, value: Any) -> Any:
    """x with the value added at the index, once per selection of an element, as in `x.at[index].add(value)`."""
    shape = np.empty(np.shape(x), bool)[index].shape
    value = np.asarray(value, np.result_type(x, value)) if isinstance(value, int | float | complex) else as_array(value)
    return x + scatter_add(np.broadcast_to(value, shape), index, shape=np.shape(x))


composite(set_at, name="x.at[index].set", cases=[Case("4 5, 5", prepare=lambda x, value: (x, 1, value))], complex=True)(
    set_at
)
composite(
    add_at,
    name="x.at[index].add",
    cases=[Case("4 5, 3 5", prepare=lambda x, value: (x, np.array([0, 2, 2]), value))],
    complex=True,
)(add_at)
registry[setitem], registry[iadd] = registry[set_at], registry[add_at]  # the keys that Tensor.at looks up

# --- selecting -------------------------------------------------------------------------------------------------------

PLACES = np.array([[2, 0], [-1, 2]])


@composite(
    np.take,
    cases=[
        *each("3 n 3", indices=(1, PLACES), axis=(0, -1)),
        Case("2 2", (PLACES,)),
        *each("3 n", indices=([-5, 0, 7],), axis=(0,), mode=("wrap", "clip")),
    ],
    complex=True,
)
def take(a: Any, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Any:
    """`np.take`, in the modes raise, wrap and clip."""
    x, axis = (np.ravel(a), 0) if axis is None else (np.reshape(a, (1,)) if np.ndim(a) == 0 else a, axis)
    axis = normalize_axis_index(axis, x.ndim)
    indices = np.asarray(indices)
    if indices.dtype == bool or indices.size == 0:
        indices = indices.astype(np.intp)  # np.take treats booleans as 0 and 1, not as a mask
    if mode != "raise":
        indices = np.take(np.arange(x.shape[axis]), indices, mode=mode)  # type: ignore[call-overload]
    return x[(slice(None),) * axis + (indices,)]


@composite(
    np.take_along_axis,
    cases=[
        Case("3 2", (np.array([[2, 0], [1, 1]]), 0)),
        Case("2 3", (PLACES, -1)),
        Case("N 2", (np.array([1, 1]), None)),
    ],
    complex=True,
)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """`np.take_along_axis`."""
    if axis is None:
        return np.ravel(arr)[indices]
    axis = normalize_axis_index(axis, arr.ndim)
    if indices.ndim != arr.ndim:
        raise ValueError(f"take_along_axis: indices have {indices.ndim} dimensions, the array {arr.ndim}")
    return arr[
        tuple(
            indices if i == axis else np.arange(n).reshape([-1 if j == i else 1 for j in range(arr.ndim)])
            for i, n in enumerate(arr.shape)
        )
    ]


@composite(
    np.compress,
    cases=[
        *each("2 3", axis=(1, -1), prepare=lambda a: (np.array([True, False, True]), a)),
        Case("2 2", prepare=lambda a: ([False, True, True], a)),
    ],
    complex=True,
)
def compress(condition: Any, a: Any, axis: int | None = None) -> Any:
    """`np.compress`."""
    if np.ndim(condition) != 1:
        raise ValueError(f"compress: the condition must have one dimension, not {np.ndim(condition)}")
    return np.take(a, np.flatnonzero(condition), axis)


@composite(np.extract, cases=[Case("2 3", prepare=lambda a: (np.array([[True, False, True]] * 2), a))], complex=True)
def extract(condition: Any, arr: Any) -> Any:
    """`np.extract`."""
    return np.ravel(arr)[np.flatnonzero(condition)]


@composite(
    np.select,
    cases=[
        Case("3, 3", prepare=lambda a, b: ([np.array([True, False, False]), np.array([True, True, False])], [a, b])),
        Case("3", kwargs={"default": 2.0}, prepare=lambda a: ([np.array([True, False, True])], [a])),
    ],
    complex=True,
)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """`np.select`."""
    if len(condlist) != len(choicelist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    for i, condition in enumerate(condlist):
        if (dtype := as_array(condition).dtype) != np.bool_:
            raise TypeError(f"select: condition {i} must be boolean, not {dtype}")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@composite(
    np.delete, cases=[*each("4 n", obj=(1, -1, slice(0, 2), [0, 3]), axis=(0,)), Case("2 2", (1,))], complex=True
)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`np.delete`."""
    x, axis = (np.ravel(arr), 0) if axis is None else (arr, normalize_axis_index(axis, arr.ndim))
    return np.take(x, np.delete(np.arange(x.shape[axis]), obj._data if type(obj) is Tensor else obj), axis)


def _places(arrays: Any) -> list[Any]:
    """The numbers of the elements of several arrays, counted from the first to the last, in their shapes."""
    ends = [0, *itertools.accumulate(a.size for a in arrays)]
    return [np.arange(start, start + a.size).reshape(a.shape) for start, a in zip(ends, arrays, strict=False)]


def _at_places(arrays: Any, places: Any) -> Any:
    """An array of elements of several arrays, by their numbers."""
    return np.concatenate([np.ravel(a) for a in arrays])[places]


@composite(
    np.insert,
    cases=[
        Case("n, ", prepare=lambda a, value: (a, 0, value)),
        *each("2 n, n", axis=(0,), prepare=lambda a, values: (a, -1, values)),
        *each("n 3, 2", axis=(1,), prepare=lambda a, values: (a, [0, 3], values)),
        *each("n 2, 2 n", axis=(1,), prepare=lambda a, values: (a, 1, values)),
        Case("2 2, 3", prepare=lambda a, values: (a, [1, 1, 4], values)),
        Case("3, 2", prepare=lambda a, values: (a, slice(0, 2), values)),
    ],
    complex=True,
)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`np.insert`, differentiable in the array and in the values, which are cast to the dtype of the array."""
    arr, values = as_array(arr), as_array(values)
    refuse_loss("insert", values.dtype, arr.dtype)
    ours, theirs = _places((arr, values))
    places = np.insert(ours, obj._data if type(obj) is Tensor else obj, theirs, axis)
    return _at_places((arr, np.astype(values, arr.dtype, copy=False)), places)


@composite(
    np.choose,
    cases=[
        Case("n 3, 3", prepare=lambda a, b: (np.array([0, 1, 0]), [a, b])),
        Case("2 3", prepare=lambda choices: (np.array([1, 0, 1]), choices)),
        *(
            Case("3, ", kwargs={"mode": mode}, prepare=lambda a, b: (np.array([5, 1, -1]), [a, b]))
            for mode in ("wrap", "clip")
        ),
    ],
    complex=True,
)
def choose(a: Any, choices: Any, *, mode: str = "raise") -> Any:
    """`np.choose`, differentiable in the choices."""
    dtype = np.result_type(*(choice if type(choice) in (int, float) else as_array(choice) for choice in choices))
    choices = [np.astype(as_array(choice), dtype, copy=False) for choice in choices]
    return _at_places(choices, np.choose(array_of(a), _places(choices), mode=mode))  # type: ignore[call-overload]


@composite(
    np.resize, cases=[*(Case("2 N", (shape,)) for shape in ((3, 3), 2, (5,), (), (0, 2))), Case("", (3,))], complex=True
)
def resize(a: Any, new_shape: Any) -> Any:
    """`np.resize`: the elements in their order, repeated as often as they fit."""
    if not np.size(a):
        return np.broadcast_to(np.sum(a), new_shape)  # zeros
    return np.ravel(a)[np.resize(np.arange(np.size(a)), new_shape)]


def _between_zeros(x: Any) -> Any:
    """x with zeros before and after it along its first axis; nothing if it is empty."""
    return np.concatenate([0 * x[:1], 0 * x[:1], x, 0 * x[-1:]])


def _between_zeros_of_both_axes(x: Any) -> Any:
    return _between_zeros(_between_zeros(x).T)


@composite(
    np.trim_zeros,
    cases=[
        *each("N", trim=("fb", "f", "b"), prepare=_between_zeros),
        *each("N M", axis=(None, 0), prepare=_between_zeros_of_both_axes),
        *since("2.4.0", *each("N M", axis=((-1,), ()), prepare=_between_zeros_of_both_axes)),
    ],
)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """`np.trim_zeros`: where an array begins and ends with zeros is piecewise constant."""
    if (trim := trim.lower()) not in ("fb", "bf", "f", "b"):
        raise ValueError(f"trim_zeros: trim must be 'fb', 'f' or 'b', not {trim!r}")
    axes = range(filt.ndim) if axis is None else normalize_axis_tuple(axis, filt.ndim)
    places = np.argwhere(filt)
    if len(places):
        starts = np.min(places, 0) if "f" in trim else np.zeros(filt.ndim, int)
        stops = np.max(places, 0) + 1 if "b" in trim else filt.shape
    else:
        starts = stops = np.zeros(filt.ndim, int)
    return filt[tuple(slice(starts[i], stops[i]) if i in axes else slice(None) for i in range(filt.ndim))]


# --- sorting: the order is piecewise constant, so a sort is a selection ----------------------------------------------


@composite(
    np.sort,
    cases=[*each("N M", axis=(0, -1, None)), Case("N", kwargs={"stable": True}), Case("N", kwargs={"kind": "stable"})],
)
def sort(a: Any, axis: int | None = -1, *, kind: Any = None, stable: bool | None = None) -> Any:
    """`np.sort`, always stable, so that the gradients of equal elements keep their order."""
    x, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(x, np.argsort(x, axis=axis, kind="stable"), axis)


@composite(np.partition, cases=[Case("4", (1,)), *each("3 4", kth=(2,), axis=(0, -1)), Case("4", ((0, 2),))])
def partition(a: Any, kth: Any, axis: int | None = -1) -> Any:
    """`np.partition`."""
    x, axis = (np.ravel(a), 0) if axis is None else (a, normalize_axis_index(axis, a.ndim))
    return np.take_along_axis(x, np.argpartition(x, kth, axis=axis), axis)
