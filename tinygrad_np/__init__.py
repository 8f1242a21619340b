"""tinygrad_np: reverse-mode automatic differentiation on NumPy.

`Tensor` wraps an ndarray; NumPy's own functions take it; `backward()` and `grad()` differentiate, to any order. On it
stand `func` (derivatives of functions), `solvers` (roots, differential equations), `nn` (layers), `optim` (optimisers),
`schedules` (learning rates), `data` (IDX files, batches), `serialization` and `checkpoint` (arrays and whole trainings
in files), `debug` (where a NaN comes from), `special` and `stats` (special functions and distributions, under SciPy's
names), `testing` (proofs of gradients), `viz` (pictures of graphs) and `onnx` (networks for other programs).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._machine.openblas import fit_threads, get_num_threads, set_num_threads  # first: before NumPy is loaded
from ._machine.tuning import show_config, tune
from ._messages import module_getattr, refuse_calls
from ._per_example import per_example_grad
from ._registry import composite, constant, differentiable, primitive
from .ops.activations import (
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
from .ops.convolution import conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d
from .ops.ctc import ctc_loss
from .ops.elementwise import relu
from .ops.folding import fold, pixel_shuffle, pixel_unshuffle, unfold
from .ops.indexing import scatter_add
from .ops.linalg import solve_triangular
from .ops.losses import cross_entropy, nll_loss
from .ops.margins import (
    hinge_embedding_loss,
    hinge_loss,
    margin_ranking_loss,
    multi_margin_loss,
    soft_margin_loss,
)
from .ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from .ops.probabilities import (
    binary_cross_entropy_with_logits,
    dice_loss,
    kl_div,
    sigmoid_focal_loss,
    softmax_focal_loss,
)
from .ops.regression import gaussian_nll_loss, huber_loss, l1_loss, mse_loss, poisson_nll_loss, smooth_l1_loss
from .ops.resampling import interpolate
from .ops.segments import gather, segment_max, segment_mean, segment_min, segment_softmax, segment_sum
from .ops.similarity import (
    cosine_embedding_loss,
    cosine_similarity,
    normalize,
    nt_xent_loss,
    pairwise_distance,
    triplet_margin_loss,
)
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
from .tensor import Tensor, enable_grad, grad, no_grad

__version__ = "0.1.0"

__all__ = [
    "Tensor",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "celu",
    "checkpoint",
    "composite",
    "constant",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "data",
    "debug",
    "detect_anomaly",
    "dice_loss",
    "differentiable",
    "elu",
    "enable_grad",
    "erf",
    "fit_threads",
    "fold",
    "func",
    "gather",
    "gaussian_nll_loss",
    "geglu",
    "gelu",
    "get_num_threads",
    "glu",
    "grad",
    "guard",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "logsumexp",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "nn",
    "no_grad",
    "normalize",
    "nt_xent_loss",
    "one_hot",
    "onnx",
    "optim",
    "pairwise_distance",
    "per_example_grad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "primitive",
    "reglu",
    "relu",
    "relu6",
    "scatter_add",
    "schedules",
    "segment_max",
    "segment_mean",
    "segment_min",
    "segment_softmax",
    "segment_sum",
    "selu",
    "serialization",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "sigmoid_focal_loss",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmax_focal_loss",
    "softplus",
    "softsign",
    "solve_triangular",
    "solvers",
    "special",
    "stats",
    "swiglu",
    "testing",
    "triplet_margin_loss",
    "tune",
    "unfold",
    "viz",
]

# Loaded when they are first used, which saves the others an eighth of the import.
_MODULES = (
    "checkpoint", "data", "debug", "func", "nn", "onnx", "optim", "schedules", "serialization", "solvers", "special",
    "stats", "testing", "viz",
)  # fmt: skip

if TYPE_CHECKING:
    from . import (
        checkpoint,
        data,
        debug,
        func,
        nn,
        onnx,
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
    if name == "numpy":  # for type checkers, which read _numpy/__init__.pyi
        return import_module("numpy")
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in ("detect_anomaly", "guard"):
        return getattr(import_module(f"{__name__}.debug"), name)
    return _absent(name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
