"""Weighted covariances: values, gradients of the weights, what is refused, and what has no degrees of freedom."""

import itertools
from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

RNG = np.random.default_rng(0)
COUNTS, WEIGHTS = np.array([2, 0, 1, 3, 1]), RNG.uniform(0.3, 2, 5)


def leaf(data: object, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


@pytest.mark.parametrize("fweights", [None, COUNTS, COUNTS + 0.0])
@pytest.mark.parametrize("aweights", [None, WEIGHTS, [1, 2, 3, 4, 5]])
@pytest.mark.parametrize("rowvar", [True, False])
def test_every_combination_of_keywords_is_numpys(fweights: Any, aweights: Any, rowvar: bool) -> None:
    m, y = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 5))
    if not rowvar:
        m, y = m.T, y.T
    row = RNG.normal(size=(1, 5))  # one variable, whichever way the others lie
    for bias, ddof, second in itertools.product((True, False), (None, 0, 1, 2), (None, y, row)):
        options: dict[str, Any] = {"aweights": aweights, "bias": bias, "ddof": ddof}
        counts = None if fweights is None else fweights.copy()  # NumPy writes to fractional ones
        expected = np.cov(m, second, rowvar, fweights=counts, **options)
        found = np.cov(leaf(m), second, rowvar, fweights=fweights, **options)
        np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)
        if second is not None:
            found = np.cov(m, leaf(second), rowvar, fweights=fweights, **options)
            np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)


def test_counts_are_repeated_observations() -> None:
    """Values and gradients: that of an observation which is counted twice is the sum of those of two."""
    m, weights = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 2))
    repeated = np.repeat(np.arange(5), COUNTS)
    counted = func.grad(lambda x: np.sum(weights * np.cov(x, fweights=COUNTS)))(m)
    each = func.grad(lambda x: np.sum(weights * np.cov(x)))(m[:, repeated])
    expected = np.zeros(m.shape)
    np.add.at(expected, (slice(None), repeated), each)
    np.testing.assert_allclose(counted, expected, rtol=1e-12, atol=1e-14)


def test_the_weights_of_observations_have_gradients_also_where_they_are_0() -> None:
    m, y = RNG.normal(size=(2, 5)), RNG.normal(size=5)
    weights = np.array([0.5, 0.0, 1.0, 2.0, 0.7])
    for bias in (False, True):
        found = func.grad(lambda w, bias=bias: np.sum(np.cov(m, y, aweights=w, bias=bias) ** 2))(weights)
        moved = func.grad(lambda w, bias=bias: np.sum(np.cov(m, y, aweights=w, bias=bias) ** 2))(weights + 1e-9)
        np.testing.assert_allclose(found, moved, rtol=1e-6)
    check_gradients(lambda m, w: np.cov(m, fweights=COUNTS, aweights=w), m, WEIGHTS, order=2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_without_degrees_of_freedom_the_covariance_is_infinite_or_nan() -> None:
    for options in ({"ddof": 9}, {"fweights": [1, 0, 0, 0, 0]}, {"ddof": 7, "aweights": WEIGHTS}):
        m = RNG.normal(size=(2, 5))
        np.testing.assert_array_equal(np.cov(leaf(m), **options).data, np.cov(m, **options))


def test_what_is_not_proved_is_refused_by_name() -> None:
    m = leaf(RNG.normal(size=(2, 5)))
    for call, error, says in (
        (lambda: np.cov(m, ddof=0.5), ValueError, "ddof must be an integer"),
        (lambda: np.cov(m, fweights=leaf(COUNTS)), TypeError, "not differentiable in fweights"),
        (lambda: np.cov(m, fweights=COUNTS + 0.5), TypeError, "whole numbers"),
        (lambda: np.cov(m, fweights=-COUNTS), ValueError, "fweights must not be negative"),
        (lambda: np.cov(m, aweights=leaf(-WEIGHTS)), ValueError, "aweights must not be negative"),
        (lambda: np.cov(m, aweights=WEIGHTS[:4]), ValueError, r"aweights of shape \(4,\) for 5 observations"),
        (lambda: np.cov(m, aweights=np.ones((1, 5))), ValueError, r"aweights of shape \(1, 5\) for 5 observations"),
        (lambda: np.cov(leaf(np.zeros((2, 2, 2)))), ValueError, "at most 2 dimensions"),
        (lambda: np.cov(m, aweights=np.zeros(5)), ZeroDivisionError, "weights sum to 0"),
    ):
        with pytest.raises(error, match=says):
            call()


def test_correlations_of_two_arrays_at_any_magnitude() -> None:
    x, y = RNG.normal(size=(2, 5)), RNG.normal(size=(3, 5))
    expected = np.corrcoef(x, y)
    for a, b in ((1.0, 1.0), (1e-200, 1e200), (1e300, 1e-300)):
        s, t = leaf(x * a), leaf(y * b)
        found = np.corrcoef(s, t)
        np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)
        g = grad(found[0, 3], [s, t])
        plain = grad(np.corrcoef(u := leaf(x), v := leaf(y))[0, 3], [u, v])
        for one, other, unit in zip(g, plain, (a, b), strict=True):
            np.testing.assert_allclose(one.data * unit, other.data, rtol=1e-12, atol=1e-14)
