"""Polynomials whose leading coefficients are 0, fits that points do not determine, and what is refused."""

from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def leaf(data: object, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


@pytest.mark.parametrize("a", [[0.0, 0.0, 2.0, 3.0], [0.0], [0.0, 0.0], [1.0, 0.0], []])
@pytest.mark.parametrize("b", [[0.0, 1.0, -1.0], [2.0], [0.0, 0.0, 0.0]])
def test_leading_zeros_are_dropped_from_products_but_not_from_their_gradients(a: list[float], b: list[float]) -> None:
    found = np.polymul(leaf(a), leaf(b))
    np.testing.assert_array_equal(found.data, np.polymul(a, b))
    n = len(found.data)
    for i in range(2):
        pair = [np.array(a or [0.0]), np.array(b)]
        whole = func.jacobian(lambda x, i=i, pair=pair: np.convolve(*[x if j == i else pair[j] for j in (0, 1)]))
        short = func.jacobian(lambda x, i=i, pair=pair: np.polymul(*[x if j == i else pair[j] for j in (0, 1)]))
        np.testing.assert_array_equal(short(pair[i]), whole(pair[i])[-n:])


def test_quotients_and_remainders_multiply_back() -> None:
    u, v = leaf(RNG.normal(size=6)), leaf([2.0, -1.0, 0.5])
    quotient, remainder = np.polydiv(u, v)
    for found, expected in zip((quotient, remainder), np.polydiv(u.data, v.data), strict=True):
        np.testing.assert_allclose(found.data, expected, rtol=1e-13)
    back = np.polyadd(np.polymul(quotient, v), remainder)
    np.testing.assert_allclose(func.jacobian(lambda x: np.polymul(x, [1.0]))(u.data), np.eye(6))
    g = grad(np.sum(back * np.arange(6.0)), [u, v])
    np.testing.assert_allclose(g[0].data, np.arange(6.0), atol=1e-12)
    np.testing.assert_allclose(g[1].data, 0, atol=1e-12)
    for u, v in (([1.0, 2.0], [1.0, 0.0, 0.0]), ([2.0, 4.0], [1.0, 2.0]), ([3.0], [2.0])):
        for found, expected in zip(np.polydiv(leaf(u), leaf(v)), np.polydiv(u, v), strict=True):
            np.testing.assert_array_equal(found.data, expected)


def test_constants_of_an_integral_have_gradients() -> None:
    check_gradients(lambda p, k: np.polyint(p * 1.0, 2, k), RNG.normal(size=3), RNG.normal(size=2), order=2)
    check_gradients(lambda p, k: np.polyint(p * 1.0, 2, k), RNG.normal(size=3), np.array(0.5), order=2)
    p = RNG.normal(size=4)
    assert np.polyder(np.polyint(leaf(p), 3, [1, 2, 3]), 3).data == pytest.approx(p)


def test_roots_of_a_polynomial_of_given_roots() -> None:
    check_gradients(np.poly, np.array([1.0, -2.0, 0.0, 1.0]), order=2)
    assert np.poly(leaf([2.0, 3.0])).data.tolist() == [1, -5, 6]


@pytest.mark.parametrize("w", [None, RNG.uniform(0.5, 2, 6)])
@pytest.mark.parametrize("columns", [(), (2,)])
@pytest.mark.parametrize("options", [{}, {"full": True}, {"cov": True}, {"cov": "unscaled"}, {"rcond": 1e-8}])
def test_fits_are_numpys(w: Any, columns: Any, options: Any) -> None:
    x, y = np.sort(RNG.normal(size=6)) * 2, RNG.normal(size=(6, *columns))
    for deg in (0, 1, 3):
        expected = np.polyfit(x, y, deg, w=w, **options)
        found = np.polyfit(leaf(x), leaf(y), deg, w=w, **options)
        for one, other in zip(*((r if isinstance(r, tuple) else (r,)) for r in (found, expected)), strict=True):
            np.testing.assert_allclose(np.asarray(one.data if type(one) is Tensor else one), other, rtol=1e-8)


def test_the_gradient_of_a_fit_is_linear_in_the_values() -> None:
    x, w = np.array([0.0, 1.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0, 0.5])
    jacobian = func.jacobian(lambda y: np.polyfit(x, y, 1, w=w))(np.array([1.0, 3.0, 2.0, 5.0]))
    design = np.vander(x, 2) * w[:, np.newaxis]
    np.testing.assert_allclose(jacobian, np.linalg.solve(design.T @ design, design.T * w), rtol=1e-10, atol=1e-14)


def test_a_fit_to_repeated_places_warns_and_has_the_gradient_of_its_values() -> None:
    x, y = np.array([1.0, 1.0, 2.0, 2.0]), leaf([1.0, 2.0, 3.0, 5.0])
    with pytest.warns(np.exceptions.RankWarning):
        c = np.polyfit(x, y, 2)
    with pytest.warns(np.exceptions.RankWarning):
        np.testing.assert_allclose(c.data, np.polyfit(x, y.data, 2), rtol=1e-9)
    units = np.eye(4)
    with pytest.warns(np.exceptions.RankWarning):
        columns = [np.polyfit(x, unit, 2) for unit in units]  # it is linear in the values
    np.testing.assert_allclose(grad(c[0], y).data, [column[0] for column in columns], rtol=1e-9, atol=1e-12)


def test_what_is_not_proved_is_refused() -> None:
    p = leaf([1.0, 2.0, 3.0])
    for call, error, says in (
        (lambda: np.roots(p), TypeError, "roots of a Tensor is not supported"),
        (lambda: np.poly(leaf(np.eye(2))), TypeError, "poly of a Tensor takes roots"),
        (lambda: np.polyder(p, -1), ValueError, "m must be at least 0"),
        (lambda: np.polyint(p, 3, [1.0, 2.0]), ValueError, "k must be one constant or 3"),
        (lambda: np.polyadd(leaf(np.ones((2, 2))), p), ValueError, "a vector, not of shape"),
        (lambda: np.polyfit(p, leaf([1.0, 2.0]), 1), TypeError, "as long"),
        (lambda: np.polyfit(p, p, -1), ValueError, "deg must be at least 0"),
        (lambda: np.polyfit(p, p, 1, w=np.ones(2)), TypeError, "weights of shape"),
        (lambda: np.polyfit(p, p, 2, cov=True), ValueError, "leave no residuals"),
        (lambda: np.polydiv(p, leaf([])), IndexError, "at least one coefficient"),
    ):
        with pytest.raises(error, match=says):
            call()
