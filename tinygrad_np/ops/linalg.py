"""Linear algebra: inverses, determinants, decompositions, norms; over the last two axes, batched.

A symmetric matrix is read by NumPy from one triangle only; the gradient is that of the numbers read, so it is 0 in the
other triangle. Decompositions are unique only where eigenvalues (singular values) differ: there the gradients of
eigenvectors are right, where two are equal they are infinite or NaN, and those of the values alone are finite.
"""

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ..tensor import Array, composite, constant, differentiable, primitive
from .cases import NONZERO, Case, each
from .elementwise import keep
from .reductions import restore


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


def _uneven(x: Any) -> Any:
    """A matrix whose rows and columns have sums that are far apart."""
    return x + 10 * np.arange(1.0, 1 + x.size).reshape(x.shape)


# --- inverses and equations ------------------------------------------------------------------------------------------

primitive(
    np.linalg.inv,
    lambda g, y, x: -(_t(y) @ g @ _t(y)),
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
)


@differentiable(
    lambda g, y, a, b: -(np.linalg.solve(_t(a), g) @ _t(y)),
    lambda g, y, a, b: np.linalg.solve(_t(a), g),
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


def _projected(g: Any, y: Any, x: Any) -> Any:
    """The gradient of a pseudo-inverse y of x (G. Golub and V. Pereyra 1973, equation 4.12), for constant rank."""
    across = _t(g)
    return (across - x @ (y @ across)) @ y @ _t(y) + _t(y) @ y @ (across - across @ y @ x) - _t(y) @ g @ _t(y)


primitive(
    np.linalg.pinv,
    lambda g, y, x: _projected(g, y, x),
    cases=[Case(shapes, prepare=_regular) for shapes in ("3 3", "3 2", "2 3", "b 3 2")],
)


@composite(
    np.linalg.lstsq,
    cases=[Case(shapes, prepare=lambda a, b: (_regular(a), b)) for shapes in ("3 2, 3 m", "3 2, 3", "2 2, 2")],
)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """`np.linalg.lstsq`: solution, squared residuals, rank and singular values, for matrices of full rank."""
    if rcond is not None:
        raise TypeError("lstsq of a Tensor does not support rcond=")
    x = np.linalg.pinv(a) @ b
    rank = int(np.linalg.matrix_rank(a))
    over = a.shape[0] > a.shape[1] and rank == a.shape[1]
    residuals = np.atleast_1d(np.sum(np.square(b - a @ x), axis=0)) if over else np.empty(0, a.dtype)
    return x, residuals, np.asarray(rank, np.int32)[()], np.linalg.svdvals(a)


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
    lambda g, y, x: np.reshape(g, (*g.shape, 1, 1)) * _t(np.linalg.inv(x)), cases=[Case("3 3", prepare=_regular)]
)
def _log_abs_det(x: Array) -> Array:
    return np.asarray(np.linalg.slogdet(x).logabsdet)


@composite(np.linalg.slogdet, cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)])
def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`: the sign, which is piecewise constant, so a plain array, and log(abs(det(a)))."""
    return type(np.linalg.slogdet(np.eye(1)))(np.linalg.slogdet(a.data).sign, _log_abs_det(a))


# --- decompositions: each part is an operation, which runs NumPy's decomposition again -------------------------------


def _of_triangle(symmetric: Any, lower: bool) -> Any:
    """The gradient with respect to one triangle: that of the other is the same number's, so it is added."""
    triangle = np.tril(symmetric + _t(symmetric)) if lower else np.triu(symmetric + _t(symmetric))
    return triangle * (1 - np.eye(symmetric.shape[-1], dtype=symmetric.dtype) / 2)


def _cholesky_back(g: Any, y: Any, upper: bool) -> Any:
    """I. Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10."""
    factor, g = (_t(y), _t(g)) if upper else (y, g)
    half = np.tril(_t(factor) @ g) * (1 - np.eye(y.shape[-1], dtype=y.dtype) / 2)
    inverse = np.linalg.inv(factor)
    symmetric = _t(inverse) @ half @ inverse
    return _of_triangle((symmetric + _t(symmetric)) / 2, lower=not upper)


primitive(
    np.linalg.cholesky,
    lambda g, y, x, *, upper=False: _cholesky_back(g, y, upper),
    cases=[
        *each("3 3", prepare=_positive_definite, upper=(False, True)),
        Case("b 2 2", prepare=_positive_definite),
        Case("2 2", prepare=lambda x: x + 9 * np.eye(2)),
    ],  # not symmetric: one triangle is read
)


def _symmetric_differences(w: Any) -> Any:
    """1 / (w_j - w_i), and 0 on the diagonal."""
    diagonal = np.eye(w.shape[-1], dtype=bool)
    return keep(1 / np.where(diagonal, 1, np.expand_dims(w, -2) - np.expand_dims(w, -1)), ~diagonal)


@differentiable(
    lambda g, y, x, *, UPLO="L": _of_triangle(
        np.linalg.eigh(x, UPLO).eigenvectors * np.expand_dims(g, -2) @ _t(np.linalg.eigh(x, UPLO).eigenvectors),
        UPLO == "L",
    ),
    cases=[Case("3 3", prepare=_spaced)],
)
def _eigenvalues(x: Array, UPLO: Any = "L") -> Array:
    return np.asarray(np.linalg.eigvalsh(x, UPLO))


@differentiable(
    lambda g, y, x, *, UPLO="L": _of_triangle(
        y @ (_symmetric_differences(_eigenvalues(x, UPLO=UPLO)) * (_t(y) @ g)) @ _t(y), UPLO == "L"
    ),
    cases=[Case("3 3", prepare=lambda x: x + np.diag([0.0, 10.0, 20.0]), finish=np.square)],
)
def _eigenvectors(x: Array, UPLO: Any = "L") -> Array:
    return np.asarray(np.linalg.eigh(x, UPLO).eigenvectors)


@composite(
    np.linalg.eigh,
    cases=[
        *each("3 3", prepare=_spaced, finish=lambda r: (r[0], r[1] ** 2), UPLO=("L", "U", "l")),
        Case("b 2 2", prepare=_spaced, finish=lambda r: (r.eigenvalues, r.eigenvectors**2)),
    ],
)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """`np.linalg.eigh`: eigenvalues, rising, and eigenvectors, whose sign is not determined."""
    kind = type(np.linalg.eigh(np.eye(1)))
    return kind(_eigenvalues(a, UPLO=UPLO.upper()), _eigenvectors(a, UPLO=UPLO.upper()))


composite(np.linalg.eigvalsh, cases=[*each("3 3", prepare=_spaced, UPLO=("L", "U", "u"))])(
    lambda a, UPLO="L": _eigenvalues(a, UPLO=UPLO.upper())
)


@differentiable(
    lambda g, y, x: _svd(x)[0] * np.expand_dims(g, -2) @ _svd(x)[2],
    cases=[Case(shapes, prepare=_spaced) for shapes in ("3 2", "2 3", "b 2 2")],
)
def _singular_values(x: Array) -> Array:
    return np.linalg.svd(x, compute_uv=False)


def _gaps(s: Any) -> Any:
    return _symmetric_differences(s * s)


def _left_back(g: Any, u: Any, s: Any, vh: Any) -> Any:
    """J. Townsend, "Differentiating the singular value decomposition" (2016), the terms of U."""
    inner = _gaps(s) * (_t(u) @ g - _t(g) @ u)
    outer = (g - u @ (_t(u) @ g)) / np.expand_dims(s, -2)
    return (u @ (inner * np.expand_dims(s, -2)) + outer) @ vh


@differentiable(lambda g, y, x: _left_back(g, y, *_svd(x)[1:]), cases=[Case("3 2", prepare=_spaced, finish=np.square)])
def _left_vectors(x: Array) -> Array:
    return np.linalg.svd(x, full_matrices=False).U


@differentiable(
    lambda g, y, x: _t(_left_back(_t(g), _t(y), _singular_values(x), _t(_left_vectors(x)))),
    cases=[Case("2 3", prepare=_spaced, finish=np.square)],
)
def _right_vectors(x: Array) -> Array:
    return np.linalg.svd(x, full_matrices=False).Vh


def _svd(x: Any) -> Any:
    return _left_vectors(x), _singular_values(x), _right_vectors(x)


def _signless(parts: Any) -> Any:
    """What does not depend on the signs of the singular vectors."""
    return parts.U**2, parts.S, parts.Vh**2, parts.U * np.expand_dims(parts.S, -2) @ parts.Vh


@composite(
    np.linalg.svd,
    cases=[
        Case(shapes, kwargs={"full_matrices": False}, prepare=_spaced, finish=_signless)
        for shapes in ("3 2", "2 3", "b 2 2")
    ]
    + [Case("3 3", prepare=_spaced, finish=_signless), Case("3 2", kwargs={"compute_uv": False}, prepare=_spaced)],
)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """`np.linalg.svd`, with `full_matrices=False` unless the matrix is square: the other vectors are arbitrary."""
    if not compute_uv:
        return _singular_values(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise ValueError(f"svd of a Tensor of shape {a.shape} needs full_matrices=False")
    return type(np.linalg.svd(np.eye(1)))(*_svd(a))


composite(np.linalg.svdvals, cases=[Case(shapes, prepare=_spaced) for shapes in ("3 2", "b 2 2")])(
    lambda x, /: _singular_values(x)
)


def _qr_back(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    """For at least as many rows as columns; M. Seeger et al., "Auto-differentiating linear algebra" (2017), 3.3."""
    m = r @ _t(gr) - _t(gq) @ q
    symmetric = np.tril(m) + _t(np.tril(m, -1))
    return _t(np.linalg.solve(r, _t(gq + q @ symmetric)))


@differentiable(
    lambda g, y, x: _qr_back(g, np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-1]), x.dtype), y, _right_factor(x)),
    cases=[Case("3 2", prepare=_spaced)],
)
def _orthogonal_factor(x: Array) -> Array:
    return np.linalg.qr(x).Q


@differentiable(
    lambda g, y, x: _qr_back(np.zeros(x.shape, x.dtype), g, _orthogonal_factor(x), y),
    cases=[Case("3 2", prepare=_spaced)],
)
def _right_factor(x: Array) -> Array:
    return np.linalg.qr(x).R


@composite(
    np.linalg.qr, cases=[Case("3 2", prepare=_spaced), Case("3 3", prepare=_spaced), Case("b 2 2", prepare=_spaced)]
)
def qr(a: Any, mode: str = "reduced") -> Any:
    """`np.linalg.qr`, of matrices with at least as many rows as columns, in mode "reduced" or "r"."""
    if mode not in ("reduced", "r") or a.shape[-2] < a.shape[-1]:
        raise ValueError(f"qr of a Tensor of shape {a.shape} in mode {mode!r} is not supported")
    if mode == "r":
        return _right_factor(a)
    return type(np.linalg.qr(np.eye(1)))(_orthogonal_factor(a), _right_factor(a))


# --- norms -----------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, axis=None, keepdims=False: (
        restore(g, x, axis, keepdims) * x / restore(np.where(y == 0, 1, y), x, axis, keepdims)
    ),
    cases=[*each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)), Case("")],
)
def _euclidean(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return np.asarray(np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims)))


def _vector_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    if order is None or order == 2:
        return _euclidean(x, axis=axis, keepdims=keepdims)
    if order == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
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
        norm = (np.max if order > 0 else np.min)(sums, axis=rest, keepdims=True)
    elif order in (2, -2, "nuc"):
        s = np.linalg.svdvals(np.moveaxis(x, (rows, columns), (-2, -1)))
        reduction: Any = {2: np.max, -2: np.min, "nuc": np.sum}[order]
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
