"""An operation of one's own, and its tests, as a project that uses this package would have them.

The operation is log(cosh x), which overflows when it is computed as written. Its gradient is tanh x.
"""

import math
from typing import Any

from tinygrad_np import Tensor, differentiable, func, grad, nn, optim
from tinygrad_np.testing import check_gradients

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@differentiable(lambda g, y, x: g * np.tanh(x))
def log_cosh(x: Any) -> Any:
    """log(cosh x), elementwise: |x| + log(1 + exp(-2 |x|)) - log 2."""
    size = np.abs(x)
    return size + np.log1p(np.exp(-2 * size)) - math.log(2)  # np.log(2) would make float64 of float32


@differentiable(
    lambda g, y, x, w, *, power=2: g * power * w * x ** (power - 1),
    lambda g, y, x, w, *, power=2: g * x**power,
)
def weighted_power(x: Any, w: Any, *, power: int = 2) -> Any:
    """w x^power, elementwise; x and w broadcast."""
    return w * x**power


POINTS = {
    "ordinary": np.array([-3.0, -0.5, 0.2, 1.7]),
    "at 0": np.zeros(2),
    "far out": np.array([-800.0, 500.0]),  # cosh overflows at 711
    "empty": np.zeros((0, 3)),
    "a number": np.array(0.3),
    "strided": np.linspace(-2, 2, 12).reshape(3, 4)[::2, ::-1],
}


@pytest.mark.parametrize("points", POINTS.values(), ids=POINTS)
def test_log_cosh_has_the_right_gradients_to_second_order(points: np.ndarray) -> None:
    check_gradients(log_cosh, points, order=2)


@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((), (4,))], ids=str)
@pytest.mark.parametrize("power", [2, 3])
def test_weighted_power_broadcasts_and_takes_its_keyword(shapes: tuple[tuple[int, ...], ...], power: int) -> None:
    x, w = (np.random.default_rng(0).uniform(0.5, 2, shape) for shape in shapes)
    check_gradients(lambda x, w: weighted_power(x, w, power=power), x, w, order=2)


def test_values_are_those_of_the_formula_and_finite_far_out() -> None:
    x = np.array([-2.0, 0.0, 0.3])
    np.testing.assert_allclose(log_cosh(x), np.log(np.cosh(x)), rtol=1e-12, atol=1e-16)
    np.testing.assert_allclose(log_cosh(np.array([1e4])), [1e4 - np.log(2)], rtol=1e-15)
    assert log_cosh(Tensor([1.0])).dtype == np.float32


def test_higher_derivatives_are_those_of_tanh() -> None:
    x = np.linspace(-2, 2, 9)
    third = func.elementwise_grad(func.elementwise_grad(func.elementwise_grad(log_cosh)))(x)
    np.testing.assert_allclose(third, -2 * np.tanh(x) / np.cosh(x) ** 2, rtol=1e-10, atol=1e-14)


def test_a_wrong_gradient_is_found_and_named() -> None:
    @differentiable(lambda g, y, x: g * np.sinh(x))
    def wrong(x: Any) -> Any:
        return np.log(np.cosh(x))

    with pytest.raises(AssertionError, match="wrong"):
        check_gradients(wrong, np.array([0.5, 1.0]))


def test_a_gradient_that_is_right_in_first_order_only_is_found() -> None:
    @differentiable(lambda g, y, x: g * np.tanh(np.asarray(x.data if isinstance(x, Tensor) else x)))
    def cut_off(x: Any) -> Any:
        return np.log(np.cosh(x))

    check_gradients(cut_off, np.array([0.5, 1.0]))
    with pytest.raises((AssertionError, TypeError, RuntimeError)):
        check_gradients(cut_off, np.array([0.5, 1.0]), order=2)


def test_a_regression_with_it_is_hardly_moved_by_outliers() -> None:
    """log cosh is |x| for large errors and x^2 / 2 for small ones."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 1))
    y = 2 * x + 1 + 0.05 * rng.normal(size=(200, 1))
    y[:20] += 30
    found = {}
    for name, loss in (("robust", lambda errors: 20 * log_cosh(5 * errors)), ("square", np.square)):
        model = nn.Linear(1, 1, rng=rng, dtype=np.float64)
        optimizer = optim.Adam(model.parameters(), lr=0.05)
        for _ in range(600):
            optimizer.minimize(np.mean(loss(model(x) - y)))
        found[name] = model.bias.item()
    assert abs(found["robust"] - 1) < 0.05
    assert found["square"] > 2


def test_it_can_be_differentiated_where_a_graph_is_asked_for() -> None:
    x = Tensor(np.array([0.5]), requires_grad=True)
    slope = grad(log_cosh(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(grad(slope.sum(), x).data, 1 - np.tanh(0.5) ** 2, rtol=1e-12)
