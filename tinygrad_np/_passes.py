"""Passes over a recorded graph, for `func`: back for gradients, and forward for derivatives along a direction."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import tensor
from ._machine import writes
from .tensor import Tensor

nested: ContextVar[bool] = ContextVar("nested", default=False)  # inside a function that is being differentiated


def backward(outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any], record: bool) -> list[Tensor]:
    """The gradients of outputs with respect to inputs; outputs that do not require a gradient count as constants."""
    pairs = [(y, tensor._seed(y, seed)) for y, seed in zip(outputs, seeds, strict=True) if y.requires_grad]
    token = nested.set(False)  # in the backward pass, a vjp that calls a derivative gets arrays for arrays
    try:
        return tensor._gradients_of(pairs, inputs, record, True)
    finally:
        nested.reset(token)


# --- along a direction -----------------------------------------------------------------------------------------------


def forward(
    order: Sequence[Tensor], outputs: Sequence[Tensor], inputs: Sequence[Tensor], directions: Sequence[Any]
) -> list[Tensor]:
    """The derivatives of outputs along directions of the inputs, without a record.

    It goes over `order`, all that the outputs were computed from, from the oldest node to the youngest.
    """
    along = {id(x): np.asarray(tensor._arrays(t), x._data.dtype) for x, t in zip(inputs, directions, strict=True)}
    pauses, token = tensor._pauses.set(1), nested.set(False)
    try:
        with np.errstate(all="ignore"):
            for y in order:
                if y._node is not None and id(y) not in along:
                    moved = [(i, along[id(a)]) for i, a in enumerate(y._node[1]) if id(a) in along]
                    if moved:
                        along[id(y)] = np.asarray(_of_node(y, moved), y._data.dtype)
    finally:
        tensor._pauses.reset(pauses)
        nested.reset(token)
    # copies, since several may share memory, with one another and with the directions
    return [tensor._as_tensor(along[id(y)].copy() if id(y) in along else np.zeros_like(y._data)) for y in outputs]


def _of_node(y: Tensor, moved: Sequence[tuple[int, Any]]) -> Any:
    """The derivative of one operation along directions of its arguments, given with their positions."""
    if y._serial < writes.latest:
        tensor._check(y)
    operation, _, arrays, kwargs, _ = y._node
    total: Any = None
    for i, t in moved:
        if operation.jvp == "elementwise":
            t = t if t.shape == y._data.shape else np.broadcast_to(t, y._data.shape)
            part = operation.vjps[i](t, y._data, *arrays, **kwargs)
        elif operation.jvp == "linear" and not (
            kwargs.get("initial") or operation.saves
        ):  # a sum begins with `initial`
            part = operation.function(*arrays[:i], t, *arrays[i + 1 :], **kwargs)
        else:
            return _of_operation(operation, moved, arrays, kwargs)
        total = part if total is None else total + part
    return total


def _of_operation(operation: Any, moved: Sequence[tuple[int, Any]], arrays: Sequence[Any], kwargs: Any) -> Any:
    """The same for any operation: it is computed again, to be differentiated twice."""
    alone = {i: Tensor(arrays[i], requires_grad=True) for i, _ in moved}
    keywords = {name: value for name, value in kwargs.items() if name != "saved"}
    token = tensor._pauses.set(0)
    try:
        again = operation(*(alone.get(i, a) for i, a in enumerate(arrays)), **keywords)
        return by_two_vjps([again], list(alone.values()), [t for _, t in moved], record=False)[0]._data
    finally:
        tensor._pauses.reset(token)


def by_two_vjps(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], directions: Sequence[Any], record: bool = True
) -> list[Tensor]:
    """The derivatives of outputs along directions of the inputs: by the vjp of the vjp, which is linear."""
    seeds = [_seed_of(y) for y in outputs]
    found = backward(backward(outputs, inputs, seeds, True), seeds, directions, record)
    for seed in seeds:
        seed.requires_grad = False  # an outer derivative ignores them
    return found


def _seed_of(y: Tensor) -> Tensor:
    """Numbers whose sums do not cancel: a gradient that is 0 by chance would count as one that is not used."""
    numbers = 0.5 + np.remainder(np.arange(1, y.size + 1) * 0.6180339887498949, 1)
    return Tensor(numbers.reshape(y.shape).astype(y.dtype), requires_grad=True)
