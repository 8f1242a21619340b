"""tinygrad_np: reverse-mode automatic differentiation on NumPy, small enough to read in an hour.

`Tensor` wraps an ndarray; NumPy's own functions take it; `backward()` and `grad()` differentiate, to any order. On it
stand `func` (derivatives of functions), `nn` (layers), `optim` (optimisers, schedules), `data` (IDX files, batches),
`checkpoint` and `resume` (weights and whole trainings in files), `watch` (where a NaN comes from), `viz` (pictures of
graphs) and `testing` (proofs of gradients).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import blas  # first: it chooses kernels before NumPy is there
from . import memory as memory  # on being imported it keeps what is freed
from .blas import get_num_threads, set_num_threads, show_config
from .ops.convolution import conv1d, conv2d
from .ops.elementwise import relu
from .ops.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
)
from .ops.pooling import avg_pool2d, max_pool2d
from .ops.special import (
    erf,
    gelu,
    leaky_relu,
    log_softmax,
    logsumexp,
    one_hot,
    sigmoid,
    silu,
    softmax,
    softplus,
)
from .tensor import Tensor, composite, constant, differentiable, grad, no_grad, primitive

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "blas",
    "composite",
    "constant",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "detect_anomaly",
    "differentiable",
    "erf",
    "func",
    "gelu",
    "get_num_threads",
    "grad",
    "guard",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "nn",
    "no_grad",
    "one_hot",
    "optim",
    "primitive",
    "relu",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
]

if TYPE_CHECKING:
    from . import func, nn, optim
    from .watch import detect_anomaly, guard


def __getattr__(name: str) -> Any:
    """Load `func`, `nn`, `optim` and `watch` when they are first used, which saves others an eighth of the import."""
    if name in ("func", "nn", "optim"):
        return import_module(f"{__name__}.{name}")
    if name in ("detect_anomaly", "guard"):
        return getattr(import_module(f"{__name__}.watch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
