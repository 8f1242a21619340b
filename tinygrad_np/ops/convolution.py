"""Convolution of images and sequences: `conv2d` and `conv1d`.

A convolution is bilinear in its input and its weight, and so are its gradients. The three primitives `_correlate` (the
forward), `_input_gradient` and `_weight_gradient` are therefore each other's gradients, to any order. All of them use
`_parts`: the windows along the width are copied once, and each kernel row is then one matrix product with them. They
work on a few images at a time, on all cores.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .._machine.fused import multiply
from .._machine.threads import blocks, run
from ..tensor import Array, differentiable
from .cases import Case
from .windows import Pair, Window, as_images, check_room, sliding

NARROW = 32  # matrices with fewer columns are joined into one for all kernel rows: 12 ms against 13 for one channel
BLOCK = 1 << 19  # input or output elements per block: 2 MB of float32, a level-2 cache; the best of 2**15 to 2**19


class Layout(NamedTuple):
    """Placement of images in an array of zeros: element i of an axis goes to offset + step * i."""

    sizes: Pair
    offsets: Pair
    steps: Pair


def _padding(window: Window, x: Array) -> Layout:
    """The layout that pads images."""
    (top, bottom), (left, right) = window.padding
    return Layout((x.shape[2] + top + bottom, x.shape[3] + left + right), (top, left), (1, 1))


def _laid_out(x: Array, groups: int, layout: Layout) -> Array:
    """Images placed by a layout, shape (groups, height, n, width, channels of a group)."""
    n, channels = x.shape[:2]
    laid = np.zeros((groups, layout.sizes[0], n, layout.sizes[1], channels // groups), x.dtype)
    sources, targets = [], []
    for size, offset, step, count in zip(*layout, x.shape[2:], strict=True):
        first = max(0, -(offset // step))  # the first element with a place of at least 0
        last = max(first, min(count, (size - 1 - offset) // step + 1))
        sources.append(slice(first, last))
        targets.append(slice(offset + step * first, offset + step * last, step))
    split = x.reshape(n, groups, channels // groups, *x.shape[2:]).transpose(1, 3, 0, 4, 2)
    laid[:, targets[0], :, targets[1]] = split[:, sources[0], :, sources[1]]
    return laid


def _parts(x: Array, groups: int, layout: Layout, window: Window, outputs: Pair) -> list[Array]:
    """For each kernel row, the part of every window that it is multiplied by.

    Each part has shape (groups, windows, kernel width * channels). The windows along the width are copied once, and
    every part is a slice of that copy. Narrow parts are concatenated into one matrix for all kernel rows.
    """
    laid = _laid_out(x, groups, layout)
    by_group, by_row, by_image, by_column, by_channel = laid.strides
    view = np.lib.stride_tricks.as_strided(
        laid,
        (*laid.shape[:3], outputs[1], window.kernel[1], laid.shape[4]),
        (by_group, by_row, by_image, by_column * window.stride[1], by_column * window.dilation[1], by_channel),
        writeable=False,
    )
    bands = np.ascontiguousarray(view).reshape(*view.shape[:4], window.kernel[1] * laid.shape[4])
    last = window.stride[0] * (outputs[0] - 1) + 1
    starts = range(0, window.dilation[0] * window.kernel[0], window.dilation[0])
    windows = outputs[0] * laid.shape[2] * outputs[1]
    parts = [bands[:, i : i + last : window.stride[0]].reshape(groups, windows, bands.shape[-1]) for i in starts]
    if groups == 1 and bands.shape[-1] < NARROW:
        return [np.concatenate(parts, axis=-1)]
    return parts


def _blocks(x: Array, layout: Layout, window: Window, outputs: Pair, out_channels: int) -> list[slice]:
    """Slices of a few images each, so that a block fits into a level-2 cache, and as many for each of four threads."""
    per_image = outputs[1] * max(layout.sizes[0] * window.kernel[1] * x.shape[1], outputs[0] * out_channels)
    return blocks(len(x), per_image, BLOCK, multiple=4)


def _correlated(
    x: Array, weight: Array, bias: Array, groups: int, layout: Layout, window: Window, outputs: Pair
) -> Array:
    """The correlation of laid out images with a weight of shape (out channels, in channels / groups, *kernel)."""
    split = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    matrix = split.transpose(3, 0, 4, 2, 1)  # kernel rows, groups, kernel width, channels in and out
    y = np.empty((len(x), groups, split.shape[1], *outputs), x.dtype)

    def work(block: slice) -> None:
        parts = _parts(x[block], groups, layout, window, outputs)
        matrices = matrix.reshape(len(parts), groups, parts[0].shape[2], split.shape[1])
        product = np.empty((groups, parts[0].shape[1], split.shape[1]), x.dtype)
        for i, (part, factor) in enumerate(zip(parts, matrices, strict=True)):
            multiply(part, factor, product, add=i > 0)  # BLAS adds while it multiplies
        product += bias.reshape(groups, 1, -1)
        shape = groups, outputs[0], len(x[block]), outputs[1], split.shape[1]
        y[block] = product.reshape(shape).transpose(2, 0, 4, 1, 3)

    run(work, _blocks(x, layout, window, outputs, len(weight)))
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
    outputs, channels = other.shape[2:], x.shape[1] // groups
    layout = _padding(window, x)
    split = other.reshape(len(other), groups, other.shape[1] // groups, *outputs)

    def work(block: slice) -> Array:
        matrix = split[block].transpose(1, 3, 0, 4, 2)
        matrix = matrix.reshape(groups, math.prod(matrix.shape[1:4]), split.shape[2])
        parts = _parts(x[block], groups, layout, window, outputs)
        products = np.empty((len(parts), groups, parts[0].shape[2], split.shape[2]), x.dtype)
        for part, product in zip(parts, products, strict=True):
            multiply(part.swapaxes(1, 2), matrix, product)
        return products

    by_kernel = np.zeros((window.kernel[0], groups, window.kernel[1], channels, split.shape[2]), x.dtype)
    for of_block in run(work, _blocks(x, layout, window, outputs, other.shape[1])):
        by_kernel += of_block.reshape(by_kernel.shape)
    return by_kernel.transpose(1, 4, 3, 0, 2).reshape(other.shape[1], channels, *window.kernel)


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
