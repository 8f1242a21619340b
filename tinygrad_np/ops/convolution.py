"""Convolutions of images and sequences.

A convolution is bilinear in its input and its weight, and so are its gradients: the three functions `_correlate` (the
forward), `_spread` (the gradient of the input) and `_compare` (the gradient of the weight) are each other's gradients,
to any order. All of them run on `_parts`: windows along the width, written down once, whose products with one row of
the kernel after the other are products of matrices; a few images at a time, on all cores.
"""

from typing import Any, NamedTuple

import numpy as np

from .._machine.arrays import Product
from .._machine.fused import scale_and_add
from .._machine.threads import run
from ..tensor import Array, differentiable
from .cases import Case
from .windows import Pair, Window, as_images, check_room, sliding

NARROW = 32  # columns of a matrix, below which all rows of the kernel stand in one: 12 ms against 13 for one channel
BLOCK = 1 << 19  # elements, in or out: 2 MB of float32, a level-2 cache; of 2 ** 15 to 2 ** 19 the best


class Layout(NamedTuple):
    """Where the elements of images go before windows slide over them: to offset + step * index, zeros elsewhere."""

    sizes: Pair
    offsets: Pair
    steps: Pair


def _padding(window: Window, x: Array) -> Layout:
    """The images, padded."""
    (top, bottom), (left, right) = window.padding
    return Layout((x.shape[2] + top + bottom, x.shape[3] + left + right), (top, left), (1, 1))


def _laid_out(x: Array, groups: int, layout: Layout) -> Array:
    """Images as (groups, height, n, width, channels of a group)."""
    n, channels = x.shape[:2]
    laid = np.zeros((groups, layout.sizes[0], n, layout.sizes[1], channels // groups), x.dtype)
    sources, targets = [], []
    for size, offset, step, count in zip(*layout, x.shape[2:], strict=True):
        first = max(0, -(offset // step))  # the first that is not before the beginning
        last = max(first, min(count, (size - 1 - offset) // step + 1))
        sources.append(slice(first, last))
        targets.append(slice(offset + step * first, offset + step * last, step))
    split = x.reshape(n, groups, channels // groups, *x.shape[2:]).transpose(1, 3, 0, 4, 2)
    laid[:, targets[0], :, targets[1]] = split[:, sources[0], :, sources[1]]
    return laid


def _parts(x: Array, groups: int, layout: Layout, window: Window, outputs: Pair) -> list[Array]:
    """For each row of the kernel, the part of every window that it is multiplied by.

    Such a part is (groups, windows, kernel width * channels): matrices, of the windows along the width, which are
    written down once and serve for every row. Where they are narrow, all rows stand side by side in one matrix.
    """
    laid = _laid_out(x, groups, layout)
    by_group, by_row, by_image, by_column, by_channel = laid.strides
    view = np.lib.stride_tricks.as_strided(
        laid,
        (*laid.shape[:3], outputs[1], window.kernel[1], laid.shape[4]),
        (by_group, by_row, by_image, by_column * window.stride[1], by_column * window.dilation[1], by_channel),
        writeable=False,
    )
    bands = np.ascontiguousarray(view).reshape(*view.shape[:4], -1)
    last = window.stride[0] * (outputs[0] - 1) + 1
    starts = range(0, window.dilation[0] * window.kernel[0], window.dilation[0])
    parts = [bands[:, i : i + last : window.stride[0]].reshape(groups, -1, bands.shape[-1]) for i in starts]
    if groups == 1 and bands.shape[-1] < NARROW:
        return [np.concatenate(parts, axis=-1)]
    return parts


def _blocks(x: Array, layout: Layout, window: Window, outputs: Pair, out_channels: int) -> list[slice]:
    """The images, a few at a time, so that a block of them stays in a level-2 cache."""
    per_image = outputs[1] * max(layout.sizes[0] * window.kernel[1] * x.shape[1], outputs[0] * out_channels)
    images = max(1, BLOCK // max(1, per_image))
    return [slice(start, start + images) for start in range(0, len(x), images)]


def _add_product(y: Array, a: Array, b: Array) -> None:
    """y += a @ b, for each group."""
    if len(y) == 1:
        scale_and_add(y[0], 1.0, Product(a[0], b[0]), 1.0)  # in the product itself
    else:
        y += a @ b


def _correlated(
    x: Array, weight: Array, bias: Array, groups: int, layout: Layout, window: Window, outputs: Pair
) -> Array:
    """Each window of the laid out images times the weight (out channels, in channels / groups, *kernel)."""
    split = weight.reshape(groups, -1, *weight.shape[1:])
    matrix = split.transpose(3, 0, 4, 2, 1)  # kernel rows, groups, kernel width, channels in and out
    y = np.empty((len(x), groups, split.shape[1], *outputs), x.dtype)

    def work(block: slice) -> None:
        parts = _parts(x[block], groups, layout, window, outputs)
        matrices = matrix.reshape(len(parts), groups, -1, split.shape[1])
        product = parts[0] @ matrices[0]
        for part, factor in zip(parts[1:], matrices[1:], strict=True):
            _add_product(product, part, factor)
        product += bias.reshape(groups, 1, -1)
        shape = groups, outputs[0], -1, outputs[1], split.shape[1]
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
    lambda g, y, x, weight, bias, *, window, groups: _spread(
        g, weight, window=window, groups=groups, sizes=x.shape[2:]
    ),
    lambda g, y, x, weight, bias, *, window, groups: _compare(x, g, window=window, groups=groups),
    lambda g, y, x, weight, bias, *, window, groups: np.sum(g, axis=(0, 2, 3)),
    cases=[Case(shapes, kwargs={"window": window, "groups": groups}) for window, groups, shapes in CONVOLUTIONS],
)
def _correlate(x: Array, weight: Array, bias: Array, window: Window, groups: int) -> Array:
    return _correlated(x, weight, bias, groups, _padding(window, x), window, window.outputs(x.shape[2:]))


def _flipped(weight: Array, groups: int) -> Array:
    """The weight that takes a convolution's outputs back: (in channels, out channels / groups, *kernel)."""
    split = weight.reshape(groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    return split[..., ::-1, ::-1].reshape(-1, split.shape[2], *weight.shape[2:])


@differentiable(
    lambda g, y, x, weight, *, window, groups, sizes: _correlate(
        g, weight, _no_bias(weight), window=window, groups=groups
    ),
    lambda g, y, x, weight, *, window, groups, sizes: _compare(g, x, window=window, groups=groups),
    cases=[Case("n 3 3 3, 3 2 3 2", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1, "sizes": (5, 4)})],
)
def _spread(x: Array, weight: Array, window: Window, groups: int, sizes: Pair) -> Array:
    """The gradient of a convolution's input of these sizes, x being the gradient of its output."""
    down, across = window.reach
    offsets = down - window.padding[0][0], across - window.padding[1][0]
    layout = Layout((sizes[0] + down, sizes[1] + across), offsets, window.stride)
    flipped = _flipped(weight, groups)
    return _correlated(x, flipped, _no_bias(flipped), groups, layout, window._replace(stride=(1, 1)), sizes)


@differentiable(
    lambda g, y, x, other, *, window, groups: _spread(other, g, window=window, groups=groups, sizes=x.shape[2:]),
    lambda g, y, x, other, *, window, groups: _correlate(x, g, _no_bias(g), window=window, groups=groups),
    cases=[Case("n 2 5 4, n 3 3 3", kwargs={"window": CONVOLUTIONS[0][0], "groups": 1})],
)
def _compare(x: Array, other: Array, window: Window, groups: int) -> Array:
    """The gradient of a convolution's weight, `other` being the gradient of its output."""
    outputs, channels = other.shape[2:], x.shape[1] // groups
    layout = _padding(window, x)
    split = other.reshape(len(other), groups, other.shape[1] // groups, *outputs)

    def work(block: slice) -> Array:
        matrix = split[block].transpose(1, 3, 0, 4, 2).reshape(groups, -1, split.shape[2])
        parts = _parts(x[block], groups, layout, window, outputs)
        return np.stack([part.swapaxes(1, 2) @ matrix for part in parts])

    by_kernel = np.zeros((window.kernel[0], groups, window.kernel[1], channels, split.shape[2]), x.dtype)
    for of_block in run(work, _blocks(x, layout, window, outputs, other.shape[1])):
        by_kernel += of_block.reshape(by_kernel.shape)
    return by_kernel.transpose(1, 4, 3, 0, 2).reshape(other.shape[1], channels, *window.kernel)


def conv2d(
    x: Any, weight: Any, bias: Any = None, *, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """The products of a weight with windows of images that slide over height and width (a cross-correlation).

    Args:
        x: shape (n, channels, height, width), floating point.
        weight: shape (out_channels, channels / groups, kernel height, kernel width).
        bias: shape (out_channels,), added to each.
        stride: how far a window slides at a time; one number, or one for the height and one for the width.
        padding: zeros around the image; a number or two as for `stride`, or "same" for an output of the input's size.
        dilation: how far the elements of a window are apart.
        groups: the channels are divided into so many groups, each with its own part of the output channels.

    Returns:
        Shape (n, out_channels, *sizes), size = (input + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1.

    Raises:
        ValueError: shapes or options that do not fit; a kernel larger than the padded image.

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
    """`conv2d` of sequences: x is (n, channels, length), weight (out_channels, channels / groups, kernel length).

    Raises:
        ValueError: as `conv2d`.

    >>> from tinygrad_np import Tensor
    >>> conv1d(Tensor([[[1.0, 2.0, 3.0]]]), Tensor([[[1.0, 10.0]]]), padding=1)
    Tensor([[[10., 21., 32.,  3.]]], dtype=float32)
    """
    x, weight = as_images(x), as_images(weight)
    _check_ranks("conv1d", x, weight, 3)
    padding = padding if isinstance(padding, str) else (0, padding)
    window = sliding("conv1d", (1, weight.shape[2]), (1, stride), padding, (1, dilation))
    x, weight = np.expand_dims(x, 2), np.expand_dims(weight, 2)
    _check_convolution("conv1d", x, weight, bias, window, groups)
    bias = _no_bias(weight) if bias is None else bias
    return np.squeeze(_correlate(x, weight, bias, window=window, groups=groups), 2)


def _check_ranks(name: str, x: Any, weight: Any, rank: int) -> None:
    axes = "(n, channels, height, width)" if rank == 4 else "(n, channels, length)"
    if np.ndim(x) != rank or np.ndim(weight) != rank:
        raise ValueError(
            f"{name}: expected x as {axes} and a weight of {rank} axes, not {np.shape(x)}, {np.shape(weight)}"
        )


def _check_convolution(name: str, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> None:
    channels, out_channels = x.shape[1], weight.shape[0]
    if x.dtype.kind != "f" or x.dtype != weight.dtype or (bias is not None and bias.dtype != x.dtype):
        raise TypeError(f"{name}: expected x and weight of one floating point type, not {x.dtype} and {weight.dtype}")
    if not isinstance(groups, int | np.integer) or groups < 1:
        raise ValueError(f"{name}: groups must be a positive integer, not {groups!r}")
    if out_channels % groups:
        raise ValueError(f"{name}: {groups} groups do not divide the {out_channels} of a weight of {weight.shape}")
    if groups * weight.shape[1] != channels:
        raise ValueError(
            f"{name}: a weight of shape {weight.shape} in {groups} group{'s' * (groups > 1)} takes"
            f" {groups * weight.shape[1]} channels, and x of shape {x.shape} has {channels}"
        )
    if bias is not None and np.shape(bias) != (out_channels,):
        raise ValueError(f"{name}: expected a bias of shape ({out_channels},), not {np.shape(bias)}")
    check_room(name, x, window)
