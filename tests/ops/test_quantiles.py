"""Quantiles at the places where they jump or have kinks, beside NaN and equal numbers; with weights."""

from collections.abc import Callable
from typing import Any

from tinygrad_np import Tensor, func, grad
from tinygrad_np.ops.quantiles import AVERAGING, CHOOSING, CONTINUOUS, METHODS

import numpy as np
import pytest
from machine import numpy_is_before

FAMILY = (np.quantile, np.percentile, np.nanquantile, np.nanpercentile)


def leaf(data: object, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_are_numpys_also_where_a_quantile_jumps(method: str, dtype: Any) -> None:
    """At all multiples of 1 / 24: among up to 8 numbers these are the places of the jumps."""
    is_older = numpy_is_before("2.4.0")  # which divides percents, and adds up places, in another precision
    if is_older and dtype is np.float32:
        pytest.skip("before NumPy 2.4 quantiles of float32 are rounded otherwise")
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 4, 6, 8):
        a = rng.normal(size=(3, n)).astype(dtype)
        holes = np.where(rng.random(a.shape) < 0.3, dtype(np.nan), a)
        holes[0] = a[0]
        q = np.linspace(0, 1, 25)
        narrow = [] if is_older else [q.astype(np.float32)]
        for places in (q, *narrow, q[:24].reshape(4, 6), 0.5, 1, np.float64(0.25)):
            for function in FAMILY:
                at = places * 100 if function in (np.percentile, np.nanpercentile) else places
                for array in (a, holes):
                    expected = function(array, at, axis=1, method=method)
                    found = function(leaf(array, dtype), at, axis=1, method=method)
                    assert found.dtype == expected.dtype
                    np.testing.assert_allclose(found.data, expected, rtol=0, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [0.3, 0.5, [0.0, 0.62, 1.0]])
def test_without_nan_the_gradient_is_that_of_the_numbers_alone(method: str, q: Any) -> None:
    x = np.array([3.0, np.nan, -1.0, 2.0, np.nan, 2.0, 0.5])
    numbers = ~np.isnan(x)
    alone = func.grad(lambda a: np.sum(np.quantile(a, q, method=method)))(x[numbers])
    for function, at in ((np.nanquantile, q), (np.nanpercentile, np.multiply(q, 100))):
        found = func.grad(lambda a, f=function, at=at: np.sum(f(a, at, method=method)))(x)
        np.testing.assert_allclose(found[numbers], alone, rtol=1e-12)
        assert not found[~numbers].any()


def test_medians_without_nan() -> None:
    x = leaf([[3.0, np.nan, 1.0, 2.0], [np.nan, 7.0, 5.0, np.nan], [np.nan] * 4])
    y = np.nanmedian(x, axis=1)
    np.testing.assert_array_equal(y.data, [2, 6, np.nan])
    expected = [[0, 0, 0, 1], [0, 0.5, 0.5, 0], [1, 0, 0, 0]]  # NaN has its gradient from the first NaN, as in nanmax
    np.testing.assert_array_equal(grad(y, x, np.ones(3)).data, expected)
    large = leaf([1e308, 1e308, 1e308])
    assert np.nanmedian(large).data == 1e308
    assert grad(np.nanmedian(large), large).data.tolist() == [0, 1, 0]


def test_equal_numbers_keep_their_order() -> None:
    x = leaf([3.0, 1.0, 3.0, 2.0])
    for method in CHOOSING:
        assert grad(np.quantile(x, 1.0, method=method), x).data.tolist() == [0, 0, 1, 0]
    assert grad(np.quantile(x, 2 / 3), x).data.tolist() == [1, 0, 0, 0]


def test_quantiles_of_nan_send_their_gradient_to_it() -> None:
    x = leaf([1.0, np.nan, 3.0])
    for method in METHODS:
        y = np.quantile(x, 0.2, method=method)
        assert np.isnan(y.data)
        assert grad(y, x).data.tolist() == [0, 1, 0]


@pytest.mark.parametrize("function", FAMILY)
def test_the_slope_by_q_is_the_mean_of_both_sides_where_it_jumps(function: Callable[..., Any]) -> None:
    percent = 100 if function in (np.percentile, np.nanpercentile) else 1
    x, q = np.array([4.0, 1.0, 2.0, 8.0, 16.0]), leaf(np.array([0, 0.25, 0.5, 0.7, 1]) * percent)
    found = grad(function(x, q).sum(), q).data * percent
    np.testing.assert_allclose(found, 4 * np.array([1, 1.5, 3, 4, 8]), rtol=1e-12)
    q = leaf(np.array([0, 0.05, 0.1, 0.3, 0.95, 1]) * percent)  # hazen is flat up to 0.1, and from 0.9
    found = grad(function(x, q, method="hazen").sum(), q).data * percent
    np.testing.assert_allclose(found, 5 * np.array([0, 0, 0.5, 1.5, 0, 0]), rtol=1e-12)


@pytest.mark.parametrize("function", FAMILY)
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1), (1, 0)])
def test_weights_are_numpys(function: Callable[..., Any], axis: Any) -> None:
    if isinstance(axis, tuple) and numpy_is_before("2.4.0"):
        pytest.skip("before NumPy 2.4 weights along several axes are given to other elements")
    rng = np.random.default_rng(1)
    a, weights = rng.normal(size=(4, 3, 2)), rng.integers(0, 4, (4, 3, 2)) + 0.0
    weights[0] += 1
    q = [10, 50, 77] if function in (np.percentile, np.nanpercentile) else [0.1, 0.5, 0.77]
    options: dict[str, Any] = {"axis": axis, "method": "inverted_cdf"}
    shapes = [weights]
    if axis is not None and function in (np.quantile, np.percentile):
        first = tuple(slice(None) if i in np.atleast_1d(axis) else 0 for i in range(3))
        shapes.append(np.transpose(weights[first], np.argsort(np.argsort(axis)) if isinstance(axis, tuple) else None))
    for w in shapes:
        expected, x = function(a, q, weights=w, **options), leaf(a)
        y = function(x, q, weights=w, **options)
        np.testing.assert_array_equal(y.data, expected)
        g = grad(y, x, np.ones(y.shape)).data
        assert np.sum(g) == y.size
        assert set(np.unique(a[g > 0])) == set(np.unique(expected))


def test_what_jumps_with_q_or_the_weights_refuses_their_gradient() -> None:
    x = np.arange(4.0)
    for method in (*AVERAGING, *CHOOSING):
        with pytest.raises(TypeError, match="not differentiable in q"):
            np.quantile(x, leaf(0.3), method=method)
    with pytest.raises(TypeError, match="not differentiable in them"):
        np.quantile(leaf(x), 0.3, weights=leaf(x), method="inverted_cdf")
    for method in CONTINUOUS:
        with pytest.raises(ValueError, match="weights= needs method='inverted_cdf'"):
            np.quantile(leaf(x), 0.3, weights=x, method=method)
    for call, says in (
        (lambda: np.quantile(leaf(x), 0.3, method="cubic"), "not one of the methods"),
        (lambda: np.quantile(leaf(x), 0.3, weights=-x, method="inverted_cdf"), "must not be negative"),
        (lambda: np.quantile(leaf(x), 0.3, weights=0 * x, method="inverted_cdf"), "all zero"),
        (lambda: np.quantile(leaf(x), 0.3, axis=0, weights=x[:2], method="inverted_cdf"), "do not match axis"),
        (lambda: np.percentile(leaf(x), 101), "q must be from 0 to 100"),
        (lambda: np.quantile(leaf(x), np.zeros((1, 1, 1))), "at most 2 dimensions"),
    ):
        with pytest.raises(ValueError, match=says), np.errstate(invalid="ignore"):
            call()
    with pytest.raises(TypeError, match="overwrite_input"):
        np.quantile(leaf(x), 0.3, overwrite_input=True)
