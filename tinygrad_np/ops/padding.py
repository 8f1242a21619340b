"""`np.pad`: with numbers, with elements of the array, along a line to a number, or with a statistic of the array."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .._registry import composite, in_float32
from ..tensor import as_array
from .cases import Case, each, since
from .indexing import refuse_loss
from .shapes import _pad_constant

REARRANGING = ("edge", "reflect", "symmetric", "wrap")  # modes that repeat elements
STATISTICS: dict[str, Callable[..., Any]] = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}
# The keywords of each mode, apart from those that have none.
KEYWORDS = {"constant": "constant_values", "linear_ramp": "end_values", **dict.fromkeys(STATISTICS, "stat_length")}
PADDINGS = (2, (1, 2), ((0, 1), (2, 1)))
_LEFT_OUT = object()


def _pairs(values: Any, ndim: int) -> Any:
    """One value, two for both ends of each axis, or two for each axis, as two for each axis."""
    return np.broadcast_to(values, (ndim, 2))


def _widths(pad_width: Any, ndim: int) -> list[list[int]]:
    if isinstance(pad_width, dict):
        given = pad_width.items()
        pad_width = np.zeros((ndim, 2), int)
        for axis, width in given:
            pad_width[axis] = width
    if np.asarray(pad_width).dtype.kind not in "iu":
        raise TypeError(f"pad: pad_width must be integers, not {pad_width!r}")
    widths: list[list[int]] = _pairs(np.asarray(pad_width, int), ndim).tolist()
    if any(width < 0 for pair in widths for width in pair):
        raise ValueError(f"pad: pad_width must not be negative, not {pad_width!r}")
    return widths


def _lengthened(x: Any, axis: int, widths: list[int], ends: Callable[[Any, int, int, int], Any]) -> Any:
    """x with `ends(x, axis, side, width)` before and after it, where side is 0 or 1."""
    parts = [ends(x, axis, side, width) if width else None for side, width in enumerate(widths)]
    return np.concatenate([part for part in (parts[0], x, parts[1]) if part is not None], axis=axis)


def _broadcast(values: Any, x: Any, axis: int, width: int) -> Any:
    """Values that are the same along an axis, or a number, as a part of this width beside x."""
    return np.broadcast_to(values, (*x.shape[:axis], width, *x.shape[axis + 1 :]))


def _with_numbers(values: Any) -> Any:
    def ends(x: Any, axis: int, side: int, width: int) -> Any:
        return _broadcast(values[axis, side], x, axis, width)

    return ends


def _along_lines(values: Any) -> Any:
    def ends(x: Any, axis: int, side: int, width: int) -> Any:
        edge = np.take(x, -side, axis)
        ramp = np.linspace(values[axis, side], edge, width, endpoint=False, dtype=x.dtype, axis=axis)
        return np.flip(ramp, axis) if side else ramp

    return ends


def _with_statistics(statistic: Callable[..., Any], lengths: Any) -> Any:
    """Ends that are a statistic of as many elements as are next to them, or of all, within x as it was."""

    def ends(x: Any, axis: int, side: int, width: int) -> Any:
        n = x.shape[axis]
        length = n if lengths is None else min(n, operator.index(lengths[axis, side]))
        part = slice(n - length, n) if side else slice(0, length)
        return _broadcast(statistic(x[(*[slice(None)] * axis, part)], axis=axis, keepdims=True), x, axis, width)

    return ends


def _values(name: str, values: Any, array: Any) -> Any:
    """Numbers to pad with, two for each axis, in the dtype of the array."""
    values = as_array(values)
    refuse_loss(f"pad with {name}=", values.dtype, array.dtype)
    return _pairs(np.astype(values, array.dtype, copy=False), array.ndim)


@composite(
    np.pad,
    cases=[
        *each("3 4", pad_width=PADDINGS, mode=("constant", *REARRANGING, *STATISTICS, "linear_ramp")),
        Case("n", (1,), {"constant_values": 2.0}),
        Case("", ((1, 2),)),
        *since("2.4.0", Case("3 n", ({0: (1, 2)},))),
        Case("2 3", (2, "linear_ramp"), {"end_values": ((0.5, 1), (-2, 0))}),
        # Medians of an odd number along the first axis, so that those along the second do not compare averages.
        *each("3 4", pad_width=(1,), mode=STATISTICS, stat_length=((3, 9),)),
    ],
    complex=True,
)
def pad(
    array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = _LEFT_OUT,
    end_values: Any = _LEFT_OUT, stat_length: Any = _LEFT_OUT,
) -> Any:  # fmt: skip
    """`np.pad`, in all modes but "empty"; differentiable in `constant_values` and `end_values` as well."""
    given = {"constant_values": constant_values, "end_values": end_values, "stat_length": stat_length}
    options = {name: value for name, value in given.items() if value is not _LEFT_OUT}
    if mode not in KEYWORDS and mode not in REARRANGING:
        raise ValueError(f"pad: mode must be one of {', '.join((*KEYWORDS, *REARRANGING))}, not {mode!r}")
    if other := [name for name in options if name != KEYWORDS.get(mode)]:
        raise TypeError(f"pad: {other[0]} cannot be given in mode {mode!r}")
    widths = _widths(pad_width, array.ndim)
    value = next(iter(options.values()), None if mode in STATISTICS else 0)
    if mode == "constant" and not hasattr(as_array(value), "requires_grad"):
        return _pad_constant(array, widths=tuple(map(tuple, widths)), value=value)
    if mode in REARRANGING:
        if not widths:
            return np.copy(array)
        places: Any = np.arange(array.size).reshape(array.shape)
        return np.ravel(array)[np.pad(places, np.array(widths), mode)]  # type: ignore[call-overload]
    return _axis_by_axis(array, widths, mode, value)


@in_float32
def _axis_by_axis(array: Any, widths: list[list[int]], mode: str, value: Any) -> Any:
    """The corners are made of what earlier axes were padded with."""
    if mode != "constant" and not array.size:
        if empty := [axis for axis, pair in enumerate(widths) if any(pair) and not array.shape[axis]]:
            raise ValueError(f"pad: axis {empty[0]} is empty; only mode 'constant' can pad it")
        return _pad_constant(array, widths=tuple(map(tuple, widths)), value=0)
    if mode in STATISTICS:
        lengths = None if value is None else _pairs(value, array.ndim)
        if lengths is not None and np.any(lengths < 1):
            raise ValueError(f"pad: stat_length must be at least 1, not {value!r}")
        ends = _with_statistics(STATISTICS[mode], lengths)
    else:
        ends = (_with_numbers if mode == "constant" else _along_lines)(_values(KEYWORDS[mode], value, array))
    for axis, pair in enumerate(widths):
        array = _lengthened(array, axis, pair, ends)
    return array if widths else np.copy(array)
