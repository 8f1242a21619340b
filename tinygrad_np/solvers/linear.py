"""Linear equations whose matrix is given as a function: conjugate gradients and GMRES, with derivatives."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _validation as check
from .. import tensor
from .._machine.arrays import Array
from ..func.custom import Operation
from ..tensor import Tensor
from .implicit import ConvergenceError, Layout, Recorded, any_tensors, solution, values, variable

Product = Callable[[Tensor], Any]
LINEAR_SOLVE = Operation("linear_solve")
RESTART = 50  # vectors that GMRES keeps


def linear_solve(
    A: Any,
    b: Any,
    *args: Any,
    method: str = "gmres",
    tolerance: float | None = None,
    steps: int | None = None,
) -> Any:
    """The solution x of A(x, *args) = b for a linear function A, or of A @ x = b for a matrix.

    Differentiable to any order in b, in args, and in all that A reaches by itself, such as parameters of a network. The
    gradient of b solves the transposed equations, by the same method and to the same tolerance.

    Args:
        A: a function that is linear in its first argument, a tree like b, and returns such a tree; or a square matrix,
            for which this is `np.linalg.solve`.
        b: a tree of floating point arrays, Tensors or numbers.
        *args: more arguments of A.
        method: "gmres" for any invertible A; "cg" for one that is symmetric and positive definite.
        tolerance: the norm of the residual b - A(x) relative to that of b at which to stop; by default
            eps**(2/3) for the dtype of b: 4e-11 in float64, 2e-5 in float32.
        steps: how often A may be called; by default 10 times the number of elements, and at least 100.

    Returns:
        A tree like b, of arrays where b and args are, of Tensors otherwise.

    Raises:
        ConvergenceError: the tolerance was not reached, or A is not linear; for "cg", or not positive definite.
        ValueError: A returns a tree of another structure, or an option is out of its range.
        numpy.linalg.LinAlgError: A is a singular matrix.

    Sources: M. R. Hestenes and E. Stiefel (1952), "Methods of conjugate gradients for solving linear systems"; Y. Saad
    and M. H. Schultz (1986), "GMRES"; M. B. Giles (2008), "Collected matrix derivative results", section 2.3.

    >>> from tinygrad_np import func
    >>> def blurred(x, a):
    ...     return x + a * (np.roll(x, 1) + np.roll(x, -1))
    >>> linear_solve(blurred, np.array([1.0, 0.0, 0.0, 0.0]), 0.25, method="cg").round(4)
    array([ 1.1667, -0.3333,  0.1667, -0.3333])
    >>> func.grad(lambda a: linear_solve(blurred, np.array([1.0, 0.0, 0.0, 0.0]), a)[0])(0.25).round(4)
    np.float64(1.7778)
    """
    method = check.one_of("linear_solve", "method", method, ("gmres", "cg"))
    if not callable(A) or isinstance(A, Tensor):
        return _by_matrix(A, b, args)
    layout = Layout("linear_solve", "b", b)
    tolerance = _tolerance("linear_solve", tolerance, layout.dtype)
    limit = max(100, 10 * layout.size) if steps is None else check.positive_integer("linear_solve", "steps", steps)

    def product(x: Tensor) -> Any:
        return layout.vector(A(layout.tree(x), *args), "A returned")

    right = tensor._as_tensor(layout.vector(b, "b"))
    return layout.finished(Linear(product, method, tolerance, limit).solve(right), any_tensors(b, args))


def _by_matrix(A: Any, b: Any, args: Any) -> Any:
    if not isinstance(A, Tensor | np.ndarray | list):
        raise TypeError(
            f"linear_solve: A must be a function or a matrix, not {type(A).__name__}; write a function that multiplies"
        )
    if args:
        raise TypeError("linear_solve: a matrix takes no further arguments; leave out *args")
    return np.linalg.solve(A if isinstance(A, Tensor) else np.asarray(A), b)


def _tolerance(owner: str, tolerance: Any, dtype: Any) -> float:
    if tolerance is None:
        return float(np.finfo(dtype).eps ** (2 / 3))
    return float(check.real(owner, "tolerance", tolerance, above=0))


class Linear:
    """Equations with a product that is a function of vectors, with the transposed ones that their gradients need."""

    def __init__(self, product: Product, method: str, tolerance: float, steps: int) -> None:
        self.product, self.method, self.tolerance, self.steps = product, method, tolerance, steps

    def solve(self, b: Tensor) -> Tensor:
        """The solution for a vector, as a node of the graph where anything requires a gradient."""
        product = values(self.product)
        try:
            x = (cg if self.method == "cg" else gmres)(product, b._data, self.tolerance, self.steps)
        except ConvergenceError as error:
            at_zero = product(np.zeros_like(b._data))
            if np.isfinite(at_zero).all() and at_zero.any():
                raise ConvergenceError(
                    "linear_solve: A is not linear: A(0) is not 0; move what is constant to b"
                ) from None
            raise ConvergenceError(f"linear_solve: {error}") from None
        if tensor._pauses.get():
            return tensor._as_tensor(x)
        at = variable(x)
        sources = [b, *Recorded(self.product, at).others(at)]
        return solution(LINEAR_SOLVE, x, lambda g, y: self._gradients(g, y, sources[1:]), sources)

    def _gradients(self, g: Tensor, x: Tensor, sources: list[Tensor]) -> list[Tensor]:
        """With A(x) = b and the gradient g of x: w with A^T w = g for b, and that of -w A(x) for what A depends on."""
        call = Recorded(self.product, x)
        transposed = self.product if self.method == "cg" else _transposed(call, x)
        w = Linear(transposed, self.method, self.tolerance, self.steps).solve(g)
        return [w, *call.pull(-w, sources)]


def _transposed(call: Recorded, x: Tensor) -> Product:
    """The product with the transposed matrix of derivatives of a call with respect to x."""

    def product(w: Tensor) -> Tensor:
        return call.pull(w, [x])[0]

    return product


def cg(product: Callable[[Array], Array], b: Array, tolerance: float, steps: int) -> Array:
    """Solve for a symmetric positive definite product, by conjugate gradients."""
    x, r = np.zeros_like(b), b.copy()
    p, rr = r.copy(), float(r @ r)
    size = _norm(b)
    for step in range(steps):
        if math.sqrt(rr) <= tolerance * size:
            break
        q = product(p)
        curvature = float(p @ q)
        if not curvature > 0:
            raise ConvergenceError(
                f"A is not positive definite: x . A(x) is {curvature:.3g} in step {step}; for any other A write"
                ' method="gmres"'
            )
        x += b.dtype.type(rr / curvature) * p
        r -= b.dtype.type(rr / curvature) * q
        before, rr = rr, float(r @ r)
        p = r + b.dtype.type(rr / before) * p
    _check_residual(product, x, b, tolerance, steps, 'a symmetric A; for any other write method="gmres"')
    return x


def gmres(product: Callable[[Array], Array], b: Array, tolerance: float, steps: int) -> Array:
    """Solve for any invertible product, by GMRES that restarts after 50 vectors."""
    x, r, count = np.zeros_like(b), b, 0
    target = tolerance * _norm(b)
    while (beta := _norm(r)) > target and count < steps:
        restart = min(RESTART, b.size, steps - count)
        basis, H = np.empty((restart + 1, b.size), b.dtype), np.zeros((restart + 1, restart))
        basis[0] = r / b.dtype.type(beta)
        for k in range(restart):
            w = product(basis[k])
            count += 1
            length = _norm(w)
            for _ in range(2):  # Gram-Schmidt twice is enough (Parlett 1980, section 6.9)
                h = basis[: k + 1] @ w
                w = w - h @ basis[: k + 1]
                H[: k + 1, k] += h
            H[k + 1, k] = _norm(w)
            y, left = _least_squares(H[: k + 2, : k + 1], beta)
            if not math.isfinite(length) or left <= target or H[k + 1, k] <= np.finfo(b.dtype).eps * length:
                break
            basis[k + 1] = w / b.dtype.type(H[k + 1, k])
        x = x + y.astype(b.dtype) @ basis[: k + 1]
        r = b - product(x)
        if not _norm(r) < 0.99 * beta:
            break  # as for a singular matrix
    _check_residual(product, x, b, tolerance, count, "an invertible A")
    return x


def _least_squares(H: Array, beta: float) -> tuple[Array, float]:
    """The y for which H y is nearest to (beta, 0, 0, ...), and how near."""
    right = np.zeros(len(H))
    right[0] = beta
    if not np.isfinite(H).all():
        return np.full(H.shape[1], np.nan), math.nan
    y = np.linalg.lstsq(H, right)[0]
    return y, _norm(right - H @ y)


def _check_residual(
    product: Callable[[Array], Array], x: Array, b: Array, tolerance: float, steps: int, needs: str
) -> None:
    size = _norm(b)
    left = _norm(b - product(x)) / size if size else 0.0
    if not left <= 10 * tolerance:  # what rounding adds to the residual that the recurrences keep
        raise ConvergenceError(
            f"not converged after {steps} steps: the residual is {left:.3g} of b, the tolerance {tolerance:.3g}."
            f" It needs {needs}; or raise steps= or tolerance="
        )


def _norm(x: Array) -> float:
    return float(np.sqrt(np.sum(np.square(x, dtype=np.float64))))
