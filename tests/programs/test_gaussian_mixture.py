"""A Gaussian mixture fitted by Newton-CG: SciPy gets the gradient, and products with the Hessian from `func.hvp`.

The fit is compared with the fixed point of expectation maximisation, and the products with a Hessian of the closed
form. Newton's method needs a few steps where expectation maximisation needs hundreds.
"""

from typing import Any

from tinygrad_np import func, log_softmax, logsumexp

import numpy as np
import pytest

optimize = pytest.importorskip("scipy.optimize")

RNG = np.random.default_rng(0)
POINTS = np.concatenate([RNG.normal([-1, 0], [1.0, 0.5], (120, 2)), RNG.normal([1.5, 1], [0.5, 1.0], (80, 2))])
START = np.array([0.0, -1.0, 0.5, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0])


def unpack(parameters: Any) -> tuple[Any, Any, Any]:
    """The logarithms of the weights (2,), the means (2, 2) and the logarithms of the standard deviations (2, 2)."""
    logits = np.concatenate([parameters[:1], np.zeros(1)])  # only their difference matters
    return log_softmax(logits), parameters[1:5].reshape(2, 2), parameters[5:].reshape(2, 2)


def log_densities(parameters: Any) -> Any:
    """log(weight times density) of each point in each component, of shape (points, 2)."""
    log_weights, means, log_scales = unpack(parameters)
    white = (POINTS[:, None] - means) / np.exp(log_scales)
    return log_weights - np.sum(0.5 * white**2 + log_scales + 0.5 * np.log(2 * np.pi), axis=-1)


def loss(parameters: Any) -> Any:
    return -np.mean(logsumexp(log_densities(parameters), axis=1))


def product(parameters: Any, direction: Any) -> Any:
    return func.hvp(loss, parameters, direction)


def expectation_maximisation(iterations: int) -> np.ndarray:
    weights, means, variances = np.full(2, 0.5), START[1:5].reshape(2, 2), np.ones((2, 2))
    for _ in range(iterations):
        apart = POINTS[:, None] - means
        densities = weights * np.prod(np.exp(-0.5 * apart**2 / variances) / np.sqrt(2 * np.pi * variances), axis=-1)
        belongs = densities / densities.sum(axis=1, keepdims=True)
        counts = belongs.sum(axis=0)
        weights, means = counts / len(POINTS), belongs.T @ POINTS / counts[:, None]
        variances = np.einsum("nk,nkd->kd", belongs, (POINTS[:, None] - means) ** 2) / counts[:, None]
    return np.concatenate([[np.log(weights[0] / weights[1])], means.ravel(), 0.5 * np.log(variances).ravel()])


def test_newtons_method_finds_the_fixed_point_of_expectation_maximisation() -> None:
    found = optimize.minimize(
        func.value_and_grad(loss), START, jac=True, hessp=product, method="Newton-CG", options={"xtol": 1e-10}
    )
    assert found.success
    assert found.nit < 30
    expected = expectation_maximisation(1000)
    np.testing.assert_allclose(func.grad(loss)(expected), 0, atol=1e-10)
    np.testing.assert_allclose(found.x, expected, atol=1e-6)
    assert np.linalg.eigvalsh(func.hessian(loss)(found.x)).min() > 0.01  # a minimum
    few = expectation_maximisation(found.nit)
    assert np.abs(few - expected).max() > 1e-3


def test_the_gradient_is_that_of_the_responsibilities() -> None:
    """dloss/dmean = -sum over points of p(component | point) (point - mean) / variance, divided by their number."""
    parameters = START + 0.1
    _, means, log_scales = unpack(parameters)
    joint = np.exp(log_densities(parameters))
    belongs = joint / joint.sum(axis=1, keepdims=True)
    expected = -np.einsum("nk,nkd->kd", belongs, (POINTS[:, None] - means) / np.exp(2 * log_scales)) / len(POINTS)
    np.testing.assert_allclose(func.grad(loss)(parameters)[1:5], expected.ravel(), rtol=1e-12)


def test_products_with_the_hessian_are_differences_of_gradients() -> None:
    rng = np.random.default_rng(1)
    slope = func.grad(loss)
    for _ in range(5):
        parameters, direction, h = START + rng.normal(size=9) / 5, rng.normal(size=9), 1e-5
        by_differences = (slope(parameters + h * direction) - slope(parameters - h * direction)) / (2 * h)
        np.testing.assert_allclose(product(parameters, direction), by_differences, rtol=1e-6, atol=1e-8)
