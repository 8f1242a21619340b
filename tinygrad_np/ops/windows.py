"""Sliding windows: over any axes, as NumPy's, and over images (n, channels, *sizes), for their operations."""

import itertools
from dataclasses import dataclass
from operator import mod
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.lib.stride_tricks import sliding_window_view

from .._registry import differentiable, primitive
from .._validation import LARGEST
from ..tensor import Array, Tensor
from .cases import Case, each

Sizes: TypeAlias = tuple[int, ...]


class Window(NamedTuple):
    """The geometry of a sliding window; each field has an entry for each axis, padding as (before, after).

    Padding after may be negative: the images then end so much earlier.

    >>> Window((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)).outputs((28, 28))
    (28, 28)
    """

    kernel: Sizes
    stride: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes

    @property
    def reach(self) -> Sizes:
        """The distance from the first to the last element of a window, along each axis."""
        return tuple(dilation * (kernel - 1) for dilation, kernel in zip(self.dilation, self.kernel, strict=True))

    @property
    def repeats(self) -> bool:
        """Whether an element of images may have the same place in more than one window."""
        return False

    @property
    def overlaps(self) -> bool:
        """Whether an element may be in more than one window."""
        return any(reach >= stride for reach, stride in zip(self.reach, self.stride, strict=True))

    def padded(self, sizes: Sizes) -> Sizes:
        """The sizes of padded images."""
        return tuple(size + sum(padding) for size, padding in zip(sizes, self.padding, strict=True))

    def inside(self, sizes: Sizes) -> Any:
        """The index that leaves the padding out of padded images of these sizes."""
        return (..., *(slice(p[0], size - p[1]) for size, p in zip(sizes, self.padding, strict=True)))

    def covers(self, sizes: Sizes) -> bool:
        """Whether every element of padded images of these sizes is in exactly one window."""
        return self.kernel == self.stride and {*self.dilation} == {1} and not any(map(mod, sizes, self.kernel))

    def outputs(self, sizes: Sizes) -> Sizes:
        """The number of windows along each axis of an image of these sizes."""
        return tuple(
            (size - reach - 1) // stride + 1
            for size, reach, stride in zip(self.padded(sizes), self.reach, self.stride, strict=True)
        )

    def inputs(self, outputs: Sizes) -> Sizes:
        """The smallest sizes of an image with these numbers of windows along each axis."""
        return tuple(
            (count - 1) * stride + reach + 1 - sum(padding)
            for count, stride, reach, padding in zip(outputs, self.stride, self.reach, self.padding, strict=True)
        )

    def places(self, sizes: Sizes) -> list[list[Any]]:
        """For each axis of padded images and each element of a window, the slice that selects it in every window."""
        return [
            [slice(i, i + size - reach, stride) for i in range(0, dilation * kernel, dilation)]
            for size, reach, kernel, stride, dilation in zip(
                sizes, self.reach, self.kernel, self.stride, self.dilation, strict=True
            )
        ]


@dataclass(frozen=True)
class Adaptive:
    """Windows that divide images into so many parts along each axis.

    Of n elements, part i of m begins at floor(i n / m) and ends before ceil((i + 1) n / m). So parts overlap where m
    does not divide n, and are of different sizes. All are made as large as the largest, by elements of a row and a
    column of padding at the end.

    >>> Adaptive((1, 3), (1, 2)).places((2, 4))  # of one row of 3 elements, and the padding
    [[array([0])], [array([0, 1]), array([1, 2])]]
    """

    sizes: Sizes
    counts: Sizes
    padding: ClassVar = ((0, 1), (0, 1))
    overlaps: ClassVar = True

    @property
    def repeats(self) -> bool:
        """Whether an element of images may have the same place in more than one window."""
        return any(count > size for size, count in zip(self.sizes, self.counts, strict=True))

    def padded(self, sizes: Sizes) -> Sizes:
        return tuple(size + 1 for size in sizes)

    def inside(self, sizes: Sizes) -> Any:
        return ..., slice(-1), slice(-1)

    def covers(self, sizes: Sizes) -> bool:
        return False

    def outputs(self, sizes: Sizes) -> Sizes:
        return self.counts

    def places(self, sizes: Sizes) -> list[list[Any]]:
        """For each axis of padded images and each element of a window, the indices that select it in every window."""
        places = []
        for size, count in zip(self.sizes, self.counts, strict=True):
            parts = np.arange(count)
            starts, ends = parts * size // count, -(-(parts + 1) * size // count)
            places.append([np.where(starts + i < ends, starts + i, size) for i in range(np.max(ends - starts))])
        return places


def sizes_of(name: str, option: str, value: Any, least: int, axes: int = 2, instead: str = "") -> Sizes:
    """An option of one integer, or one for each axis; of a sequence, which has one axis, it is one integer.

    Raises:
        ValueError: it is anything else, too small, or too large to be a size.

    >>> sizes_of("conv2d", "stride", 2, 1), sizes_of("conv2d", "stride", (2, 1), 1)
    ((2, 2), (2, 1))
    """
    is_integer = isinstance(value, int | np.integer)
    values: Any = (value,) * axes if is_integer or axes == 1 else value
    if (
        not isinstance(values, tuple | list)
        or len(values) != axes
        or not all(isinstance(v, int | np.integer) and not isinstance(v, bool) for v in values)
        or not least <= min(values) <= max(values) <= LARGEST
    ):
        expected = {1: "an integer", 2: "one or two integers", 3: "one or three integers"}[axes]
        expected += f" of at least {least}{instead}"
        raise ValueError(f"{name}: {option} must be {expected}, not {value!r:.80}")
    return tuple(map(int, values))


def sliding(name: str, kernel: Any, stride: Any, padding: Any, dilation: Any = 1, *, axes: int = 2) -> Window:
    """A `Window` over this many axes from options of one number, or one for each axis.

    Over a sequence, which has one axis, it is the window over images of height 1.

    Raises:
        ValueError: an option is not an integer or is too small, or padding is "same" with a stride other than 1.

    >>> sliding("conv2d", (3, 3), 1, "same").padding
    ((1, 1), (1, 1))
    """

    def sizes(option: str, value: Any, least: int, instead: str = "") -> Sizes:
        line = (least,) if axes == 1 else ()  # the height: kernel, stride and dilation 1, padding 0
        return line + sizes_of(name, option, value, least, axes, instead)

    window = Window(sizes("kernel_size", kernel, 1), sizes("stride", stride, 1), (), sizes("dilation", dilation, 1))
    is_convolution = "conv" in name.lower() and "transpose" not in name.lower()
    if isinstance(padding, str) and padding == "same" and (is_convolution or "pool" in name.lower()):
        if {*window.stride} != {1}:
            raise ValueError(f"{name}: padding 'same' needs stride 1, not {stride!r}")
        return window._replace(padding=tuple((reach // 2, reach - reach // 2) for reach in window.reach))
    around = sizes("padding", padding, 0, ", or 'same'" if is_convolution else "")
    return window._replace(padding=tuple((size, size) for size in around))


def as_images(x: Any) -> Any:
    """x if it is a Tensor or an array; nested lists become a float32 array, as in `Tensor`."""
    return x if isinstance(x, Tensor | np.ndarray) else np.asarray(x, np.float32)


def check_room(name: str, x: Any, window: Window) -> None:
    """Check that the window fits into the padded images, or sequences.

    Raises:
        ValueError: it does not.
    """
    sizes = (1, *x.shape[2:]) if x.ndim == 3 else x.shape[2:]
    if min(window.outputs(sizes)) < 1:
        options = window.kernel, window.dilation, sizes, window.padding
        kernel, dilation, size, padding = (option[1] if x.ndim == 3 else option for option in options)
        what = {3: "a sequence of length", 4: "an image of", 5: "a volume of"}[x.ndim]
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
