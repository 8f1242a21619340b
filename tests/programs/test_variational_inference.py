"""Black-box variational inference: a Gaussian fitted to a posterior through the reparametrisation z = mean + L noise.

The model is Bayesian linear regression, whose exact posterior is a Gaussian. So the fit reaches the posterior, and the
evidence lower bound the evidence. It sees the model through one function only, the joint log-density of samples.
"""

from typing import Any

from tinygrad_np import Tensor, func, optim

import numpy as np

RNG = np.random.default_rng(0)
INPUTS = np.stack([np.ones(30), RNG.uniform(-1, 1, 30), RNG.uniform(-1, 1, 30)], axis=1)
NOISE, PRIOR = 0.5, 2.0  # standard deviations
OUTPUTS = INPUTS @ [0.5, -1.0, 2.0] + RNG.normal(scale=NOISE, size=30)


def log_normal(x: Any, scale: float) -> Any:
    """The log-density of each element of x under a normal distribution with mean 0."""
    return -0.5 * (x / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)


def log_joint(z: Any) -> Any:
    """log p(outputs, weights) for weights z of shape (samples, 3)."""
    residuals = OUTPUTS - z @ INPUTS.T
    return np.sum(log_normal(residuals, NOISE), axis=1) + np.sum(log_normal(z, PRIOR), axis=1)


def factor(raw: Any) -> Any:
    """A lower triangular matrix with a positive diagonal, from any matrix."""
    return np.tril(raw, -1) + np.diag(np.exp(np.diag(raw)))


def log_q(z: Any, mean: Any, L: Any) -> Any:
    """The log-density of samples z under the normal distribution with this mean and covariance L L^T."""
    white = np.linalg.solve(L, (z - mean).T)
    return np.sum(log_normal(white, 1.0), axis=0) - np.sum(np.log(np.diag(L)))


def elbos(mean: Any, raw: Any, noise: Any) -> Any:
    """The evidence lower bound as each sample estimates it.

    The density is that of a detached mean and L: its gradient with respect to them is 0 on average, and without it the
    noise of the gradient vanishes where q is the posterior (Roeder, Wu and Duvenaud 2017).
    """
    L = factor(raw)
    z = mean + noise @ L.T
    return log_joint(z) - log_q(z, mean.detach(), L.detach())


def exact() -> tuple[np.ndarray, np.ndarray, float]:
    """The mean and the covariance of the posterior, and the log-evidence."""
    precision = INPUTS.T @ INPUTS / NOISE**2 + np.eye(3) / PRIOR**2
    covariance = np.linalg.inv(precision)
    of_outputs = NOISE**2 * np.eye(30) + PRIOR**2 * INPUTS @ INPUTS.T
    quadratic = OUTPUTS @ np.linalg.solve(of_outputs, OUTPUTS)
    evidence = -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * of_outputs).logabsdet)
    return covariance @ INPUTS.T @ OUTPUTS / NOISE**2, covariance, float(evidence)


def test_the_fit_is_the_exact_posterior_and_the_bound_the_evidence() -> None:
    rng = np.random.default_rng(1)
    mean, raw = Tensor(np.zeros(3), requires_grad=True), Tensor(-np.eye(3), requires_grad=True)
    optimizer = optim.Adam([mean, raw], lr=0.03)
    start = elbos(mean, raw, rng.normal(size=(1000, 3))).data.mean()
    for _ in range(500):
        optimizer.minimize(-np.mean(elbos(mean, raw, rng.normal(size=(16, 3)))))
    expected_mean, covariance, evidence = exact()
    L = factor(raw).data
    bounds = elbos(mean, raw, rng.normal(size=(1000, 3))).data
    np.testing.assert_allclose(mean.data, expected_mean, atol=1e-6)
    np.testing.assert_allclose(L @ L.T, covariance, atol=1e-6)
    assert start < evidence - 10
    np.testing.assert_allclose(bounds, evidence, atol=1e-4)  # each sample's, since q is the posterior


def test_the_average_gradient_is_that_of_the_divergence() -> None:
    """It is minus that of KL(q || posterior), which has a closed form for two Gaussians.

    The log-densities are quadratic, so six samples do for the average: those with mean 0 and covariance 1.
    """
    noise = np.sqrt(3) * np.concatenate([np.eye(3), -np.eye(3)])
    expected_mean, covariance, _ = exact()
    mean, raw = np.array([0.3, -0.5, 1.0]), np.array([[-1.0, 0, 0], [0.3, -1.2, 0], [-0.2, 0.1, -0.8]])

    def divergence(mean: Any, raw: Any) -> Any:
        """Up to a constant."""
        L, apart, precision = factor(raw), mean - expected_mean, np.linalg.inv(covariance)
        return 0.5 * (np.sum(precision * (L @ L.T)) + apart @ precision @ apart) - np.sum(np.diag(raw))

    found = func.grad(lambda mean, raw: np.mean(elbos(mean, raw, noise)), (0, 1))(mean, raw)
    expected = func.grad(divergence, (0, 1))(mean, raw)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, -theirs, rtol=1e-10, atol=1e-10)
