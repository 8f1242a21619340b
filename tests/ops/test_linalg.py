"""Decompositions: each runs once, and its gradients are finite wherever they are determined."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

eigh, eigvalsh, qr, slogdet, svd, svdvals = (
    getattr(np.linalg, name) for name in ("eigh", "eigvalsh", "qr", "slogdet", "svd", "svdvals")
)


def leaf(values: Any, dtype: type = np.float64) -> Tensor:
    return Tensor(np.array(values, dtype), requires_grad=True)


def tensors(result: Any) -> list[Tensor]:
    return [y for y in (result if isinstance(result, tuple) else [result]) if type(y) is Tensor]


def gradient(result: Any, x: Tensor, **options: Any) -> Tensor:
    return grad(tensors(result), x, [np.ones(y.shape) for y in tensors(result)], **options)  # type: ignore[no-any-return]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of NumPy's decompositions, one for each time that one of them meets an array."""
    names: list[str] = []

    def count(name: str, function: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if type(args[0]) is np.ndarray:
                names.append(name)
            return function(*args, **kwargs)

        return counted

    for name in ("eigh", "inv", "qr", "slogdet", "svd"):
        monkeypatch.setattr(np.linalg, name, count(name, getattr(np.linalg, name)))
    return names


@pytest.mark.parametrize(
    ("function", "forward", "backward"),
    [
        (lambda x: svd(x, full_matrices=False), ["svd"], []),
        (eigh, ["eigh"], []),
        (qr, ["qr"], []),
        (slogdet, ["slogdet"], ["inv"]),
        (lambda x: svd(x, compute_uv=False), [], ["svd"]),  # the values alone, by a function of their own
        (svdvals, [], ["svd"]),
        (eigvalsh, [], ["eigh"]),
    ],
    ids=["svd", "eigh", "qr", "slogdet", "svd, compute_uv=False", "svdvals", "eigvalsh"],
)
def test_each_decomposition_runs_once(
    function: Callable[..., Any], forward: list[str], backward: list[str], runs: list[str]
) -> None:
    x = leaf(np.random.default_rng(0).normal(size=(4, 4)))
    function(x)  # learns the type of the result, from a matrix of its own
    runs.clear()
    result = function(x)
    assert runs == forward
    gradient(result, x)
    assert runs == forward + backward


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 3, 3), (0, 3), (3, 0), (0, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_parts_are_numpys_own_to_the_last_bit(shape: tuple[int, ...], dtype: type) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(dtype)
    calls: list[tuple[Callable[..., Any], dict[str, Any]]] = [(svd, {"full_matrices": False})]
    if shape[-2] >= shape[-1]:
        calls.append((qr, {}))
    if shape[-2] == shape[-1]:
        calls += [(eigh, {"UPLO": "L"}), (eigh, {"UPLO": "u"}), (slogdet, {})]
    for function, kwargs in calls:
        found, expected = function(leaf(array, dtype), **kwargs), function(array, **kwargs)
        assert type(found) is type(expected)
        for y, part in zip(found, expected, strict=True):
            value = y.data if type(y) is Tensor else y
            np.testing.assert_array_equal(value, part, strict=True)


EQUAL = {
    "identity": np.eye(3),
    "zeros": np.zeros((3, 3)),
    "two equal": np.diag([1.0, 1.0, 2.0]),
    "zeros, tall": np.zeros((3, 2)),
    "zeros, wide": np.zeros((2, 3)),
}


@pytest.mark.parametrize("name", EQUAL)
def test_gradients_of_the_values_alone_are_the_same_from_either_function_where_they_are_equal(name: str) -> None:
    x = leaf(EQUAL[name])
    pairs = [(svd(x, full_matrices=False).S, svdvals(x))]
    if name in ("identity", "zeros", "two equal"):
        pairs.append((eigh(x).eigenvalues, eigvalsh(x)))
    for one, other in pairs:
        found, expected = gradient(one, x), gradient(other, x)
        assert np.isfinite(expected.data).all()
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-15, atol=1e-15)


def test_gradients_of_the_vectors_of_equal_eigenvalues_are_not_finite() -> None:
    x, weights = leaf(np.eye(2)), np.array([[1.0, 2.0], [5.0, 3.0]])
    assert not np.isfinite(grad(np.sum(weights * eigh(x).eigenvectors), x).data).all()


def test_vectors_of_the_simple_values_have_gradients_beside_equal_ones() -> None:
    """The projection on the eigenvector of 2 does not depend on which basis the equal eigenvalues have."""
    weights = np.random.default_rng(0).normal(size=(3, 3))

    def projection(x: Any) -> Any:
        v = eigh(x).eigenvectors[:, 2:]
        return np.sum(weights * (v @ v.T))

    x = leaf(EQUAL["two equal"])
    expected = np.zeros((3, 3))
    expected[2, :2] = (weights + weights.T)[2, :2]  # first-order perturbation: 1 / (2 - 1) times the coupling
    np.testing.assert_allclose(grad(projection(x), x).data, expected, rtol=1e-14, atol=1e-15)


def test_gradients_of_the_vectors_of_a_singular_square_matrix() -> None:
    """U and V are square, so nothing of their gradients is divided by the singular value 0."""

    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 4, 4))

    def squares(x: Any) -> Any:
        u, _, vh = svd(x)
        return np.sum(weights[0] * u**2) + np.sum(weights[1] * vh**2)

    check_gradients(squares, rng.normal(size=(4, 3)) @ rng.normal(size=(3, 4)))


def test_second_derivatives_of_the_norm_beside_equal_singular_values() -> None:
    """The largest singular value of a rank-one matrix is smooth there, though the others are equal."""
    x = leaf(np.outer([1.0, 2.0, 2.0], [2.0, 1.0, 2.0]))  # 9 times a projection
    direction = np.random.default_rng(0).normal(size=(3, 3))
    u, v = np.array([1.0, 2.0, 2.0]) / 3, np.array([2.0, 1.0, 2.0]) / 3
    slope = grad(np.linalg.norm(x, 2), x, create_graph=True)
    found = grad(np.sum(slope * direction), x).data
    # The derivative of u v^T along the direction, by perturbation: u and v turn into their complements, by 1 / 9 each.
    du = (np.eye(3) - np.outer(u, u)) @ direction @ v / 9
    dv = (np.eye(3) - np.outer(v, v)) @ direction.T @ u / 9
    np.testing.assert_allclose(found, np.outer(du, v) + np.outer(u, dv), rtol=1e-12, atol=1e-14)


def test_the_rank_in_lstsq_is_numpys() -> None:
    a = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0 + 1e-15], [0.0, 0.0]])
    for array in (a, a + np.eye(4, 2)):
        _, residuals, rank, s = np.linalg.lstsq(leaf(array), np.ones(4))
        expected = np.linalg.lstsq(array, np.ones(4))
        assert (rank, np.shape(residuals)) == (expected[2], expected[1].shape)
        np.testing.assert_allclose(s.data, expected[3], rtol=1e-14, atol=1e-15)
