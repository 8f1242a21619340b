"""tinygrad_np: reverse-mode automatic differentiation on NumPy.

`Tensor` wraps an ndarray; NumPy's own functions take it; `backward()` and `grad()` differentiate, to any order. On it
stand `func` (derivatives of functions), `solvers` (roots, differential equations), `nn` (layers), `optim` (optimisers),
`schedules` (learning rates), `data` (IDX files, batches), `serialization` and `checkpoint` (arrays and whole trainings
in files), `debug` (where a NaN comes from), `special` and `stats` (special functions and distributions, under SciPy's
names), `testing` (proofs of gradients) and `viz` (pictures of graphs).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._machine.openblas import fit_threads, get_num_threads, set_num_threads  # first: before NumPy is loaded
from ._machine.tuning import show_config, tune
from ._messages import module_getattr, refuse_calls
from ._per_example import per_example_grad
from ._registry import composite, constant, differentiable, primitive
from .ops.convolution import conv1d, conv2d
from .ops.elementwise import relu
from .ops.indexing import scatter_add
from .ops.linalg import solve_triangular
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
from .ops.segments import gather, segment_max, segment_mean, segment_min, segment_softmax, segment_sum
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
from .tensor import Tensor, grad, no_grad

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "checkpoint",
    "composite",
    "constant",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "data",
    "debug",
    "detect_anomaly",
    "differentiable",
    "erf",
    "fit_threads",
    "func",
    "gather",
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
    "per_example_grad",
    "primitive",
    "relu",
    "scatter_add",
    "schedules",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_sum",
    "serialization",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "solve_triangular",
    "solvers",
    "special",
    "stats",
    "testing",
    "tune",
    "viz",
]

# Loaded when they are first used, which saves the others an eighth of the import.
_MODULES = (
    "checkpoint", "data", "debug", "func", "nn", "optim", "schedules", "serialization", "solvers", "special", "stats",
    "testing", "viz",
)  # fmt: skip

if TYPE_CHECKING:
    from . import (
        checkpoint,
        data,
        debug,
        func,
        nn,
        optim,
        schedules,
        serialization,
        solvers,
        special,
        stats,
        testing,
        viz,
    )
    from .debug import detect_anomaly, guard


refuse_calls(__name__)
_absent = module_getattr(__name__)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in ("detect_anomaly", "guard"):
        return getattr(import_module(f"{__name__}.debug"), name)
    return _absent(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
