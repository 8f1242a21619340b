"""Every operation: importing this package fills the registry, one family a file.

An operation is one entry: the function, a vjp for each argument, and the cases its tests are generated from.
"""

from . import (
    attention,
    convolution,
    covariance,
    elementwise,
    indexing,
    linalg,
    losses,
    normalization,
    polynomials,
    pooling,
    products,
    quantiles,
    recurrence,
    reductions,
    shapes,
    special,
    ufunc_methods,
    windows,
)

__all__ = [
    "attention",
    "convolution",
    "covariance",
    "elementwise",
    "indexing",
    "linalg",
    "losses",
    "normalization",
    "polynomials",
    "pooling",
    "products",
    "quantiles",
    "recurrence",
    "reductions",
    "shapes",
    "special",
    "ufunc_methods",
    "windows",
]
