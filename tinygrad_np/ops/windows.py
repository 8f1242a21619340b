"""Sliding windows: over any axes, as NumPy's, and over images (n, channels, height, width), for their operations."""

import itertools
from operator import mod
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view

from .._registry import differentiable, primitive
from .._validation import LARGEST
from ..tensor import Array, Tensor
from .cases import Case, each

Pair: TypeAlias = tuple[int, int]


class Window(NamedTuple):
    """The geometry of a sliding window; each field is for height and width, padding as (before, after) for each.

    >>> Window((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)).outputs((28, 28))
    (28, 28)
    """

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair

    @property
    def reach(self) -> Pair:
        """The distance from the first to the last element of a window, along each axis."""
        return self.dilation[0] * (self.kernel[0] - 1), self.dilation[1] * (self.kernel[1] - 1)

    @property
    def overlaps(self) -> bool:
        """Whether an element may be in more than one window."""
        return any(reach >= stride for reach, stride in zip(self.reach, self.stride, strict=True))

    def padded(self, sizes: tuple[int, ...]) -> Pair:
        """The height and width of padded images."""
        height, width = (size + sum(padding) for size, padding in zip(sizes, self.padding, strict=True))
        return height, width

    def inside(self, sizes: tuple[int, ...]) -> Any:
        """The index that leaves the padding out of padded images of these sizes."""
        return (..., *(slice(p[0], size - p[1]) for size, p in zip(sizes, self.padding, strict=True)))

    def covers(self, sizes: tuple[int, ...]) -> bool:
        """Whether every element of padded images of these sizes is in exactly one window."""
        return self.kernel == self.stride and self.dilation == (1, 1) and not any(map(mod, sizes, self.kernel))

    def outputs(self, sizes: tuple[int, ...]) -> Pair:
        """The number of windows along each axis of an image of these sizes."""
        height, width = (
            (size + sum(padding) - reach - 1) // stride + 1
            for size, padding, reach, stride in zip(sizes, self.padding, self.reach, self.stride, strict=True)
        )
        return height, width

    def places(self, sizes: tuple[int, ...]) -> list[list[slice]]:
        """For each axis of padded images and each element of a window, the slice that selects it in every window."""
        return [
            [slice(i, i + size - reach, stride) for i in range(0, dilation * kernel, dilation)]
            for size, reach, kernel, stride, dilation in zip(
                sizes, self.reach, self.kernel, self.stride, self.dilation, strict=True
            )
        ]


def sliding(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any = 1, *, axes: int = 2) -> Window:
    """A `Window` from options of one number, or one for height and one for width.

    Over a sequence, which has one axis, it is the window over images of height 1, from options of one number.

    Raises:
        ValueError: an option is not an integer or is too small, or padding is "same" with a stride other than 1.

    >>> sliding("conv2d", (3, 3), 1, "same").padding
    ((1, 1), (1, 1))
    """

    def pair(option: str, value: Any, least: int) -> Pair:
        values: Any = (value, value) if isinstance(value, int | np.integer) else value
        if axes == 1:
            values = (least, value)  # kernel, stride and dilation 1, padding 0
        if (
            not isinstance(values, tuple | list)
            or len(values) != 2
            or not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
            or not least <= min(values) <= max(values) <= LARGEST
        ):
            expected = f"{'an integer' if axes == 1 else 'one or two integers'} of at least {least}"
            expected += ", or 'same'" if option == "padding" and "conv" in name.lower() else ""
            raise ValueError(f"{name}: {option} must be {expected}, not {value!r:.80}")
        return int(values[0]), int(values[1])

    window = Window(
        pair("kernel_size", kernel, 1), pair("stride", stride, 1), ((0, 0), (0, 0)), pair("dilation", dilation, 1)
    )
    if isinstance(padding, str) and padding == "same":
        if window.stride != (1, 1):
            raise ValueError(f"{name}: padding 'same' needs stride 1, not {stride!r}")
        around = window.reach
        return window._replace(
            padding=((around[0] // 2, around[0] - around[0] // 2), (around[1] // 2, around[1] - around[1] // 2))
        )
    height, width = pair("padding", padding, 0)
    return window._replace(padding=((height, height), (width, width)))


def as_images(x: Any) -> Any:
    """x if it is a Tensor or an array; nested lists become a float32 array, as in `Tensor`."""
    return x if isinstance(x, Tensor | np.ndarray) else np.asarray(x, np.float32)


def check_room(name: str, x: Any, window: Window) -> None:
    """Check that the window fits into the padded images, or sequences.

    Raises:
        ValueError: it does not.
    """
    is_sequence = x.ndim == 3
    sizes = (1, *x.shape[2:]) if is_sequence else x.shape[2:]
    if min(window.outputs(sizes)) < 1:
        kernel, dilation, size, padding = (
            pair[1] if is_sequence else pair for pair in (window.kernel, window.dilation, sizes, window.padding)
        )
        what = "a sequence of length" if is_sequence else "an image of"
        raise ValueError(
            f"{name}: a kernel of {kernel} with dilation {dilation} does not fit into {what} {size} with padding"
            f" {padding}"
        )


# --- np.lib.stride_tricks.sliding_window_view ------------------------------------------------------------------------


def _lengths(window_shape: Any) -> tuple[int, ...]:
    return tuple(window_shape) if np.iterable(window_shape) else (window_shape,)


@differentiable(
    lambda g, y, x, *, window_shape, axis, sizes: sliding_window_view(g, window_shape, axis),
    reads=(),
    wide=True,
    jvp="linear",
    cases=[
        Case("3 3 2", (), {"window_shape": (2,), "axis": (0,), "sizes": (4, 3)}),
        Case("2 2 2 2", (), {"window_shape": (2, 2), "axis": (1, 1), "sizes": (2, 4)}),
    ],
    name="lib.stride_tricks.sliding_window_view",
    complex=True,
)
def _overlap_add(x: Array, window_shape: tuple[int, ...], axis: tuple[int, ...], sizes: tuple[int, ...]) -> Array:
    """An array of these sizes, in which each element is the sum of those that windows show of it."""
    result = np.zeros(sizes, x.dtype)
    if x.shape != sliding_window_view(result, window_shape, axis).shape:
        raise ValueError(f"windows of {window_shape} along {axis} of an array of {sizes} are not of shape {x.shape}")
    place: Any
    for place in itertools.product(*map(range, window_shape)):
        starts = [0] * len(sizes)
        for i, offset in zip(axis, place, strict=True):  # an axis may have several windows, one along the other
            starts[i] += offset
        shown = tuple(slice(start, start + n) for start, n in zip(starts, x.shape, strict=False))
        result[shown] += x[(..., *place)]
    return result


def _from_windows(g: Any, y: Any, x: Any, *, window_shape: Any, axis: Any = None) -> Any:
    axes = range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim, allow_duplicate=True)
    return _overlap_add(g, window_shape=_lengths(window_shape), axis=tuple(axes), sizes=x.shape)


primitive(
    sliding_window_view,
    _from_windows,
    reads=(),
    jvp="linear",
    cases=[
        *each("4 3", window_shape=((2, 3), (1, 1), (3, 0)), axis=(None, (1, 0))),
        *each("4 n 3", window_shape=(2,), axis=(0, -1)),
        Case("n 4", (), {"window_shape": (2, 2), "axis": (1, 1)}),
        Case("3", (2,)),
    ],
    complex=True,
)
