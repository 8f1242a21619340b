"""`np.i0`, the modified Bessel function of order 0, and what its derivatives of every order are made of."""

import math

import numpy as np

from .._registry import differentiable, primitive
from ..tensor import Array
from .cases import Case, Domain, each

LARGEST = 720.0  # beyond which I_0 overflows


@differentiable(
    lambda g, y, x, *, order: g * x * _scaled(x, order=order + 1),
    reads=("x",),
    wide=True,
    jvp="elementwise",
    cases=each("*", domains=(Domain(0, 9, either_sign=True),), order=(0, 1, 2)),
    name="i0",
)
def _scaled(x: Array, order: int) -> Array:
    """I_n(x) / x**n, a positive even function, whose derivative is x I_{n+1}(x) / x**(n+1) (DLMF 10.29.4).

    The quotients r_k of the orders k and k - 1 follow from I_{k-1} - I_{k+1} = 2k / x I_k (DLMF 10.29.1):
    r_k = 1 / (2k + x**2 r_{k+1}). All terms are positive, so nothing cancels; going down, errors shrink as
    (I_N / K_N) (K_0 / I_0), about exp(-N**2 / x) at the first order N.
    """
    y = np.asarray(np.i0(x))
    if order == 0:
        return y
    square = np.square(np.minimum(np.abs(x), LARGEST))
    largest = math.sqrt(np.max(square, initial=0, where=np.isfinite(square)))
    ratio = np.zeros_like(square)
    for k in range(order + 20 + math.ceil(7 * math.sqrt(largest)), 0, -1):
        ratio = 1 / (2 * k + square * ratio)
        if k <= order:
            y = y * ratio
    return y


primitive(
    np.i0,
    lambda g, y, x: g * x * _scaled(x, order=1),
    reads=("x",),
    wide=True,
    jvp="elementwise",
    cases=[Case("*"), Case("*", domains=(Domain(0, 12, either_sign=True),))],
)
