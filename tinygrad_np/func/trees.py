"""Trees: tuples, named tuples, lists and dicts, nested, whose leaves are Tensors, arrays or numbers.

vector, unflatten = flatten(weights)     # all numbers of a tree as one vector, and the way back
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import is_dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from .._messages import kind
from ..tensor import Tensor

_ARRAYS = {np.ndarray, Tensor}

# --- their branches and leaves ---------------------------------------------------------------------------------------


def branches_of(tree: Any) -> Sequence[Any] | None:
    """The parts of a tuple, list or dict; None for a leaf."""
    if type(tree) in _ARRAYS:  # as nearly every leaf
        return None
    if isinstance(tree, dict):
        return list(tree.values())
    is_tuple = type(tree) is tuple or (isinstance(tree, tuple) and hasattr(tree, "_make"))
    return tree if is_tuple or isinstance(tree, list) else None


def leaves_of(tree: Any) -> list[Any]:
    """The leaves of a tree, from left to right."""
    branches = branches_of(tree)
    return [tree] if branches is None else [leaf for branch in branches for leaf in leaves_of(branch)]


def tree_like(tree: Any, leaves: Any) -> Any:
    """A tree of the same structure and of the same classes, with leaves taken from an iterator."""
    branches = branches_of(tree)
    if branches is None:
        return next(leaves)
    found = [tree_like(branch, leaves) for branch in branches]
    if isinstance(tree, tuple):
        return tuple(found) if type(tree) is tuple else type(tree)._make(found)  # type: ignore[attr-defined]
    if type(tree) in (list, dict):
        return dict(zip(tree, found, strict=True)) if isinstance(tree, dict) else found
    same = copy(tree)  # an OrderedDict or defaultdict, say, with what else it holds
    for key, branch in zip(tree if isinstance(tree, dict) else range(len(found)), found, strict=True):
        same[key] = branch
    return same


def leaves_like(tree: Any, like: Any, what: str) -> list[Any]:
    """The leaves of a tree in the order of those of `like`, which must have the same structure; dicts match by key."""
    branches = branches_of(like)
    if isinstance(like, dict):
        if not isinstance(tree, dict) or tree.keys() != like.keys():
            raise ValueError(f"{what}: expected a dict with the keys {list(like)}, not {tree!r:.60}")
        return [leaf for key in like for leaf in leaves_like(tree[key], like[key], what)]
    if branches is not None:
        if not isinstance(tree, (tuple, list)) or len(tree) != len(branches):
            raise ValueError(f"{what}: expected a tuple or list of {len(branches)} elements, not {tree!r:.60}")
        return [leaf for a, b in zip(tree, branches, strict=True) for leaf in leaves_like(a, b, what)]
    shape = like.shape
    if type(tree) in _ARRAYS and tree.shape == shape and (tree.dtype.kind != "c" or like.dtype.kind == "c"):
        return [tree]  # as nearly every leaf
    if isinstance(tree, (tuple, list)) and len(tree) == 1 and shape_of(tree[0]) == shape:
        raise ValueError(f"{what}: expected shape {shape}, not a {type(tree).__name__} of it; leave out the brackets")
    if shape_of(tree) != shape:
        raise ValueError(f"{what}: expected shape {shape}, not {shape_of(tree) or repr(tree)[:60]}")
    if like.dtype.kind != "c" and np.iscomplexobj(tree):
        raise TypeError(f"{what}: expected real numbers, not complex ones, for {like.dtype}")
    return [tree]


def shape_of(value: Any) -> tuple[int, ...] | None:
    """The shape of an array, a number or a list of them; None for what has no shape."""
    try:
        return tuple(np.shape(value))
    except ValueError:  # lists of different lengths
        return None


def path_of(tree: Any, i: int) -> str:
    """Where leaf i of a tree is, for a message: `, at tree["layers"][0].bias`; nothing for the tree itself."""
    path, branches = "", branches_of(tree)
    while branches is not None:
        names = list(tree) if isinstance(tree, dict) else getattr(tree, "_fields", range(len(branches)))
        for name, branch in zip(names, branches, strict=True):
            if i < (count := len(leaves_of(branch))):
                path += f".{name}" if hasattr(tree, "_fields") else f"[{name!r}]"
                tree, branches = branch, branches_of(branch)
                break
            i -= count
    return path and f", at tree{path}"


def instead_of(leaf: Any) -> str:
    """For messages about what is no leaf: what to write instead, if that is known."""
    instead = "dict(...)" if isinstance(leaf, Mapping) else "asdict(...)" if is_dataclass(leaf) else ""
    return instead and f"; write {instead}"


# --- one vector ------------------------------------------------------------------------------------------------------


def flatten(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All numbers of a tree as one vector, and the function that makes such a tree of a vector.

    So functions of a vector, such as SciPy's optimisers, take a tree. Both ways are differentiable.

    Args:
        tree: Tensors, arrays or numbers, or tuples, named tuples, lists and dicts of them. Integers count as float64.

    Returns:
        `(vector, unflatten)`. The vector has shape (n,), where n is the number of elements of all leaves, in the order
        of the tree, dicts in the order of their insertion. It is a Tensor if a leaf is one, otherwise an ndarray, in
        memory of its own. Its dtype is the one that NumPy finds for those of the leaves (`np.result_type`), and float64
        if there are none.

        `unflatten(vector)` takes n numbers of any floating point or integer dtype. It returns a tree of the same
        classes, whose leaves have the shapes and dtypes of the first tree: Tensors, with a graph, of a Tensor; of an
        array ndarrays in memory of their own, and NumPy scalars where they are 0-d.

    Raises:
        TypeError: a leaf is no floating point number or integer, or no leaf and no branch; the message has its path.
        ValueError (by unflatten): the vector has another shape.

    >>> vector, unflatten = flatten({"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": 5.0})
    >>> vector
    array([1., 2., 3., 4., 5.])
    >>> unflatten(10 * vector)
    {'w': array([[10., 20.],
           [30., 40.]]), 'b': np.float64(50.0)}
    """
    leaves = leaves_of(tree)
    dtypes = [_dtype_of(leaf, tree, i) for i, leaf in enumerate(leaves)]
    dtype = np.result_type(*dtypes) if dtypes else np.dtype(np.float64)
    shapes = [np.shape(leaf) for leaf in leaves]
    ends = [0, *accumulate(map(math.prod, shapes))]
    structure = tree_like(tree, iter([None] * len(leaves)))  # which keeps none of the leaves alive

    def unflatten(vector: Any) -> Any:
        parts = _pieces(_checked_vector(vector, ends[-1]), ends)
        return tree_like(structure, map(_as_leaf, parts, shapes, dtypes))

    vector = np.concatenate([np.ravel(_as_dtype(leaf, dtype)) for leaf in leaves]) if leaves else np.zeros(0, dtype)
    return vector, unflatten


def _dtype_of(leaf: Any, tree: Any, i: int) -> np.dtype[Any]:
    """The dtype of leaf i of a tree as a floating point number."""
    numbers = isinstance(leaf, np.ndarray | np.generic | Tensor) and not isinstance(leaf, np.ma.MaskedArray | np.matrix)
    dtype = leaf.dtype if numbers else np.dtype(np.float64)
    if (not numbers and type(leaf) not in (int, float)) or dtype.kind not in "fiu":
        found = f"{type(leaf).__name__} of {dtype}" if numbers else type(leaf).__name__
        raise TypeError(
            "flatten takes floating point numbers and integers, as Tensors, arrays, numbers, or tuples, named tuples,"
            f" lists and dicts of them, not {found}{path_of(tree, i)}{instead_of(leaf)}"
        )
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)


def _as_dtype(leaf: Any, dtype: np.dtype[Any]) -> Any:
    if type(leaf) is Tensor:
        return leaf if leaf.dtype == dtype else leaf.astype(dtype)
    return np.asarray(leaf, dtype)


def _checked_vector(given: Any, size: int) -> Any:
    try:
        vector = given if type(given) is Tensor else np.asarray(given)
    except ValueError:  # lists of different lengths
        vector = np.asarray(None)
    if vector.dtype.kind not in "fiu":
        found = kind(given) if isinstance(given, np.ndarray | Tensor) else type(given).__name__
        raise TypeError(f"unflatten takes a vector of real numbers, not {found}; a tree becomes one by flatten")
    if vector.shape != (size,):
        raise ValueError(f"unflatten takes a vector of shape ({size},), not {vector.shape}")
    return vector


def _pieces(vector: Any, ends: Sequence[int]) -> list[Any]:
    """A vector in pieces between the given places.

    By halves, since the gradient of a slice is as long as what it was taken from.
    """
    if len(ends) < 3:
        return [vector] * (len(ends) - 1)
    middle = len(ends) // 2
    place = ends[middle] - ends[0]
    return _pieces(vector[:place], ends[: middle + 1]) + _pieces(vector[place:], ends[middle:])


def _as_leaf(piece: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if type(piece) is Tensor:
        return _as_dtype(np.reshape(piece, shape), dtype)
    return piece.reshape(shape).astype(dtype)[()]
