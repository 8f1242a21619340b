"""Linear algebra: inverses, determinants, decompositions, norms; over the last two axes, batched.

A symmetric matrix is read by NumPy from one triangle only; the gradient is that of the numbers read, so it is 0 in the
other triangle. Decompositions are unique only where eigenvalues (singular values) differ: there the gradients of
eigenvectors are right, where two are equal they are infinite or NaN, and those of the values alone are finite.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..tensor import Array, composite, constant, differentiable, primitive
from .cases import NONZERO, Case, each
from .elementwise import keep
from .reductions import restore


@cache
def _result_type(decompose: Any) -> Any:
    """The named tuple that a NumPy decomposition returns; it has no public name."""
    return type(decompose(np.eye(1)))


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _regular(x: Any) -> Any:
    """A matrix far from singular, made of any: for tests."""
    return x + 7 * np.eye(x.shape[-2], x.shape[-1])


def _positive_definite(x: Any) -> Any:
    return x @ _t(x) + np.eye(x.shape[-2])


def _spaced(x: Any) -> Any:
    """A matrix whose eigenvalues and singular values are far apart."""
    return x + 12 * np.eye(x.shape[-2], x.shape[-1]) * np.arange(1.0, 1 + x.shape[-1])


def _spaced_cases(*shapes: str, **options: Any) -> list[Case]:
    return [Case(shape, prepare=_spaced, **options) for shape in shapes]


def _uneven(x: Any) -> Any:
    """A matrix whose rows and columns have sums that are far apart."""
    return x + 10 * np.arange(1.0, 1 + x.size).reshape(x.shape)


# --- inverses and equations ------------------------------------------------------------------------------------------

primitive(
    np.linalg.inv,
    lambda g, y, x: -(_t(y) @ g @ _t(y)),
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
)


def _solve_back(g: Any, y: Any, a: Any, needed: tuple[bool, ...]) -> tuple[Any, Any]:
    """The gradients of a and b, from one solution."""
    to_b = np.linalg.solve(_t(a), g)
    return -(to_b @ _t(y)) if needed[0] else None, to_b


@differentiable(
    joint=lambda g, y, a, b, *, needed: _solve_back(g, y, a, needed),
    reads=("y a", "a"),
    cases=[Case("3 3, 3 2", prepare=lambda a, b: (_regular(a), b))],
)
def _solve(a: Array, b: Array) -> Array:
    return np.linalg.solve(a, b)


@composite(
    np.linalg.solve,
    cases=[
        Case(shapes, prepare=lambda a, b: (_regular(a), b))
        for shapes in ("3 3, 3 m", "3 3, 3", "b 2 2, 2 m", "2 2, b 2 m", "b 2 2, 2")
    ],
)
def solve(a: Any, b: Any) -> Any:
    """`np.linalg.solve`."""
    if b.ndim == 1:
        return np.squeeze(_solve(a, np.expand_dims(b, -1)), -1)
    return _solve(a, b)


def _pinv_vjp(g: Any, y: Any, x: Any) -> Any:
    """The gradient of a pseudo-inverse y of x (G. Golub and V. Pereyra 1973, equation 4.12), for constant rank."""
    across = _t(g)
    return (across - x @ (y @ across)) @ y @ _t(y) + _t(y) @ y @ (across - across @ y @ x) - _t(y) @ g @ _t(y)


primitive(
    np.linalg.pinv, _pinv_vjp, cases=[Case(shapes, prepare=_regular) for shapes in ("3 3", "3 2", "2 3", "b 3 2")]
)


@composite(
    np.linalg.lstsq,
    cases=[Case(shapes, prepare=lambda a, b: (_regular(a), b)) for shapes in ("3 2, 3 m", "3 2, 3", "2 2, 2")],
)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """`np.linalg.lstsq`: solution, squared residuals, rank and singular values, for matrices of full rank."""
    if rcond is not None:
        raise TypeError("lstsq of a Tensor does not support rcond=")
    if a.dtype != (dtype := np.result_type(a.dtype, b.dtype)):
        a = np.astype(a, dtype)
    x = np.linalg.pinv(a) @ b
    s = np.linalg.svdvals(a)
    rank = int(np.sum(s > np.max(s) * (max(a.shape) * np.finfo(s.dtype).eps)))  # as NumPy counts it
    over = a.shape[0] > a.shape[1] and rank == a.shape[1]
    residuals = np.atleast_1d(np.sum(np.square(b - a @ x), axis=0)) if over else np.empty(0, a.dtype)
    return x, residuals, np.asarray(rank, np.int32)[()], s


# --- determinants ----------------------------------------------------------------------------------------------------


def _cofactors(y: Any, x: Any) -> Any:
    """The gradient of det(x) = y: y * inv(x).T, or, near singular matrices, the determinants of the minors."""
    n = x.shape[-1]
    if np.all(np.abs(y) > 1e-6 * np.prod(np.sqrt(np.sum(np.square(x), axis=-1)), axis=-1)):  # Hadamard's bound
        return np.reshape(y, (*y.shape, 1, 1)) * _t(np.linalg.inv(x))
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    minors = x[..., others[:, np.newaxis, :, np.newaxis], others[np.newaxis, :, np.newaxis, :]]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return np.linalg.det(minors) * signs.astype(x.dtype)


def _singular(x: Any) -> Any:
    """The last row the sum of the others."""
    return np.concatenate([x, np.sum(x, axis=-2, keepdims=True)], axis=-2)


primitive(
    np.linalg.det,
    lambda g, y, x: np.reshape(g, (*g.shape, 1, 1)) * _cofactors(y, x),
    cases=[
        Case("2 2"),
        Case("3 3", prepare=_regular),
        Case("b 2 2", prepare=_regular),
        Case("1 1"),
        Case("2 3", prepare=_singular),
        Case("1 2", prepare=_singular),
    ],
)


@differentiable(
    lambda g, y, x: g[1, ..., np.newaxis, np.newaxis] * _t(np.linalg.inv(x)),
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
)
def _slogdet(x: Array) -> Array:
    """The sign and log(abs(det(x))), (2, ...)."""
    return np.array(np.linalg.slogdet(x))


@composite(np.linalg.slogdet, cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)])
def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`: the sign, which is piecewise constant, so a plain array, and log(abs(det(a)))."""
    packed = _slogdet(a)
    return _result_type(np.linalg.slogdet)(packed.data[0], packed[1])


# --- decompositions --------------------------------------------------------------------------------------------------
# A primitive returns one array, so each decomposition stacks its parts in one, and what the user gets are slices of it.
# One vjp then has the gradients of all parts, and the parts themselves: nothing is decomposed again.


def _of_triangle(symmetric: Any, lower: bool) -> Any:
    """The gradient with respect to one triangle: that of the other is the same number's, so it is added."""
    triangle = np.tril(symmetric + _t(symmetric)) if lower else np.triu(symmetric + _t(symmetric))
    return triangle * (1 - np.eye(symmetric.shape[-1], dtype=symmetric.dtype) / 2)


def _cholesky_vjp(g: Any, y: Any, x: Any, *, upper: bool = False) -> Any:
    """I. Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10."""
    factor, g = (_t(y), _t(g)) if upper else (y, g)
    half = np.tril(_t(factor) @ g) * (1 - np.eye(y.shape[-1], dtype=y.dtype) / 2)
    inverse = np.linalg.inv(factor)
    symmetric = _t(inverse) @ half @ inverse
    return _of_triangle((symmetric + _t(symmetric)) / 2, lower=not upper)


primitive(
    np.linalg.cholesky,
    _cholesky_vjp,
    cases=[
        *each("3 3", prepare=_positive_definite, upper=(False, True)),
        Case("b 2 2", prepare=_positive_definite),
        Case("2 2", prepare=lambda x: x + 9 * np.eye(2)),
    ],  # not symmetric: one triangle is read
)


def _divided(x: Any, by: Any) -> Any:
    """x / by, and 0 where both are 0, as at equal eigenvalues whose vectors get no gradient."""
    return x / np.where((x == 0) & (by == 0), 1, by)


def _eigh_vjp(g: Any, y: Any, x: Any, *, UPLO: Any = "L") -> Any:
    """M. Giles, "An extended collection of matrix derivative results" (2008), for an orthogonal V."""
    w, v, gw, gv = y[..., :1, :], y[..., 1:, :], g[..., :1, :], g[..., 1:, :]
    inner = _t(v) @ gv
    rotation = _divided(inner - _t(inner), w - _t(w)) / 2
    return _of_triangle((v * gw + v @ rotation) @ _t(v), UPLO.upper() == "L")


@differentiable(_eigh_vjp, cases=[*each("3 3", prepare=_spaced, finish=np.square, UPLO=("L", "u")), Case("0 0")])
def _eigh(x: Array, UPLO: Any = "L") -> Array:
    """The eigenvalues above the eigenvectors, (..., 1 + n, n)."""
    w, v = np.linalg.eigh(x, UPLO)
    return np.concatenate([w[..., np.newaxis, :], v], axis=-2)


@composite(
    np.linalg.eigh,
    cases=[
        *each("3 3", prepare=_spaced, finish=lambda r: (r[0], r[1] ** 2), UPLO=("L", "U", "l")),
        *_spaced_cases("b 2 2", finish=lambda r: (r.eigenvalues, r.eigenvectors**2)),
        *_spaced_cases("b 3 3", finish=lambda r: r[1] * r[0][..., np.newaxis, :] @ _t(r[1])),
    ],
)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """`np.linalg.eigh`: eigenvalues, rising, and eigenvectors, whose sign is not determined."""
    packed = _eigh(a, UPLO=UPLO)
    return _result_type(np.linalg.eigh)(packed[..., 0, :], packed[..., 1:, :])


def _eigvalsh_vjp(g: Any, y: Any, x: Any, *, UPLO: Any = "L") -> Any:
    v = np.linalg.eigh(x, UPLO).eigenvectors
    return _of_triangle(v * g[..., np.newaxis, :] @ _t(v), UPLO.upper() == "L")


primitive(
    np.linalg.eigvalsh,
    _eigvalsh_vjp,
    cases=[*each("3 3", prepare=_spaced, UPLO=("L", "U", "u")), *_spaced_cases("b 2 2")],
)


def _svd_parts(packed: Any, m: int) -> tuple[Any, Any, Any]:
    """U (..., m, k), S (..., 1, k) and V (..., n, k), or their gradients."""
    return packed[..., :m, :], packed[..., m : m + 1, :], packed[..., m + 1 :, :]


def _svd_vjp(g: Any, y: Any, x: Any) -> Any:
    """J. Townsend, "Differentiating the singular value decomposition" (2016)."""
    m, n = x.shape[-2:]
    (u, s, v), (gu, gs, gv) = _svd_parts(y, m), _svd_parts(g, m)
    left, right, gaps = _t(u) @ gu, _t(v) @ gv, s * s - _t(s * s)
    inner = _divided(left - _t(left), gaps) * s + _t(s) * _divided(right - _t(right), gaps)
    gx = (u * gs + u @ inner) @ _t(v)
    if m > n:  # what of gu is outside the span of u
        gx = gx + _divided(gu - u @ left, s) @ _t(v)
    if m < n:
        gx = gx + u @ _t(_divided(gv - v @ right, s))
    return gx


@differentiable(_svd_vjp, cases=_spaced_cases("3 2", "2 3", "b 2 2", "0 2", "2 0", finish=np.square))
def _svd(x: Array) -> Array:
    """U, S and V, one above the other, (..., m + 1 + n, k), where k is the smaller of m and n."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return np.concatenate([u, s[..., np.newaxis, :], _t(vh)], axis=-2)


def _signless(parts: Any) -> Any:
    """What does not depend on the signs of the singular vectors."""
    return parts.U**2, parts.S, parts.Vh**2, parts.U * np.expand_dims(parts.S, -2) @ parts.Vh


@composite(
    np.linalg.svd,
    cases=[
        *_spaced_cases("3 2", "2 3", "b 2 2", "b 1 3", "2 0", kwargs={"full_matrices": False}, finish=_signless),
        *_spaced_cases("3 3", finish=_signless),
        *_spaced_cases("3 2", kwargs={"compute_uv": False}),
    ],
)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """`np.linalg.svd`, with `full_matrices=False` unless the matrix is square: the other vectors are arbitrary."""
    if not compute_uv:
        return np.linalg.svdvals(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise ValueError(f"svd of a Tensor of shape {a.shape} needs full_matrices=False")
    u, s, v = _svd_parts(_svd(a), a.shape[-2])
    return _result_type(np.linalg.svd)(u, s[..., 0, :], _t(v))


def _svdvals_vjp(g: Any, y: Any, x: Any) -> Any:
    u, _, vh = np.linalg.svd(x, full_matrices=False)
    return u * g[..., np.newaxis, :] @ vh


primitive(np.linalg.svdvals, _svdvals_vjp, cases=_spaced_cases("3 2", "2 3", "b 2 2", "0 2"))


def _qr_vjp(g: Any, y: Any, x: Any) -> Any:
    """For at least as many rows as columns; M. Seeger et al., "Auto-differentiating linear algebra" (2017), 3.3."""
    m = x.shape[-2]
    q, r, gq, gr = y[..., :m, :], y[..., m:, :], g[..., :m, :], g[..., m:, :]
    inner = r @ _t(gr) - _t(gq) @ q
    symmetric = np.tril(inner) + _t(np.tril(inner, -1))
    return _t(np.linalg.solve(r, _t(gq + q @ symmetric)))


@differentiable(_qr_vjp, cases=_spaced_cases("3 2", "2 0"))
def _qr(x: Array) -> Array:
    """Q above R, (..., m + n, n)."""
    return np.concatenate(np.linalg.qr(x), axis=-2)


@composite(np.linalg.qr, cases=[*_spaced_cases("3 2", "3 3", "b 2 2"), *_spaced_cases("3 2", kwargs={"mode": "r"})])
def qr(a: Any, mode: str = "reduced") -> Any:
    """`np.linalg.qr`, of matrices with at least as many rows as columns, in mode "reduced" or "r"."""
    if mode not in ("reduced", "r") or a.shape[-2] < a.shape[-1]:
        raise ValueError(f"qr of a Tensor of shape {a.shape} in mode {mode!r} is not supported")
    packed, m = _qr(a), a.shape[-2]
    return packed[..., m:, :] if mode == "r" else _result_type(np.linalg.qr)(packed[..., :m, :], packed[..., m:, :])


# --- norms -----------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, axis=None, keepdims=False: (
        restore(g, x, axis, keepdims) * x / restore(np.where(y == 0, 1, y), x, axis, keepdims)
    ),
    cases=[*each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)), Case("")],
)
def _euclidean(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return np.asarray(np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims)))


def _largest(x: Any, **options: Any) -> Any:
    """The maximum of numbers of at least 0, and 0 for none."""
    return np.max(x, **options) if x.size else np.max(x, initial=0, **options)


def _vector_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    if order is None or order == 2:
        return _euclidean(x, axis=axis, keepdims=keepdims)
    if order == np.inf:
        return _largest(np.abs(x), axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum(np.sign(np.abs(x)), axis=axis, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    total = np.sum(np.power(np.abs(x), float(order)), axis=axis, keepdims=keepdims)
    return keep(np.power(np.where(total == 0, 1, total), 1 / order), total != 0)


def _matrix_norm(x: Any, order: Any, axes: Any, keepdims: bool) -> Any:
    rows, columns = normalize_axis_tuple(axes, x.ndim)
    if order in (None, "fro"):
        return _euclidean(x, axis=(rows, columns), keepdims=keepdims)
    if order in (1, -1, np.inf, -np.inf):
        summed, rest = (rows, columns) if abs(order) == 1 else (columns, rows)
        sums = np.sum(np.abs(x), axis=summed, keepdims=True)
        norm = _largest(sums, axis=rest, keepdims=True) if order > 0 else np.min(sums, axis=rest, keepdims=True)
    elif order in (2, -2, "nuc"):
        s = np.linalg.svdvals(np.moveaxis(x, (rows, columns), (-2, -1)))
        reduction: Any = {2: _largest, -2: np.min, "nuc": np.sum}[order]
        norm = reduction(s, axis=-1)
        norm = np.expand_dims(norm, sorted((rows, columns)))
    else:
        raise ValueError(f"norm: order {order!r} of a matrix is not one of fro, nuc, 1, -1, 2, -2, inf, -inf")
    return norm if keepdims else np.squeeze(norm, (rows, columns))


@composite(
    np.linalg.norm,
    cases=[
        *each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)),
        *each(
            "3 2",
            domains=(NONZERO,),
            ord=(None, 1, 2, 3, 0.5, -1, np.inf, -np.inf, 0),
            axis=(0, -1),
            keepdims=(False, True),
        ),
        *each("3", domains=(NONZERO,), ord=(None, 1, 2, 3.5, np.inf)),
        *each(
            "2 3 b",
            prepare=_uneven,
            ord=("fro", 1, -1, np.inf, -np.inf),
            axis=((0, 1), (-2, 0)),
            keepdims=(False, True),
        ),
        *each("3 2", prepare=_spaced, ord=("fro", "nuc", 2, -2, 1), keepdims=(False, True)),
    ],
)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm`, of vectors and matrices, all orders; its gradient is 0 where the norm is 0."""
    if axis is None and (ord is None or x.ndim not in (1, 2)):
        if ord is not None:
            raise ValueError(f"norm: order {ord!r} needs an axis for {x.ndim} dimensions")
        return _euclidean(x, axis=None, keepdims=keepdims)
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.atleast_1d(axis).tolist())
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(f"norm: axis has {len(axes)} axes, expected one or two")


@composite(
    np.linalg.vector_norm,
    cases=[
        *each("N M", axis=(None, 0, (0, 1)), keepdims=(False, True)),
        *each("2 3", domains=(NONZERO,), ord=(1, 3, np.inf), axis=(None, 0)),
        Case("0 3", (), {"ord": np.inf}),
    ],
)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`np.linalg.vector_norm`."""
    return _vector_norm(x, ord, axis, keepdims)


@composite(
    np.linalg.matrix_norm,
    cases=[*each("b 3 2", prepare=_spaced, ord=("fro", "nuc", 2, 1, np.inf), keepdims=(False, True))],
)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """`np.linalg.matrix_norm`, of the last two axes."""
    return _matrix_norm(x, ord, (-2, -1), keepdims)


@composite(np.linalg.cond, cases=each("2 2", prepare=_spaced, p=(None, 2, -2, "fro", 1)))
def cond(x: Any, p: Any = None) -> Any:
    """`np.linalg.cond`: the norm of a matrix times that of its inverse."""
    if p in (None, 2, -2):
        s = np.linalg.svdvals(x)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return np.linalg.norm(x, p, axis=(-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, axis=(-2, -1))


constant(np.linalg.matrix_rank)
