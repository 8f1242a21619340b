"""Running extremes at ties and beside NaN; sums of parts; dtype= of reductions; what is refused."""

from typing import Any

from tinygrad_np import Tensor, func, grad

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


def leaf(data: object, dtype: Any = np.float64) -> Tensor:
    return Tensor(np.array(data, dtype), requires_grad=True)


RUNNING = {np.maximum: np.max, np.minimum: np.min, np.fmax: np.fmax.reduce, np.fmin: np.fmin.reduce}


@pytest.mark.parametrize("ufunc", RUNNING, ids=lambda ufunc: ufunc.__name__)
@given(
    rows=st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan, np.inf, -np.inf]), min_size=1, max_size=12),
    seed=st.integers(0, 99),
)
def test_a_running_extreme_has_the_gradients_of_the_extremes_of_all_beginnings(
    ufunc: Any, rows: list[float], seed: int
) -> None:
    """Ties and NaN share as in np.max, however many runs of equal results there are."""
    weights, x = np.random.default_rng(seed).normal(size=len(rows)), leaf(rows)
    y = ufunc.accumulate(x)
    np.testing.assert_array_equal(y.data, ufunc.accumulate(x.data))
    found = grad(y, x, weights).data
    expected = np.zeros(len(rows))
    for i, weight in enumerate(weights):
        expected += weight * func.grad(lambda a, i=i: RUNNING[ufunc](a[: i + 1]))(np.array(rows))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_an_infinite_gradient_stays_in_its_run() -> None:
    x = leaf([1.0, 0.0, 2.0, 2.0])
    found = grad(np.maximum.accumulate(x), x, np.array([1.0, np.inf, 2.0, 4.0])).data
    assert found.tolist() == [np.inf, 0, 4, 2]


def test_running_extremes_of_long_runs_of_float16_lose_nothing() -> None:
    x = leaf(np.zeros(3000), np.float16)
    y = np.maximum.accumulate(x)
    found = grad(y, x, np.ones(3000)).data  # element i gets sum(1 / k for k > i)
    exact = np.flip(np.cumsum(np.flip(1 / np.arange(1, 3001))))
    np.testing.assert_allclose(found, exact, rtol=1e-3)


@pytest.mark.parametrize("indices", [[0], [0, 3], [4, 0, 2, 2], [5, 5, 5], [1, 4, 3], np.array([2, 0], np.uint8)])
@pytest.mark.parametrize("axis", [0, -1])
def test_sums_of_parts(indices: Any, axis: int) -> None:
    rng = np.random.default_rng(0)
    x = leaf(rng.normal(size=(6, 6)))
    for ufunc in (np.add, np.multiply, np.maximum, np.logaddexp, np.hypot, np.subtract, np.divide, np.fmin):
        y = ufunc.reduceat(x, indices, axis)
        np.testing.assert_allclose(y.data, ufunc.reduceat(x.data, indices, axis), rtol=1e-12)
        weights, step, direction = rng.normal(size=y.shape), 1e-6, rng.normal(size=x.shape)
        slope = np.sum(grad(y, x, weights).data * direction)
        ends = [np.sum(weights * ufunc.reduceat(x.data + s * step * direction, indices, axis)) for s in (-1, 1)]
        assert slope == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-5, abs=1e-7)
    assert np.add.reduceat(x, []).shape == (0, 6)
    np.testing.assert_array_equal(np.add.reduceat(x, indices=[2]).data, np.add.reduceat(x.data, [2]))


def test_hypot_without_elements_beside_nan_and_infinity() -> None:
    assert np.hypot.reduce(leaf([np.inf, np.nan])).data == np.inf
    assert np.hypot.reduce(leaf(np.zeros((2, 0))), axis=1).data.tolist() == [0, 0]
    x = leaf([0.0, 0.0])
    assert grad(np.hypot.reduce(x), x).data.tolist() == [0, 0]


REDUCTIONS = (
    np.sum, np.mean, np.prod, np.var, np.std, np.nansum, np.nanmean, np.nanprod, np.nanvar, np.nanstd, np.cumsum,
    np.cumprod, np.nancumsum, np.nancumprod, np.trace, np.linalg.trace, np.add.reduce, np.multiply.reduce,
    np.maximum.reduce, np.logaddexp.reduce, np.subtract.reduce, np.maximum.accumulate, np.cov, np.corrcoef,
    np.cumulative_sum, np.cumulative_prod,
)  # fmt: skip


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int32, bool])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, "f8", None])
def test_a_reduction_in_another_dtype_has_its_result_and_the_gradient_that_of_its_argument(
    function: Any, given: Any, dtype: Any
) -> None:
    x = np.array([[3.0, 1.0], [2.0, 0.5]]).astype(given)
    options = {"axis": 0} if function in (np.cumulative_sum, np.cumulative_prod) else {}
    if function == np.subtract.reduce and given is bool and dtype is None:
        return  # NumPy does not subtract booleans
    with np.errstate(invalid="ignore"):  # the correlation with a constant
        expected = function(x, dtype=dtype, **options)
        t = Tensor(x, requires_grad=x.dtype.kind == "f")
        y = function(t, dtype=dtype, **options)
    assert y.dtype == expected.dtype
    tolerance = 2e-3 if np.float16 in (given, expected.dtype.type) and dtype is None else 1e-6
    np.testing.assert_allclose(y.data, expected, rtol=tolerance)
    if t.requires_grad:
        g = grad(y, t, np.ones(y.shape, y.dtype)).data
        assert g.dtype == given
        wide = leaf(x.astype(np.float64))
        y = function(wide, **options)
        np.testing.assert_allclose(g, grad(y, wide, np.ones(y.shape)).data, rtol=2e-3, atol=2e-3)


def test_sums_in_float64_lose_nothing_of_float32() -> None:
    x = leaf([1e8, 1.0, -1e8], np.float32)
    assert np.sum(x, dtype=np.float64).data == 1
    assert np.sum(x, 0, np.float64).data == 1
    assert x.sum(dtype=np.float64).data == 1
    assert grad(np.sum(x, dtype=np.float64) * 1e-60, x).dtype == np.float32


@pytest.mark.parametrize("function", REDUCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", [np.int64, bool, "U3", True])
def test_a_dtype_without_a_gradient_is_refused(function: Any, dtype: Any) -> None:
    options = {"axis": 0} if function in (np.cumulative_sum, np.cumulative_prod) else {}
    with pytest.raises(TypeError):
        function(leaf([[1.0, 2.0], [3.0, 5.0]]), dtype=dtype, **options)


def test_what_is_not_proved_is_refused_by_name() -> None:
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    for call, says in (
        (lambda: np.subtract.reduce(x, where=[True, False]), "subtract.reduce of a Tensor does not support where="),
        (lambda: np.subtract.reduce(x, initial=1.0), "subtract.reduce of a Tensor does not support initial="),
        (lambda: np.power.reduce(x), "power.reduce of a Tensor is not supported"),
        (lambda: np.add.at(x, [0], 1.0), "add.at of a Tensor is not supported"),
        (lambda: np.add.reduceat(x, [0.5]), "the indices must be a vector of integers"),
        (lambda: np.maximum.accumulate(leaf(1.0)), "at least one dimension"),
    ):
        with pytest.raises(TypeError, match=says):
            call()
    with pytest.raises(ValueError, match="the order counts, so it takes one axis, not 2"):
        np.divide.reduce(x, axis=None)
    with pytest.raises(IndexError, match="the indices must be from 0 to 1"):
        np.add.reduceat(x, [-1])
