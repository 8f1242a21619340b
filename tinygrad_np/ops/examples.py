"""Which arguments of an operation are batches of examples, for `examples=` of `primitive`.

The result is a batch as well: its example i depends on example i of these arguments, and on all of the others, such as
weights. `func.per_example_grad` then needs one backward pass over the batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Positions = tuple[int, ...] | None


class Examples(NamedTuple):
    """Which arguments are batches.

    Attributes:
        positions: `positions(y, *inputs, **keywords)` returns the positions of the batches in this call; None where the
            examples mix, or where the first axis of the result is not that of the examples.
        broadcasts: whether `rows` of the operation broadcasts over a further first axis of all arguments, as matmul
            does. Otherwise the gradients of arguments that are no batches are computed one example after the other.
    """

    positions: Callable[..., Positions]
    broadcasts: bool = False


def along(default: Any) -> Examples:
    """Of operations along `axis`, which has a default; None is all axes."""

    def positions(y: Any, *inputs: Any, axis: Any = default, **keywords: Any) -> Positions:
        if axis is None:
            return None
        ndim = inputs[0].ndim
        axes = axis if isinstance(axis, tuple | list) else (axis,)
        return None if any(i % ndim == 0 for i in axes) else tuple(range(len(inputs)))

    return Examples(positions)


def _first(y: Any, *inputs: Any, **keywords: Any) -> Positions:
    return (0,)


def _stacked(y: Any, x: Any, *rest: Any, **keywords: Any) -> Positions:
    return (0,) if x.ndim > 2 else None


def _in_order(y: Any, x: Any, *, order: str = "C", **keywords: Any) -> Positions:
    return (0,) if order == "C" and x.ndim and y.ndim and len(x) == len(y) else None


def _transpose(y: Any, x: Any, *, axes: Any = None) -> Positions:
    return (0,) if x.ndim == 1 or (axes is not None and axes[0] % x.ndim == 0) else None


def _swapaxes(y: Any, x: Any, *, axis1: int, axis2: int) -> Positions:
    return (0,) if axis1 % x.ndim and axis2 % x.ndim else None


def _broadcast_to(y: Any, x: Any, *, shape: Any) -> Positions:
    return (0,) if x.ndim == y.ndim and len(x) == len(y) else ()


def _matmul(y: Any, a: Any, b: Any) -> Positions:
    stacked = max(a.ndim, b.ndim) - 2
    if stacked < 1:  # no stack of matrices: the examples are the rows of a
        return (0,) if a.ndim == 2 else None
    return tuple(i for i, x in enumerate((a, b)) if x.ndim - 2 == stacked and len(x) == len(y))


def _linear(y: Any, x: Any, weight: Any, bias: Any) -> Positions:
    return (0,) if x.ndim > 1 else None


def _einsum(y: Any, *arrays: Any, terms: tuple[str, ...], output: str) -> Positions:
    first = output[:1]
    if not first or any(first in term[1:] for term in terms):
        return None
    return tuple(i for i, term in enumerate(terms) if term.startswith(first))


def _getitem(y: Any, x: Any, index: Any) -> Positions:
    first, *others = index if type(index) is tuple else (index,)
    arrays = [part for part in (first, *others) if isinstance(part, list | np.ndarray)]
    if isinstance(first, slice) and first == slice(None) and not arrays:
        return (0,)  # x[:, 0]
    if type(first) is np.ndarray and first.dtype.kind in "iu" and first.ndim:
        if index is first:
            return (1,)  # vectors for the words of each example
        if first.ndim == 1 and np.array_equal(first, np.arange(len(x))) and all(np.ndim(a) < 2 for a in arrays):
            return (0,)  # x[np.arange(len(x)), labels]
    return None


def _standardize(y: Any, x: Any, weight: Any, bias: Any, *, axis: Any, **keywords: Any) -> Positions:
    return None if any(i % x.ndim == 0 for i in axis) else (0,)


def _attention(y: Any, *projected: Any, **keywords: Any) -> Positions:
    return tuple(range(len(projected))) if all(x.ndim > 2 for x in projected) else None


def _losses(y: Any, scores: Any, labels: Any, *, reduction: str = "mean", **keywords: Any) -> Positions:
    return (0, 1) if reduction == "none" else None


FIRST = Examples(_first)  # of images, say; the other arguments may be weights
STACKED = Examples(_stacked)  # of the last two axes
IN_ORDER = Examples(_in_order)  # keeps the elements in their order, and so the examples
TRANSPOSE, SWAPAXES, BROADCAST_TO = Examples(_transpose), Examples(_swapaxes), Examples(_broadcast_to, True)
MATMUL, LINEAR, EINSUM = Examples(_matmul, True), Examples(_linear, True), Examples(_einsum)
GETITEM, STANDARDIZE = Examples(_getitem), Examples(_standardize)
ATTENTION, LOSSES = Examples(_attention), Examples(_losses)
