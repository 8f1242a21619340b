"""Where matrices are singular, values equal and factors 0: gradients are right, or NaN where there is none."""

import itertools
import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

SEEDS = st.integers(0, 2**32 - 1)


def leaf(values: Any) -> Tensor:
    return Tensor(np.array(values, np.float64), requires_grad=True)


def rotation(rng: np.random.Generator, n: int) -> Any:
    return np.linalg.qr(rng.normal(size=(n, n)))[0]


def slope_along(function: Callable[[Any], Any], x: Any, direction: Any) -> float:
    """The derivative along a direction, by finite differences."""
    step = 1e-5
    return float((function(x + step * direction) - function(x - step * direction)) / (2 * step))


# --- determinants ----------------------------------------------------------------------------------------------------


def minors(x: Any) -> Any:
    """The cofactors by their definition, each in cubic time."""
    n = len(x)
    without = [[j for j in range(n) if j != i] for i in range(n)]
    return np.array(
        [[(-1) ** (i + j) * np.linalg.det(x[np.ix_(without[i], without[j])]) for j in range(n)] for i in range(n)]
    )


@given(seed=SEEDS, n=st.integers(2, 8), lost=st.integers(0, 3), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_first_and_second_derivatives_of_determinants_of_any_rank(seed: int, n: int, lost: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    rank = max(n - lost, 0)
    matrix, direction = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n)), rng.normal(size=(n, n))
    x = leaf(matrix * scale)
    slope = grad(np.linalg.det(x), x, create_graph=True)
    second = grad(np.sum(slope * direction), x).data
    size = scale ** (n - 1) * max(1, np.abs(np.linalg.svd(matrix, compute_uv=False)[0])) ** (n - 1)
    np.testing.assert_allclose(slope.data, scale ** (n - 1) * minors(matrix), rtol=1e-9, atol=1e-13 * size)
    expected = (minors(matrix + 1e-4 * direction) - minors(matrix - 1e-4 * direction)) / 2e-4
    np.testing.assert_allclose(
        second, scale ** (n - 2) * expected, rtol=1e-5, atol=1e-6 * size / scale * np.abs(direction).max()
    )


@given(seed=SEEDS, n=st.integers(2, 6))
def test_the_gradient_of_a_determinant_is_exact_to_rounding_at_any_condition(seed: int, n: int) -> None:
    """Of integers, beside exact arithmetic; rows of very different sizes change nothing."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-3, 4, (n, n))
    matrix[-1] = matrix[0] * rng.integers(-1, 2)
    exact = exact_minors(matrix.tolist()).astype(float)
    found = func.grad(np.linalg.det)(matrix.astype(float))
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-12 * max(1, np.abs(exact).max()))


@given(seed=SEEDS, n=st.integers(2, 5), digits=st.floats(0, 20), lost=st.integers(1, 2))
def test_two_derivatives_of_a_determinant_near_singular_matrices(seed: int, n: int, digits: float, lost: int) -> None:
    """Beside exact arithmetic, on the way from regular to singular matrices."""
    rng = np.random.default_rng(seed)
    singular_values = np.concatenate([np.ones(n - lost), np.full(lost, 10**-digits)])
    matrix, direction = rotation(rng, n) * singular_values @ rotation(rng, n), rng.normal(size=(n, n))
    x = leaf(matrix)
    slope = grad(np.linalg.det(x), x, create_graph=True)
    second = grad(np.sum(slope * direction), x).data
    first = func.grad(np.linalg.det)(matrix)
    step = Fraction(1, 10**40)
    ends = [
        exact_minors(
            [
                [Fraction(a) + t * Fraction(h) for a, h in zip(*rows, strict=True)]
                for rows in zip(matrix.tolist(), direction.tolist(), strict=True)
            ]
        )
        for t in (-step, step)
    ]
    exact, exact_second = ((ends[0] + ends[1]) / 2).astype(float), ((ends[1] - ends[0]) / (2 * step)).astype(float)
    for found in (first, slope.data):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6 * np.abs(exact).max() + 1e-14)
    np.testing.assert_allclose(second, exact_second, rtol=0, atol=1e-6 * np.abs(exact_second).max() + 1e-14)


def exact_minors(rows: list[list[Any]]) -> Any:
    n = len(rows)

    def without(i: int, j: int) -> list[list[Any]]:
        return [[v for b, v in enumerate(row) if b != j] for a, row in enumerate(rows) if a != i]

    return np.array([[(-1) ** (i + j) * exact_determinant(without(i, j)) for j in range(n)] for i in range(n)])


def exact_determinant(matrix: Any) -> Fraction:
    rows, value = [[Fraction(v) for v in row] for row in matrix], Fraction(1)
    while rows:
        pivot = next((row for row in rows if row[0]), None)
        if pivot is None:
            return Fraction(0)
        value *= pivot[0] * (-1) ** rows.index(pivot)
        rest = [row for row in rows if row is not pivot]
        rows = [[b - row[0] / pivot[0] * a for a, b in zip(pivot[1:], row[1:], strict=True)] for row in rest]
    return value


def test_rows_of_very_different_sizes() -> None:
    scale = np.array([1e-60, 1.0, 1e60, 1.0, 1e-20, 1.0])
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    found = func.grad(np.linalg.det)(matrix * scale[:, np.newaxis])
    np.testing.assert_allclose(found, minors(matrix) * scale.prod() / scale[:, np.newaxis], rtol=1e-9)


def test_determinants_of_batches_with_singular_matrices_and_of_no_matrices() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 5):
        batch = rng.normal(size=(12, n, n))  # with U and V of either orientation
        batch[1] = 0
        batch[2, -1] = batch[2, 0]
        batch[4:, 0] = np.sum(batch[4:, 1:], axis=1)
        found = func.grad(lambda x: np.sum(np.linalg.det(x)))(batch)
        for one, matrix in zip(found, batch, strict=True):
            np.testing.assert_allclose(one, minors(matrix), rtol=1e-9, atol=1e-13)
    for shape in [(0, 5, 5), (2, 0, 0)]:
        assert func.grad(lambda x: np.sum(np.linalg.det(x)))(np.zeros(shape)).shape == shape


def test_third_derivatives_of_determinants_are_right_or_refused() -> None:
    rng = np.random.default_rng(0)
    third = func.grad(lambda x: np.sum(func.grad(lambda x: np.sum(func.grad(np.linalg.det)(x) * weights))(x) * weights))
    weights = rng.normal(size=(3, 3))
    assert np.isfinite(third(np.ones((3, 3)))).all()
    weights = rng.normal(size=(5, 5))
    with pytest.raises(ValueError, match="third derivatives of det need matrices far from singular"):
        third(np.ones((5, 5)))


@pytest.mark.parametrize("rank", [300, 299])
def test_two_derivatives_of_a_large_determinant_take_the_memory_of_a_few_matrices(rank: int) -> None:
    """The minors of one would take 80,000 times its memory."""
    rng, n = np.random.default_rng(0), 300
    matrix = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, n)) / n
    x = leaf(matrix)
    tracemalloc.start()
    slope = grad(np.linalg.det(x), x, create_graph=True)
    grad(slope.sum(), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * matrix.nbytes


# --- products --------------------------------------------------------------------------------------------------------


@st.composite
def factors(draw: st.DrawFn) -> list[float]:
    """With zeros, and so small or large that products leave the range of float64."""
    some = st.sampled_from([0.0, 1e-300, 1e-170, 1e-12, -0.5, 1.0, 2.0, -3.0, 1e12, 1e90])
    return draw(st.lists(some, min_size=1, max_size=5))


def exact_products(x: list[float], left_out: tuple[int, ...], length: int) -> Fraction:
    value = Fraction(1)
    for i in range(length):
        value *= 1 if i in left_out else Fraction(x[i])
    return value if all(i < length for i in left_out) else Fraction(0)


@pytest.mark.parametrize("name", ["prod", "cumprod"])
@given(x=factors())
def test_derivatives_of_products_are_exact_to_rounding(name: str, x: list[float]) -> None:
    n = len(x)
    lengths = [n] if name == "prod" else range(1, n + 1)
    sizes = [math.log10(abs(v)) for v in x if v]
    if sum(s for s in sizes if s > 0) > 300 or sum(s for s in sizes if s < 0) < -300:
        return  # a partial product leaves the range of float64, in the forward pass or on the way
    function = lambda t: np.sum(getattr(np, name)(t))  # noqa: E731
    found = func.grad(function)(np.array(x))
    expected = [float(sum(exact_products(x, (i,), k) for k in lengths)) for i in range(n)]
    size = [float(sum(abs(exact_products(x, (i,), k)) for k in lengths)) for i in range(n)]
    np.testing.assert_array_less(np.abs(found - expected), 1e-13 * np.array(size) + 1e-305)
    second = func.hessian(function)(np.array(x))
    for i, j in itertools.product(range(n), repeat=2):
        terms = [] if i == j else [exact_products(x, (i, j), k) for k in lengths]
        assert abs(second[i, j] - float(sum(terms))) <= 1e-13 * float(sum(map(abs, terms))) + 1e-305, (i, j)


EXPONENTS = st.one_of(st.integers(-300, 300), st.sampled_from([-300, -200, 200, 300]))
WIDE = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, -1.5, 2.5, 7.0]), EXPONENTS, st.sampled_from([0, 1, -2])),
    min_size=1,
    max_size=7,
)


@given(factors=WIDE)
@example([(1.0, 0, 1), (0.0, 0, 1), (1.0, 300, 1), (1.0, 300, 1)])  # beyond the 0 the terms are larger than any number
def test_gradients_of_products_whose_parts_leave_the_range_of_float64(factors: list[tuple[float, int, int]]) -> None:
    """Each derivative that is a number of float64 is found, whatever the partial products are."""
    x, weights = [a * 10.0**e for a, e, _ in factors], [w for *_, w in factors]
    for name, used in (("cumprod", weights), ("prod", [0] * (len(x) - 1) + [1])):
        t = leaf(x)
        with np.errstate(all="ignore"):
            y = getattr(np, name)(t)
        found = grad(y, t, np.array(used, np.float64) if name == "cumprod" else None).data
        for i, derivative in enumerate(found):
            terms = [w * exact_products(x, (i,), k + 1) for k, w in enumerate(used) if w]
            size = sum(map(abs, terms))
            if size < 10**300:
                assert abs(derivative - float(sum(terms))) <= 1e-13 * float(size) + 1e-305, (name, i, x, used)


@pytest.mark.parametrize("name", ["prod", "nanprod", "cumprod", "nancumprod"])
@given(factors=WIDE)
@example([(5.0, -1, 0), (1.0, -200, 0), (1.0, -200, 1)])  # the product of all underflows
@example([(1.0, -200, 0), (1.0, -200, 0), (0.0, 0, 0), (1.0, -200, 1)])
@example([(1.0, 200, 0), (1.0, 200, 0), (1.0, -300, 0), (1.0, -300, 1)])
@example([(1.0, e, 1) for e in (200, -300, 200, 0, -118, -193, 200)])  # what is before and after each is in range
def test_higher_derivatives_of_products_that_leave_the_range_of_float64(
    name: str, factors: list[tuple[float, int, int]]
) -> None:
    """Each second and third derivative that is a number of float64 is found, whatever products of more factors are."""
    x, weights = [a * 10.0**e for a, e, _ in factors], [w for *_, w in factors]
    used = weights if "cum" in name else [0] * (len(x) - 1) + [1]

    def check(found: Tensor, *indices: int) -> None:
        for k, derivative in enumerate(found.data):
            left_out = (*indices, k)
            distinct = len({*left_out}) == len(left_out)
            terms = [w * exact_products(x, left_out, j + 1) for j, w in enumerate(used) if w and distinct]
            size = sum(map(abs, terms))
            if size < 10**300:
                assert abs(derivative - float(sum(terms))) <= 1e-13 * float(size) + 1e-305, (left_out, x, used)

    t = leaf(x)
    with np.errstate(all="ignore"):
        y = getattr(np, name)(t)
        slope = grad(y, t, np.array(used, np.float64) if y.ndim else None, create_graph=True)
        check(slope)
        for i in range(len(x)):
            second = grad(slope[i], t, create_graph=True)
            check(second, i)
            check(grad(second[-1], t, retain_graph=True), i, len(x) - 1)


def product_of_any(numbers: list[float]) -> float:
    if np.isfinite(numbers).all():  # exact, whatever the order
        return float(math.prod(map(Fraction, numbers), start=Fraction(1)))
    return math.prod(v if abs(v) in (0, math.inf) else math.copysign(1, v) for v in numbers if v == v) + 0 * sum(
        v for v in numbers if v != v
    )


SPECIAL = st.sampled_from([math.inf, -math.inf, math.nan, 0.0, 2.0, -3.0, 1e60, 1e-60])


@pytest.mark.parametrize("name", ["prod", "cumprod"])
@given(rows=st.lists(st.lists(SPECIAL, min_size=5, max_size=5), min_size=1, max_size=2), data=st.data())
@example(rows=[[math.inf, 2.0, 3.0, 1.0, 1.0]], data=None)
def test_derivatives_of_products_beside_infinities_are_products_of_the_rest(
    name: str, rows: list[list[float]], data: Any
) -> None:
    """Exact, in every order: 0 along the same factor twice, and what NumPy has for 0 * inf where both are factors."""
    weight = st.sampled_from([0.0, 1.0, 3.0])
    used = [[0.0] * 4 + [data.draw(weight) if data else 1.0] for _ in rows]
    if name == "cumprod" and data:
        used = [[data.draw(weight) for _ in row] for row in rows]

    def check(found: Tensor, row: int, *indices: int) -> None:
        for k, derivative in enumerate(found.data[row]):
            left_out = (*indices, k)
            distinct = len({*left_out}) == len(left_out)
            terms = [
                product_of_any([w, *(rows[row][i] for i in range(j + 1) if i not in left_out)])
                for j, w in enumerate(used[row])
                if w and distinct and max(left_out) <= j
            ]
            if len(terms) == 1 or not np.isnan(sum(terms)):  # several may share the factor that makes them NaN
                size = sum(map(abs, terms))
                right = derivative == sum(terms) or abs(derivative - sum(terms)) <= 1e-13 * size < math.inf
                assert right or np.isnan([derivative, sum(terms)]).all(), (derivative, terms, rows, left_out, used)
        assert not indices or not np.any(np.delete(found.data, row, axis=0))

    t = leaf(rows)
    with np.errstate(all="ignore"):
        y = getattr(np, name)(t, axis=1)
    slope = grad(y, t, np.array(used) if name == "cumprod" else np.array(used)[:, -1], create_graph=True)
    for row in range(len(rows)):
        check(slope, row)
        for i in range(5):
            second = grad(slope[row, i], t, create_graph=True)
            check(second, row, i)
            check(grad(second[row, 1], t, retain_graph=True), row, i, 1)


@pytest.mark.parametrize("function", [np.prod, lambda x: np.cumprod(x)[-1]])
def test_hessians_of_products_beside_an_infinity(function: Any) -> None:
    inf = math.inf
    assert func.hessian(function)(np.array([inf, 2.0, 3.0])).tolist() == [[0, 3, 2], [3, 0, inf], [2, inf, 0]]
    with np.errstate(invalid="ignore"):
        small = func.hessian(function)(np.array([1e-200, 1e-200, inf, 1e-200, 5e250]))  # no factor is 0
    np.testing.assert_allclose(small[2], [5e-150, 5e-150, 0, 5e-150, 0], rtol=1e-14)
    rest = [0, 1, 3, 4]
    np.testing.assert_array_equal(small[np.ix_(rest, rest)], np.where(np.eye(4), 0, inf))


@pytest.mark.parametrize("function", [np.prod, lambda x: np.cumprod(x)[-1]])
def test_long_products_that_come_back_into_range(function: Any) -> None:
    """The mantissas of 0.75 alone, all of them between 0.5 and 1, would underflow."""
    x = np.array([0.75] * 400 + [1 / 0.75] * 400, np.float32)
    np.testing.assert_allclose(func.grad(function)(x), 1 / x, rtol=1e-3)
    x = np.repeat(np.array([1e-30, 1e30], np.float32), 200)
    np.testing.assert_allclose(func.grad(function)(x), 1 / x, rtol=1e-4)


def test_products_beyond_the_range_of_float64() -> None:
    x = leaf([1e-200, 1e-200, 1e200, 1e100])
    np.testing.assert_allclose(grad(np.cumprod(x)[1], x).data, [1e-200, 1e-200, 0, 0], rtol=1e-14)
    small = np.array([1e-170, 2.0, 3e-170])  # whose product is 0 in float64
    np.testing.assert_allclose(func.grad(np.prod)(small), [6e-170, 0, 2e-170], rtol=1e-14)
    np.testing.assert_allclose(func.grad(lambda x: np.cumprod(x)[-1])(small), [6e-170, 0, 2e-170], rtol=1e-14)
    assert func.hessian(np.prod)(np.array([1e-170, 2.0, 3e-170])).tolist() == [
        [0, 3e-170, 2],
        [3e-170, 0, 1e-170],
        [2, 1e-170, 0],
    ]


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_two_derivatives_of_a_long_cumulative_product_take_linear_memory(zeros: int) -> None:
    """The products without each element would take 30,000 times its memory. Where it underflows, the slope is 0."""
    n = 30_000
    values = np.full(n, 0.5)
    values[10 : 10 + zeros] = 0
    x = leaf(values)
    tracemalloc.start()
    slope = grad(np.cumprod(x).sum(), x, create_graph=True)
    grad(slope[:5].sum(), x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * values.nbytes
    expected = [np.sum(0.5 ** np.arange(i, 10 if zeros else 1100)) for i in range(5)]
    np.testing.assert_allclose(slope.data[:5], expected, rtol=1e-12)
    assert not slope.data[1200:].any()


# --- norms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [0.5, 0.9, 1.2, 1.9, 2, 2.5, 3])
def test_norms_with_elements_that_are_zero(order: float, dtype: Any) -> None:
    """Only the second derivative twice in such an element does not exist, for orders below 2."""
    numbers = np.array([[0, 3, -4, 0], [1, -2, 5, 3]], dtype)
    x = Tensor(numbers, requires_grad=True)
    sizes = np.linalg.norm(numbers.astype(np.float64), order, axis=1, keepdims=True)
    zero, u = numbers == 0, np.abs(numbers) / sizes
    slope = np.sign(numbers) * np.where(zero, 1, u) ** (order - 1)
    found = grad(np.linalg.norm(x, order, axis=1).sum(), x, create_graph=True)
    rtol = 1e-5 if dtype is np.float32 else 1e-13
    np.testing.assert_allclose(found.data, slope, rtol=rtol)
    for i, j in np.ndindex(numbers.shape):
        row = -slope[i, j] * slope[i]
        own = 0 if order > 2 else np.nan if order < 2 else 1
        row[j] += own if zero[i, j] else np.where(zero, 1, u)[i, j] ** (order - 2)
        expected = np.zeros(numbers.shape)
        expected[i] = (order - 1) * row / sizes[i]
        second = grad(found[i, j], x, retain_graph=True).data
        np.testing.assert_allclose(second, expected, rtol=10 * rtol, atol=rtol)


# --- equal values of decompositions ----------------------------------------------------------------------------------


def symmetric(rng: np.random.Generator, values: Any) -> Any:
    q = rotation(rng, len(values))
    a = q * values @ q.T
    return (a + a.T) / 2


@given(seed=SEEDS, equal=st.integers(2, 6), others=st.integers(0, 5))
def test_eigenvectors_of_equal_eigenvalues(seed: int, equal: int, others: int) -> None:
    rng = np.random.default_rng(seed)
    n = equal + others
    a = symmetric(rng, np.concatenate([np.ones(equal), 2.0 + np.arange(others)]))
    weights, direction = rng.normal(size=(n, n)), symmetric(rng, rng.normal(size=n))

    def of_vectors(x: Any) -> Any:
        v = np.linalg.eigh(x).eigenvectors
        p, q = v[:, :equal], v[:, equal:]
        return np.sum(weights * (p @ p.T)) + np.sum(weights * (p @ p.T @ weights @ q @ q.T))

    def of_both(x: Any) -> Any:
        w, v = np.linalg.eigh(x)
        return np.sum(weights * (v * np.exp(w) @ v.T))

    def of_the_others(x: Any) -> Any:
        w, v = np.linalg.eigh(x)
        return np.sum(weights * (v[:, equal:] * np.exp(w[equal:]) @ v[:, equal:].T))

    for function in (of_vectors, of_the_others) if others else ():
        found = np.sum(func.grad(function)(a) * np.tril(direction))
        assert found == pytest.approx(slope_along(function, a, direction), rel=1e-5, abs=1e-6)
    assert np.isnan(func.grad(of_both)(a)).any()
    assert np.isnan(func.grad(lambda x: np.sum(weights * np.linalg.eigh(x).eigenvectors))(a)).any()
    of_values = [lambda x: np.sum(np.linalg.eigvalsh(x) ** 3), lambda x: np.sum(np.linalg.eigh(x).eigenvalues ** 3)]
    for function in of_values:
        found = np.sum(func.grad(function)(a) * np.tril(direction))
        assert found == pytest.approx(3 * np.trace(a @ a @ direction), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("function", [np.exp, np.log1p, np.square, lambda w: w])
@pytest.mark.parametrize("matrix", [np.eye(3), np.zeros((3, 3))])
def test_functions_of_matrices_by_eigh_are_nan_where_all_eigenvalues_are_equal(function: Any, matrix: Any) -> None:
    """The vectors of the identity are such that the gradients of the values and of the vectors say too little."""

    def of_matrix(x: Any) -> Any:
        w, v = np.linalg.eigh(x)
        return np.sum(v * function(w) @ v.T)

    derivative = func.grad(of_matrix)(matrix)
    if function is np.square and not matrix.any():
        assert not derivative.any()  # which is right
    else:
        assert np.isnan(derivative).any()


@given(seed=SEEDS, equal=st.integers(1, 3), others=st.integers(0, 2), aligned=st.booleans())
def test_no_element_of_a_hessian_at_equal_eigenvalues_is_wrong(
    seed: int, equal: int, others: int, aligned: bool
) -> None:
    """Each is NaN, or that of a formula without eigenvalues; and not NaN where all eigenvalues differ."""
    rng = np.random.default_rng(seed)
    values = np.concatenate([np.ones(equal), 2.0 + np.arange(others)])
    a = np.diag(values) if aligned else symmetric(rng, values)

    def s(x: Any) -> Any:  # what is read of x: one triangle
        return np.tril(x) + np.tril(x, -1).T

    functions: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda x: np.sum(np.linalg.eigvalsh(x) ** 2), lambda x: np.trace(s(x) @ s(x))),
        (lambda x: np.sum(np.linalg.eigh(x)[0] ** 3), lambda x: np.trace(s(x) @ s(x) @ s(x))),
        (lambda x: np.sum(np.log(np.linalg.eigvalsh(x))), lambda x: np.linalg.slogdet(s(x))[1]),
        (lambda x: np.sum(np.linalg.svdvals(s(x)) ** 2), lambda x: np.trace(s(x) @ s(x))),
        (lambda x: np.linalg.norm(s(x), "nuc"), lambda x: np.trace(s(x))),  # of positive eigenvalues
    ]
    for function, without in functions:
        found, expected = func.hessian(function)(a), func.hessian(without)(a)
        assert equal > 1 or np.isfinite(found).all()
        right = np.isnan(found) | (np.abs(found - expected) < 1e-9 * (1 + np.max(np.abs(expected))))
        assert right.all(), (found, expected)


@given(seed=SEEDS, equal=st.integers(2, 3), others=st.integers(1, 2), aligned=st.booleans())
def test_no_element_of_the_hessian_of_a_projection_is_wrong(seed: int, equal: int, others: int, aligned: bool) -> None:
    rng = np.random.default_rng(seed)
    n, step = equal + others, 1e-3
    values = np.concatenate([np.ones(equal), 2.0 + np.arange(others)])
    a, weights = np.diag(values) if aligned else symmetric(rng, values), rng.normal(size=(n, n))

    def projection(x: Any) -> Any:
        v = np.linalg.eigh(x).eigenvectors[:, :equal]
        return np.sum(weights * (v @ v.T))

    slope = func.grad(projection)
    hessian = func.hessian(projection)(a)
    for i, j in np.ndindex(n, n):
        moved = step * np.outer(np.eye(n)[i], np.eye(n)[j])
        difference = (slope(a + moved) - slope(a - moved)) / (2 * step)
        assert (np.isnan(hessian[..., i, j]) | (np.abs(hessian[..., i, j] - difference) < 1e-3)).all()


def test_hessians_at_equal_eigenvalues_are_nan_or_right() -> None:
    for function in (lambda x: np.sum(np.linalg.eigvalsh(x) ** 2), lambda x: np.sum(np.linalg.eigh(x)[0] ** 2)):
        hessian = func.hessian(function)(np.eye(2))
        assert np.isnan(hessian[1, 0, 1, 0])


@given(seed=SEEDS, equal=st.integers(2, 4), others=st.integers(1, 4), extra=st.integers(0, 2), wide=st.booleans())
def test_singular_vectors_of_equal_values(seed: int, equal: int, others: int, extra: int, wide: bool) -> None:
    rng = np.random.default_rng(seed)
    n = equal + others
    s = np.concatenate([2.0 + np.arange(others)[::-1], np.ones(equal)])
    a = rotation(rng, n + extra)[:, :n] * s @ rotation(rng, n).T
    a = a.T if wide else a
    weights, direction = rng.normal(size=(2, *a.shape))

    def polar(x: Any) -> Any:
        u, _, vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(weights * (u @ vh))

    def of_u(x: Any) -> Any:
        u = np.linalg.svd(x, full_matrices=False).U[:, :others]
        return np.sum(weights @ weights.T * (u @ u.T))

    def truncated(x: Any) -> Any:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(weights * (u[:, :others] * s[:others] @ vh[:others]))

    for function in (polar, of_u, truncated):
        found = np.sum(func.grad(function)(a) * direction)
        assert found == pytest.approx(slope_along(function, a, direction), rel=1e-5, abs=1e-6)
    for of_one in (lambda r: r.U, lambda r: r.Vh):
        assert np.isnan(func.grad(lambda x, f=of_one: np.sum(f(np.linalg.svd(x, full_matrices=False)) ** 3))(a)).any()

    def rebuilt(x: Any) -> Any:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(weights * (u * s @ vh))

    assert np.isnan(func.grad(rebuilt)(a)).any()
    found = func.grad(lambda x: np.sum(np.linalg.svdvals(x)))(a)
    np.testing.assert_allclose(
        found, func.grad(lambda x: np.sum(np.linalg.svd(x, full_matrices=False).S))(a), atol=1e-12
    )
    assert np.sum(found * direction) == pytest.approx(
        slope_along(lambda x: np.sum(np.linalg.svdvals(x)), a, direction), rel=1e-5, abs=1e-6
    )


def test_singular_vectors_of_singular_matrices() -> None:
    rng = np.random.default_rng(0)
    for rows, columns in ((4, 4), (5, 3), (3, 5)):
        matrix = np.outer(rng.normal(size=rows), rng.normal(size=columns))
        weights = rng.normal(size=matrix.shape)
        for part in ("U", "Vh"):  # of orthogonal columns or rows, so constant
            found = func.grad(lambda x: np.sum(getattr(np.linalg.svd(x, full_matrices=False), part) ** 2))(matrix)  # noqa: B023
            np.testing.assert_allclose(found.data, 0, atol=1e-12)

        def leading(x: Any) -> Any:
            u, s, vh = np.linalg.svd(x, full_matrices=False)
            return np.sum(weights * (u[:, :1] * s[:1] @ vh[:1]))  # noqa: B023

        direction = rng.normal(size=matrix.shape)
        found = np.sum(func.grad(leading)(matrix) * direction)
        assert found == pytest.approx(slope_along(leading, matrix, direction), rel=1e-5)
        u, _, vh = np.linalg.svd(matrix, full_matrices=False)
        found = func.grad(lambda x: np.sum(np.linalg.svdvals(x)))(matrix)
        np.testing.assert_allclose(found, u @ vh, atol=1e-12)
        same = func.grad(lambda x: np.sum(np.linalg.svd(x, full_matrices=False).S))(matrix)
        np.testing.assert_allclose(same, found, atol=1e-12)


@pytest.mark.parametrize(
    "matrix", [np.outer([1.0, 2, 3], [1, 2]), np.zeros((3, 2)), np.array([[1.0, 1], [1, 1], [1, 1]])]
)
def test_gradients_of_qr_are_nan_where_the_rank_is_not_full(matrix: Any) -> None:
    def of_q(x: Any) -> Any:
        q, r = np.linalg.qr(x)
        return np.sum(q**3) + np.sum(r)

    of_batches = [of_q, lambda x: np.sum(np.linalg.qr(x, mode="r"))]
    for function in of_batches:
        assert np.isnan(func.grad(function)(matrix)).all()
        found = func.grad(function)(np.stack([matrix, matrix + np.eye(3, 2)]))
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()


@pytest.mark.parametrize("scale", [[1.0, 1e-30, 1e30], [1.0, 1.0, 1.0]])
def test_qr_of_columns_of_different_sizes_is_not_singular(scale: list[float]) -> None:
    matrix = np.random.default_rng(0).normal(size=(4, 3))
    found = func.grad(lambda x: np.sum(np.linalg.qr(x).Q ** 3))(matrix * scale) * scale
    expected = func.grad(lambda x: np.sum(np.linalg.qr(x).Q ** 3))(matrix)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(seed=SEEDS, rank=st.integers(1, 3), rows=st.integers(1, 4), columns=st.integers(1, 4))
def test_pseudo_inverses_along_matrices_of_the_same_rank(seed: int, rank: int, rows: int, columns: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(rows, rank)), rng.normal(size=(rank, columns)), rng.normal(size=(columns, rows))
    if np.linalg.cond(a @ a.T + np.eye(rows)) * np.linalg.cond(b.T @ b + np.eye(columns)) < 1e4:
        largest, *_ = values = np.linalg.svd(a @ b, compute_uv=False)
        if values[min(rank, rows, columns) - 1] > 0.1 * largest:
            check_gradients(lambda a, b: np.linalg.pinv(a @ b) * c, a, b)
            check_gradients(lambda a, b: np.linalg.lstsq(a @ b, c.T)[0], a, b)


def test_inverses_of_singular_matrices_are_refused() -> None:
    singular = np.ones((2, 2))
    for function in (
        np.linalg.inv,
        lambda x: np.linalg.solve(x, np.ones(2)),
        lambda x: np.linalg.matrix_power(x, -2),
        lambda x: np.linalg.slogdet(x).logabsdet,
    ):
        with pytest.raises(ValueError, match="[Ss]ingular"):
            func.grad(lambda x: np.sum(function(x)))(singular)  # noqa: B023


def test_powers_of_matrices_of_huge_and_infinite_numbers() -> None:
    np.testing.assert_array_equal(func.grad(lambda x: np.sum(np.linalg.matrix_power(x, 1)))(np.full((2, 2), 1e200)), 1)
    y = np.linalg.matrix_power(Tensor(np.full((2, 2), np.inf)), 0)
    np.testing.assert_array_equal(y.data, np.eye(2))


# --- kinks: a gradient of 0 by convention, and no second derivative --------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        *(lambda x, p=p: np.linalg.norm(x, p) for p in (None, 2, 3, 1.5)),
        lambda x: np.linalg.norm(x.reshape(1, 2)),
        lambda x: np.hypot(x[0], x[1]),
        lambda x: np.arctan2(x[0], x[1]),
        np.std,
    ],
)
def test_gradients_are_zero_and_hessians_nan_at_kinks(function: Callable[[Any], Any]) -> None:
    assert not func.grad(function)(np.zeros(2)).any()
    assert np.isnan(func.hessian(function)(np.zeros(2))).all()
    check_gradients(function, [1.0, 2.0], order=2)
    # One row with a kink leaves the others alone, and a row without influence has no derivatives of any order.
    rows = leaf([[0.0, 0.0], [1.0, 2.0]])
    slopes = grad(function(rows[1]) + 0 * function(rows[0]), rows, create_graph=True)
    second = grad(np.sum(slopes[1] ** 2), rows).data
    assert np.isfinite(second).all()


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e25), (np.float64, 1e160)])
@pytest.mark.parametrize("function", [np.prod, np.nanprod, np.multiply.reduce])
def test_products_whose_parts_overflow_or_underflow(function: Any, dtype: Any, size: float) -> None:
    x = np.array([1 / size, 1 / size, size, size], dtype)
    np.testing.assert_allclose(func.grad(function)(x), 1 / x, rtol=1e-6)
    hessian = func.hessian(function)(x)
    np.testing.assert_allclose(hessian[:2, 2:], 1, rtol=1e-6)  # 1 / size * size
    np.testing.assert_array_equal(np.diagonal(hessian), 0)


def test_products_of_a_thousand_ones_and_a_zero() -> None:
    x = np.ones(1000, np.float32)
    x[7] = 0
    np.testing.assert_array_equal(func.grad(np.prod)(x), x == 0)


def test_a_singular_matrix_of_a_batch_that_is_not_used_has_a_gradient_of_zero_in_qr() -> None:
    x = Tensor(np.stack([np.ones((2, 2)), np.diag([1.0, 2.0])]), requires_grad=True)
    slope = grad(np.sum(np.linalg.qr(x).R[1]), x).data
    np.testing.assert_array_equal(slope, [[[0, 0], [0, 0]], [[1, 1], [2, 1]]])


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_quotient_in_fmod_is_that_of_its_result(a: int, tenths: int) -> None:
    b = tenths / 10
    quotient = (Fraction(a) - Fraction(math.fmod(a, b))) / Fraction(b)
    assert func.grad(lambda b: np.fmod(float(a), b))(b) == -round(quotient)
