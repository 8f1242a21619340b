"""Windows as columns, and channels as pixels, as layers; the functions are in `tinygrad_np.ops.folding`."""

from typing import Any, ClassVar

from .. import _validation as check
from ..ops.folding import fold, pixel_shuffle, pixel_unshuffle, unfold
from ..ops.windows import sizes_of, sliding
from ..tensor import Tensor
from .module import Layer


class Unfold(Layer):
    """The windows of images (n, channels, height, width) as columns; see `unfold`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.Unfold(3, padding=1)(np.ones((1, 2, 4, 5), np.float32)).shape
    (1, 18, 20)
    """

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        sliding("Unfold", kernel_size, stride, padding, dilation)
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, x: Any) -> Tensor:
        return unfold(x, self.kernel_size, dilation=self.dilation, padding=self.padding, stride=self.stride)


class Fold(Layer):
    """Images from columns (n, channels * kernel size, windows), which are added up where they overlap; see `fold`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.Fold((4, 5), 3, padding=1)(np.ones((1, 18, 20), np.float32)).shape
    (1, 2, 4, 5)
    """

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        sizes_of("Fold", "output_size", output_size, 1)
        sliding("Fold", kernel_size, stride, padding, dilation)
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, x: Any) -> Tensor:
        options = {"dilation": self.dilation, "padding": self.padding, "stride": self.stride}
        return fold(x, self.output_size, self.kernel_size, **options)


class PixelShuffle(Layer):
    """Images r times as high and wide, with r * r times fewer channels; see `pixel_shuffle`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.PixelShuffle(2)(np.ones((1, 8, 4, 5), np.float32)).shape
    (1, 2, 8, 10)
    """

    _checks: ClassVar[check.Checks] = {"upscale_factor": check.positive_integer}

    def __init__(self, upscale_factor: int) -> None:
        self.upscale_factor = upscale_factor

    def forward(self, x: Any) -> Tensor:
        return pixel_shuffle(x, self.upscale_factor)


class PixelUnshuffle(Layer):
    """The inverse of `PixelShuffle`; see `pixel_unshuffle`.

    >>> import numpy as np
    >>> from tinygrad_np import nn
    >>> nn.PixelUnshuffle(2)(np.ones((1, 2, 8, 10), np.float32)).shape
    (1, 8, 4, 5)
    """

    _checks: ClassVar[check.Checks] = {"downscale_factor": check.positive_integer}

    def __init__(self, downscale_factor: int) -> None:
        self.downscale_factor = downscale_factor

    def forward(self, x: Any) -> Tensor:
        return pixel_unshuffle(x, self.downscale_factor)
