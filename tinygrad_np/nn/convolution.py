"""Convolution and pooling layers; the functions are in `tinygrad_np.ops.convolution` and `tinygrad_np.ops.pooling`."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._messages import add_note, of_images
from ..ops.convolution import conv1d, conv2d
from ..ops.pooling import avg_pool2d, max_pool2d
from ..ops.windows import sliding
from ..tensor import Tensor
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
        weight = init.he_normal((out_channels, in_channels // groups, *kernel), rng=rng, dtype=dtype)
        self.weight = Tensor(weight, requires_grad=True)
        self.bias = Tensor(init.zeros(out_channels, dtype=dtype), requires_grad=True) if bias else None
        self.kernel_size = kernel[0] if len(set(kernel)) == 1 else kernel
        self.stride, self.padding, self.dilation = stride, padding, dilation

    def forward(self, x: Any) -> Any:
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        operands: list[Any] = [x, self.weight, self.bias]
        if getattr(x, "dtype", self.weight.dtype) is not self.weight.dtype:
            hint_if_wider(self, x, self.weight)
            dtype = np.promote_types(x.dtype, self.weight.dtype)  # the function takes operands of one dtype
            operands = [a if a is None else np.astype(a, dtype, copy=False) for a in operands]
        try:
            return type(self).convolve(*operands, **options)
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


class MaxPool2d(Layer):
    """The maximum of each window of images (n, channels, height, width); see `max_pool2d`.

    >>> from tinygrad_np import nn
    >>> nn.MaxPool2d(2)(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 14, 14)
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1) -> None:
        sliding("MaxPool2d", kernel_size, kernel_size if stride is None else stride, padding, dilation)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation

    def forward(self, x: Any) -> Any:
        return max_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding, dilation=self.dilation)


class AvgPool2d(Layer):
    """The mean of each window of images (n, channels, height, width); see `avg_pool2d`.

    >>> from tinygrad_np import nn
    >>> nn.AvgPool2d(7)(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 4, 4)
    """

    _checks: ClassVar[check.Checks] = {"count_include_pad": check.boolean}

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, count_include_pad: bool = True) -> None:
        sliding("AvgPool2d", kernel_size, kernel_size if stride is None else stride, padding)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Any:
        include = self.count_include_pad
        return avg_pool2d(x, self.kernel_size, stride=self.stride, padding=self.padding, count_include_pad=include)
