"""Triangular equations: of more rows than are solved at once, without a look at the other triangle, and refusals."""

from tinygrad_np import Tensor, grad, solve_triangular

import numpy as np
import pytest


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("unit_diagonal", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_large_triangles(lower: bool, transposed: bool, unit_diagonal: bool, dtype: type) -> None:
    rng, n = np.random.default_rng(0), 150
    full = (rng.standard_normal((2, n, n)) / n + 2 * np.eye(n)).astype(dtype)
    read = np.tril(full) if lower else np.triu(full)
    if unit_diagonal:
        read[:, range(n), range(n)] = 1
    given = np.where((np.tri(n, dtype=bool) if lower else np.tri(n, dtype=bool).T), full, np.nan).astype(dtype)
    if unit_diagonal:
        given[:, range(n), range(n)] = np.nan
    a, b = Tensor(given, requires_grad=True), Tensor(rng.standard_normal((n, 3)).astype(dtype), requires_grad=True)
    x = solve_triangular(a, b, lower=lower, transposed=transposed, unit_diagonal=unit_diagonal)
    same = np.swapaxes(read, 1, 2) if transposed else read
    tolerance = 1e-4 if dtype is np.float32 else 1e-10
    assert x.dtype == dtype
    np.testing.assert_allclose(x.data, np.linalg.solve(same, b.data), tolerance, tolerance)
    g = rng.standard_normal(x.shape).astype(dtype)
    to_a, to_b = grad(x, [a, b], g)
    known = Tensor(same, requires_grad=True)
    expected, of_b = grad(np.linalg.solve(known, b), [known, b], g)
    np.testing.assert_allclose(to_b.data, of_b.data, 10 * tolerance, 10 * tolerance)
    expected = np.swapaxes(expected.data, 1, 2) if transposed else expected.data
    k = 1 if unit_diagonal else 0
    expected = np.tril(expected, -k) if lower else np.triu(expected, k)
    np.testing.assert_allclose(to_a.data, expected, 10 * tolerance, 10 * tolerance)


@pytest.mark.parametrize(
    ("a", "b", "text"),
    [
        (np.ones((2, 3)), np.ones(2), "expected square matrices, not shape"),
        (np.eye(2), np.ones(3), "does not fit"),
        (np.eye(2), np.array(1.0), "does not fit"),
        (np.array([[1.0, 2.0], [0.0, 0.0]]), np.ones(2), "Singular"),
    ],
)
def test_what_has_no_solution_is_refused(a: np.ndarray, b: np.ndarray, text: str) -> None:
    with pytest.raises(np.linalg.LinAlgError, match=text):
        solve_triangular(Tensor(a), b)
