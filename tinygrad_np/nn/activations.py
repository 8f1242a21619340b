"""Activation functions as layers, for use in a `Sequential`. The functions themselves are in `tinygrad_np`."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np

from .. import _validation as check
from ..ops.activations import (
    celu,
    elu,
    geglu,
    glu,
    hardsigmoid,
    hardswish,
    hardtanh,
    logsigmoid,
    mish,
    prelu,
    reglu,
    relu6,
    selu,
    softsign,
    swiglu,
)
from ..ops.elementwise import relu
from ..ops.special import gelu, leaky_relu, log_softmax, sigmoid, silu, softmax, softplus
from ..tensor import Tensor, as_array
from .module import Layer


class ReLU(Layer):
    """max(x, 0), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ReLU()(Tensor([-1.0, 1.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return relu(x)


class LeakyReLU(Layer):
    """x where x > 0, negative_slope * x elsewhere; see `leaky_relu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LeakyReLU(0.2)(Tensor([-1.0, 1.0]))
    Tensor([-0.2,  1. ], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"negative_slope": check.real}

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Tensor:
        return leaky_relu(x, negative_slope=self.negative_slope)


class GELU(Layer):
    """x times the standard normal CDF of x; see `gelu`.

    Args:
        approximate: "none" for the exact function, or "tanh" for an approximation that takes half the time.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GELU("tanh")(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.158808,  0.      ,  0.841192], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"approximate": partial(check.one_of, choices=("none", "tanh"))}

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Any) -> Tensor:
        return gelu(x, approximate=self.approximate)


class SiLU(Layer):
    """x * sigmoid(x), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SiLU()(Tensor([-1.0, 0.0, 1.0]))
    Tensor([-0.2689414,  0.       ,  0.7310586], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return silu(x)


class Tanh(Layer):
    """The hyperbolic tangent, elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Tanh()(Tensor([0.0, 100.0]))
    Tensor([0., 1.], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return np.tanh(x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), elementwise.

    Do not put it before `BCEWithLogitsLoss`, which takes logits.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Sigmoid()(Tensor([0.0, 100.0]))
    Tensor([0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return sigmoid(x)


class Softplus(Layer):
    """log(1 + exp(beta * x)) / beta, elementwise; see `softplus`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softplus(2.0)(Tensor([0.0, 100.0]))
    Tensor([  0.3465736, 100.       ], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"beta": partial(check.real, above=0)}

    def __init__(self, beta: float = 1.0) -> None:
        self.beta = beta

    def forward(self, x: Any) -> Tensor:
        return softplus(x, beta=self.beta)


class Softmax(Layer):
    """exp(x) / sum(exp(x)) along an axis, which turns logits into probabilities.

    Do not put it before `CrossEntropyLoss`, which takes logits.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softmax()(Tensor([[0.0, 0.0]]))
    Tensor([[0.5, 0.5]], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"axis": check.integer}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        return softmax(x, axis=self.axis)


class LogSoftmax(Layer):
    """log(softmax(x)) along an axis, which turns logits into log-probabilities for `NLLLoss`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LogSoftmax()(Tensor([[0.0, 1000.0]]))
    Tensor([[-1000.,     0.]], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"axis": check.integer}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        return log_softmax(x, axis=self.axis)


class ELU(Layer):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere; see `elu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ELU(2.0)(Tensor([-1000.0, 1.0]))
    Tensor([-2.,  1.], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"alpha": check.real}

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        return elu(x, alpha=self.alpha)


class CELU(Layer):
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere; see `celu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.CELU(2.0)(Tensor([-1000.0, 1.0]))
    Tensor([-2.,  1.], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"alpha": partial(check.real, above=0)}

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Tensor:
        return celu(x, alpha=self.alpha)


class SELU(Layer):
    """`ELU` that keeps mean 0 and variance 1 through deep networks; see `selu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SELU()(Tensor([-1000.0, 1.0]))
    Tensor([-1.7580993,  1.050701 ], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return selu(x)


class PReLU(Layer):
    """x where x > 0, weight * x elsewhere, with a weight that is learned; see `prelu`.

    Args:
        num_parameters: 1, or the number of channels, the length of axis 1, for a weight of each channel.
        init: the initial weight.
        dtype: the dtype of the weight.

    Attributes:
        weight: shape (num_parameters,).

    Raises:
        ValueError, TypeError: an argument is invalid; or the input has another number of channels.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.PReLU()(Tensor([-1.0, 1.0]))
    Tensor([-0.25,  1.  ], dtype=float32, requires_grad=True)
    """

    _checks: ClassVar[check.Checks] = {"num_parameters": check.positive_integer, "init": check.real}
    _fixed = frozenset({"num_parameters"})

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: "np.typing.DTypeLike" = np.float32
    ) -> None:
        self.num_parameters, self.init = num_parameters, init
        check.floating_dtype("PReLU", "dtype", dtype)
        self.weight = Tensor(np.full(self.num_parameters, self.init, dtype), requires_grad=True)

    def forward(self, x: Any) -> Tensor:
        return prelu(as_array(x), self.weight)


class Hardtanh(Layer):
    """x clipped to [min_val, max_val], elementwise; see `hardtanh`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Hardtanh(0.0, 2.0)(Tensor([-1.0, 1.0, 3.0]))
    Tensor([0., 1., 2.], dtype=float32)
    """

    _checks: ClassVar[check.Checks] = {"min_val": check.real, "max_val": check.real}

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val, self.max_val = min_val, max_val
        if not self.min_val < self.max_val:
            raise ValueError(f"Hardtanh: min_val must be below max_val, not {min_val!r} with max_val={max_val!r}")

    def forward(self, x: Any) -> Tensor:
        return hardtanh(x, min_val=self.min_val, max_val=self.max_val)


class ReLU6(Layer):
    """min(max(x, 0), 6), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ReLU6()(Tensor([-1.0, 2.0, 7.0]))
    Tensor([0., 2., 6.], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return relu6(x)


class Hardsigmoid(Layer):
    """min(max(x + 3, 0), 6) / 6, elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Hardsigmoid()(Tensor([-4.0, 0.0, 4.0]))
    Tensor([0. , 0.5, 1. ], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return hardsigmoid(x)


class Hardswish(Layer):
    """x * min(max(x + 3, 0), 6) / 6, elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Hardswish()(Tensor([-4.0, 1.5, 4.0]))
    Tensor([-0.   ,  1.125,  4.   ], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return hardswish(x)


class Mish(Layer):
    """x * tanh(softplus(x)), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Mish()(Tensor([0.0, 1.0]))
    Tensor([0.       , 0.8650984], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return mish(x)


class Softsign(Layer):
    """x / (1 + |x|), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Softsign()(Tensor([-1.0, 3.0]))
    Tensor([-0.5 ,  0.75], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return softsign(x)


class LogSigmoid(Layer):
    """log(1 / (1 + exp(-x))), elementwise.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.LogSigmoid()(Tensor([-1000.0, 0.0]))
    Tensor([-1.000000e+03, -6.931472e-01], dtype=float32)
    """

    def forward(self, x: Any) -> Tensor:
        return logsigmoid(x)


class _Gated(Layer):
    """Base class: the first half of an axis times an activation of the second."""

    gate: Callable[..., Any]
    _checks: ClassVar[check.Checks] = {"axis": check.integer}

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        return self.gate(as_array(x), axis=self.axis)


class GLU(_Gated):
    """a * sigmoid(b) for the halves a and b of an axis, which becomes half as long; see `glu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GLU()(Tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[0.5, 2. ]], dtype=float32)
    """

    gate = staticmethod(glu)


class ReGLU(_Gated):
    """a * relu(b) for the halves a and b of an axis; see `reglu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.ReGLU()(Tensor([[1.0, 2.0, -1.0, 3.0]]))
    Tensor([[0., 6.]], dtype=float32)
    """

    gate = staticmethod(reglu)


class GEGLU(_Gated):
    """a * gelu(b) for the halves a and b of an axis; see `geglu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.GEGLU()(Tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[   0., 2000.]], dtype=float32)
    """

    gate = staticmethod(geglu)


class SwiGLU(_Gated):
    """a * silu(b) for the halves a and b of an axis; see `swiglu`.

    >>> from tinygrad_np import Tensor, nn
    >>> nn.SwiGLU()(Tensor([[1.0, 2.0, 0.0, 1000.0]]))
    Tensor([[   0., 2000.]], dtype=float32)
    """

    gate = staticmethod(swiglu)
