"""Pooling layers; the functions are in `tinygrad_np.ops.pooling`."""

from collections.abc import Callable
from typing import Any, ClassVar

from .. import _validation as check
from ..ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    output_sizes,
)
from ..ops.windows import sliding
from ..tensor import Tensor
from .module import Layer


class _MaxPool(Layer):
    """Base class of layers of maxima."""

    pool: Callable[..., Any]
    axes: int
    _checks: ClassVar[check.Checks] = {"ceil_mode": check.boolean}

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, *, ceil_mode: bool = False
    ) -> None:
        step = kernel_size if stride is None else stride
        sliding(type(self).__name__, kernel_size, step, padding, dilation, axes=self.axes)
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode = ceil_mode

    def forward(self, x: Any) -> Tensor:
        options = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}
        return type(self).pool(x, self.kernel_size, **options, ceil_mode=self.ceil_mode)


class MaxPool2d(_MaxPool):
    """The maximum of each window of images (n, channels, height, width); see `max_pool2d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.MaxPool2d(2)(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 14, 14)
    """

    pool, axes = staticmethod(max_pool2d), 2


class MaxPool1d(_MaxPool):
    """The maximum of each window of sequences (n, channels, length); see `max_pool1d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.MaxPool1d(2, ceil_mode=True)(np.ones((1, 3, 9), np.float32)).shape
    (1, 3, 5)
    """

    pool, axes = staticmethod(max_pool1d), 1


class AvgPool2d(Layer):
    """The mean of each window of images (n, channels, height, width); see `avg_pool2d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AvgPool2d(7)(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 4, 4)
    """

    _checks: ClassVar[check.Checks] = {
        "ceil_mode": check.boolean,
        "count_include_pad": check.boolean,
        "divisor_override": check.optional(check.positive_integer),
    }

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        sliding("AvgPool2d", kernel_size, kernel_size if stride is None else stride, padding)
        self.kernel_size, self.stride, self.padding, self.ceil_mode = kernel_size, stride, padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Any) -> Tensor:
        options: dict[str, Any] = {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}
        options |= {"count_include_pad": self.count_include_pad, "divisor_override": self.divisor_override}
        return avg_pool2d(x, self.kernel_size, **options)


class AvgPool1d(Layer):
    """The mean of each window of sequences (n, channels, length); see `avg_pool1d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AvgPool1d(3, stride=2)(np.ones((1, 3, 9), np.float32)).shape
    (1, 3, 4)
    """

    _checks: ClassVar[check.Checks] = dict.fromkeys(("ceil_mode", "count_include_pad"), check.boolean)

    def __init__(
        self,
        kernel_size: int,
        stride: Any = None,
        padding: int = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        sliding("AvgPool1d", kernel_size, kernel_size if stride is None else stride, padding, axes=1)
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Any) -> Tensor:
        options = {"stride": self.stride, "padding": self.padding, "ceil_mode": self.ceil_mode}
        return avg_pool1d(x, self.kernel_size, **options, count_include_pad=self.count_include_pad)


class _AdaptivePool(Layer):
    """Base class of the poolings of which the size of the output is given."""

    pool: Callable[..., Any]
    axes: int

    def __init__(self, output_size: Any) -> None:
        output_sizes(type(self).__name__, output_size, axes=self.axes)
        self.output_size = output_size

    def forward(self, x: Any) -> Tensor:
        return type(self).pool(x, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of images (n, channels, height, width) divided into so many parts; see `adaptive_avg_pool2d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AdaptiveAvgPool2d(1)(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 1, 1)
    """

    pool, axes = staticmethod(adaptive_avg_pool2d), 2


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of sequences (n, channels, length) divided into so many parts; see `adaptive_avg_pool1d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AdaptiveAvgPool1d(4)(np.ones((1, 3, 9), np.float32)).shape
    (1, 3, 4)
    """

    pool, axes = staticmethod(adaptive_avg_pool1d), 1


class AdaptiveMaxPool2d(_AdaptivePool):
    """The maxima of images (n, channels, height, width) divided into so many parts; see `adaptive_max_pool2d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AdaptiveMaxPool2d((None, 5))(np.ones((1, 3, 28, 28), np.float32)).shape
    (1, 3, 28, 5)
    """

    pool, axes = staticmethod(adaptive_max_pool2d), 2


class AdaptiveMaxPool1d(_AdaptivePool):
    """The maxima of sequences (n, channels, length) divided into so many parts; see `adaptive_max_pool1d`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.AdaptiveMaxPool1d(4)(np.ones((1, 3, 9), np.float32)).shape
    (1, 3, 4)
    """

    pool, axes = staticmethod(adaptive_max_pool1d), 1
