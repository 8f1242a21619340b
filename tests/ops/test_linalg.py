"""Decompositions: each runs once, and its gradients are finite wherever they are determined."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

eig, eigh, eigvalsh, qr, slogdet, svd, svdvals = (
    getattr(np.linalg, name) for name in ("eig", "eigh", "eigvalsh", "qr", "slogdet", "svd", "svdvals")
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
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128, np.complex64])
def test_the_parts_are_numpys_own_to_the_last_bit(shape: tuple[int, ...], dtype: type) -> None:
    rng = np.random.default_rng(0)
    array = (rng.normal(size=shape) + (1j * rng.normal(size=shape) if dtype(0).dtype.kind == "c" else 0)).astype(dtype)
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


# --- complex matrices ------------------------------------------------------------------------------------------------


def complex_matrix(*shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


TURN = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 2]])

PHASES: dict[str, Callable[[Any], Any]] = {  # functions of a vector that change as its phase does
    "eigh": lambda x: np.sum(eigh(x).eigenvectors.real),
    "eigh, one vector": lambda x: eigh(x).eigenvectors[1, 1].imag,
    "eigh, values too": lambda x: np.sum(eigh(x).eigenvectors[:, 0].real * eigh(x).eigenvalues),
    "eig": lambda x: np.sum(eig(x).eigenvectors.real),
    "eig of a real matrix": lambda x: np.sum(eig(x.real + 9 * TURN).eigenvectors.real),
    "U": lambda x: np.sum(svd(x, full_matrices=False).U.real),
    "V": lambda x: svd(x, full_matrices=False).Vh[0, 1].imag,
    "U and V by different phases": lambda x: np.sum(np.real(svd(x).U[:, 0] * svd(x).Vh[0])),
}


@pytest.mark.parametrize("name", PHASES)
def test_functions_of_the_phase_of_a_vector_have_no_gradient(name: str) -> None:
    x = Tensor(complex_matrix(3, 3), requires_grad=True)
    found = grad(PHASES[name](x), x).data
    assert np.isnan(found[np.tril_indices(3)]).all()  # eigh reads this triangle only


def test_forward_derivatives_of_complex_vectors_are_not_known_but_those_of_values_are() -> None:
    x, direction = complex_matrix(3, 3), complex_matrix(3, 3, seed=1)
    for decompose in (eigh, svd, eig):
        _, along = func.jvp(lambda x, decompose=decompose: tuple(decompose(x)), x, direction)
        assert [bool(np.isnan(part).any()) for part in along] == [part.ndim == 2 for part in along]


def test_projections_on_complex_vectors_of_equal_values() -> None:
    """Beside two equal ones the projection on the third vector moves by first-order perturbation."""
    weights = complex_matrix(3, 3)

    def projection(x: Any) -> Any:
        v = eigh(x).eigenvectors[:, 2:]
        return np.sum(weights * (v @ np.conj(v).T)).real

    x = Tensor(EQUAL["two equal"] + 0j, requires_grad=True)
    found = grad(projection(x), x).data
    expected = np.zeros((3, 3), complex)  # moving x[2, j] by d moves v v^H by d at [2, j] and by conj(d) at [j, 2]
    expected[2, :2] = weights[2, :2] + np.conj(weights[:2, 2])
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)
    mixing = complex_matrix(3, 3, seed=1)  # depends on which basis the equal eigenvalues have, and on no phase
    assert not np.isfinite(grad(np.sum(weights.real * np.abs(mixing @ eigh(x).eigenvectors) ** 2), x).data).all()


@pytest.mark.parametrize("name", EQUAL)
def test_gradients_of_the_values_of_complex_matrices_are_finite_where_they_are_equal(name: str) -> None:
    x = Tensor(EQUAL[name] + 0j, requires_grad=True)
    pairs = [(svd(x, full_matrices=False).S, svdvals(x))]
    if name in ("identity", "zeros", "two equal"):
        pairs.append((eigh(x).eigenvalues, eigvalsh(x)))
    for one, other in pairs:
        found, expected = gradient(one, x), gradient(other, x)
        assert np.isfinite(expected.data).all()
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("n", range(1, 8))
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_determinants_of_singular_complex_matrices(n: int, rank: int) -> None:
    """The gradient is the cofactors, here by the determinants of the minors; `rank` less than full."""
    a = complex_matrix(n, n)
    a = a[:, : max(n - rank, 0)] @ complex_matrix(max(n - rank, 0), n, seed=1) if rank else a
    cofactors = [
        [(-1) ** (i + j) * np.linalg.det(np.delete(np.delete(a, i, 0), j, 1)) for j in range(n)] for i in range(n)
    ]
    np.testing.assert_allclose(func.holomorphic_grad(np.linalg.det)(a), cofactors, rtol=1e-10, atol=1e-10)
    check_gradients(np.linalg.det, a, order=2, name="det")


def test_the_sign_of_a_complex_determinant_has_a_gradient() -> None:
    z = Tensor(complex_matrix(4, 4), requires_grad=True)
    sign, logarithm = slogdet(z)
    by_sign, by_det = (
        grad(y.imag, z, retain_graph=True).data for y in (sign, np.linalg.det(z) / np.abs(np.linalg.det(z)))
    )
    np.testing.assert_allclose(by_sign, by_det, rtol=1e-12, atol=1e-14)
    assert logarithm.dtype == np.float64
    np.testing.assert_allclose(grad(logarithm, z).data, np.linalg.inv(z.data).T, rtol=1e-13)


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_a_complex_euclidean_norm_is_smooth_where_an_element_is_zero(axis: Any) -> None:
    z = complex_matrix(2, 3)
    z[0, 1] = 0
    z[1, 2] = 2j
    check_gradients(lambda z: np.linalg.norm(z, axis=axis), z, order=2, name="norm")


@pytest.mark.parametrize("order", [None, 1, 2, 3, 0.5, np.inf, "fro", "nuc"])
def test_the_gradient_of_the_norm_of_complex_zeros_is_zero(order: Any) -> None:
    x = Tensor(np.zeros((2, 2), complex), requires_grad=True)
    y = np.linalg.norm(x, order, axis=None if order in (None, "fro", "nuc") else 0).sum()
    found = grad(y, x).data
    if order == "nuc":  # as for real numbers, U @ V.T of the vectors that NumPy chooses
        np.testing.assert_array_equal(np.abs(found), np.eye(2))
    else:
        np.testing.assert_array_equal(found, np.zeros((2, 2)))


@pytest.mark.parametrize("exponent", [-200, 200])
def test_complex_norms_of_huge_and_tiny_numbers(exponent: int) -> None:
    z = complex_matrix(3) * 10.0**exponent
    for order in (2, 3, 1, np.inf):
        x = Tensor(z, requires_grad=True)
        norm = np.linalg.norm(x, order)
        small = Tensor(z / 10.0**exponent, requires_grad=True)
        np.testing.assert_allclose(norm.item() / 10.0**exponent, np.linalg.norm(small.data, order), rtol=1e-13)
        np.testing.assert_allclose(grad(norm, x).data, grad(np.linalg.norm(small, order), small).data, rtol=1e-12)


def test_the_diagonal_of_r_is_real() -> None:
    """Which the gradient of qr takes for granted."""
    for shape in [(1, 1), (4, 4), (7, 3), (64, 64), (200, 100)]:
        for dtype in (np.complex64, np.complex128):
            assert not np.any(np.diagonal(np.linalg.qr(complex_matrix(*shape).astype(dtype)).R).imag)


def test_least_squares_of_complex_and_real_numbers() -> None:
    a, b = complex_matrix(4, 2), complex_matrix(4, seed=1)
    single = a.astype(np.complex64)
    pairs = [(a, b.real), (a.real, b), (a, np.arange(4)), (single, b.real), (single, b.real.astype(np.float32))]
    for left, right in pairs:
        found, expected = np.linalg.lstsq(Tensor(left), right), np.linalg.lstsq(left, right)
        for ours, theirs in zip(found, expected, strict=True):
            ours = ours.data if type(ours) is Tensor else ours
            np.testing.assert_allclose(ours, theirs, rtol=1e-5 if left.dtype == np.complex64 else 1e-12)
        assert (found[0].dtype, found[1].dtype) == (expected[0].dtype, expected[1].dtype)


# --- eigenvalues of any matrix ---------------------------------------------------------------------------------------


def test_eigenvalues_of_a_real_matrix_may_be_complex_and_its_gradient_is_real() -> None:
    """A rotation by t, grown by r, has the eigenvalues r * exp(1j * t) and r * exp(-1j * t)."""
    t = Tensor(np.array(0.3), requires_grad=True)
    rotation = 2 * np.stack([np.stack([np.cos(t), -np.sin(t)]), np.stack([np.sin(t), np.cos(t)])])
    for values in (np.linalg.eigvals(rotation), eig(rotation).eigenvalues):
        assert values.dtype == np.complex128
        upper = values[int(np.argmax(values.data.imag))]
        np.testing.assert_allclose(grad(upper.real, t, retain_graph=True).data, -2 * np.sin(0.3), rtol=1e-14)
        np.testing.assert_allclose(grad(upper.imag, t, retain_graph=True).data, 2 * np.cos(0.3), rtol=1e-14)


@pytest.mark.parametrize("matrix", [np.eye(3), [[1.0, 1.0], [0.0, 1.0]], np.zeros((2, 2)), np.diag([1.0, 2.0, 2.0])])
def test_equal_eigenvalues_of_any_matrix_have_no_gradient(matrix: Any) -> None:
    for dtype in (np.float64, np.complex128):
        x = Tensor(np.array([matrix, np.diag(np.arange(len(matrix)))], dtype), requires_grad=True)
        for values in (np.linalg.eigvals(x), eig(x).eigenvalues):
            found = grad(np.sum(values * 2).real, x).data
            assert np.isnan(found[0]).all()
            np.testing.assert_allclose(found[1], 2 * np.eye(len(matrix)), atol=1e-15)


def test_a_batch_of_eigenvalues_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """LAPACK may order them otherwise where it computes the vectors, too: the gradient goes by their size."""
    numpys_eig = np.linalg.eig

    def eig(x: Any) -> Any:
        w, v = numpys_eig(x)
        return w[..., ::-1], v[..., ::-1]

    monkeypatch.setattr(np.linalg, "eig", eig)
    x = np.random.default_rng(0).normal(size=(20, 8, 8))
    tensor, weights = Tensor(x, requires_grad=True), np.random.default_rng(1).normal(size=(20, 8))
    check = grad(np.sum(weights * np.linalg.eigvals(tensor)).real, tensor).data
    direction = np.random.default_rng(2).normal(size=x.shape)
    step = 1e-6

    def moved(sign: float) -> Any:
        return np.sum(weights * np.linalg.eigvals(x + sign * step * direction)).real

    np.testing.assert_allclose(np.sum(check * direction), (moved(1) - moved(-1)) / (2 * step), rtol=1e-5)


FUNCTIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "matrix of its singular values": (lambda x: (lambda u, s, vh: u * s @ vh)(*svd(x)), [(4, 4)]),
    "nearest isometry": (lambda x: (lambda u, _, vh: u @ vh)(*svd(x, full_matrices=False)), [(4, 3)]),
    "nearest isometry, wide": (lambda x: (lambda u, _, vh: u @ vh)(*svd(x, full_matrices=False)), [(3, 5)]),
    "qr, square": (lambda x: tuple(qr(x)), [(4, 4)]),
    "pseudo-inverses of tall matrices": (np.linalg.pinv, [(2, 4, 3)]),
    "pseudo-inverse of rank 2": (lambda u, v: np.linalg.pinv(u @ v), [(4, 2), (2, 3)]),
    "norms by singular values": (lambda x: np.linalg.norm(x, 2) + np.linalg.norm(x, "nuc"), [(4, 3)]),
    "condition number": (np.linalg.cond, [(3, 3)]),
    "projections": (lambda x: (lambda w, v: v[:, :2] @ np.conj(v[:, :2]).T * w[2])(*eigh(x)), [(4, 4)]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_complex_decompositions_to_second_order(name: str) -> None:
    function, shapes = FUNCTIONS[name]
    matrices = [complex_matrix(*shape, seed=i) for i, shape in enumerate(shapes)]
    check_gradients(function, *matrices, order=1 if "rank" in name else 2, name=name)


def test_the_third_derivative_of_a_complex_determinant() -> None:
    check_gradients(np.linalg.det, complex_matrix(5, 5) / 2 + np.eye(5), order=3, name="det")


def test_second_derivatives_of_other_complex_norms_beside_a_zero() -> None:
    """In the element that is 0 they do not exist for orders below 2, and are 0 above."""
    z = Tensor(np.array([0, 1 + 2j, 3]), requires_grad=True)
    for order in (0.5, 1, 1.5, 3):
        slope = grad(np.linalg.norm(z, order), z, create_graph=True)
        assert slope.data[0] == 0
        second = grad(np.sum(np.array([1, 2, 3]) * slope.real), z).data
        assert second[0] == 0 if order > 2 else np.isnan(second[0])
        rest = Tensor(z.data[1:], requires_grad=True)
        slope = grad(np.linalg.norm(rest, order), rest, create_graph=True)
        expected = grad(np.sum(np.array([2, 3]) * slope.real), rest).data
        np.testing.assert_allclose(second[1:], expected, rtol=1e-12)
