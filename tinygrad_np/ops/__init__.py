"""Every operation: importing this package fills the registry, one family a file.

An operation is one entry: the function, a vjp for each argument, and the cases its tests are generated from.
"""

from . import (
    attention,
    bessel,
    complex_numbers,
    convolution,
    creation,
    elementwise,
    fft,
    indexing,
    linalg,
    losses,
    normalization,
    padding,
    piecewise,
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
    "bessel",
    "complex_numbers",
    "convolution",
    "creation",
    "elementwise",
    "fft",
    "indexing",
    "linalg",
    "losses",
    "normalization",
    "padding",
    "piecewise",
    "pooling",
    "products",
    "recurrence",
    "reductions",
    "shapes",
    "special",
    "windows",
]
