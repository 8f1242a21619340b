"""Linear algebra: inverses, determinants, decompositions, norms; over the last two axes, batched.

A symmetric matrix is read by NumPy from one triangle only; the gradient is that of the numbers read, so it is 0 in the
other triangle.

Eigenvectors and singular vectors are unique, up to their signs, only where the values differ. Where two values are
equal to rounding, elements of the Hessian are NaN, also of functions that have one, such as np.sum(eigvalsh(x)**2): a
vjp is not told how the gradients of the values change with the choice of the vectors. Where the gradient of these
values is 0, as that of np.sum((eigvalsh(x) - 1)**2) at the identity, they count as unused, and the elements are 0. No
other element is wrong. The gradient is

- finite for functions of the values alone (a singular value of 0 has a kink, as abs has; its gradient is u @ v.T, for
  the vectors that NumPy has chosen);
- right for functions of the vectors alone that do not depend on their choice, such as projections on all vectors of a
  value, and NaN if they do;
- NaN for functions of both, since the derivatives with respect to either do not tell how the two change together. What
  gets no gradient does not count: functions of the largest values and their vectors may have others that are equal.

The same holds for singular values of 0 of a matrix that is not square. QR is differentiable where the columns are
independent; elsewhere its gradient is NaN. A pseudo-inverse jumps where the rank changes: where the rank is not full,
its gradient is that along matrices of the same rank.

A Hermitian matrix is read from one triangle, too, and from the real part of its diagonal. The phase of a complex
eigenvector or singular vector is arbitrary: functions that depend on it have the gradient NaN, and so have derivatives
along a direction of the vectors themselves, of which nobody knows what they are for. Singular vectors of a pair have
one phase together. The eigenvalues of a matrix that is not Hermitian move infinitely fast where two become equal:
there the gradient of eig and eigvals is NaN.
"""

import math
from dataclasses import replace
from functools import cache, wraps
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .._machine.arrays import power_of_two
from .._registry import composite, constant, differentiable, primitive
from ..tensor import Array, as_array
from .cases import NONZERO, Case, each, since
from .elementwise import array_of, conjugate, direction, is_complex, keep, real_part, zero_at
from .reductions import is_normal, products_around, restore


@cache
def _result_type(decompose: Any) -> Any:
    """The named tuple that a NumPy decomposition returns; it has no public name."""
    return type(decompose(np.eye(1)))


def _t(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def _h(x: Any) -> Any:
    """The conjugate transpose."""
    return conjugate(_t(x))


def _of_conjugates(formula: Any) -> Any:
    """The vjp by a formula of the literature, whose gradients g stand for the change Re(sum(conj(g) * dy))."""

    @wraps(formula)
    def vjp(g: Any, y: Any, *inputs: Any, **keywords: Any) -> Any:
        return conjugate(formula(conjugate(g), y, *inputs, **keywords))

    return vjp


def _squares(x: Any) -> Any:
    """The squares of the absolute values, which are smooth at 0, too."""
    return np.square(np.real(x)) + np.square(np.imag(x)) if is_complex(x) else np.square(x)


def _require_matrices(name: str, x: Any) -> None:
    if x.ndim < 2:
        raise np.linalg.LinAlgError(f"{name}: expected a matrix or several, not shape {x.shape}")


def _regular(x: Any) -> Any:
    """A matrix far from singular, made of any: for tests."""
    return x + 7 * np.eye(x.shape[-2], x.shape[-1])


def _positive_definite(x: Any) -> Any:
    return x @ _h(x) + np.eye(x.shape[-2])


def _spaced(x: Any) -> Any:
    """A matrix whose eigenvalues and singular values are far apart."""
    return x + 12 * np.eye(x.shape[-2], x.shape[-1]) * np.arange(1.0, 1 + x.shape[-1])


def _of_two_sizes(x: Any) -> Any:
    """A matrix with one singular value near 30, and others far below."""
    return x + 30 * np.eye(1, x.shape[-2]).T * np.eye(1, x.shape[-1])


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
    complex=True,
)


def _solve_back(g: Any, y: Any, a: Any, b: Any, needed: tuple[bool, ...]) -> tuple[Any, Any]:
    """The gradients of a and b, from one solution; a vector is a column."""
    if b.ndim == 1:
        g, y = np.expand_dims(g, -1), np.expand_dims(y, -1)
    to_b = np.linalg.solve(_t(a), g)
    return -(to_b @ _t(y)) if needed[0] else None, np.squeeze(to_b, -1) if b.ndim == 1 else to_b


primitive(
    np.linalg.solve,
    joint=lambda g, y, a, b, *, needed: _solve_back(g, y, a, b, needed),
    reads=("y a", "a"),
    cases=[
        Case(shapes, prepare=lambda a, b: (_regular(a), b))
        for shapes in ("3 3, 3 m", "3 3, 3", "b 2 2, 2 m", "2 2, b 2 m", "b 2 2, 2")
    ],
    complex=True,
)


TRIANGULAR = 64  # rows that are solved at once: of larger triangles the rest is products of matrices


def _triangle(a: Any, lower: bool, unit_diagonal: bool) -> Any:
    """What of a matrix of gradients belongs to the numbers that are read."""
    return np.tril(a, -1 if unit_diagonal else 0) if lower else np.triu(a, 1 if unit_diagonal else 0)


def _solve_triangular_back(
    g: Any, y: Any, a: Any, b: Any, needed: Any, lower: bool, transposed: bool, unit_diagonal: bool
) -> tuple[Any, Any]:
    column = b.ndim == 1
    g, y = (np.expand_dims(x, -1) if column else x for x in (g, y))
    to_b = solve_triangular(a, g, lower=lower, transposed=not transposed, unit_diagonal=unit_diagonal)
    to_a = None
    if needed[0]:
        to_a = _triangle(-(y @ _t(to_b) if transposed else to_b @ _t(y)), lower, unit_diagonal)
    return to_a, np.squeeze(to_b, -1) if column else to_b


@differentiable(
    joint=lambda g, y, a, b, *, needed, lower=False, transposed=False, unit_diagonal=False: _solve_triangular_back(
        g, y, a, b, needed, lower, transposed, unit_diagonal
    ),
    reads=("y a", "a"),
    cases=[
        *(
            case
            for shapes in ("3 3, 3 m", "3 3, 3")
            for case in each(
                shapes,
                lower=(False, True),
                transposed=(False, True),
                unit_diagonal=(False, True),
                prepare=lambda a, b: (_regular(a), b),
            )
        ),
        *(
            Case(shapes, kwargs={"lower": True}, prepare=lambda a, b: (_regular(a), b))
            for shapes in ("b 2 2, 2 m", "2 2, b 2 m", "b 2 2, 2")
        ),
    ],
    complex=True,
)
def solve_triangular(
    a: Any, b: Any, *, lower: bool = False, transposed: bool = False, unit_diagonal: bool = False
) -> Any:
    """x such that a @ x is b, for a triangular matrix a, or several; as `scipy.linalg.solve_triangular`, in NumPy.

    Args:
        a: shape (..., n, n); only one triangle is read.
        b: shape (n,) or (..., n, m).
        lower: read the lower triangle in place of the upper one.
        transposed: solve a.T @ x = b, without conjugation.
        unit_diagonal: take the diagonal for ones, and do not read it.

    Raises:
        LinAlgError: a is not square, the shapes do not fit, or a number on the diagonal is 0.

    >>> from tinygrad_np import Tensor
    >>> solve_triangular(Tensor([[2.0, 0.0], [1.0, 4.0]]), Tensor([2.0, 9.0]), lower=True)
    Tensor([1., 2.], dtype=float32)
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"solve_triangular: expected square matrices, not shape {a.shape}")
    columns = np.expand_dims(b, -1) if b.ndim == 1 else b
    if b.ndim < 1 or columns.shape[-2] != a.shape[-1]:
        raise np.linalg.LinAlgError(f"solve_triangular: b of shape {b.shape} does not fit a of shape {a.shape}")
    x = _substituted(_t(a) if transposed else a, columns, lower != transposed, unit_diagonal)
    return np.squeeze(x, -1) if b.ndim == 1 else x


def _substituted(a: Array, b: Array, lower: bool, unit_diagonal: bool) -> Array:
    """The solution of triangular equations, some rows after others, from the end of a where it has one element."""
    n = a.shape[-1]
    stacks = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    solved = np.linalg.solve(np.ones((1, 1), a.dtype), np.ones((1, 1), b.dtype)).dtype  # that of NumPy: of integers
    x = np.array(np.broadcast_to(b, (*stacks, *b.shape[-2:])), solved)
    starts = range(0, n, TRIANGULAR)
    for start in starts if lower else reversed(starts):
        rows = slice(start, min(start + TRIANGULAR, n))
        block = _triangle(a[..., rows, rows], lower, unit_diagonal)
        if unit_diagonal:
            block = block + np.eye(block.shape[-1], dtype=block.dtype)
        x[..., rows, :] = _solved(block, x[..., rows, :], lower)
        rest = slice(rows.stop, n) if lower else slice(0, start)
        x[..., rest, :] -= a[..., rest, rows] @ x[..., rows, :]
    return x


def _solved(block: Array, b: Array, lower: bool) -> Array:
    """The solution of a few triangular equations.

    NumPy's decomposition leaves an upper triangle as it is, so that this is substitution, in which errors of equations
    with numbers of different size do not mix. A lower triangle, with rows and columns reversed, is an upper one.
    """
    if lower:
        return np.asarray(np.linalg.solve(block[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :])
    return np.asarray(np.linalg.solve(block, b))


@_of_conjugates
def _pinv_vjp(g: Any, y: Any, x: Any) -> Any:
    """The gradient of a pseudo-inverse y of x (G. Golub and V. Pereyra 1973, equation 4.12), for constant rank."""
    across = _h(g)
    # The order of the products matters: y @ y.T could overflow where the gradient does not.
    return (across - x @ (y @ across)) @ y @ _h(y) + _h(y) @ (y @ (across - across @ y @ x)) - _h(y) @ g @ _h(y)


def _rank(y: Any, x: Any) -> Array:
    """How many singular values of x its pseudo-inverse y has not taken for 0, (..., 1)."""
    trace = np.sum(array_of(x) * _t(array_of(y)), axis=(-2, -1), keepdims=True)
    return np.asarray(np.rint(trace.real)[..., 0], np.intp)


def _gap(y: Any, x: Any) -> float:
    """The largest singular value that was taken for 0, in units of the smallest that was not."""
    s = np.linalg.svdvals(array_of(x))
    rank = _rank(y, x)
    padded = np.concatenate([np.full((*s.shape[:-1], 1), np.inf, s.dtype), s, np.zeros_like(s[..., :1])], axis=-1)
    kept, dropped = (np.take_along_axis(padded, rank + i, -1) for i in (0, 1))
    return float(np.max(dropped / kept, initial=0))


def _truncated_pinv_vjp(g: Any, y: Any, x: Any) -> Any:
    """The gradient of a pseudo-inverse y that has taken some singular values of x for 0, though they are not.

    Between a vector of a value s that was kept and one of a value t that was not, the derivative is divided by
    s**2 - t**2. This is the series of that in (t / s)**2, whose first terms are those of Golub and Pereyra.
    """
    gap = _gap(y, x)
    if gap > 0.9:
        raise ValueError(
            f"the pseudo-inverse has taken a singular value for 0, by rcond= or rtol=, that is {gap:.3g} times one"
            " that it has kept: its gradient needs them farther apart"
        )
    rest, across = x - x @ y @ x, _t(g)
    left = across - (across @ y) @ x + _t(y) @ (g @ rest)
    right = across - x @ (y @ across) + (rest @ g) @ _t(y)
    lefts, rights = left, right
    digits = 2 * math.log(np.finfo(x.dtype).eps)
    for _ in range(math.ceil(digits / (2 * math.log(gap))) if gap > np.finfo(x.dtype).eps ** 2 else 0):
        left = _t(y) @ ((y @ left) @ _t(rest)) @ rest
        right = rest @ (_t(rest) @ (right @ y)) @ _t(y)
        lefts, rights = lefts + left, rights + right
    return _t(y) @ (y @ lefts) + (rights @ y) @ _t(y) - _t(y) @ g @ _t(y)


def _pinv_vjp_of_options(
    g: Any, y: Any, x: Any, *, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue
) -> Any:
    hermitian = hermitian and x.size > 0  # of no elements a matrix need not be square
    read = np.tril(x) + _t(np.tril(x, -1)) if hermitian else x
    is_truncated = (
        (rcond is not None or rtol is not np._NoValue) and x.size > 0 and bool(np.any(_rank(y, x) < min(x.shape[-2:])))
    )
    if is_complex(x) and (hermitian or is_truncated):
        raise TypeError("pinv of complex numbers has no gradient with hermitian=, nor where it drops singular values")
    gradient = (_truncated_pinv_vjp if is_truncated else _pinv_vjp)(g, y, read)
    return _of_triangle(gradient, lower=True) if hermitian else gradient


primitive(
    np.linalg.pinv,
    _pinv_vjp_of_options,
    cases=[
        *(Case(shapes, prepare=_regular) for shapes in ("3 3", "3 2", "2 3", "b 3 2")),
        *each("b 3 2", prepare=_regular, rcond=(1e-9, np.array(1e-8))),
        *each("3 3", prepare=_regular, rtol=(None, 1e-9), hermitian=(False, True)),
        *each("b 3 2", prepare=_of_two_sizes, rcond=(0.3,)),
        *each("3 3", prepare=_of_two_sizes, rtol=(0.3,), hermitian=(False, True)),
    ],
    complex=True,
)


@composite(
    np.linalg.lstsq,
    cases=[
        *(Case(shapes, prepare=lambda a, b: (_regular(a), b)) for shapes in ("3 2, 3 m", "3 2, 3", "2 2, 2", "2 3, 2")),
        *each("3 2, 3", prepare=lambda a, b: (_regular(a), b), rcond=(1e-9, -1)),
    ],
    constants=(2,),
    complex=True,
)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> Any:
    """`np.linalg.lstsq`: solution, squared residuals, rank and singular values.

    Where the rank is not full, the solution jumps in other directions than along matrices of this rank.
    """
    a, b = as_array(a), as_array(b)
    rank = np.linalg.lstsq(array_of(a), array_of(b), rcond)[2]
    same = a.dtype.kind == b.dtype.kind or {a.dtype.kind, b.dtype.kind} == {"f", "c"}
    dtype = np.result_type(a, b, *([] if same else [np.float64]))  # integers are solved in float64
    a, b = np.astype(a, dtype, copy=False), np.astype(b, dtype, copy=False)
    if rcond is None or rcond < 0:
        rcond = float(np.finfo(dtype).eps) * (max(a.shape) if rcond is None else 1)
    x = np.linalg.pinv(a, rcond) @ b
    over = a.shape[0] > a.shape[1] and rank == a.shape[1]
    residuals = np.atleast_1d(np.sum(_squares(b - a @ x), axis=0)) if over else np.empty(0, array_of(x).real.dtype)
    return x, residuals, rank, np.linalg.svdvals(a)


@composite(
    np.linalg.tensorinv,
    cases=[
        *each("2 2 4", prepare=lambda a: a + 7 * np.eye(4).reshape(2, 2, 4), ind=(2,)),
        *each("4 2 2", prepare=lambda a: a + 7 * np.eye(4).reshape(4, 2, 2), ind=(1,)),
    ],
    complex=True,
)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """`np.linalg.tensorinv`: the inverse of a as a matrix, whose rows are the first `ind` axes."""
    if ind <= 0:
        raise ValueError(f"linalg.tensorinv: ind must be at least 1, not {ind}")
    columns = math.prod(a.shape[ind:])
    rows = a.size // columns if columns else 0
    return np.reshape(np.linalg.inv(np.reshape(a, (columns, rows))), (*a.shape[ind:], *a.shape[:ind]))


@composite(
    np.linalg.tensorsolve,
    cases=[
        Case("2 2 4, 2 2", prepare=lambda a, b: (a + 7 * np.eye(4).reshape(2, 2, 4), b)),
        Case("2 4 2, 2 2", prepare=lambda a, b: (a + 7 * np.moveaxis(np.eye(4).reshape(2, 2, 4), 1, 2), b, (1,))),
    ],
    complex=True,
)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """`np.linalg.tensorsolve`: x such that a, summed over its last axes with x, is b; `axes` are moved to the end."""
    a, b = as_array(a), as_array(b)
    order = list(range(a.ndim))
    for axis in axes or ():
        order.remove(axis)
        order.insert(a.ndim, axis)
    a = np.transpose(a, order)
    shape = a.shape[-(a.ndim - b.ndim) :]
    n = math.prod(shape)
    if a.size != n**2:
        raise np.linalg.LinAlgError(f"linalg.tensorsolve: a of shape {a.shape} is not square for b of shape {b.shape}")
    return np.reshape(np.linalg.solve(np.reshape(a, (n, n)), np.ravel(b)), shape)


# --- determinants ----------------------------------------------------------------------------------------------------


def _accurate_inverse(x: Any) -> Any:
    """The inverses, or None if one has lost more than half of its digits.

    They lose those of the condition number; this is that of R. Skeel, "Scaling for numerical stability in Gaussian
    elimination" (1979), which does not depend on the scale of the rows.
    """
    try:
        inverse = np.linalg.inv(x)
    except ValueError:  # a LinAlgError: singular
        return None
    limit = np.finfo(x.dtype).eps ** -0.5
    return inverse if np.all(np.abs(inverse) @ np.abs(x) < limit) else None


def _cofactors(y: Any, x: Any) -> Any:
    """The gradient of det(x) = y: y * inv(x).T, and near singular matrices what that tends to."""
    n = x.shape[-1]
    inverse = _accurate_inverse(x)
    if inverse is not None and np.all(is_normal(array_of(y))):
        return np.reshape(y, (*y.shape, 1, 1)) * _t(inverse)
    if n > 4:
        return _adjugate(x)
    # The determinants of the minors, which are exact for small integers, and can be differentiated any number of times.
    others = np.array([[j for j in range(n) if j != i] for i in range(n)], int).reshape(n, n - 1)
    minors = x[..., others[:, np.newaxis, :, np.newaxis], others[np.newaxis, :, np.newaxis, :]]
    signs = (-1.0) ** np.add.outer(np.arange(n), np.arange(n))
    return np.linalg.det(minors) * signs.astype(x.dtype)


def _decomposed(x: Array) -> tuple[Array, Array, Array]:
    """U, S and V with x = U @ diag(S) @ V.T and det(U) * det(V) = 1; of a complex x, S[0] is complex.

    The singular values are large and small in turn, so that their products do not overflow before the determinant does.
    """
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    order = np.stack([np.arange(n), np.arange(n)[::-1]], axis=-1).ravel()[:n]
    u, s, v = u[..., order], s[..., order], _t(vh)[..., order]
    sign = np.linalg.det(u) * np.linalg.det(v)
    sign = np.where(np.arange(n) == 0, (np.sign(sign) if is_complex(x) else np.rint(sign))[..., np.newaxis], 1)
    return u * conjugate(sign)[..., np.newaxis, :], s * sign, v


def _third_derivative(g: Any, h: Any, x: Any) -> Any:
    """The gradient of the second derivative of det(x) along g and h."""
    inverse = _accurate_inverse(x)
    if inverse is None:
        raise ValueError("third derivatives of det need matrices far from singular, or of up to 4 rows")
    a, b = inverse @ h @ inverse, inverse @ g @ inverse
    of_g, of_h, of_both = (
        np.sum(left * _t(right), axis=(-2, -1), keepdims=True) for left, right in ((inverse, g), (inverse, h), (a, g))
    )
    inner = (of_g * of_h - of_both) * inverse - of_g * a - of_h * b + a @ g @ inverse + b @ h @ inverse
    return np.linalg.det(x)[..., np.newaxis, np.newaxis] * _t(inner)


@differentiable(
    lambda g, y, h, x: _adjugate_slope(g, x),  # the second derivative of det is symmetric
    lambda g, y, h, x: _third_derivative(g, h, x),
    cases=[Case(shapes, prepare=lambda h, x: (h, _regular(x))) for shapes in ("3 3, 3 3", "b 2 2, b 2 2")],
    name="linalg.det",
    complex=True,
)
def _adjugate_slope(h: Array, x: Array) -> Array:
    """The derivative of the cofactors of x along h, in cubic time and quadratic memory.

    With U.T @ h @ V = k and the products p[i, j] of all singular values but two, it is U @ m @ V.T, where m[i, i] is
    the sum of p[i, j] * k[j, j], and m[i, j] is -p[i, j] * k[j, i]; of a complex x, with conj(U) and conj(V).
    """
    u, s, v = _decomposed(x)
    n = s.shape[-1]
    i, j = np.arange(n)[:, np.newaxis], np.arange(n)
    before, after = products_around(s)
    between = np.cumprod(np.where(j > i, s[..., np.newaxis, :], 1), axis=-1)
    between = np.concatenate([np.ones_like(between[..., :1]), between[..., :-1]], axis=-1)  # of i and j, exclusive
    p = np.triu(before[..., :, np.newaxis] * between * after[..., np.newaxis, :], 1)
    p = p + _t(p)
    u, v = conjugate(u), conjugate(v)
    k = _t(u) @ h @ v
    diagonal = p @ np.diagonal(k, axis1=-2, axis2=-1)[..., np.newaxis]
    return np.asarray(u @ (diagonal * np.eye(n, dtype=x.dtype) - p * _t(k)) @ _t(v))


@differentiable(
    lambda g, y, x: _adjugate_slope(g, x),
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
    name="linalg.det",
    complex=True,
)
def _adjugate(x: Array) -> Array:
    """The cofactors of a matrix that may be singular, from its singular values."""
    u, s, v = _decomposed(x)
    before, after = products_around(s)
    return np.asarray(conjugate(u) * (before * after)[..., np.newaxis, :] @ _h(v))


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
    complex=True,
)


def _slogdet_vjp(g: Any, y: Any, x: Any) -> Any:
    """The logarithm of det(x) moves by d = sum(inv(x).T * dx), that of its size by Re(d), its sign by i sign Im(d)."""
    slope = np.real(g[1]) + 1j * np.imag(g[0] * y[0]) if is_complex(x) else g[1]
    return slope[..., np.newaxis, np.newaxis] * _t(np.linalg.inv(x))


@differentiable(
    _slogdet_vjp,
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
    name="linalg.slogdet",
    complex=True,
)
def _slogdet(x: Array) -> Array:
    """The sign and log(abs(det(x))), (2, ...)."""
    return np.array(np.linalg.slogdet(x))


@composite(
    np.linalg.slogdet,
    cases=[Case("3 3", prepare=_regular), Case("b 2 2", prepare=_regular)],
    constants=(0,),
    complex=True,
)
def slogdet(a: Any) -> Any:
    """`np.linalg.slogdet`: the sign, which is piecewise constant, so a plain array, and log(abs(det(a))).

    The sign of a complex determinant, det(a) / abs(det(a)), is a Tensor.
    """
    packed = _slogdet(a)
    sign = packed[0] if is_complex(packed) else packed._data[0]
    return _result_type(np.linalg.slogdet)(sign, real_part(packed[1]))


# --- decompositions --------------------------------------------------------------------------------------------------
# A primitive returns one array, so each decomposition stacks its parts in one, and what the user gets are slices of it.
# One vjp then has the gradients of all parts, and the parts themselves: nothing is decomposed again.


def _of_triangle(symmetric: Any, lower: bool) -> Any:
    """The gradient with respect to one triangle: that of the other is the same number's, so it is added."""
    triangle = np.tril(symmetric + _h(symmetric)) if lower else np.triu(symmetric + _h(symmetric))
    return triangle * (1 - np.eye(symmetric.shape[-1], dtype=symmetric.dtype) / 2)


@_of_conjugates
def _cholesky_vjp(g: Any, y: Any, x: Any, *, upper: bool = False) -> Any:
    """I. Murray, "Differentiation of the Cholesky decomposition" (2016), equation 10."""
    factor, g = (_h(y), _h(g)) if upper else (y, g)
    half = np.tril(_h(factor) @ g) * (1 - np.eye(y.shape[-1], dtype=y.dtype) / 2)
    inverse = np.linalg.inv(factor)
    symmetric = _h(inverse) @ half @ inverse
    return _of_triangle((symmetric + _h(symmetric)) / 2, lower=not upper)


primitive(
    np.linalg.cholesky,
    _cholesky_vjp,
    cases=[
        *each("3 3", prepare=_positive_definite, upper=(False, True)),
        Case("b 2 2", prepare=_positive_definite),
        Case("2 2", prepare=lambda x: x + 9 * np.eye(2)),
    ],  # not symmetric: one triangle is read
    complex=True,
)


VALUES, VECTORS, BOTH = (1, 0), (0, 1), (1, 1)


@differentiable(
    lambda g, y, x, *, start, stop, uses: np.concatenate(
        [
            np.zeros_like(x[..., :start, :]),
            g,
            np.zeros_like(x[..., stop:-2, :]),
            np.broadcast_to(np.array(uses, x.dtype)[:, np.newaxis], x[..., -2:, :].shape),
        ],
        axis=-2,
    ),
    cases=[Case("b 4 2", kwargs={"start": 1, "stop": 2, "uses": (0, 0)})],  # which makes it a gradient like any other
    name="getitem",
    complex=True,
)
def _part(x: Array, start: int, stop: int, uses: tuple[int, int]) -> Array:
    """Rows of a packed decomposition. The gradient of its last two rows says whether values, and vectors, are used."""
    if x.shape[-2] < stop + 2:
        raise ValueError(f"expected two rows after row {stop}, not {x.shape[-2]} in all")
    return x[..., start:stop, :]


def _packed(*parts: Array) -> Array:
    """The parts of a decomposition one above the other, and two rows whose gradient `_part` writes."""
    return np.concatenate(
        [*parts, np.zeros_like(parts[0], shape=(*parts[0].shape[:-2], 2, parts[0].shape[-1]))], axis=-2
    )


def _used(g: Array) -> Array:
    """Whether the values, and whether the vectors are used, from the gradient of the packed parts: (..., 2, 1)."""
    return np.asarray(np.any(g[..., -2:, :] != 0, axis=-1, keepdims=True))


def _tolerance(x: Any, digits: float) -> Any:
    """What is 0 to rounding beside the largest element of each matrix."""
    return digits * np.finfo(x.dtype).eps * np.max(np.abs(x), axis=(-2, -1), keepdims=True, initial=0)


def _without_phase(x: Any, gradients: list[Any]) -> Any:
    """The gradient x of rotations without that of the phase of each complex vector, on the diagonal.

    The phase is arbitrary. Functions of vectors that do not depend on it have 0 there, to rounding; others get NaN.
    """
    if not is_complex(x):
        return x
    is_small = np.abs(array_of(x)) <= np.max([_tolerance(array_of(g), 100 * x.shape[-1]) for g in gradients], axis=0)
    return x * np.where(np.eye(x.shape[-1], dtype=bool), np.where(is_small, 0, np.nan), 1).astype(x.dtype)


def _divided(
    x: Any, by: Any, values: Any, g: Any, gradients: list[Any], of_pairs: bool = True, phases: bool = False
) -> Any:
    """x / by; where `by` is 0 to rounding, it is 0 or NaN, as the head of this file says.

    Args:
        x: the gradient of the rotation of two vectors into each other, or of one out of their span.
        by: what it is divided by, such as the difference of their values.
        values: all of the values.
        g: the gradient of the packed decomposition.
        gradients: those of the values and of the vectors, which stand in columns.
        of_pairs: whether an element belongs to two vectors, that of its row and that of its column.
        phases: whether one of a single vector counts: that of a difference of complex phases.
    """
    n = by.shape[-1]
    by_, values_, g_, *parts = map(array_of, (by, values, g, *gradients))
    equal = np.abs(by_) <= _tolerance(values_, 10 * math.sqrt(n))
    if of_pairs and not phases:
        equal &= ~np.eye(n, dtype=bool)
        by = by + np.eye(n, dtype=by.dtype)  # a vector does not rotate into itself: there x is 0
    if not np.any(equal):
        return x / by
    unused = np.all([np.all(part == 0, axis=-2, keepdims=True) for part in parts], axis=0)
    is_small = np.abs(x) <= np.max([_tolerance(part, 100 * n) for part in parts[1:]], axis=0)
    is_zero = np.where(np.all(_used(g_), axis=-2, keepdims=True), unused & _t(unused) if of_pairs else unused, is_small)
    return np.where(equal, np.where(is_zero, 0, np.nan).astype(x.dtype) * x, x / np.where(equal, 1, by))


@_of_conjugates
def _eigh_vjp(g: Any, y: Any, x: Any, *, UPLO: Any = "L") -> Any:
    """M. Giles, "An extended collection of matrix derivative results" (2008), for a unitary V."""
    (w, v), (gw, gv) = _eigh_parts(y, BOTH), _eigh_parts(g, BOTH)
    inner = _h(v) @ gv
    rotation = _divided(_without_phase(inner - _h(inner), [gv]), w - _t(w), w, g, [gw, gv]) / 2
    return _of_triangle((v * gw + v @ rotation) @ _h(v), UPLO.upper() == "L")


def _eigh_parts(packed: Any, *uses: Any) -> tuple[Any, Any]:
    """The eigenvalues (..., 1, n), and the eigenvectors (..., n, n)."""
    return real_part(_part(packed, start=0, stop=1, uses=uses[0])), _part(packed, start=1, stop=-2, uses=uses[-1])


@differentiable(
    _eigh_vjp,
    cases=[*each("3 3", prepare=_spaced, finish=_squares, UPLO=("L", "u")), Case("0 0")],
    name="linalg.eigh",
    complex=True,
)
def _eigh(x: Array, UPLO: Any = "L") -> Array:
    """The eigenvalues above the eigenvectors, (..., 1 + n + 2, n)."""
    w, v = np.linalg.eigh(x, UPLO)
    return _packed(w[..., np.newaxis, :], v)


@composite(
    np.linalg.eigh,
    cases=[
        *each("3 3", prepare=_spaced, finish=lambda r: (r[0], _squares(r[1])), UPLO=("L", "U", "l")),
        *_spaced_cases("b 2 2", finish=lambda r: (r.eigenvalues, _squares(r.eigenvectors))),
        *_spaced_cases("b 3 3", finish=lambda r: r[1] * r[0][..., np.newaxis, :] @ _h(r[1])),
    ],
    complex=True,
)
def eigh(a: Any, UPLO: Any = "L") -> Any:
    """`np.linalg.eigh`: eigenvalues, rising, and eigenvectors, whose sign, or complex phase, is not determined."""
    w, v = _eigh_parts(_eigh(a, UPLO=UPLO), VALUES, VECTORS)
    return _result_type(np.linalg.eigh)(w[..., 0, :], v)


@_of_conjugates
def _eigvalsh_vjp(g: Any, y: Any, x: Any, *, UPLO: Any = "L") -> Any:
    _, v = _eigh_parts(_eigh(x, UPLO=UPLO), BOTH)
    return _of_triangle(v * g[..., np.newaxis, :] @ _h(v), UPLO.upper() == "L")


primitive(
    np.linalg.eigvalsh,
    _eigvalsh_vjp,
    cases=[*each("3 3", prepare=_spaced, UPLO=("L", "U", "u")), *_spaced_cases("b 2 2")],
    complex=True,
)


def _turning(x: Any) -> Any:
    """A matrix whose first two eigenvalues are complex and far from the others."""
    turn = np.diag(np.arange(1.0, 1 + x.shape[-1]) ** 2)
    turn[:2, :2] = [[0, -2], [2, 0]]
    return x + 12 * turn


@_of_conjugates
def _eig_vjp(g: Any, y: Any, x: Any) -> Any:
    """C. Boeddeker et al., "On the computation of complex-valued gradients" (2017), for eigenvalues that differ.

    Each vector has the length 1. Where two values are equal the gradient is NaN: they may have one vector together.
    """
    w, v, gw, gv = y[..., :1, :], y[..., 1:, :], g[..., :1, :], g[..., 1:, :]
    n, values = w.shape[-1], array_of(w)
    diagonal = np.eye(n, dtype=bool)
    close = (np.abs(values - _t(values)) <= _tolerance(values, 10 * math.sqrt(n))) & ~diagonal
    equal = np.any(close, axis=(-2, -1), keepdims=True)
    if np.any(equal):
        w, v = np.where(equal, np.arange(n, dtype=y.dtype), w), np.where(equal, diagonal.astype(y.dtype), v)
    inner = _h(v) @ gv
    lengths = real_part(np.diagonal(inner, axis1=-2, axis2=-1))[..., np.newaxis, :]
    rotation = _without_phase(inner - _h(v) @ v * lengths, [gv])
    gx = np.linalg.inv(_h(v)) @ (gw * diagonal + rotation / conjugate(w - _t(w) + diagonal)) @ _h(v)
    undefined = equal & np.any(array_of(g) != 0, axis=(-2, -1), keepdims=True)
    return gx * np.where(undefined, np.nan, 1).astype(array_of(gx).real.dtype)


def _of_lengths(parts: Any) -> Any:
    """What does not depend on the signs, or complex phases, of the eigenvectors, but on their length."""
    w, v = parts
    return w, _squares(v), v * w[..., np.newaxis, :] @ np.linalg.inv(v)


@differentiable(_eig_vjp, cases=_spaced_cases("3 3", finish=_squares), name="linalg.eig", complex=True)
def _eig(x: Array) -> Array:
    """The eigenvalues above the eigenvectors, (..., 1 + n, n)."""
    w, v = np.linalg.eig(x)
    return np.concatenate([w[..., np.newaxis, :], v], axis=-2)


EIG = [Case("3 3", prepare=_spaced), Case("2 2", prepare=_turning), Case("b 3 3", prepare=_turning), Case("0 0")]


@composite(np.linalg.eig, cases=[replace(case, finish=_of_lengths) for case in EIG], complex=True)
def eig(a: Any) -> Any:
    """`np.linalg.eig`: eigenvalues and eigenvectors of length 1, whose sign, or complex phase, is not determined.

    They may be complex for a real matrix. The gradient is NaN where two eigenvalues are equal.
    """
    _require_matrices("eig", a)
    packed = _eig(a)
    return _result_type(np.linalg.eig)(packed[..., 0, :], packed[..., 1:, :])


def _eigvals_vjp(g: Any, y: Any, x: Any) -> Any:
    if not x.size:
        return np.reshape(g, x.shape)
    packed = _eig(x)
    values, numbers = array_of(packed)[..., 0, :], array_of(y)
    order = np.argmin(np.abs(values[..., :, np.newaxis] - numbers[..., np.newaxis, :]), axis=-1)  # which may be another
    known = np.all(np.sort(order, axis=-1) == np.arange(order.shape[-1]), axis=-1)[..., np.newaxis, np.newaxis]
    g = np.take_along_axis(g, order, axis=-1)[..., np.newaxis, :] * np.where(known, 1, np.nan).astype(
        numbers.real.dtype
    )
    return _eig_vjp(np.concatenate([g, np.zeros_like(x, g.dtype)], axis=-2), packed, x)


primitive(np.linalg.eigvals, _eigvals_vjp, cases=EIG, complex=True)


def _svd_parts(packed: Any, m: int, values: Any = BOTH, vectors: Any = BOTH) -> tuple[Any, Any, Any]:
    """U (..., m, k), S (..., 1, k) and V (..., n, k), or their gradients."""
    return (
        _part(packed, start=0, stop=m, uses=vectors),
        real_part(_part(packed, start=m, stop=m + 1, uses=values)),
        _part(packed, start=m + 1, stop=-2, uses=vectors),
    )


@_of_conjugates
def _svd_vjp(g: Any, y: Any, x: Any) -> Any:
    """J. Townsend, "Differentiating the singular value decomposition" (2016).

    The rotations of U and V are taken as their sum and their difference, because only the sum is arbitrary where two
    singular values are equal: the other is divided by the sum of the values.
    """
    m, n = x.shape[-2:]
    (u, s, v), (gu, gs, gv) = _svd_parts(y, m), _svd_parts(g, m)
    left, right = _h(u) @ gu, _h(v) @ gv
    of_u, of_v, gradients = left - _h(left), right - _h(right), [gs, gu, gv]
    inner = _divided(_without_phase(of_u + of_v, [gu, gv]), s - _t(s), s, g, gradients)
    inner = inner + _divided(of_u - of_v, s + _t(s), s, g, gradients, phases=is_complex(x))
    gx = (u * gs + u @ (inner / 2)) @ _h(v)
    if m > n:  # what of gu is outside the span of u
        gx = gx + _divided(gu - u @ left, s, s, g, [gs, gu, gv], of_pairs=False) @ _h(v)
    if m < n:
        gx = gx + u @ _h(_divided(gv - v @ right, s, s, g, [gs, gu, gv], of_pairs=False))
    return gx


@differentiable(
    _svd_vjp, cases=_spaced_cases("3 2", "2 3", "b 2 2", "0 2", "2 0", finish=_squares), name="linalg.svd", complex=True
)
def _svd(x: Array) -> Array:
    """U, S and V, one above the other, (..., m + 1 + n + 2, k), where k is the smaller of m and n."""
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return _packed(u, s[..., np.newaxis, :], _h(vh))


def _signless(parts: Any) -> Any:
    """What does not depend on the signs, or complex phases, of the singular vectors."""
    return _squares(parts.U), parts.S, _squares(parts.Vh), parts.U * np.expand_dims(parts.S, -2) @ parts.Vh


@composite(
    np.linalg.svd,
    cases=[
        *_spaced_cases("3 2", "2 3", "b 2 2", "b 1 3", "2 0", kwargs={"full_matrices": False}, finish=_signless),
        *_spaced_cases("3 3", finish=_signless),
        *_spaced_cases("3 2", kwargs={"compute_uv": False}),
        *_spaced_cases("b 2 2", kwargs={"hermitian": True}, finish=_signless),
        Case("3 3", kwargs={"hermitian": True, "compute_uv": False}, prepare=lambda x: _spaced(x) - 18 * np.eye(3)),
    ],
    complex=True,
)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """`np.linalg.svd`, with `full_matrices=False` unless the matrix is square: the other vectors are arbitrary."""
    _require_matrices("svd", a)
    if hermitian and is_complex(a):
        raise TypeError("svd of complex numbers has no gradient with hermitian=True: write np.linalg.eigh")
    if hermitian:
        return _svd_of_symmetric(a) if compute_uv else np.flip(np.sort(np.abs(np.linalg.eigvalsh(a)), axis=-1), -1)
    if not compute_uv:
        return np.linalg.svdvals(a)
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise ValueError(f"svd of a Tensor of shape {a.shape} needs full_matrices=False")
    u, s, v = _svd_parts(_svd(a), a.shape[-2], VALUES, VECTORS)
    return _result_type(np.linalg.svd)(u, s[..., 0, :], _h(v))


def _svd_of_symmetric(a: Any) -> Any:
    """U, S and V.T from the eigenvalues and eigenvectors; V has their signs."""
    w, v = np.linalg.eigh(a)
    order = np.argsort(np.abs(array_of(w)), axis=-1)[..., ::-1]
    w, u = np.take_along_axis(w, order, -1), np.take_along_axis(v, order[..., np.newaxis, :], -1)
    return _result_type(np.linalg.svd)(u, np.abs(w), _t(u * np.copysign(1, array_of(w))[..., np.newaxis, :]))


@_of_conjugates
def _svdvals_vjp(g: Any, y: Any, x: Any) -> Any:
    u, _, v = _svd_parts(_svd(x), x.shape[-2])
    return u * g[..., np.newaxis, :] @ _h(v)


primitive(np.linalg.svdvals, _svdvals_vjp, cases=_spaced_cases("3 2", "2 3", "b 2 2", "0 2"), complex=True)


@_of_conjugates
def _qr_vjp(g: Any, y: Any, x: Any) -> Any:
    """For at least as many rows as columns; M. Seeger et al., "Auto-differentiating linear algebra" (2017), 3.3.

    The diagonal of R is real, also of complex matrices.
    """
    m = x.shape[-2]
    q, r, gq, gr = y[..., :m, :], y[..., m:, :], g[..., :m, :], g[..., m:, :]
    inner = r @ _h(gr) - _h(gq) @ q
    if is_complex(x):
        inner = inner * (1 - np.eye(x.shape[-1], dtype=x.dtype) / 2)
        symmetric = np.tril(inner) + _h(np.tril(inner))
    else:
        symmetric = np.tril(inner) + _t(np.tril(inner, -1))
    numbers = array_of(r)
    numbers = numbers / power_of_two(np.max(np.abs(numbers), axis=(-2, -1), keepdims=True, initial=0))
    size = np.sqrt(np.sum(_squares(numbers), axis=-2))  # of each column
    distance = np.abs(np.diagonal(numbers, axis1=-2, axis2=-1))  # from the span of those before
    limit = 10 * math.sqrt(m) * np.finfo(x.dtype).eps
    singular = np.any(distance <= limit * size, axis=-1)[..., np.newaxis, np.newaxis]
    if np.any(singular):
        r = np.where(singular, np.eye(r.shape[-1], dtype=r.dtype), r)
    undefined = singular & np.any(array_of(g) != 0, axis=(-2, -1), keepdims=True)
    return _h(np.linalg.solve(r, _h(gq + q @ symmetric))) * np.where(undefined, np.nan, 1).astype(x.dtype)


@differentiable(_qr_vjp, cases=_spaced_cases("3 2", "2 0"), name="linalg.qr", complex=True)
def _qr(x: Array) -> Array:
    """Q above R, (..., m + n, n)."""
    q, r = np.linalg.qr(x)
    if is_complex(x) and np.any(np.diagonal(r, axis1=-2, axis2=-1).imag):
        raise ValueError("the diagonal of R is not real, as LAPACK's is: qr of a complex Tensor needs LAPACK's phases")
    return np.concatenate([q, r], axis=-2)


@composite(
    np.linalg.qr,
    cases=[
        *_spaced_cases("3 2", "3 3", "b 2 2", "b 2 3", "1 3"),
        *_spaced_cases("3 2", "2 3", kwargs={"mode": "r"}),
        *_spaced_cases("2 2", "2 3", kwargs={"mode": "complete"}),
    ],
    complex=True,
)
def qr(a: Any, mode: str = "reduced") -> Any:
    """`np.linalg.qr`, in the modes "reduced" and "r", and "complete" where this adds no columns, which are arbitrary.

    Of a matrix with more columns than rows, Q is that of as many columns, and Q.T times the others is the rest of R.
    """
    _require_matrices("qr", a)
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r", "complete") or (mode == "complete" and m > n):
        raise ValueError(f"qr of a Tensor of shape {a.shape} in mode {mode!r} is not supported; see mode='reduced'")
    packed = _qr(a[..., :m])
    q, r = packed[..., :m, :], packed[..., m:, :]
    if m < n:
        r = np.concatenate([r, _h(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else _result_type(np.linalg.qr)(q, r)


# --- norms -----------------------------------------------------------------------------------------------------------


@differentiable(
    lambda g, y, x, *, axis=None, keepdims=False: (
        restore(g, x, axis, keepdims) * direction(conjugate(x), restore(y, x, axis, keepdims), axis)
    ),
    wide=True,
    cases=[*each("N M", axis=(None, 0, -1, (0, 1)), keepdims=(False, True)), Case("")],
    name="linalg.norm",
    complex=True,
)
def _euclidean(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The root of the sum of squares, also where squares overflow or underflow."""
    with np.errstate(over="ignore"):
        total = np.sum(_squares(x), axis=axis, keepdims=keepdims)
    limits = np.finfo(total.dtype)
    if np.all((total > limits.tiny / limits.eps**2) & (total < np.inf)):
        return np.asarray(np.sqrt(total))
    unit = power_of_two(np.max(np.abs(x), axis=axis, keepdims=True, initial=0))
    norm = np.sqrt(np.sum(_squares(x / unit), axis=axis, keepdims=True)) * unit
    return np.asarray(norm if keepdims else np.squeeze(norm, axis))


def _floating(x: Any) -> Any:
    """Integers as float64, as in NumPy."""
    return x if x.dtype.kind in "fc" else x.astype(np.float64)


def _largest(x: Any, **options: Any) -> Any:
    """The maximum of numbers of at least 0, and 0 for none."""
    return np.max(x, **options) if x.size else np.max(x, initial=0, **options)


def _vector_norm(x: Any, order: Any, axis: Any, keepdims: bool) -> Any:
    axis = None if axis is None else normalize_axis_tuple(axis, x.ndim)
    if order is None or order == 2:
        return _euclidean(x, axis=axis, keepdims=keepdims)
    if order == np.inf:
        return _largest(np.abs(x), axis=axis, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if order == 0:
        return np.sum(
            np.where(x == 0, 0, np.abs(np.copysign(1, real_part(x)))), axis=axis, keepdims=keepdims
        )  # NaN counts, too
    if order == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if is_complex(x) and order > 2:  # smooth where an element is 0, though neither its sign nor its size is
        x = np.abs(x)
    return _p_norm(x, order=float(order), axis=axis, keepdims=keepdims)


def _p_norm_vjp(g: Any, y: Any, x: Any, *, order: float, axis: Any = None, keepdims: bool = False) -> Any:
    g, y = restore(g, x, axis, keepdims), restore(y, x, axis, keepdims)
    zero = array_of(x) == 0
    slope = conjugate(np.sign(x)) * np.power(direction(np.abs(x), y, axis, order) + (zero | (y == 0)), order - 1)
    if order < 2 and np.any(zero):  # there the second derivative in this element alone does not exist
        slope = slope + zero_at(keep(x, zero), zero)
    return g * zero_at(slope, y == 0)


@differentiable(
    _p_norm_vjp,
    wide=True,
    cases=each("3 2", domains=(NONZERO,), order=(3.0, 0.5), axis=(0, None)),
    name="linalg.norm",
    complex=True,
)
def _p_norm(x: Array, order: float, axis: Any = None, keepdims: bool = False) -> Array:
    # In units of the element that counts most, since powers overflow and underflow early.
    sizes = np.abs(x)
    largest, none = (np.max, 0) if order > 0 else (np.min, np.inf)
    unit = power_of_two(largest(sizes, axis, keepdims=True, initial=none))
    with np.errstate(divide="ignore"):  # at 0, of negative orders
        total = np.sum(np.power(sizes / unit, order), axis=axis, keepdims=True)
        norm = np.power(total, 1 / order) * unit
    return np.asarray(norm if keepdims else np.squeeze(norm, axis))


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
    complex=True,
)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm`, of vectors and matrices, all orders.

    The gradient is 0 where the norm is 0, and in an element that is 0: for an order below 1 the norm has a cusp there.
    The second derivative in such an element is NaN for orders below 1 and between 1 and 2, where it does not exist, and
    of complex numbers for the order 1, too.
    """
    x = _floating(x)
    if axis is None and (ord is None or x.ndim not in (1, 2)):
        if ord is not None:
            raise ValueError(f"norm: order {ord!r} needs an axis for {x.ndim} dimensions")
        return _euclidean(x, axis=None, keepdims=keepdims)
    axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim)
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
        *since("2.3.0", Case("0 3", (), {"ord": np.inf})),
    ],
    complex=True,
)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`np.linalg.vector_norm`."""
    return _vector_norm(_floating(x), ord, axis, keepdims)


@composite(
    np.linalg.matrix_norm,
    cases=[*each("b 3 2", prepare=_spaced, ord=("fro", "nuc", 2, 1, np.inf), keepdims=(False, True))],
    complex=True,
)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """`np.linalg.matrix_norm`, of the last two axes."""
    return _matrix_norm(_floating(x), ord, (-2, -1), keepdims)


def _extreme_ratio(x: Any, p: Any) -> Any:
    """The quotient of the extreme singular values; NaN of a matrix with NaN or infinity, where NumPy gives that."""
    wild = ~np.all(np.isfinite(array_of(x)), axis=(-2, -1))
    finite = x
    if np.any(wild):
        np.linalg.cond(array_of(x), p)  # which raises before NumPy 2.5
        finite = np.where(wild[..., np.newaxis, np.newaxis], np.eye(*x.shape[-2:], dtype=x.dtype), x)
    s = np.linalg.svdvals(finite)
    with np.errstate(divide="ignore", invalid="ignore"):
        number = s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
        if np.any(wild):
            unknown = np.sum(np.abs(x), axis=(-2, -1)) * np.where(wild, np.nan, 1).astype(number.dtype)
            number = np.where(wild, unknown, number)
    return number


@composite(np.linalg.cond, cases=each("2 2", prepare=_spaced, p=(None, 2, -2, "fro", 1)), complex=True)
def cond(x: Any, p: Any = None) -> Any:
    """`np.linalg.cond`: the norm of a matrix times that of its inverse."""
    if x.ndim < 2 or 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError(f"cond of shape {x.shape}: expected matrices that are not empty")
    if p in (None, 2, -2):
        number = _extreme_ratio(x, p)
    else:
        with np.errstate(invalid="ignore"):  # of NaN
            singular = np.linalg.slogdet(array_of(x))[0] == 0
        regular = np.where(singular[..., np.newaxis, np.newaxis], np.eye(x.shape[-1], dtype=x.dtype), x)
        inverse = np.linalg.norm(np.linalg.inv(regular), p, axis=(-2, -1))
        with np.errstate(invalid="ignore"):  # of zeros
            number = np.linalg.norm(x, p, axis=(-2, -1)) * inverse * np.where(singular, np.inf, 1).astype(inverse.dtype)
    undefined = np.isnan(number) & ~np.any(np.isnan(x), axis=(-2, -1))
    return np.where(undefined, np.inf, number) if np.any(undefined) else number


constant(np.linalg.matrix_rank, complex=True)
