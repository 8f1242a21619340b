"""Operations of segments: their values by loops, ids in any order, and what is refused."""

from typing import Any

import tinygrad_np
from tinygrad_np import Tensor, gather, grad, segment_max, segment_mean, segment_min, segment_softmax, segment_sum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

REDUCTIONS: dict[Any, tuple[Any, float]] = {  # each with its function of the rows, and what it is without rows
    segment_sum: (np.sum, 0),
    segment_mean: (np.mean, 0),
    segment_max: (np.max, -np.inf),
    segment_min: (np.min, np.inf),
}


@pytest.mark.parametrize("function", REDUCTIONS)
@given(
    ids=st.lists(st.integers(0, 5), max_size=40),
    shape=st.sampled_from([(), (1,), (3,), (2, 4), (0,)]),
    dtype=st.sampled_from([np.float32, np.float64]),
    extra=st.integers(0, 2),
)
def test_each_segment_is_what_numpy_makes_of_its_rows(
    function: Any, ids: list[int], shape: tuple[int, ...], dtype: Any, extra: int
) -> None:
    data = np.random.default_rng(len(ids)).standard_normal((len(ids), *shape)).astype(dtype)
    reduction, empty = REDUCTIONS[function]
    count = max(ids, default=-1) + 1 + extra
    found = function(Tensor(data, requires_grad=True), ids, count)
    assert found.shape == (count, *shape)
    assert found.dtype == dtype
    for i, row in enumerate(found.data):
        rows = data[[j for j, k in enumerate(ids) if k == i]]
        expected = reduction(rows, axis=0) if len(rows) else np.full(shape, empty)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)
    if not extra:
        np.testing.assert_array_equal(function(Tensor(data), ids).data, found.data)


@given(ids=st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_softmax_adds_up_to_one_in_each_segment(ids: list[int]) -> None:
    scores = 1000 * np.random.default_rng(len(ids)).standard_normal((len(ids), 3))
    y = segment_softmax(Tensor(scores), ids)
    sums = segment_sum(y, ids).data
    np.testing.assert_allclose(sums[np.unique(ids)], 1)
    for k in set(ids):
        rows = [j for j, i in enumerate(ids) if i == k]
        np.testing.assert_allclose(y.data[rows], tinygrad_np.softmax(Tensor(scores[rows]), axis=0).data, atol=1e-12)


def test_equal_extrema_share_the_gradient_and_a_nan_takes_it() -> None:
    x = Tensor([1.0, 3.0, 3.0, 2.0, np.nan, 5.0], requires_grad=True)
    y = segment_max(x, [0, 0, 0, 2, 3, 3])
    np.testing.assert_array_equal(y.data, [3, -np.inf, 2, np.nan])
    np.testing.assert_array_equal(grad(y, x, np.ones(4)).data, [0, 0.5, 0.5, 1, 1, 0])


def test_sums_and_means_take_complex_numbers() -> None:
    z = Tensor(np.array([1 + 2j, 3.0, 1j]), requires_grad=True)
    np.testing.assert_array_equal(segment_sum(z, [1, 1, 0]).data, [1j, 4 + 2j])
    np.testing.assert_array_equal(segment_mean(z, [1, 1, 0]).data, [1j, 2 + 1j])
    with pytest.raises(TypeError, match="real"):
        segment_max(z, [1, 1, 0])


X = Tensor(np.ones((3, 2)), requires_grad=True)


@pytest.mark.parametrize("function", [*REDUCTIONS, segment_softmax])
@pytest.mark.parametrize(
    ("ids", "count", "error", "text"),
    [
        ([0, 1, -1], None, IndexError, "segment id -1 is out of range"),
        ([0, 1, 3], 3, IndexError, "segment id 3 is out of range, expected 0 to 2"),
        ([0.0, 1.0, 2.0], None, TypeError, "segment_ids must be integers, not float64"),
        ([True, False, True], None, TypeError, "segment_ids must be integers, not bool"),
        ([0, 1], None, ValueError, "expected one segment id for each row"),
        ([[0], [1], [2]], None, ValueError, "expected one segment id for each row"),
        ([0, 1, 2], -1, ValueError, "num_segments must be an integer of at least 0, not -1"),
        ([0, 1, 2], 3.0, ValueError, "num_segments must be an integer"),
    ],
)
def test_ids_that_do_not_fit_are_refused(function: Any, ids: Any, count: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        function(X, ids, count)
    assert function.__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        ([[0.5]], TypeError, "the index must be integers"),
        ([0, 1], ValueError, "must have 2 dimensions"),
        ([[0], [0], [0], [0]], ValueError, "longer than x of shape"),
        ([[2]], IndexError, "out of bounds"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(index: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        gather(X, index, axis=1)
