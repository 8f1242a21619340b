"""A linear variational autoencoder: its lower bound reaches the likelihood of probabilistic PCA, known in closed form.

J. Lucas, G. Tucker, R. Grosse and M. Norouzi 2019, "Don't blame the ELBO!"; M. Tipping and C. Bishop 1999.
"""

from typing import Any

from tinygrad_np import Tensor, nn, optim
from tinygrad_np.schedules import CosineScheduler

import numpy as np
import pytest

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
DIMENSIONS, CODES, POINTS = 6, 2, 300
X = RNG.normal(size=(POINTS, CODES)) @ RNG.normal(size=(CODES, DIMENSIONS))
X += 0.4 * RNG.normal(size=X.shape)
X -= X.mean(axis=0)


class Autoencoder(nn.Module):
    """Points (n, dimensions) to a normal distribution of their codes (n, 2), and back to one of points."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.mean = nn.Linear(DIMENSIONS, CODES, rng=rng, dtype=np.float64)
        self.decoder = nn.Linear(CODES, DIMENSIONS, rng=rng, dtype=np.float64)
        self.log_variance = Tensor(np.zeros(CODES), requires_grad=True)
        self.log_noise = Tensor(np.array(0.0), requires_grad=True)

    def elbos(self, x: np.ndarray, noise: np.ndarray) -> Tensor:
        """The evidence lower bound of each point, by one code of each: mean + standard deviation * noise."""
        mean = self.mean(x)
        code = mean + np.exp(self.log_variance / 2) * noise
        misses = (x - self.decoder(code)) / np.exp(self.log_noise)
        log_likelihood = -0.5 * np.sum(misses**2, axis=1) - DIMENSIONS * (self.log_noise + 0.5 * np.log(2 * np.pi))
        divergence = 0.5 * np.sum(np.exp(self.log_variance) + mean**2 - 1 - self.log_variance, axis=1)
        return log_likelihood - divergence


def best_log_likelihood() -> tuple[float, float]:
    """Of probabilistic PCA, for each point, and the variance of the noise: the mean of the small eigenvalues."""
    eigenvalues = np.linalg.eigvalsh(X.T @ X / POINTS)
    variance = eigenvalues[:-CODES].mean()
    logarithms = np.sum(np.log(eigenvalues[-CODES:])) + (DIMENSIONS - CODES) * np.log(variance)
    return -0.5 * (DIMENSIONS * np.log(2 * np.pi) + logarithms + DIMENSIONS), variance


def symmetric(rng: np.random.Generator) -> np.ndarray:
    """Noise for each point twice, with both signs, and of covariance 1 over all: its averages have less noise."""
    noise = rng.normal(size=(POINTS, CODES))
    noise = noise @ np.linalg.inv(np.linalg.cholesky(noise.T @ noise / POINTS)).T
    return np.concatenate([noise, -noise])


def test_the_divergence_is_the_average_of_the_log_densities() -> None:
    """KL(q || p) = E[log q(z) - log p(z)]; of quadratics, four points do for the average."""
    mean, log_variance = np.array([0.3, -1.2]), np.array([-0.5, 0.7])
    noise = np.sqrt(2) * np.concatenate([np.eye(2), -np.eye(2)])
    code = mean + np.exp(log_variance / 2) * noise
    difference = np.mean(np.sum(0.5 * code**2 - 0.5 * noise**2 - 0.5 * log_variance, axis=1))
    by_formula = 0.5 * np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance)
    np.testing.assert_allclose(difference, by_formula, rtol=1e-12)


def test_the_bound_reaches_the_likelihood_of_probabilistic_pca() -> None:
    rng = np.random.default_rng(1)
    model = Autoencoder(rng)
    optimizer = optim.Adam(model.parameters(), lr=CosineScheduler(0.03, steps=1500))
    x = np.concatenate([X, X])
    for _ in range(1500):
        optimizer.minimize(-np.mean(model.elbos(x, symmetric(rng))))
    expected, variance = best_log_likelihood()
    found = np.mean([model.elbos(x, symmetric(rng)).data.mean() for _ in range(20)])
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert found < expected + 1e-3  # it is a lower bound
    np.testing.assert_allclose(np.exp(2 * model.log_noise.data), variance, rtol=0.02)

    columns, _ = np.linalg.qr(model.decoder.weight.data.T)  # the decoder spans the principal components
    principal = np.linalg.eigh(X.T @ X)[1][:, -CODES:]
    np.testing.assert_allclose(np.linalg.svd(columns.T @ principal).S, 1, atol=1e-3)


def test_the_gradient_of_the_weights_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(2)
    model, noise = Autoencoder(rng), rng.normal(size=(POINTS, CODES))
    model.elbos(X, noise).sum().backward()
    weights: Any = model.decoder.weight
    start, gradient = weights.data.copy(), weights.grad.data
    for index in np.ndindex(*start.shape):
        values = []
        for h in (1e-5, -1e-5):
            shifted = start.copy()
            shifted[index] += h
            weights.data = shifted
            values.append(model.elbos(X, noise).data.sum())
        np.testing.assert_allclose(gradient[index], (values[0] - values[1]) / 2e-5, rtol=1e-6)
