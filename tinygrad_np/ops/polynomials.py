"""Polynomials by their coefficients, the highest power first: values, arithmetic, derivatives, least squares.

NumPy drops leading coefficients that are exactly 0 from products and remainders. The shape of the result depends on
them, but the gradients of the coefficients that remain are those of the whole product.
"""

import warnings
from typing import Any

import numpy as np

from .._registry import composite, in_float32
from ..tensor import Tensor, as_array
from .cases import REAL, Case, Domain, each
from .elementwise import array_of, keep


@composite(np.polyval, cases=[Case("3, n m"), Case("1, n"), Case("4, ")], complex=True)
@in_float32
def polyval(p: Any, x: Any) -> Any:
    """`np.polyval`, by Horner's rule; differentiable in the coefficients and in x."""
    if not len(p):
        zeros = keep(x, np.zeros(np.shape(x), bool))
        return zeros if type(zeros) is Tensor else Tensor(zeros)
    value: Any = np.zeros_like(x)
    for coefficient in p:
        value = value * x + coefficient
    return value


@composite(np.vander, cases=[Case("3"), Case("2", (4,)), Case("3", kwargs={"N": 2, "increasing": True})], complex=True)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """`np.vander`."""
    if x.ndim != 1:
        raise ValueError(f"vander: expected a vector, not shape {x.shape}")
    powers = np.arange(len(x) if N is None else N)
    return x[:, np.newaxis] ** (powers if increasing else powers[::-1])


# --- arithmetic ------------------------------------------------------------------------------------------------------


def _coefficients(name: str, p: Any) -> Any:
    p = np.atleast_1d(as_array(p))
    if p.ndim > 1:
        raise ValueError(f"{name}: the coefficients of a polynomial are a vector, not of shape {p.shape}")
    return p


def _in_one_length(a: Any, b: Any) -> tuple[Any, Any]:
    """Both vectors of coefficients, with zeros in front of the shorter."""
    n = max(len(a), len(b))
    padded = (x if len(x) == n else np.concatenate([np.zeros(n - len(x), x.dtype), x]) for x in (a, b))
    first, second = padded
    return first, second


@composite(np.polyadd, cases=[Case("n, m"), Case("3, ")], complex=True)
def polyadd(a1: Any, a2: Any) -> Any:
    """`np.polyadd`."""
    return np.add(*_in_one_length(_coefficients("polyadd", a1), _coefficients("polyadd", a2)))


@composite(np.polysub, cases=[Case("n, m"), Case("3, ")], complex=True)
def polysub(a1: Any, a2: Any) -> Any:
    """`np.polysub`."""
    return np.subtract(*_in_one_length(_coefficients("polysub", a1), _coefficients("polysub", a2)))


def _length(p: Any) -> int:
    """The number of coefficients from the first that is not 0, at least 1."""
    found = np.flatnonzero(array_of(p))
    return len(p) - int(found[0]) if found.size else 1


@composite(np.polymul, cases=[Case("N, M"), Case("3, ")], complex=True)
def polymul(a1: Any, a2: Any) -> Any:
    """`np.polymul`."""
    a1, a2 = (
        p if len(p) else np.concatenate([p, np.zeros(1, p.dtype)])  # none are those of 0
        for p in (_coefficients("polymul", a1), _coefficients("polymul", a2))
    )
    length = _length(a1) + _length(a2) - 1
    return np.convolve(a1, a2)[-length:]


@composite(
    np.polydiv,
    cases=[Case(shapes, domains=(REAL, Domain(0.5, 2))) for shapes in ("4, 2", "3, 3", "3, 1", "2, 3")],
    complex=True,
)
def polydiv(u: Any, v: Any) -> Any:
    """`np.polydiv`: quotient and remainder."""
    u, v = (np.add(_coefficients("polydiv", p), 0.0) for p in (u, v))
    if not len(u) or not len(v):
        raise IndexError("polydiv: expected at least one coefficient each")
    length = len(np.polydiv(array_of(u), array_of(v))[1])  # NumPy drops leading coefficients by their rounding errors
    quotient, rest = _divided(u, v)
    return quotient, rest[-length:]


@in_float32
def _divided(u: Any, v: Any) -> Any:
    steps, n = len(u) - len(v) + 1, len(v)
    quotient, rest = [], np.astype(u, np.result_type(u, v), copy=False)
    for k in range(steps):
        quotient.append(rest[k] / v[0])
        rest = np.concatenate([rest[:k], rest[k : k + n] - quotient[-1] * v, rest[k + n :]])
    return np.stack(quotient) if quotient else keep(rest[:1], np.False_), rest


def _vector(name: str, p: Any) -> Any:
    if np.ndim(p) != 1:
        raise TypeError(f"{name}: the coefficients of a polynomial are a vector, not of shape {np.shape(p)}")
    return as_array(p)


@composite(np.polyder, cases=each("4", m=(0, 1, 2, 5)), complex=True)
def polyder(p: Any, m: int = 1) -> Any:
    """`np.polyder`: the derivative, m times."""
    if m < 0:
        raise ValueError(f"polyder: m must be at least 0, not {m}")
    if m == 0 and np.ndim(p):
        return np.positive(as_array(p))
    p = _vector("polyder", p)
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@composite(
    np.polyint,
    cases=[
        *each("3", m=(0, 1, 2)),
        Case("3", kwargs={"k": 2.0, "m": 2}),
    ],
    complex=True,
)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """`np.polyint`: the integral, m times, with constants k; beside a Tensor p it is differentiable in them too."""
    if m < 0:
        raise ValueError(f"polyint: m must be at least 0, not {m}")
    if m == 0:
        return np.positive(as_array(p))
    p, constants = _vector("polyint", p), np.atleast_1d(np.zeros(m) if k is None else as_array(k))
    if len(constants) == 1:
        constants = np.broadcast_to(constants, (m,))
    if len(constants) < m:
        raise ValueError(f"polyint: k must be one constant or {m}, not {len(constants)}")
    for i in range(m):
        p = np.concatenate([p / np.arange(len(p), 0, -1), constants[i : i + 1]])
    return p


@composite(np.poly, cases=[Case("1"), Case("3")], complex=True)
def poly(seq_of_zeros: Any) -> Any:
    """`np.poly`: the coefficients of the polynomial with these roots."""
    roots = as_array(seq_of_zeros)
    if roots.ndim != 1:
        raise TypeError("poly of a Tensor takes roots; for a matrix it needs all eigenvalues, which may be complex")
    if roots.dtype == np.float16 or not len(roots):  # as in NumPy
        roots = np.astype(roots, np.float64)
    if not len(roots):
        return np.prod(roots)
    one = np.ones(1, roots.dtype)
    coefficients: Any = one
    for i in range(len(roots)):
        coefficients = np.convolve(coefficients, np.concatenate([one, -roots[i : i + 1]]))
    return coefficients


# --- least squares ---------------------------------------------------------------------------------------------------


def _apart(x: Any, *others: Any) -> Any:
    """Places that are far apart."""
    return (x / 8 + np.arange(x.shape[0]), *others)


@composite(
    np.polyfit,
    constants=(2, 4),
    cases=[
        *each("4, 4", prepare=lambda x, y: (*_apart(x, y), 2), full=(False, True)),
        *each("4, 4 2", prepare=lambda x, y: (*_apart(x, y), 1), cov=(False, True, "unscaled")),
        Case(
            "4, 4, 4",
            domains=(REAL, REAL, Domain(0.5, 2)),
            prepare=lambda x, y, w: (*_apart(x, y), 1, None, False, w),
        ),
        Case(
            "5, 5, 5",
            domains=(REAL, REAL, Domain(0.5, 2)),
            prepare=lambda x, y, w: (*_apart(x, y), 1, 1e-9, False, w, True),
        ),
        Case("3, 3", prepare=lambda x, y: (*_apart(x, y), 2)),
    ],
)
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """`np.polyfit`: the polynomial nearest to points; differentiable in the points and in the weights.

    Where the places do not determine it, the gradient is that along places and weights that do not either.
    """
    x, y, order = np.add(as_array(x), 0.0), np.add(as_array(y), 0.0), int(deg) + 1
    if order < 1:
        raise ValueError(f"polyfit: deg must be at least 0, not {deg}")
    if x.ndim != 1 or not x.size or y.ndim not in (1, 2) or len(y) != len(x):
        raise TypeError(f"polyfit: x must be a vector that is not empty, and y as long, not {x.shape} and {y.shape}")
    powers, values = np.vander(x, order), y
    if w is not None:
        w = np.add(as_array(w), 0.0)
        if w.shape != x.shape:
            raise TypeError(f"polyfit: weights of shape {w.shape} for {len(x)} points")
        powers = np.astype(powers * w[:, np.newaxis], powers.dtype, copy=False)  # the weights promote nothing
        values = np.astype(values * (w if y.ndim == 1 else w[:, np.newaxis]), y.dtype, copy=False)
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    powers = powers / scale
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    c, residuals, rank, s = np.linalg.lstsq(powers, values, rcond)
    c = np.transpose(np.transpose(c) / scale)
    if full:
        return c, residuals, rank, s, rcond
    if rank != order:
        warnings.warn("polyfit: the points do not determine the polynomial", np.exceptions.RankWarning, stacklevel=4)
    if not cov:
        return c
    covariance: Any = np.linalg.inv(np.transpose(powers) @ powers) / np.outer(scale, scale)
    covariance = covariance if y.ndim == 1 else covariance[:, :, np.newaxis]
    if isinstance(cov, str) and cov == "unscaled":
        return c, covariance
    if len(x) <= order:
        raise ValueError(f"polyfit: {len(x)} points leave no residuals to scale the covariance by; give cov='unscaled'")
    return c, covariance * (residuals / (len(x) - order))
