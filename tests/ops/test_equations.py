"""Pseudo-inverses and least squares with their options, wide QR, equations in tensors, Hermitian decompositions."""

from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def leaf(data: object, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


def of_rank(rows: int, columns: int, rank: int) -> Any:
    return RNG.normal(size=(rows, rank)) @ RNG.normal(size=(rank, columns))


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("options", [{}, {"rcond": 1e-10}, {"rtol": 1e-10}, {"rtol": None}])
def test_the_gradient_of_a_pseudo_inverse_is_that_along_matrices_of_its_rank(shape: Any, options: Any) -> None:
    for rank in (1, 2, 3):
        left, right = RNG.normal(size=(shape[0], rank)), RNG.normal(size=(rank, shape[1]))
        weights = RNG.normal(size=shape[::-1])

        def objective(a: Any, b: Any, weights: Any = weights) -> Any:
            return np.sum(weights * np.linalg.pinv(a @ b, **(options or {"rcond": 1e-10})))

        check_gradients(objective, left, right, rtol=1e-5)
        check_gradients(lambda a, b, f=objective: sum(np.sum(g * g) for g in func.grad(f, (0, 1))(a, b)), left, right)


@pytest.mark.parametrize("small", [0.9, 0.3, 0.01, 1e-6, 1e-12, 1e-15])
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (2, 4, 4)])
def test_a_pseudo_inverse_that_drops_values_has_its_own_gradient(small: float, shape: Any) -> None:
    """Not that of matrices of constant rank: values that are not 0 turn the vectors of the others."""
    n = min(shape[-2:])
    u, v = (np.linalg.qr(RNG.normal(size=(*shape[:-2], k, n)))[0] for k in shape[-2:])
    a = u * np.array([3.0, 2.5, *[small] * (n - 2)]) @ np.swapaxes(v, -1, -2)
    weights = RNG.normal(size=np.swapaxes(a, -1, -2).shape)

    def truncated(x: Any) -> Any:
        return np.sum(weights * np.linalg.pinv(x, rcond=0.5))

    check_gradients(truncated, a, order=2, rtol=1e-5, atol=1e-6)
    b = RNG.normal(size=shape[-2])
    if a.ndim == 2:
        check_gradients(lambda x: np.linalg.lstsq(x, b, 0.5)[0], a, rtol=1e-5)
    if shape[-2] == shape[-1]:
        symmetric = a @ np.swapaxes(a, -1, -2)
        check_gradients(lambda x: np.linalg.pinv(x, rtol=0.5, hermitian=True), symmetric, rtol=1e-5, atol=1e-6)


def test_a_pseudo_inverse_that_drops_values_beside_those_it_keeps_refuses_a_gradient() -> None:
    a = np.diag([3.0, 1.0, 0.95])
    for options in ({"rcond": 0.32}, {"rtol": 0.32}, {"rtol": 0.32, "hermitian": True}, {"rcond": np.array(0.32)}):
        x = leaf(a)
        y = np.linalg.pinv(x, **options)
        np.testing.assert_allclose(y.data, np.diag([1 / 3, 1, 0]), atol=1e-15)
        with pytest.raises(ValueError, match="taken a singular value for 0"):
            grad(y.sum(), x)
    with pytest.raises((TypeError, ValueError), match="rcond"):
        np.linalg.pinv(leaf(a), rcond=1e-3, rtol=1e-3)
    with pytest.raises(TypeError, match="not differentiable in rcond"):
        np.linalg.pinv(leaf(a), rcond=leaf(1e-3))
    x = leaf(np.zeros((2, 2)))
    assert not grad(np.linalg.pinv(x, rcond=1e-3).sum(), x).data.any()


def test_a_pseudo_inverse_of_one_triangle() -> None:
    a = RNG.normal(size=(3, 3)) + 5 * np.eye(3)
    symmetric = np.tril(a) + np.tril(a, -1).T
    np.testing.assert_allclose(np.linalg.pinv(leaf(a), hermitian=True).data, np.linalg.inv(symmetric), rtol=1e-12)
    found = func.grad(lambda x: np.sum(np.linalg.pinv(x, hermitian=True) ** 2))(a)
    expected = func.grad(lambda x: np.sum(np.linalg.inv(np.tril(x) + np.tril(x, -1).T) ** 2))(a)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-14)
    singular = np.outer([1.0, 2.0, 2.0], [1.0, 2.0, 2.0])
    slope = func.grad(lambda x: np.sum(np.linalg.pinv(x, rtol=1e-12, hermitian=True)))(singular)
    step = 1e-6 * np.outer([1.0, 2.0, 2.0], [0.3, -1.0, 0.5])
    step = step + step.T  # to first order along matrices of rank 1
    v = np.array([1.0, 2.0, 2.0]) + 1e-6 * np.array([0.3, -1.0, 0.5])
    expected = np.sum(np.linalg.pinv(np.outer(v, v), 1e-12) - np.linalg.pinv(singular, 1e-12))
    assert np.sum(slope * np.tril(step)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (0, 2), (2, 0)])
@pytest.mark.parametrize("rcond", [None, -1, 1e-9])
def test_least_squares_are_numpys_also_of_lower_rank(shape: Any, rcond: Any) -> None:
    for rank in {min(shape), min(shape) - 1} - {-1}:
        a, b = of_rank(*shape, rank), RNG.normal(size=(shape[0], 2))
        found, expected = np.linalg.lstsq(leaf(a), leaf(b), rcond), np.linalg.lstsq(a, b, rcond)
        if rcond == -1 and rank < min(shape):
            continue  # whether a rounding error counts depends on the algorithm
        assert found[2] == expected[2]
        for i in (0, 1, 3):
            np.testing.assert_allclose(np.asarray(found[i].data), expected[i], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 5), (1, 4), (2, 3, 4), (2, 2)])
@pytest.mark.parametrize("mode", ["reduced", "r", "complete"])
def test_wide_qr_is_numpys_and_has_derivatives_of_any_order(shape: Any, mode: str) -> None:
    a = RNG.normal(size=shape)
    found, expected = np.linalg.qr(leaf(a), mode), np.linalg.qr(a, mode)
    for one, other in zip(*((r,) if mode == "r" else r for r in (found, expected)), strict=True):
        np.testing.assert_allclose(one.data, other, rtol=1e-12, atol=1e-13)
    check_gradients(lambda x: np.linalg.qr(x, mode) if mode == "r" else tuple(np.linalg.qr(x, mode)), a, order=2)
    for dtype in (np.float32, np.int64):
        parts = np.linalg.qr(Tensor(a.astype(dtype)), mode)
        assert (parts if mode == "r" else parts.R).dtype == np.linalg.qr(a.astype(dtype), "r").dtype


def test_wide_qr_of_dependent_columns_is_nan_only_where_the_first_ones_are() -> None:
    a = np.array([[1.0, 1.0, 2.0], [1.0, 1.0, 5.0]])
    assert np.isnan(grad(np.linalg.qr(x := leaf(a), "r")[0, 1], x).data[:, :2]).all()
    a = np.array([[1.0, 2.0, 2.0], [1.0, 5.0, 5.0]])  # the others may depend on them
    assert np.isfinite(grad(np.linalg.qr(x := leaf(a), "r")[0, 2], x).data).all()
    for mode, shape in (("complete", (3, 2)), ("raw", (3, 2)), ("raw", (2, 3)), ("economic", (2, 2))):
        with pytest.raises(ValueError, match="is not supported"):
            np.linalg.qr(leaf(np.ones(shape)), mode)


def test_equations_in_tensors() -> None:
    a = RNG.normal(size=(2, 3, 6)) + 9 * np.eye(6).reshape(2, 3, 6)
    b = RNG.normal(size=(2, 3))
    np.testing.assert_allclose(np.linalg.tensorsolve(leaf(a), b).data, np.linalg.tensorsolve(a, b), rtol=1e-12)
    moved = np.moveaxis(a, 0, 2)
    expected = np.linalg.tensorsolve(moved, b.T, (1,))
    np.testing.assert_allclose(np.linalg.tensorsolve(leaf(moved), b.T, (1,)).data, expected, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.tensorinv(leaf(a)).data, np.linalg.tensorinv(a), rtol=1e-12)
    check_gradients(np.linalg.tensorsolve, a, b, order=2)
    check_gradients(np.linalg.tensorinv, a)
    with pytest.raises(ValueError, match="ind must be at least 1"):
        np.linalg.tensorinv(leaf(a), 0)
    with pytest.raises(ValueError, match="is not square"):
        np.linalg.tensorsolve(leaf(a), b[0])


def test_singular_values_of_a_symmetric_matrix_of_either_sign() -> None:
    a = RNG.normal(size=(2, 4, 4))
    for values, expected in (
        (np.linalg.svd(leaf(a), hermitian=True, compute_uv=False), np.linalg.svd(a, hermitian=True, compute_uv=False)),
        (np.linalg.svd(leaf(a), hermitian=True).S, np.linalg.svd(a, hermitian=True).S),
    ):
        np.testing.assert_allclose(values.data, expected, rtol=1e-12)
    for one, other in zip(np.linalg.svd(leaf(a), hermitian=True), np.linalg.svd(a, hermitian=True), strict=True):
        np.testing.assert_allclose(one.data, other, rtol=1e-12, atol=1e-14)

    def symmetric(x: Any) -> Any:
        return np.tril(x) + np.swapaxes(np.tril(x, -1), -1, -2)

    for of_hermitian, of_any in (
        (lambda x: np.sum(np.linalg.svd(x, hermitian=True).S ** 3), lambda x: np.sum(np.linalg.svdvals(x) ** 3)),
        (
            lambda x: np.sum(np.linalg.svd(x, hermitian=True).U[..., 0] ** 2 * np.arange(4.0)),
            lambda x: np.sum(np.linalg.svd(x).U[..., 0] ** 2 * np.arange(4.0)),
        ),
    ):
        found, expected = func.grad(of_hermitian)(a), func.grad(lambda x, f=of_any: f(symmetric(x)))(a)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("small", [1e-10, 2e-15])
def test_least_squares_take_the_same_values_for_0_as_numpy(small: float) -> None:
    a, b = np.zeros((20, 2)), np.arange(1.0, 21)
    a[0, 0], a[1, 1] = 1, small
    for rcond in (None, 1e-16, 1e-9, -1):
        expected = np.linalg.lstsq(a, b, rcond)
        found = np.linalg.lstsq(leaf(a), leaf(b), rcond)
        assert found[2] == expected[2]
        np.testing.assert_allclose(found[0].data, expected[0], rtol=1e-12)
