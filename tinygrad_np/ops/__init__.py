"""Every operation: importing this package fills the registry, one family a file.

An operation is one entry: the function, a vjp for each argument, and the cases its tests are generated from.
"""

from . import (
    attention,
    complex_numbers,
    convolution,
    elementwise,
    fft,
    indexing,
    linalg,
    losses,
    normalization,
    pooling,
    products,
    recurrence,
    reductions,
    shapes,
    special,
    windows,
)

__all__ = [
    "attention",
    "complex_numbers",
    "convolution",
    "elementwise",
    "fft",
    "indexing",
    "linalg",
    "losses",
    "normalization",
    "pooling",
    "products",
    "recurrence",
    "reductions",
    "shapes",
    "special",
    "windows",
]
