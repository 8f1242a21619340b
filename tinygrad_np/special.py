"""`scipy.special` for Tensors and arrays, under SciPy's names.

SciPy's universal functions take Tensors as they stand: `scipy.special.gammaln(x)`. They are here as well, so that
`from tinygrad_np import special` is enough, and so are functions of SciPy that turn what they are given into arrays:
`polygamma`, `multigammaln`, `logsumexp`, `softmax`, `log_softmax`, `lambertw` and the spherical Bessel functions.
Functions need SciPy (`python -m pip install scipy`), apart from `logsumexp`, `softmax` and `log_softmax`.

>>> from tinygrad_np import Tensor, grad, special
>>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> grad(special.gammaln(x).sum(), x)
Tensor([-0.5772157 ,  0.42278433,  0.9227843 ], dtype=float32)
"""

from typing import Any

from .ops.scipy_functions import log_softmax, logsumexp, multigammaln, softmax
from .ops.scipy_special import (
    ENTRIES,
    lambertw,
    polygamma,
    spherical_in,
    spherical_jn,
    spherical_kn,
    spherical_yn,
)
from .ops.scipy_special import special as _scipy
from .tensor import Tensor as Tensor

__all__ = [
    "lambertw",
    "log_softmax",
    "logsumexp",
    "multigammaln",
    "polygamma",
    "softmax",
    "spherical_in",
    "spherical_jn",
    "spherical_kn",
    "spherical_yn",
]

# SciPy's own functions that take Tensors; some have two names there, and some call others that do.
_ALSO = {"digamma", "ivp", "jn", "jvp", "kvp", "sinc", "softplus", "yvp"}
_OF_SCIPY = {entry.name for entry in ENTRIES if entry.own is None} | _ALSO


def __getattr__(name: str) -> Any:
    if name in _OF_SCIPY:
        return getattr(_scipy, name)
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
    raise AttributeError(
        f"tinygrad_np.special has no {name}: it has the functions of scipy.special that have a gradient here,"
        " which dir(tinygrad_np.special) lists",
        name=name,
    )


def __dir__() -> list[str]:
    return sorted({*__all__, *_OF_SCIPY})
