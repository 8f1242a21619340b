"""tinygrad_np: reverse-mode automatic differentiation on NumPy, small enough to read in an hour.

`Tensor` wraps an ndarray; NumPy's own functions take it; `backward()` and `grad()` differentiate, to any order. On it
stand `func` (derivatives of functions), `nn` (layers), `optim` (optimisers, schedules), `data` (IDX files, batches),
`checkpoint` (weights in files) and `testing` (proofs of gradients).
"""

from . import func, nn, optim
from .ops.elementwise import relu
from .ops.losses import cross_entropy
from .ops.special import erf, gelu, log_softmax, logsumexp, one_hot, sigmoid, softmax, softplus
from .tensor import Tensor, composite, constant, differentiable, grad, no_grad, primitive

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "composite",
    "constant",
    "cross_entropy",
    "differentiable",
    "erf",
    "func",
    "gelu",
    "grad",
    "log_softmax",
    "logsumexp",
    "nn",
    "no_grad",
    "one_hot",
    "optim",
    "primitive",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
]
