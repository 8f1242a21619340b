"""The values of gradients where they are a convention or a trap: the published table, and what does not fit into it."""

import re
from collections.abc import Callable

from tinygrad_np import Tensor, cross_entropy, grad, sigmoid, softmax
from tinygrad_np.testing.conventions import CONVENTIONS, REFUSED, TRAPS, Convention, Refused, Trap

import numpy as np
import pytest


@pytest.mark.parametrize("row", CONVENTIONS, ids=lambda row: row.name)
def test_gradient(row: Convention) -> None:
    tensors = [Tensor(np.array(x, row.dtype), requires_grad=True) for x in row.inputs]
    y = row.function(*tensors)
    assert y.dtype == row.dtype
    for found, expected in zip(grad(y, tensors, np.ones(y.shape)), row.gradients, strict=True):
        assert found.shape == np.shape(expected)
        assert found.dtype == row.dtype
        np.testing.assert_allclose(found.data, np.asarray(expected, float), rtol=1e-15, atol=0)


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.name)
def test_what_is_refused(row: Refused) -> None:
    with pytest.raises(row.error, match=re.escape(row.message)):
        row.function()


@pytest.mark.parametrize("row", TRAPS, ids=lambda row: row.name)
def test_traps_and_what_to_write_instead(row: Trap) -> None:
    x = Tensor(np.array(row.input, np.float64), requires_grad=True)
    with np.errstate(all="ignore"):  # NumPy warns of most of them
        y = row.function(x)
        found = grad(y, x, np.ones(y.shape)).data
    np.testing.assert_allclose(found, np.asarray(row.gradient, float), rtol=1e-15, atol=0)
    y = row.replacement(x)
    found = grad(y, x, np.ones(y.shape)).data
    np.testing.assert_allclose(found, np.asarray(row.right, float), rtol=1e-15, atol=0)


def test_higher_derivatives_of_sinc_at_zero() -> None:
    y = x = Tensor(np.float64(0), requires_grad=True)
    y = np.sinc(x)
    for expected in (0, -(np.pi**2) / 3, 0, np.pi**4 / 5):
        y = grad(y, x, create_graph=True)
        assert y.data == pytest.approx(expected, abs=1e-12)


def test_sqrt_with_a_mask_is_refused() -> None:
    with pytest.raises(TypeError, match="sqrt of a Tensor does not support where="):
        np.sqrt(Tensor([1.0, 4.0]), where=np.array([True, False]))


def test_mean_of_nothing_has_an_empty_gradient_and_max_of_nothing_raises_as_in_numpy() -> None:
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    assert grad(x.mean(axis=1).sum(), x).shape == (0, 3)
    with pytest.warns(RuntimeWarning, match="Mean of empty slice|invalid value"):
        y = x.mean()  # NumPy's own warning, in the forward
    assert grad(y, x).shape == (0, 3)
    with pytest.raises(ValueError, match="max of"):
        x.max()


def test_powers_are_right_to_second_order_where_the_exponent_is_zero() -> None:
    x, y = (Tensor(np.float64(v), requires_grad=True) for v in (2.0, 0.0))
    slope = grad(x**y, x, create_graph=True)  # y * x**(y - 1)
    assert grad(slope, y).data == 0.5


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_integer_exponents_of_any_width(dtype: type) -> None:
    x = Tensor(np.array([3.0, 3.0, 3.0], np.float32), requires_grad=True)
    assert grad((x ** np.array([0, 1, 2], dtype)).sum(), x).data.tolist() == [0, 1, 6]


@pytest.mark.parametrize("function", [sigmoid, softmax, lambda x: cross_entropy(x, [0])])
def test_integers_are_refused_where_they_would_overflow(function: Callable[..., Tensor]) -> None:
    with pytest.raises(TypeError, match="must be floating point, not uint8"):
        function(Tensor(np.array([[5, 200]], np.uint8)))


def test_the_mean_of_more_float16_than_it_has_numbers() -> None:
    x = Tensor(np.ones((300, 300), np.float16), requires_grad=True)
    assert grad(x.mean(), x, np.float16(1000)).data[0, 0] == pytest.approx(1000 / 90000, rel=0.01)


def test_sqrt_is_right_to_second_order_where_its_output_gradient_is_zero() -> None:
    x, w = (Tensor(np.float64(v), requires_grad=True) for v in (4.0, 0.0))
    slope = grad(w * np.sqrt(x), x, create_graph=True)  # w / (2 * sqrt(x))
    assert (slope.data, grad(slope, w).data) == (0, 0.25)


def test_cross_entropy_of_huge_logits() -> None:
    assert cross_entropy(Tensor(np.array([[1e4, -1e4]] * 2)), np.array([0, 1])).data == 1e4
