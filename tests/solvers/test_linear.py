"""Linear equations whose matrix is a function: against the matrix, derivatives, methods, errors."""

from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.solvers import ConvergenceError, linear, linear_solve
from tinygrad_np.testing import check_gradients
from tinygrad_np.testing.strategies import arrays

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

A = np.array([[3.0, 1.0, 0.5], [0.2, 2.0, -1.0], [0.0, 0.4, 1.5]])
S = A @ A.T


def general(x: Any, a: Any) -> Any:
    return A @ x * np.exp(a)


def symmetric(x: Any, a: Any) -> Any:
    return S @ x + np.exp(a) * x


CASES = [pytest.param(general, "gmres"), pytest.param(symmetric, "gmres"), pytest.param(symmetric, "cg")]


@pytest.mark.parametrize(("product", "method"), CASES)
@given(arrays((3,)), arrays((3,)))
def test_solutions_and_derivatives(product: Any, method: str, a: np.ndarray, b: np.ndarray) -> None:
    a = np.clip(a, -1, 1)
    matrix = func.jacobian(product)(b, a)
    x = linear_solve(product, b, a, method=method)
    np.testing.assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-8, atol=1e-9)
    check_gradients(lambda b, a: linear_solve(product, b, a, method=method), b, a, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("product", "method"), CASES)
def test_derivatives_to_second_order(product: Any, method: str) -> None:
    b, a = np.array([1.0, -0.5, 2.0]), np.array([0.3, 0.1, -0.4])
    check_gradients(lambda b, a: linear_solve(product, b, a, method=method), b, a, order=2, rtol=1e-5)
    check_gradients(lambda a: linear_solve(lambda x: product(x, a), a, method=method), a, order=2, rtol=1e-5)


def test_a_right_side_that_the_matrix_depends_on_too() -> None:
    check_gradients(lambda a: linear_solve(lambda x, a: a * x + A @ x, a, a), np.array([1.0, 2.0, 3.0]), order=2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([np.float32, np.float64]))
def test_random_matrices_of_any_size(seed: int, n: int, dtype: Any) -> None:
    rng = np.random.default_rng(seed)
    matrix = (rng.normal(size=(n, n)) / (3 * np.sqrt(n)) + np.eye(n)).astype(dtype)
    b = rng.normal(size=n).astype(dtype)
    x = linear_solve(lambda x: matrix @ x, b)
    assert x.dtype == dtype
    assert np.linalg.norm(matrix @ x - b) <= (1e-3 if dtype is np.float32 else 1e-9) * np.linalg.norm(b)
    square = matrix.T @ matrix
    y = linear_solve(lambda x: square @ x, b, method="cg")
    assert np.linalg.norm(square @ y - b) <= (1e-3 if dtype is np.float32 else 1e-9) * np.linalg.norm(b)


@pytest.mark.parametrize("restart", [2, 7, 50])
def test_gmres_goes_on_after_its_memory_is_full(restart: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "RESTART", restart)
    n = 200
    matrix = np.diag(np.linspace(1, 30, n)) + np.diag(np.ones(n - 1), 1)
    x = linear_solve(lambda x: matrix @ x, np.ones(n))
    np.testing.assert_allclose(matrix @ x, 1, atol=1e-8)


def test_unknowns_may_be_trees_and_a_matrix_is_solved_directly() -> None:
    def product(x: Any, a: Any) -> Any:
        return {"u": 2 * x["u"] + x["v"], "v": a * x["v"]}

    x = linear_solve(product, {"u": 3.0, "v": 2.0}, 4.0)
    assert (round(float(x["u"]), 9), round(float(x["v"]), 9)) == (1.25, 0.5)
    assert func.grad(lambda a: linear_solve(product, {"u": 3.0, "v": 2.0}, a)["u"])(4.0).round(9) == 0.0625
    np.testing.assert_array_equal(linear_solve(A, np.ones(3)), np.linalg.solve(A, np.ones(3)))
    check_gradients(linear_solve, A, np.ones(3), order=2)
    assert type(linear_solve(lambda x: 2 * x, Tensor([1.0]))) is Tensor


def test_parameters_that_the_product_reaches_get_their_gradient() -> None:
    w = Tensor(A, requires_grad=True)
    b = np.array([1.0, 2.0, 3.0])
    found = grad(linear_solve(lambda x: w @ x, b).sum(), w)
    expected = grad(np.linalg.solve(w, b).sum(), w)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-9)


def test_nothing_is_solved_by_zeros() -> None:
    np.testing.assert_array_equal(linear_solve(lambda x: A @ x, np.zeros(3)), np.zeros(3))
    np.testing.assert_array_equal(linear_solve(lambda x: S @ x, np.zeros(3), method="cg"), np.zeros(3))


SINGULAR = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize(
    ("solve", "error", "says"),
    [
        (
            lambda: linear_solve(lambda x: SINGULAR @ x, np.array([1.0, 0.0, 0.0])),
            ConvergenceError,
            "not converged afte",
        ),
        (
            lambda: linear_solve(lambda x: A @ x + 1, np.ones(3), steps=2),
            ConvergenceError,
            r"not linear: A\(0\) is not 0",
        ),
        (lambda: linear_solve(lambda x: x * x, np.ones(3)), ConvergenceError, "not converged after"),
        (
            lambda: linear_solve(lambda x: -x, np.ones(3), method="cg"),
            ConvergenceError,
            "not positive definite.*step 0",
        ),
        (lambda: linear_solve(lambda x: A @ x, np.ones(3), steps=1), ConvergenceError, "not converged after 1 steps"),
        (lambda: linear_solve(lambda x: x * np.nan, np.ones(3)), ConvergenceError, "the residual is nan"),
        (
            lambda: linear_solve(lambda x: x[:2], np.ones(3)),
            ValueError,
            r"A returned: expected shape \(3,\), not \(2,\)",
        ),
        (lambda: linear_solve(A, np.ones(3), 1.0), TypeError, "a matrix takes no further arguments"),
        (lambda: linear_solve(3.0, np.ones(3)), TypeError, "A must be a function or a matrix, not float"),
        (lambda: linear_solve(general, np.ones(3), 1.0, method="lu"), ValueError, "method must be 'gmres' or 'cg'"),
        (lambda: linear_solve(SINGULAR, np.ones(3)), np.linalg.LinAlgError, "ingular"),
    ],
)
def test_errors_say_what_happened(solve: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        solve()
