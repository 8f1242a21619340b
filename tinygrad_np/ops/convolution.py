"""Convolution of images, sequences and volumes, and transposed convolution: `conv2d`, `conv_transpose2d` and others.

A convolution is bilinear in its input and its weight, and so are its gradients. The three primitives `_correlate` (the
forward), `_transposed` (the gradient of its input) and `_weight_gradient` are therefore each other's gradients, to any
order. All of them use `_Columns`: the images are copied once for each element of a kernel row, shifted by its place,
and each kernel row is then one matrix product with a part of that copy. They work on a few images at a time, on all
cores.
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
from .windows import Sizes, Window, as_images, check_room, sizes_of, sliding

NARROW = 32  # matrices with fewer rows are joined into one for all kernel rows
SMALLEST, LARGEST = 1 << 17, 1 << 20  # numbers in the columns of a block; with at most 2**18 it takes a fifth longer


class Layout(NamedTuple):
    """Placement of images in an array of zeros: element i of an axis goes to offset + i."""

    sizes: Sizes
    offsets: Sizes


def _padding(window: Window, x: Array) -> Layout:
    """The layout that pads images."""
    return Layout(window.padded(x.shape[2:]), tuple(before for before, _ in window.padding))


def _overlap(size: int, offset: int, count: int, stride: int) -> tuple[slice, slice]:
    """Which of the elements 0, stride, ... (count - 1) * stride of a laid out axis are images, and which of these.

    Element i of the images, of `size` along this axis, is laid out at offset + i.

    >>> _overlap(4, 1, 3, 2)  # elements 0, 2, 4 of 0 a b c d 0
    (slice(1, 3, 1), slice(1, 5, 2))
    """
    first = max(0, -(-offset // stride))
    last = max(first, min(count, (size - 1 + offset) // stride + 1))
    return slice(first, last, 1), slice(stride * first - offset, stride * last - offset, stride)


class _Columns:
    """The windows over laid out images as the columns of matrices, for a few images at a time.

    There is one matrix for each kernel row, with channels * other kernel sizes rows, and all of them are parts of one
    copy of the images; a kernel row is what is left of a kernel for one index of its first axis. Where they would be
    narrow, or windows skip rows of the images, they are joined into one.

    Attributes:
        images: shape (groups, channels of a group, height, n, *other sizes), a view.
        count: the number of matrices.
        shape: groups, kernel rows in a matrix, other kernel sizes, channels of a group, and laid out rows, or the
            outputs' height if the matrices are joined.
    """

    def __init__(self, x: Array, groups: int, layout: Layout, window: Window, outputs: Sizes) -> None:
        self.images = _images_inside(x.reshape(len(x), groups, x.shape[1] // groups, *x.shape[2:]))
        self.layout, self.window, self.outputs = layout, window, outputs
        channels, (rows, *others) = self.images.shape[1], window.kernel
        self.joined = window.stride[0] > 1 or math.prod(others) * channels < NARROW
        kernel_rows, height = (rows, outputs[0]) if self.joined else (1, layout.sizes[0])
        self.count = rows // kernel_rows
        self.shape = groups, kernel_rows, *others, channels, height

    def blocks(self, out_channels: int) -> list[slice]:
        """Slices of a few images each, four or more where they are worth a thread.

        A block is as large as its columns or its outputs, whichever are more.
        """
        size = max(math.prod(self.shape) * math.prod(self.outputs[1:]), out_channels * math.prod(self.outputs))
        limit = min(LARGEST, max(SMALLEST, -(-size * self.images.shape[3] // 4)))
        return blocks(self.images.shape[3], size, limit, multiple=4)

    def matrices(self, block: slice) -> list[Array]:
        """Matrices of shape (groups, rows, outputs), outputs in the order height, image, other sizes."""
        images, window = self.images[:, :, :, block], self.window
        columns = np.zeros((*self.shape, images.shape[3], *self.outputs[1:]), images.dtype)
        groups, *kernel, _, height = self.shape
        counts, strides = (height, *self.outputs[1:]), (window.stride[0] if self.joined else 1, *window.stride[1:])
        sizes = images.shape[2], *images.shape[4:]
        for place in itertools.product(*map(range, kernel)):
            moved = [o - i * d for o, i, d in zip(self.layout.offsets, place, window.dilation, strict=True)]
            (to_rows, rows), *others = map(_overlap, sizes, moved, counts, strides)
            to: Any = (slice(None), *place, slice(None), to_rows, slice(None), *(to for to, _ in others))
            columns[to] = images[:, :, rows, :, *(part for _, part in others)]
        starts = [0] if self.joined else range(0, window.dilation[0] * window.kernel[0], window.dilation[0])
        before: Any = (slice(None),) * (len(self.shape) - 1)
        rows_of = [columns[(*before, slice(i, i + self.outputs[0]))] for i in starts]
        matrix = groups, math.prod(self.shape[1:-1])
        return [part.reshape(*matrix, math.prod(part.shape[len(before) :])) for part in rows_of]

    def of_weight(self, weight: Array) -> Array:
        """A weight as the matrices to multiply them by, shape (matrices, groups, out channels / groups, rows)."""
        groups, joined, *others, channels, _ = self.shape
        split = weight.reshape(groups, len(weight) // groups, channels, self.count, joined, *others)
        rows = split.transpose(3, 0, 1, *range(4, split.ndim), 2)
        return rows.reshape(self.count, *split.shape[:2], math.prod(self.shape[1:-1]))

    def to_weight(self, matrices: Array) -> Array:
        """The weight of such matrices with their last two axes exchanged."""
        groups, joined, *others, channels, _ = self.shape
        split = matrices.reshape(self.count, groups, joined, *others, channels, matrices.shape[-1])
        ordered = split.transpose(1, split.ndim - 1, split.ndim - 2, 0, *range(2, split.ndim - 2))
        weight = np.empty((groups * matrices.shape[-1], channels, *self.window.kernel), matrices.dtype)
        weight.reshape(ordered.shape)[...] = ordered
        return weight  # an array of its own, which a leaf's gradient must be, and not a reshaped copy


def _images_inside(x: Array) -> Array:
    """Images of shape (n, groups, channels, height, *others) as (groups, channels, height, n, *others)."""
    return x.transpose(1, 2, 3, 0, *range(4, x.ndim))


def _correlated(x: Array, weight: Array, bias: Array, groups: int, layout: Layout, window: Window, y: Array) -> None:
    """y <- the correlation of laid out images with a weight of shape (out channels, in channels / groups, *kernel).

    y has shape (n, groups, out channels / groups, *outputs).
    """
    columns = _Columns(x, groups, layout, window, y.shape[3:])
    matrices = columns.of_weight(weight)

    def work(block: slice) -> None:
        part = _images_inside(y[block])
        product = np.empty((*part.shape[:2], math.prod(part.shape[2:])), x.dtype)
        product[...] = bias.reshape(*part.shape[:2], 1)
        for matrix, factor in zip(columns.matrices(block), matrices, strict=True):
            multiply(factor, matrix, product, add=True)
        part[...] = product.reshape(part.shape)

    run(work, columns.blocks(len(weight)))


def _no_bias(weight: Any) -> Array:
    return np.zeros(weight.shape[0], weight.dtype)


def _sum_of_each_channel(g: Any) -> Any:
    return np.sum(g, axis=tuple(range(2, g.ndim)))  # the backward pass sums over the images


CONVOLUTIONS = [
    (Window((3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), 1, "n 2 5 4, 3 2 3 2, 3"),
    (Window((2, 3), (2, 1), ((1, 2), (2, 0)), (1, 2)), 1, "2 2 4 5, 1 2 2 3, 1"),
    (Window((2, 2), (3, 2), ((3, 3), (0, 1)), (2, 1)), 2, "2 4 5 4, 6 2 2 2, 6"),
    (Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)), 3, "n 3 2 2, 3 1 1 1, 3"),
    (Window((2, 1, 2), (1, 2, 1), ((1, 0), (0, 1), (1, 0)), (1, 1, 2)), 2, "n 4 2 2 2, 2 2 2 1 2, 2"),
]


@differentiable(
    lambda g, y, x, weight, bias, *, window, groups: _transposed(
        g, weight, _no_bias_of_inputs(weight, groups), window=window, groups=groups, sizes=x.shape[2:]
    ),
    lambda g, y, x, weight, bias, *, window, groups: _weight_gradient(x, g, window=window, groups=groups),
    lambda g, y, x, weight, bias, *, window, groups: _sum_of_each_channel(g),
    wide=True,
    examples=FIRST,
    cases=[Case(shapes, kwargs={"window": window, "groups": groups}) for window, groups, shapes in CONVOLUTIONS],
    name="conv2d",
)
def _correlate(x: Array, weight: Array, bias: Array, window: Window, groups: int) -> Array:
    y = np.empty((len(x), groups, len(weight) // groups, *window.outputs(x.shape[2:])), x.dtype)
    _correlated(x, weight, bias, groups, _padding(window, x), window, y)
    return y.reshape(len(x), len(weight), *y.shape[3:])


def _no_bias_of_inputs(weight: Any, groups: int) -> Array:
    return np.zeros(weight.shape[1] * groups, weight.dtype)


def _flipped(weight: Array, groups: int) -> Array:
    """The weight of the transposed convolution, shape (in channels, out channels / groups, *kernel)."""
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:]).swapaxes(1, 2)
    backwards: Any = (..., *[slice(None, None, -1)] * (weight.ndim - 2))
    return np.asarray(split[backwards]).reshape(groups * split.shape[1], *split.shape[2:])


class Phase(NamedTuple):
    """The places remainder, remainder + stride, ... of a transposed convolution's output along one axis.

    They take only some elements of the kernel, and are a convolution with stride 1 of the input by these.
    """

    places: slice
    elements: slice
    dilation: int
    offset: int  # of the input in its layout


def _phases(size: int, kernel: int, stride: int, padding: int, dilation: int) -> list[Phase]:
    """The phases of an axis of this size that takes the inputs i at stride * i + dilation * element - padding.

    >>> _phases(6, 3, 2, 0, 1)
    [Phase(places=slice(0, 6, 2), elements=slice(0, 3, 2), dilation=1, offset=1), \
Phase(places=slice(1, 6, 2), elements=slice(1, 3, 2), dilation=1, offset=0)]
    """
    common = math.gcd(stride, dilation)
    step, dilated = stride // common, dilation // common
    phases = []
    for remainder in range(min(stride, size)):
        place = remainder + padding
        first = next((i for i in range(min(step, kernel)) if (place - dilation * i) % stride == 0), kernel)
        count = len(range(first, kernel, step))
        offset = dilated * (count - 1) - (place - dilation * first) // stride
        phases.append(Phase(slice(remainder, size, stride), slice(first, kernel, step), dilated, offset))
    return phases


@differentiable(
    lambda g, y, x, weight, bias, *, window, groups, sizes: _correlate(
        g, weight, _no_bias(weight), window=window, groups=groups
    ),
    lambda g, y, x, weight, bias, *, window, groups, sizes: _weight_gradient(g, x, window=window, groups=groups),
    lambda g, y, x, weight, bias, *, window, groups, sizes: _sum_of_each_channel(g),
    wide=True,
    examples=FIRST,
    cases=[
        Case("n 3 3 3, 3 2 3 2, 2", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1, "sizes": (5, 4)}),
        Case("2 4 2 3, 4 1 2 3, 2", kwargs={"window": Window((2, 3), (3, 2), ((1, 0), (2, 1)), (1, 2)), "groups": 2,
                                            "sizes": (5, 7)}),
        Case("1 2 2 1 2, 2 1 1 2 2, 1", kwargs={"window": Window((1, 2, 2), (1, 2, 2), ((0, 0), (0, -1), (1, 1)),
                                            (1, 2, 1)), "groups": 1, "sizes": (2, 4, 2)}),
    ],
    name="conv_transpose2d",
)  # fmt: skip
def _transposed(x: Array, weight: Array, bias: Array, window: Window, groups: int, sizes: Sizes) -> Array:
    """The gradient of a convolution's input, of these sizes, given the gradient x of its output; and a bias."""
    y = np.empty((len(x), groups, weight.shape[1], *sizes), x.dtype)
    paddings = [before for before, _ in window.padding]
    axes = map(_phases, sizes, window.kernel, window.stride, paddings, window.dilation)
    for phases in itertools.product(*axes):
        part = y[:, :, :, *(phase.places for phase in phases)]
        elements = weight[:, :, *(phase.elements for phase in phases)]
        if 0 in elements.shape[2:]:
            part[...] = bias.reshape(groups, -1, *[1] * len(sizes))
            continue
        dilation = tuple(phase.dilation for phase in phases)
        within = Window(elements.shape[2:], (1,) * len(sizes), ((0, 0),) * len(sizes), dilation)
        layout = Layout(within.inputs(part.shape[3:]), tuple(phase.offset for phase in phases))
        _correlated(x, _flipped(elements, groups), bias, groups, layout, within, part)
    return y.reshape(len(x), groups * weight.shape[1], *sizes)


@differentiable(
    lambda g, y, x, other, *, window, groups: _transposed(
        other, g, _no_bias_of_inputs(g, groups), window=window, groups=groups, sizes=x.shape[2:]
    ),
    lambda g, y, x, other, *, window, groups: _correlate(x, g, _no_bias(g), window=window, groups=groups),
    wide=True,
    cases=[
        Case("n 2 5 4, n 3 3 3", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1}),
        Case("n 4 2 2 2, n 2 2 2 1", kwargs={"window": CONVOLUTIONS[4][0], "groups": 2}),
    ],
    name="conv2d",
)
def _weight_gradient(x: Array, other: Array, window: Window, groups: int) -> Array:
    """The gradient of a convolution's weight, given its input x and the gradient `other` of its output."""
    columns = _Columns(x, groups, _padding(window, x), window, other.shape[2:])
    split = _images_inside(other.reshape(len(other), groups, other.shape[1] // groups, *columns.outputs))
    shape = columns.count, groups, math.prod(columns.shape[1:-1]), split.shape[1]

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
    return _convolution("conv2d", x, weight, bias, stride, padding, dilation, groups, axes=2)


def conv3d(
    x: Any, weight: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """3-D convolution (cross-correlation) of volumes, or of videos; see `conv2d`.

    Args:
        x: shape (n, channels, depth, height, width), floating point.
        weight: shape (out_channels, channels / groups, *kernel sizes), with the dtype of x.
        bias, stride, padding, dilation, groups: as for `conv2d`, with one number or three.

    Raises:
        TypeError, ValueError: as for `conv2d`.

    >>> from tinygrad_np import Tensor
    >>> conv3d(Tensor([[[[[1.0, 2.0, 3.0]]]]]), Tensor([[[[[1.0, 10.0]]]]]))
    Tensor([[[[[21., 32.]]]]], dtype=float32)
    """
    return _convolution("conv3d", x, weight, bias, stride, padding, dilation, groups, axes=3)


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
    return _convolution("conv1d", x, weight, bias, stride, padding, dilation, groups, axes=1)


def _convolution(
    name: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any, axes: int
) -> Any:
    x, weight = as_images(x), as_images(weight)
    _check_operands(name, x, weight, bias, groups, axes)
    window = sliding(name, weight.shape[2:] if axes > 1 else weight.shape[2], stride, padding, dilation, axes=axes)
    out_channels = weight.shape[0]
    if out_channels % groups:
        raise ValueError(
            f"{name}: groups={groups} does not divide the {out_channels} output channels of a weight of shape"
            f" {weight.shape}"
        )
    _check_channels(name, x, weight, bias, groups, groups * weight.shape[1], out_channels)
    check_room(name, x, window)
    bias = _no_bias(weight) if bias is None else bias
    if axes > 1:
        return _correlate(x, weight, bias, window=window, groups=groups)
    x, weight = np.expand_dims(x, 2), np.expand_dims(weight, 2)
    return np.squeeze(_correlate(x, weight, bias, window=window, groups=groups), 2)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """2-D transposed convolution of images: the gradient of `conv2d` with this weight, for its input.

    Each element of x adds its product with the kernel to a window of the output. With a stride the images grow.

    Args:
        x: shape (n, channels, height, width), floating point.
        weight: shape (channels, out_channels / groups, kernel height, kernel width), with the dtype of x.
        bias: shape (out_channels,), or None; with the dtype of x.
        stride: the step between the windows of the output; one number, or one for height and one for width.
        padding: how much is cut off on each side of the output; one or two numbers as for `stride`.
        output_padding: how much longer the output is at its end, which chooses among the sizes that `conv2d` takes to
            the size of x; one or two numbers, less than the stride or the dilation.
        groups: the number of groups that input and output channels are divided into.
        dilation: the distance between the elements of a window; one or two numbers as for `stride`.

    Returns:
        Shape (n, out_channels, *sizes), size = (input - 1) * stride - 2 * padding + dilation * (kernel - 1)
        + output_padding + 1.

    Raises:
        TypeError: x, weight and bias are not of one floating point dtype.
        ValueError: shapes or options do not match, or nothing is left of the output.

    Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning" (2016), relationship 14.

    >>> from tinygrad_np import Tensor
    >>> conv_transpose2d(Tensor([[[[1.0, 2.0]]]]), Tensor([[[[1.0, 10.0]]]]), stride=2)
    Tensor([[[[ 1., 10.,  2., 20.]]]], dtype=float32)
    """
    return _convolution_transposed(
        "conv_transpose2d", x, weight, bias, stride, padding, output_padding, groups, dilation, axes=2
    )


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    groups: int = 1,
    dilation: int = 1,
) -> Any:
    """1-D transposed convolution of sequences; see `conv_transpose2d`.

    Args:
        x: shape (n, channels, length), floating point.
        weight: shape (channels, out_channels / groups, kernel length), with the dtype of x.
        bias, stride, padding, output_padding, groups, dilation: as for `conv_transpose2d`, with one number each.

    Raises:
        TypeError, ValueError: as for `conv_transpose2d`.

    >>> from tinygrad_np import Tensor
    >>> conv_transpose1d(Tensor([[[1.0, 2.0]]]), Tensor([[[1.0, 10.0]]]))
    Tensor([[[ 1., 12., 20.]]], dtype=float32)
    """
    return _convolution_transposed(
        "conv_transpose1d", x, weight, bias, stride, padding, output_padding, groups, dilation, axes=1
    )


def transposing(
    name: str, kernel: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any, *, axes: int
) -> Window:
    """The window of the convolution that a transposed convolution is the gradient of, by the options of the latter.

    Its padding after is less by output_padding, so that its images have one size only for each size of the output.

    Raises:
        ValueError: as for `sliding`, or output_padding is neither less than the stride nor than the dilation.

    >>> transposing("conv_transpose2d", 3, 2, 1, 1, 1, axes=2).padding
    ((1, 0), (1, 0))
    """
    window = sliding(name, kernel, stride, padding, dilation, axes=axes)
    longer = (0,) * (2 - axes) + sizes_of(name, "output_padding", output_padding, 0, axes)
    if any(more >= max(pair) for more, *pair in zip(longer, window.stride, window.dilation, strict=True)):
        raise ValueError(
            f"{name}: output_padding must be less than the stride or the dilation, not {output_padding!r} with stride"
            f" {stride!r} and dilation {dilation!r}"
        )
    paddings = zip(window.padding, longer, strict=True)
    return window._replace(padding=tuple((before, after - more) for (before, after), more in paddings))


def _convolution_transposed(
    name: str,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
    axes: int,
) -> Any:
    x, weight = as_images(x), as_images(weight)
    _check_operands(name, x, weight, bias, groups, axes)
    kernel = weight.shape[2:] if axes > 1 else weight.shape[2]
    window = transposing(name, kernel, stride, padding, output_padding, dilation, axes=axes)
    channels = weight.shape[0]
    if channels % groups:
        raise ValueError(
            f"{name}: groups={groups} does not divide the {channels} input channels of a weight of shape {weight.shape}"
        )
    _check_channels(name, x, weight, bias, groups, channels, groups * weight.shape[1])
    bias = _no_bias_of_inputs(weight, groups) if bias is None else bias
    if axes == 1:
        x, weight = np.expand_dims(x, 2), np.expand_dims(weight, 2)
    sizes = window.inputs(x.shape[2:])
    if 0 in x.shape[2:] or min(sizes) < 1:
        raise ValueError(f"{name}: nothing is left of the output for x of shape {x.shape} and padding {padding!r}")
    y = _transposed(x, weight, bias, window=window, groups=groups, sizes=sizes)
    return np.squeeze(y, 2) if axes == 1 else y


AXES = {1: "length", 2: "height, width", 3: "depth, height, width"}


def _check_operands(name: str, x: Any, weight: Any, bias: Any, groups: Any, axes: int) -> None:
    if np.ndim(x) != axes + 2 or np.ndim(weight) != axes + 2:
        raise ValueError(
            f"{name}: expected x of shape (n, channels, {AXES[axes]}) and a weight of {axes + 2} axes, not"
            f" {np.shape(x)} and {np.shape(weight)}"
        )
    if x.dtype.kind != "f" or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        given = f"{x.dtype} and {weight.dtype}" if bias is None else f"{x.dtype}, {weight.dtype} and {bias.dtype}"
        raise TypeError(f"{name}: x, weight and bias must have the same floating point dtype, not {given}")
    if not isinstance(groups, int | np.integer) or groups < 1:
        raise ValueError(f"{name}: groups must be a positive integer, not {groups!r}")


def _check_channels(
    name: str, x: Any, weight: Any, bias: Any, groups: int, in_channels: int, out_channels: int
) -> None:
    if x.shape[1] != in_channels:
        raise ValueError(
            f"{name}: a weight of shape {weight.shape} with groups={groups} needs {in_channels} input channels, but x"
            f" of shape {x.shape} has {x.shape[1]}"
        )
    if bias is not None and np.shape(bias) != (out_channels,):
        raise ValueError(f"{name}: bias must have shape ({out_channels},), not {np.shape(bias)}")
