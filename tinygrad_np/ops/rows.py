"""Vjps for gradients that are stacked along a new first axis, for `rows=` of `primitive`."""

from collections.abc import Callable
from typing import Any

import numpy as np


def in_order(g: Any, y: Any, x: Any, *, order: str = "C", **_: Any) -> Any:
    """Of an operation that keeps the elements of x in their order."""
    if order == "C":
        return np.reshape(g, (len(g), *x.shape))
    return np.moveaxis(np.reshape(np.moveaxis(g, 0, -1), (*x.shape, len(g)), order="F"), -1, 0)


def along_axis(vjp: Callable[..., Any]) -> Callable[..., Any]:
    """Of an operation along `axis`, where None is all: on stacked arguments it is the same, one axis further."""
    default = (vjp.__kwdefaults__ or {})["axis"]

    def of_rows(g: Any, y: Any, *inputs: Any, axis: Any = default, **keywords: Any) -> Any:
        stacked = [np.broadcast_to(a, (len(g), *a.shape)) for a in (y, *inputs)]
        return vjp(g, *stacked, axis=_further(axis, inputs[0].ndim), **keywords)

    return of_rows


def _further(axis: Any, ndim: int) -> Any:
    if axis is None or ndim == 0:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple(_further(i, ndim) for i in axis)
    return axis + 1 if axis >= 0 else axis
