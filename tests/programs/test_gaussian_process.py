"""Gaussian process regression: hyperparameters by L-BFGS on the marginal likelihood.

The likelihood is compared with SciPy's density, its gradient with the closed form of Rasmussen and Williams (5.9), and
the hyperparameters with those that scikit-learn finds.
"""

from typing import Any

from tinygrad_np import func

import numpy as np
import pytest

optimize = pytest.importorskip("scipy.optimize")
stats = pytest.importorskip("scipy.stats")

RNG = np.random.default_rng(0)
X = np.sort(RNG.uniform(0, 10, 40))
Y = 2 * np.sin(X) + RNG.normal(scale=0.3, size=40)
START = np.zeros(3)  # the logarithms of amplitude, length scale and noise


def kernel(log_parameters: Any, a: Any, b: Any) -> Any:
    """The squared exponential covariance of the process at points a and b."""
    amplitude, length = np.exp(log_parameters[:2])
    return amplitude**2 * np.exp(-0.5 * ((a[:, None] - b) / length) ** 2)


def covariance(log_parameters: Any) -> Any:
    """The covariance of the observations, which have noise."""
    return kernel(log_parameters, X, X) + np.exp(2 * log_parameters[2]) * np.eye(len(X))


def negative_log_likelihood(log_parameters: Any) -> Any:
    L = np.linalg.cholesky(covariance(log_parameters))
    white = np.linalg.solve(L, Y)
    return 0.5 * np.sum(white**2) + np.sum(np.log(np.diag(L))) + 0.5 * len(Y) * np.log(2 * np.pi)


def fit() -> Any:
    objective = func.value_and_grad(negative_log_likelihood)
    return optimize.minimize(objective, START, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-7})


def test_the_likelihood_is_scipys_and_its_gradient_the_closed_form() -> None:
    for log_parameters in (START, np.array([0.5, -0.3, -1.0])):
        value, gradient = func.value_and_grad(negative_log_likelihood)(log_parameters)
        K = covariance(log_parameters)
        np.testing.assert_allclose(value, -stats.multivariate_normal(cov=K).logpdf(Y), rtol=1e-12)

        slopes = np.moveaxis(func.jacobian(covariance)(log_parameters), -1, 0)  # dK/dp for each parameter p
        weights = np.linalg.solve(K, Y)
        inverse = np.linalg.inv(K)
        expected = [0.5 * np.trace(inverse @ dK) - 0.5 * weights @ dK @ weights for dK in slopes]
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-9)

        squares = (X[:, None] - X) ** 2
        _, length, noise = np.exp(log_parameters)
        signal = kernel(log_parameters, X, X)
        by_hand = [2 * signal, signal * squares / length**2, 2 * noise**2 * np.eye(len(X))]
        np.testing.assert_allclose(slopes, by_hand, rtol=1e-12, atol=1e-12)


def test_the_fit_is_that_of_scikit_learn() -> None:
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    kernels = gaussian_process.kernels
    theirs = gaussian_process.GaussianProcessRegressor(
        kernels.ConstantKernel(1.0) * kernels.RBF(1.0) + kernels.WhiteKernel(1.0), alpha=0.0
    ).fit(X[:, None], Y)
    found = fit()
    assert found.success
    # Their parameters are the squared amplitude, the length scale and the squared noise, by their logarithms.
    np.testing.assert_allclose(found.x * [2, 1, 2], theirs.kernel_.theta, atol=1e-3)
    np.testing.assert_allclose(-found.fun, theirs.log_marginal_likelihood_value_, rtol=1e-8)

    points = np.linspace(0, 10, 101)
    cross = kernel(found.x, points, X)
    mean = cross @ np.linalg.solve(covariance(found.x), Y)
    np.testing.assert_allclose(mean, theirs.predict(points[:, None]), atol=1e-3)
    assert np.abs(mean - 2 * np.sin(points)).max() < 0.5  # the noise has standard deviation 0.3


def test_the_predictions_slope_is_the_cosine() -> None:
    """The derivative of the posterior mean with respect to the points."""
    log_parameters = fit().x
    weights = np.linalg.solve(covariance(log_parameters), Y)
    points = np.linspace(1, 9, 81)
    slope = func.grad(lambda points: np.sum(kernel(log_parameters, points, X) @ weights))(points)
    length = np.exp(log_parameters[1])
    by_hand = (-(points[:, None] - X) / length**2 * kernel(log_parameters, points, X)) @ weights
    np.testing.assert_allclose(slope, by_hand, rtol=1e-10)
    assert np.sqrt(np.mean((slope - 2 * np.cos(points)) ** 2)) < 0.3
