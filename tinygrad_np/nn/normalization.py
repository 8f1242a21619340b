"""Normalisation layers: `BatchNorm1d` and `BatchNorm2d` over the batch, the others over each example.

`LayerNorm` and `RMSNorm` go over its last axes, `GroupNorm` and `InstanceNorm1d` and `2d` over some or one of its
channels.

In float32 on two threads, forward and backward of `LayerNorm(1024)` take 0.23 ms for a batch of 64, three times as long
as in PyTorch; those of `BatchNorm2d(32)` 3.6 ms for 64 images of 28 x 28, a little longer than there; those of
`RMSNorm(1024)` 0.18 ms, two thirds as long (`python -m benchmarks.layers`).
"""

import math
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from .._messages import of_images
from ..ops.normalization import standardize
from ..tensor import Array, Tensor, as_array
from .module import Layer

# --- statistics of a batch -------------------------------------------------------------------------------------------


class _BatchNorm(Layer):
    inputs: tuple[str, ...]  # the accepted shapes, for the check and its message
    _checks: ClassVar[check.Checks] = {
        "num_features": check.positive_integer,
        "eps": partial(check.real, at_least=0),
        "momentum": check.optional(partial(check.real, at_least=0, at_most=1)),
        "affine": check.boolean,
        "track_running_stats": check.boolean,
    }
    _fixed = frozenset({"num_features", "affine", "track_running_stats"})
    _never_negative = ("running_var", "num_batches_tracked")
    _never_half = ("running_mean", "running_var")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._dtype = check.floating_dtype(type(self).__name__, "dtype", dtype)
        self.weight: Any = Tensor(np.ones(num_features, dtype), requires_grad=True) if affine else None
        self.bias: Any = Tensor(np.zeros(num_features, dtype), requires_grad=True) if affine else None
        wide = np.promote_types(dtype, np.float32)  # what a batch adds to an average of many can be lost in float16
        self.running_mean: Any = Tensor(np.zeros(num_features, wide)) if track_running_stats else None
        self.running_var: Any = Tensor(np.ones(num_features, wide)) if track_running_stats else None
        self.num_batches_tracked: Any = Tensor(np.array(0)) if track_running_stats else None

    def forward(self, x: Any) -> Tensor:
        shape = np.shape(x)
        if len(shape) not in [1 + text.count(",") for text in self.inputs] or shape[1] != self.num_features:
            expected = " or ".join(self.inputs).replace("channels", str(self.num_features))
            hint = of_images(shape, self.num_features, 1 + self.inputs[-1].count(",")) if len(shape) > 2 else ""
            raise ValueError(f"{type(self).__name__}: expected an input of shape {expected}, not {shape}{hint}")
        along = (-1, *[1] * (len(shape) - 2))  # the shape that broadcasts one number per channel against the input
        x = check.floating(type(self).__name__, "the input", as_array(x))
        if self.track_running_stats and not self.training:
            scale = 1 / np.sqrt(self.running_var + self.eps)
            scale = self.weight * scale if self.affine else scale
            centred = x - self.running_mean.reshape(along)  # x * scale would cancel with a large mean
            y = centred * scale.reshape(along)
            y = y + self.bias.reshape(along) if self.affine else y
            half = self._dtype == np.float16 == x.dtype
            return y.astype(np.float16) if half else y
        axis = self._axes(len(shape))
        count = math.prod(shape[i] for i in axis)
        if count < 2:
            raise ValueError(f"{type(self).__name__}: the variance needs at least 2 values per channel, not {count}")
        weight, bias = (self.weight.reshape(along), self.bias.reshape(along)) if self.affine else (None, None)
        statistics: list[Array] = []
        y = standardize(x, weight, bias, axis=axis, eps=self.eps, statistics=statistics)
        if self.track_running_stats:
            mean, variance = (np.mean(numbers.reshape(-1, self.num_features), axis=0) for numbers in statistics)
            self._track(mean, variance * (count / (count - 1)))
        return y

    def _axes(self, ndim: int) -> tuple[int, ...]:
        """The axes over which a channel has one mean and variance."""
        return (0, *range(2, ndim))

    def _track(self, mean: Array, variance: Array) -> None:
        self.num_batches_tracked.data += 1
        weight = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        for running, new in ((self.running_mean, mean), (self.running_var, variance)):
            running.data *= 1 - weight
            running.data += weight * new


class BatchNorm1d(_BatchNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the mean and variance of each channel.

    In training mode the statistics are those of the batch, and running averages of them are kept. In evaluation mode
    (`eval()`) the running averages are used.

    Args:
        num_features: the number of channels, the length of axis 1.
        eps: added to the variance, so that the result is finite where the input is constant.
        momentum: the weight of the newest batch in the running averages, or None for the mean over all batches.
        affine: whether to learn a weight and a bias.
        track_running_stats: whether to keep running averages; if not, the batch's statistics are used in evaluation
            mode too.
        dtype: the dtype of weight, bias and running averages; those of float16 are float32.

    Attributes:
        weight, bias: shape (num_features,), initially one and zero; or None.
        running_mean, running_var: shape (num_features,), initially zero and one, without gradient; or None. The
            variance is the unbiased estimate, whose divisor is the count minus one.
        num_batches_tracked: the number of batches averaged; or None.

    The input has shape (batch, channels) or (batch, channels, length).

    Raises:
        ValueError, TypeError: an argument is invalid; or the input has another shape, is not floating point, or in
            training mode has a single value per channel.

    Source: S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal
    covariate shift" (2015), algorithms 1 and 2.

    >>> from tinygrad_np import Tensor, nn
    >>> layer = nn.BatchNorm1d(1)
    >>> layer(Tensor([[1.0], [3.0]])).data.round(3).tolist()
    [[-1.0], [1.0]]
    >>> layer.running_mean
    Tensor([0.2], dtype=float32)
    """

    inputs = ("(batch, channels)", "(batch, channels, length)")


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images, of shape (batch, channels, height, width).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.BatchNorm2d(3)(Tensor(np.ones((2, 3, 8, 8)))).shape
    (2, 3, 8, 8)
    """

    inputs = ("(batch, channels, height, width)",)


# --- statistics of each channel of an example ------------------------------------------------------------------------


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)

    def _axes(self, ndim: int) -> tuple[int, ...]:
        return tuple(range(2, ndim))


class InstanceNorm1d(_InstanceNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with the mean and variance of each channel of each example.

    Args and attributes are those of `BatchNorm1d`; by default there are no weight and bias, and no running averages,
    so that training and evaluation mode are the same. Running averages are those of the examples' means and variances.

    The input has shape (batch, channels, length).

    Raises:
        ValueError, TypeError: an argument is invalid; or the input has another shape, is not floating point, or has a
            single value per channel.

    Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance normalization: the missing ingredient for fast
    stylization" (2016), equation 4.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.InstanceNorm1d(2)(Tensor([[[1.0, 3.0], [7.0, 5.0]]])).data.round(3).tolist()
    [[[-1.0, 1.0], [1.0, -1.0]]]
    """

    inputs = ("(batch, channels, length)",)


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images, of shape (batch, channels, height, width).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.InstanceNorm2d(3)(Tensor(np.ones((2, 3, 8, 8)))).shape
    (2, 3, 8, 8)
    """

    inputs = ("(batch, channels, height, width)",)


class GroupNorm(Layer):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and variance of groups of channels of each example.

    Args:
        num_groups: into how many groups the channels are divided.
        num_channels: the number of channels, the length of axis 1.
        eps: added to the variance, so that the result is finite where the input is constant.
        affine: whether to learn a weight and a bias for each channel.
        dtype: the dtype of weight and bias.

    Attributes:
        weight, bias: shape (num_channels,), initially one and zero; or None.

    The input has shape (batch, channels, ...).

    Raises:
        ValueError, TypeError: an argument is invalid, or num_groups does not divide num_channels; or the input has
            another shape, or is not floating point.

    Source: Y. Wu and K. He, "Group normalization" (2018), equation 7.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GroupNorm(2, 4)(Tensor([[1.0, 3.0, 7.0, 5.0]])).data.round(3).tolist()
    [[-1.0, 1.0, 1.0, -1.0]]
    """

    _checks: ClassVar[check.Checks] = {
        "num_groups": check.positive_integer,
        "num_channels": check.positive_integer,
        "eps": partial(check.real, at_least=0),
        "affine": check.boolean,
    }
    _fixed = frozenset({"num_groups", "num_channels", "affine"})

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels={num_channels}")
        check.floating_dtype("GroupNorm", "dtype", dtype)
        self.weight: Any = Tensor(np.ones(num_channels, dtype), requires_grad=True) if affine else None
        self.bias: Any = Tensor(np.zeros(num_channels, dtype), requires_grad=True) if affine else None

    def forward(self, x: Any) -> Tensor:
        x = check.floating("GroupNorm", "the input", as_array(x))
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            hint = of_images(x.shape, self.num_channels, 4) if x.ndim == 4 else ""
            raise ValueError(
                f"GroupNorm: expected an input of shape (batch, {self.num_channels}, ...), not {x.shape}{hint}"
            )
        groups, further = self.num_groups, x.shape[2:]
        grouped = np.reshape(x, (len(x), groups, self.num_channels // groups, *further))
        along = (groups, self.num_channels // groups, *[1] * len(further))
        weight, bias = (self.weight.reshape(along), self.bias.reshape(along)) if self.affine else (None, None)
        y: Any = standardize(grouped, weight, bias, axis=tuple(range(2, grouped.ndim)), eps=self.eps)
        return y.reshape(x.shape)


# --- statistics of each example --------------------------------------------------------------------------------------


def _lengths(owner: str, name: str, value: Any) -> tuple[int, ...]:
    lengths = value if isinstance(value, tuple | list) else (value,)
    if not lengths:
        raise ValueError(f"{owner}: {name} must have at least one axis")
    return tuple(check.positive_integer(owner, name, length) for length in lengths)


class _ExampleNorm(Layer):
    """Base class: normalises over the last axes, whose lengths are normalized_shape."""

    normalized_shape: Any

    _checks: ClassVar[check.Checks] = {
        "normalized_shape": _lengths,
        "eps": partial(check.real, at_least=0),
        "elementwise_affine": check.boolean,
    }
    _fixed = frozenset({"normalized_shape", "elementwise_affine"})

    def _standardize(self, x: Any, weight: Tensor | None, bias: Tensor | None, eps: float, centre: bool) -> Any:
        shape, rank = np.shape(x), len(self.normalized_shape)
        if shape[-rank:] != self.normalized_shape:
            expected = ", ".join(map(str, ("...", *self.normalized_shape)))
            raise ValueError(f"{type(self).__name__}: expected an input of shape ({expected}), not {shape}")
        x = check.floating(type(self).__name__, "the input", x)
        return standardize(x, weight, bias, axis=tuple(range(-rank, 0)), eps=eps, centre=centre)


class LayerNorm(_ExampleNorm):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean and variance over the last axes.

    Args:
        normalized_shape: the length of the last axis, or the lengths of the last axes.
        eps: added to the variance, so that the result is finite where the input is constant.
        elementwise_affine: whether to learn a weight and, unless `bias` is False, a bias.
        bias: whether to learn a bias as well as the weight.
        dtype: the dtype of weight and bias.

    Attributes:
        weight, bias: shape normalized_shape, initially one and zero; or None.

    Raises:
        ValueError, TypeError: an argument is invalid; or the input is not floating point, or its shape does not end
            with normalized_shape.

    Source: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (2016), equation 4.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LayerNorm(2)(Tensor([[1.0, 3.0], [7.0, 5.0]])).data.round(3).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = normalized_shape, eps, elementwise_affine
        check.floating_dtype("LayerNorm", "dtype", dtype)
        bias = check.boolean("LayerNorm", "bias", bias)
        shape, affine = self.normalized_shape, elementwise_affine
        self.weight = Tensor(np.ones(shape, dtype), requires_grad=True) if affine else None
        self.bias = Tensor(np.zeros(shape, dtype), requires_grad=True) if affine and bias else None

    def forward(self, x: Any) -> Tensor:
        return self._standardize(as_array(x), self.weight, self.bias, self.eps, centre=True)


class RMSNorm(_ExampleNorm):
    """x / sqrt(mean(x**2) + eps) * weight, with the mean over the last axes.

    Args:
        normalized_shape: the length of the last axis, or the lengths of the last axes.
        eps: added to the mean square, so that the result is finite at 0; None for the machine epsilon of the input's
            dtype.
        elementwise_affine: whether to learn a weight.
        dtype: the dtype of the weight.

    Attributes:
        weight: shape normalized_shape, initially one; or None.

    Raises:
        ValueError, TypeError: as for `LayerNorm`.

    Source: B. Zhang and R. Sennrich, "Root mean square layer normalization" (2019), equation 4.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.RMSNorm(2)(Tensor([[2.0, -2.0]])).data.round(3).tolist()
    [[1.0, -1.0]]
    """

    _checks: ClassVar[check.Checks] = {**_ExampleNorm._checks, "eps": check.optional(_ExampleNorm._checks["eps"])}

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: "np.typing.DTypeLike" = np.float32,
    ) -> None:
        self.normalized_shape, self.eps, self.elementwise_affine = normalized_shape, eps, elementwise_affine
        check.floating_dtype("RMSNorm", "dtype", dtype)
        self.weight = Tensor(np.ones(self.normalized_shape, dtype), requires_grad=True) if elementwise_affine else None

    def forward(self, x: Any) -> Tensor:
        x, eps = as_array(x), self.eps
        if eps is None:
            eps = float(np.finfo(x.dtype).eps) if x.dtype.kind == "f" else 0.0  # integers are refused below
        return self._standardize(x, self.weight, None, eps, centre=False)
