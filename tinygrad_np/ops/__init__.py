"""Every operation: importing this package fills the registry, one family a file.

An operation is one entry: the function, a vjp for each argument, and the cases its tests are generated from.
"""

from . import (
    convolution,
    elementwise,
    indexing,
    linalg,
    losses,
    normalization,
    pooling,
    products,
    reductions,
    shapes,
    special,
    windows,
)

__all__ = [
    "convolution",
    "elementwise",
    "indexing",
    "linalg",
    "losses",
    "normalization",
    "pooling",
    "products",
    "reductions",
    "shapes",
    "special",
    "windows",
]
