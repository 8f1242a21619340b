"""Convolution of images and sequences: `conv2d` and `conv1d`.

A convolution is bilinear in its input and its weight, and so are its gradients. The three primitives `_correlate` (the
forward), `_input_gradient` and `_weight_gradient` are therefore each other's gradients, to any order. All of them use
`_Columns`: the images are copied once for each element of a kernel row, shifted by its place, and each kernel row is
then one matrix product with a part of that copy. They work on a few images at a time, on all cores.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from .._machine.fused import multiply
from .._machine.threads import blocks, run
from .._registry import differentiable
from ..tensor import Array
from .cases import Case
from .examples import FIRST
from .windows import Pair, Window, as_images, check_room, sliding

NARROW = 32  # matrices with fewer rows are joined into one for all kernel rows
SMALLEST, LARGEST = 1 << 17, 1 << 20  # numbers in the columns of a block; with at most 2**18 it takes a fifth longer


class Layout(NamedTuple):
    """Placement of images in an array of zeros: element i of an axis goes to offset + step * i."""

    sizes: Pair
    offsets: Pair
    steps: Pair


def _padding(window: Window, x: Array) -> Layout:
    """The layout that pads images."""
    (top, bottom), (left, right) = window.padding
    return Layout((x.shape[2] + top + bottom, x.shape[3] + left + right), (top, left), (1, 1))


def _overlap(size: int, offset: int, step: int, count: int, stride: int) -> tuple[slice, slice]:
    """Which of the elements 0, stride, ... (count - 1) * stride of a laid out axis are images, and which of these.

    Element i of the images, of `size` along this axis, is laid out at offset + step * i; step or stride is 1.

    >>> _overlap(4, 1, 1, 3, 2)  # elements 0, 2, 4 of 0 a b c d 0
    (slice(1, 3, 1), slice(1, 5, 2))
    """
    if stride == 1:
        first = max(0, -(offset // step))  # the first element of the images that is laid out at 0 or later
        last = max(first, min(size, (count - 1 - offset) // step + 1))
        return slice(offset + step * first, offset + step * last, step), slice(first, last, 1)
    first = max(0, -(-offset // stride))
    last = max(first, min(count, (size - 1 + offset) // stride + 1))
    return slice(first, last, 1), slice(stride * first - offset, stride * last - offset, stride)


class _Columns:
    """The windows over laid out images as the columns of matrices, for a few images at a time.

    There is one matrix for each kernel row, with kernel width * channels rows, and all of them are parts of one copy of
    the images. Where they would be narrow, or windows skip rows of the images, they are joined into one.

    Attributes:
        images: shape (groups, channels of a group, height, n, width), a view.
        count: the number of matrices.
        shape: groups, kernel rows in a matrix, kernel width, channels of a group, and laid out rows, or the outputs'
            height if the matrices are joined.
    """

    def __init__(self, x: Array, groups: int, layout: Layout, window: Window, outputs: Pair) -> None:
        self.images = x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:]).transpose(1, 2, 3, 0, 4)
        self.layout, self.window, self.outputs = layout, window, outputs
        self.joined = window.stride[0] > 1 or window.kernel[1] * self.images.shape[1] < NARROW
        kernel_rows, height = (window.kernel[0], outputs[0]) if self.joined else (1, layout.sizes[0])
        self.count = window.kernel[0] // kernel_rows
        self.shape = groups, kernel_rows, window.kernel[1], self.images.shape[1], height

    def blocks(self, out_channels: int) -> list[slice]:
        """Slices of a few images each, four or more where they are worth a thread.

        A block is as large as its columns or its outputs, whichever are more.
        """
        size = max(math.prod(self.shape) * self.outputs[1], out_channels * math.prod(self.outputs))
        limit = min(LARGEST, max(SMALLEST, -(-size * self.images.shape[3] // 4)))
        return blocks(self.images.shape[3], size, limit, multiple=4)

    def matrices(self, block: slice) -> list[Array]:
        """Matrices of shape (groups, rows, outputs), outputs in the order height, image, width."""
        images, window, layout = self.images[:, :, :, block], self.window, self.layout
        columns = np.zeros((*self.shape, images.shape[3], self.outputs[1]), images.dtype)
        groups, kernel_rows, *_, height = self.shape
        stride = window.stride[0] if self.joined else 1
        y_step, x_step = layout.steps
        for i, j in itertools.product(range(kernel_rows), range(window.kernel[1])):
            down, right = layout.offsets[0] - i * window.dilation[0], layout.offsets[1] - j * window.dilation[1]
            to_rows, rows = _overlap(images.shape[2], down, y_step, height, stride)
            to_places, places = _overlap(images.shape[4], right, x_step, self.outputs[1], window.stride[1])
            columns[:, i, j, :, to_rows, :, to_places] = images[:, :, rows, :, places]
        starts = [0] if self.joined else range(0, window.dilation[0] * window.kernel[0], window.dilation[0])
        rows_of = [columns[..., i : i + self.outputs[0], :, :] for i in starts]
        return [part.reshape(groups, math.prod(self.shape[1:4]), math.prod(part.shape[4:])) for part in rows_of]

    def of_weight(self, weight: Array) -> Array:
        """A weight as the matrices to multiply them by, shape (matrices, groups, out channels / groups, rows)."""
        groups, joined, width, channels, _ = self.shape
        split = weight.reshape(groups, len(weight) // groups, channels, self.count, joined, width)
        return split.transpose(3, 0, 1, 4, 5, 2).reshape(self.count, *split.shape[:2], joined * width * channels)

    def to_weight(self, matrices: Array) -> Array:
        """The weight of such matrices with their last two axes exchanged."""
        groups, joined, width, channels, _ = self.shape
        split = matrices.reshape(self.count, groups, joined, width, channels, matrices.shape[-1])
        return split.transpose(1, 5, 4, 0, 2, 3).reshape(groups * split.shape[5], channels, *self.window.kernel)


def _correlated(
    x: Array, weight: Array, bias: Array, groups: int, layout: Layout, window: Window, outputs: Pair
) -> Array:
    """The correlation of laid out images with a weight of shape (out channels, in channels / groups, *kernel)."""
    columns = _Columns(x, groups, layout, window, outputs)
    matrices = columns.of_weight(weight)
    y = np.empty((len(x), groups, len(weight) // groups, *outputs), x.dtype)

    def work(block: slice) -> None:
        part = y[block].transpose(1, 2, 3, 0, 4)  # groups, channels, height, images, width
        product = np.empty((*part.shape[:2], math.prod(part.shape[2:])), x.dtype)
        product[...] = bias.reshape(*part.shape[:2], 1)
        for matrix, factor in zip(columns.matrices(block), matrices, strict=True):
            multiply(factor, matrix, product, add=True)
        part[...] = product.reshape(part.shape)

    run(work, columns.blocks(len(weight)))
    return y.reshape(len(x), len(weight), *outputs)


def _no_bias(weight: Any) -> Array:
    return np.zeros(weight.shape[0], weight.dtype)


CONVOLUTIONS = [
    (Window((3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), 1, "n 2 5 4, 3 2 3 2, 3"),
    (Window((2, 3), (2, 1), ((1, 2), (2, 0)), (1, 2)), 1, "2 2 4 5, 1 2 2 3, 1"),
    (Window((2, 2), (3, 2), ((3, 3), (0, 1)), (2, 1)), 2, "2 4 5 4, 6 2 2 2, 6"),
    (Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)), 3, "n 3 2 2, 3 1 1 1, 3"),
]


@differentiable(
    lambda g, y, x, weight, bias, *, window, groups: _input_gradient(
        g, weight, window=window, groups=groups, sizes=x.shape[2:]
    ),
    lambda g, y, x, weight, bias, *, window, groups: _weight_gradient(x, g, window=window, groups=groups),
    lambda g, y, x, weight, bias, *, window, groups: np.sum(g, axis=(2, 3)),  # the backward pass sums over the images
    wide=True,
    examples=FIRST,
    cases=[Case(shapes, kwargs={"window": window, "groups": groups}) for window, groups, shapes in CONVOLUTIONS],
    name="conv2d",
)
def _correlate(x: Array, weight: Array, bias: Array, window: Window, groups: int) -> Array:
    return _correlated(x, weight, bias, groups, _padding(window, x), window, window.outputs(x.shape[2:]))


def _flipped(weight: Array, groups: int) -> Array:
    """The weight of the transposed convolution, shape (in channels, out channels / groups, *kernel)."""
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:]).swapaxes(1, 2)
    return split[..., ::-1, ::-1].reshape(groups * split.shape[1], *split.shape[2:])


@differentiable(
    lambda g, y, x, weight, *, window, groups, sizes: _correlate(
        g, weight, _no_bias(weight), window=window, groups=groups
    ),
    lambda g, y, x, weight, *, window, groups, sizes: _weight_gradient(g, x, window=window, groups=groups),
    wide=True,
    cases=[Case("n 3 3 3, 3 2 3 2", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1, "sizes": (5, 4)})],
    name="conv2d",
)
def _input_gradient(x: Array, weight: Array, window: Window, groups: int, sizes: Pair) -> Array:
    """The gradient of a convolution's input, of height and width `sizes`, given the gradient x of its output."""
    down, across = window.reach
    offsets = down - window.padding[0][0], across - window.padding[1][0]
    layout = Layout((sizes[0] + down, sizes[1] + across), offsets, window.stride)
    flipped = _flipped(weight, groups)
    return _correlated(x, flipped, _no_bias(flipped), groups, layout, window._replace(stride=(1, 1)), sizes)


@differentiable(
    lambda g, y, x, other, *, window, groups: _input_gradient(
        other, g, window=window, groups=groups, sizes=x.shape[2:]
    ),
    lambda g, y, x, other, *, window, groups: _correlate(x, g, _no_bias(g), window=window, groups=groups),
    wide=True,
    cases=[Case("n 2 5 4, n 3 3 3", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1})],
    name="conv2d",
)
def _weight_gradient(x: Array, other: Array, window: Window, groups: int) -> Array:
    """The gradient of a convolution's weight, given its input x and the gradient `other` of its output."""
    columns = _Columns(x, groups, _padding(window, x), window, other.shape[2:])
    split = other.reshape(len(other), groups, other.shape[1] // groups, *columns.outputs).transpose(1, 2, 3, 0, 4)
    shape = columns.count, groups, math.prod(columns.shape[1:4]), split.shape[1]

    def work(block: slice) -> Array:
        part = split[:, :, :, block]
        gradient = part.reshape(groups, split.shape[1], math.prod(part.shape[2:]))
        products = np.empty(shape, x.dtype)
        for matrix, product in zip(columns.matrices(block), products, strict=True):
            multiply(matrix, gradient.swapaxes(1, 2), product)
        return products

    return columns.to_weight(sum(run(work, columns.blocks(other.shape[1])), np.zeros(shape, x.dtype)))


def conv2d(
    x: Any, weight: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """2-D convolution (cross-correlation) of images with a weight.

    Args:
        x: shape (n, channels, height, width), floating point.
        weight: shape (out_channels, channels / groups, kernel height, kernel width), with the dtype of x.
        bias: shape (out_channels,), or None; with the dtype of x.
        stride: the step between windows; one number, or one for height and one for width.
        padding: the number of zeros on each side; one or two numbers as for `stride`, or "same" for an output of the
            input's size, which needs a stride of 1.
        dilation: the distance between the elements of a window; one or two numbers as for `stride`.
        groups: the number of groups that input and output channels are divided into; an output channel depends only
            on the input channels of its own group.

    Returns:
        Shape (n, out_channels, *sizes), size = (input + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1.

    Raises:
        TypeError: x, weight and bias are not of one floating point dtype.
        ValueError: shapes or options do not match, or the kernel is larger than the padded image.

    Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning" (2016), relationships 6, 14.

    >>> from tinygrad_np import Tensor
    >>> conv2d(Tensor([[[[1.0, 2.0, 3.0]]]]), Tensor([[[[1.0, 10.0]]]]))
    Tensor([[[[21., 32.]]]], dtype=float32)
    """
    x, weight = as_images(x), as_images(weight)
    _check_ranks("conv2d", x, weight, 4)
    window = sliding("conv2d", weight.shape[2:], stride, padding, dilation)
    _check_convolution("conv2d", x, weight, bias, window, groups)
    return _correlate(x, weight, _no_bias(weight) if bias is None else bias, window=window, groups=groups)


def conv1d(
    x: Any, weight: Any, bias: Any = None, *, stride: int = 1, padding: Any = 0, dilation: int = 1, groups: int = 1
) -> Any:
    """1-D convolution (cross-correlation) of sequences; see `conv2d`.

    Args:
        x: shape (n, channels, length), floating point.
        weight: shape (out_channels, channels / groups, kernel length), with the dtype of x.
        bias, stride, padding, dilation, groups: as for `conv2d`, with one number each for stride, padding and dilation.

    Raises:
        TypeError, ValueError: as for `conv2d`.

    >>> from tinygrad_np import Tensor
    >>> conv1d(Tensor([[[1.0, 2.0, 3.0]]]), Tensor([[[1.0, 10.0]]]), padding=1)
    Tensor([[[10., 21., 32.,  3.]]], dtype=float32)
    """
    x, weight = as_images(x), as_images(weight)
    _check_ranks("conv1d", x, weight, 3)
    window = sliding("conv1d", weight.shape[2], stride, padding, dilation, axes=1)
    _check_convolution("conv1d", x, weight, bias, window, groups)
    x, weight = np.expand_dims(x, 2), np.expand_dims(weight, 2)
    bias = _no_bias(weight) if bias is None else bias
    return np.squeeze(_correlate(x, weight, bias, window=window, groups=groups), 2)


def _check_ranks(name: str, x: Any, weight: Any, rank: int) -> None:
    axes = "(n, channels, height, width)" if rank == 4 else "(n, channels, length)"
    if np.ndim(x) != rank or np.ndim(weight) != rank:
        raise ValueError(
            f"{name}: expected x of shape {axes} and a weight of {rank} axes, not {np.shape(x)} and {np.shape(weight)}"
        )


def _check_convolution(name: str, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> None:
    channels, out_channels = x.shape[1], weight.shape[0]
    if x.dtype.kind != "f" or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        given = f"{x.dtype} and {weight.dtype}" if bias is None else f"{x.dtype}, {weight.dtype} and {bias.dtype}"
        raise TypeError(f"{name}: x, weight and bias must have the same floating point dtype, not {given}")
    if not isinstance(groups, int | np.integer) or groups < 1:
        raise ValueError(f"{name}: groups must be a positive integer, not {groups!r}")
    if out_channels % groups:
        raise ValueError(
            f"{name}: groups={groups} does not divide the {out_channels} output channels of a weight of shape"
            f" {weight.shape}"
        )
    if groups * weight.shape[1] != channels:
        raise ValueError(
            f"{name}: a weight of shape {weight.shape} with groups={groups} needs {groups * weight.shape[1]} input"
            f" channels, but x of shape {x.shape} has {channels}"
        )
    if bias is not None and np.shape(bias) != (out_channels,):
        raise ValueError(f"{name}: bias must have shape ({out_channels},), not {np.shape(bias)}")
    check_room(name, x, window)
