"""Convolutions and transposed convolutions; the functions are in `tinygrad_np.ops.convolution`."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._messages import add_note, of_images
from ..ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, transposing
from ..ops.windows import sliding
from ..tensor import Array, Tensor
from . import init
from .module import Layer, hint_if_wider


class _Convolution(Layer):
    """Base class of the convolutions: parameters, their initialisation and `forward`."""

    convolve: Callable[..., Any]
    _checks: ClassVar[check.Checks] = dict.fromkeys(("in_channels", "out_channels", "groups"), check.positive_integer)
    _fixed = frozenset({"in_channels", "out_channels", "groups", "kernel_size"})

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, ...],
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike",
    ) -> None:
        name = type(self).__name__
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        bias = check.boolean(name, "bias", bias)
        check.generator(name, "rng", rng)
        dtype = check.floating_dtype(name, "dtype", dtype)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.weight = Tensor(self._initial_weight(kernel, rng, dtype), requires_grad=True)
        self.bias = Tensor(init.zeros(out_channels, dtype=dtype), requires_grad=True) if bias else None
        self.kernel_size = kernel[0] if len(set(kernel)) == 1 else kernel

    def _initial_weight(
        self, kernel: tuple[int, ...], rng: "np.random.Generator", dtype: "np.typing.DTypeLike"
    ) -> Array:
        return init.he_normal((self.out_channels, self.in_channels // self.groups, *kernel), rng=rng, dtype=dtype)

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def forward(self, x: Any) -> Tensor:
        operands: list[Any] = [x, self.weight, self.bias]
        if getattr(x, "dtype", self.weight.dtype) is not self.weight.dtype:
            hint_if_wider(self, x, self.weight)
            dtype = np.promote_types(x.dtype, self.weight.dtype)  # the function takes operands of one dtype
            operands = [a if a is None else np.astype(a, dtype, copy=False) for a in operands]
        try:
            return type(self).convolve(*operands, **self._options())
        except ValueError as error:
            if hint := of_images(np.shape(x), self.in_channels, self.weight.ndim):
                add_note(error, hint.removeprefix("; "))
            raise


class Conv2d(_Convolution):
    """2-D convolution of images (n, channels, height, width); see `conv2d` for the formula and shapes.

    Args:
        in_channels, out_channels: the number of channels of the input and of the output.
        kernel_size, stride, padding, dilation: one number, or one for height and one for width; padding may be "same".
        groups: the number of groups that input and output channels are divided into; an output channel depends only
            on the input channels of its own group.
        bias: whether to add a learned bias to each output channel.
        rng: the generator of the initial weights.
        dtype: the dtype of weight and bias.

    Attributes:
        weight: shape (out_channels, in_channels / groups, *kernel_size), initially normal with variance 2 / fan_in,
            where fan_in is the number of inputs in a window (He et al. 2015, "Delving deep into rectifiers", equation
            10).
        bias: shape (out_channels,), initially zero; or None.

    Raises:
        ValueError, TypeError: an argument is invalid, or groups does not divide the channels.

    >>> from tinygrad_np import nn
    >>> layer = nn.Conv2d(1, 8, kernel_size=5, padding=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((64, 1, 28, 28), np.float32)).shape
    (64, 8, 28, 28)
    """

    convolve = staticmethod(conv2d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        window = sliding("Conv2d", kernel_size, stride, padding, dilation)
        super().__init__(in_channels, out_channels, window.kernel, stride, padding, dilation, groups, bias, rng, dtype)


class Conv1d(_Convolution):
    """1-D convolution of sequences (n, channels, length).

    The arguments are those of `Conv2d`, with one number each for kernel_size, stride, padding and dilation.

    >>> from tinygrad_np import nn
    >>> layer = nn.Conv1d(2, 4, kernel_size=3, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 2, 9), np.float32)).shape
    (5, 4, 4)
    """

    convolve = staticmethod(conv1d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: Any = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        for option, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
            check.positive_integer("Conv1d", option, value)
        sliding("Conv1d", kernel_size, stride, padding, dilation)
        super().__init__(in_channels, out_channels, (kernel_size,), stride, padding, dilation, groups, bias, rng, dtype)


class Conv3d(_Convolution):
    """3-D convolution of volumes or videos (n, channels, depth, height, width).

    The arguments are those of `Conv2d`, with one number or three for kernel_size, stride, padding and dilation.

    >>> from tinygrad_np import nn
    >>> layer = nn.Conv3d(2, 4, kernel_size=3, padding=(0, 1, 1), rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 2, 4, 9, 9), np.float32)).shape
    (5, 4, 2, 9, 9)
    """

    convolve = staticmethod(conv3d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        window = sliding("Conv3d", kernel_size, stride, padding, dilation, axes=3)
        super().__init__(in_channels, out_channels, window.kernel, stride, padding, dilation, groups, bias, rng, dtype)


class _TransposedConvolution(_Convolution):
    """Base class of the transposed convolutions."""

    output_padding: Any

    def _initial_weight(
        self, kernel: tuple[int, ...], rng: "np.random.Generator", dtype: "np.typing.DTypeLike"
    ) -> Array:
        strides = (self.stride,) * len(kernel) if isinstance(self.stride, int | np.integer) else self.stride
        windows = [max(1.0, size / stride) for size, stride in zip(kernel, strides, strict=True)]
        fan_in = self.in_channels // self.groups * math.prod(windows)
        shape = self.in_channels, self.out_channels // self.groups, *kernel
        return init.normal(shape, std=math.sqrt(2 / fan_in), rng=rng, dtype=dtype)

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"output_padding": self.output_padding}


class ConvTranspose2d(_TransposedConvolution):
    """2-D transposed convolution of images (n, channels, height, width); see `conv_transpose2d`.

    Args:
        in_channels, out_channels: the number of channels of the input and of the output.
        kernel_size, stride, padding, output_padding, dilation: one number, or one for height and one for width.
        groups: the number of groups that input and output channels are divided into; an output channel depends only
            on the input channels of its own group.
        bias: whether to add a learned bias to each output channel.
        rng: the generator of the initial weights.
        dtype: the dtype of weight and bias.

    Attributes:
        weight: shape (in_channels, out_channels / groups, *kernel_size), initially normal with variance 2 / fan_in,
            where fan_in is the mean number of inputs of an output, in_channels / groups * kernel size / stride, of
            those that have any. (PyTorch counts out_channels / groups * kernel size, which are not its inputs.)
        bias: shape (out_channels,), initially zero; or None.

    Raises:
        ValueError, TypeError: an argument is invalid, or groups does not divide the channels.

    >>> from tinygrad_np import nn
    >>> layer = nn.ConvTranspose2d(8, 4, kernel_size=2, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 8, 7, 7), np.float32)).shape
    (5, 4, 14, 14)
    """

    convolve = staticmethod(conv_transpose2d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        window = transposing("ConvTranspose2d", kernel_size, stride, padding, output_padding, dilation, axes=2)
        self.output_padding = output_padding
        super().__init__(in_channels, out_channels, window.kernel, stride, padding, dilation, groups, bias, rng, dtype)


class ConvTranspose1d(_TransposedConvolution):
    """1-D transposed convolution of sequences (n, channels, length).

    The arguments are those of `ConvTranspose2d`, with one number each for kernel_size, stride, padding, output_padding
    and dilation.

    >>> from tinygrad_np import nn
    >>> layer = nn.ConvTranspose1d(2, 4, kernel_size=3, stride=2, rng=np.random.default_rng(0))
    >>> layer(np.ones((5, 2, 9), np.float32)).shape
    (5, 4, 19)
    """

    convolve = staticmethod(conv_transpose1d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
        *,
        rng: "np.random.Generator",
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        transposing("ConvTranspose1d", kernel_size, stride, padding, output_padding, dilation, axes=1)
        self.output_padding = output_padding
        super().__init__(in_channels, out_channels, (kernel_size,), stride, padding, dilation, groups, bias, rng, dtype)
