"""A mixture density network predicts a whole distribution: here two branches, whose likelihood is known.

At each x, y is near sin x or near -sin x. A network that predicts one number finds their average, 0 (C. Bishop 1994).
"""

from typing import Any

from tinygrad_np import Tensor, func, log_softmax, logsumexp, nn, no_grad, optim
from tinygrad_np.schedules import CosineScheduler

import numpy as np
import pytest

pytestmark = pytest.mark.slow
COMPONENTS, NOISE, UPPER = 2, 0.15, 0.7  # UPPER is the probability of sin x


class MixtureDensity(nn.Module):
    """Inputs (n, 1) to log-weights, means and log-scales of Gaussians, (n, components) each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hidden = nn.Sequential(
            nn.Linear(1, 32, rng=rng, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(32, 32, rng=rng, dtype=np.float64),
            nn.Tanh(),
            nn.Linear(32, 3 * COMPONENTS, rng=rng, dtype=np.float64),
        )
        self.hidden[-1].bias.data[COMPONENTS : 2 * COMPONENTS] = [0.5, -0.5]  # equal components would stay equal

    def forward(self, x: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        logits, means, log_scales = np.split(self.hidden(x), 3, axis=1)
        return log_softmax(logits), means, log_scales


def log_density(log_weights: Any, means: Any, log_scales: Any, y: np.ndarray) -> Any:
    """Of y (n, 1) in each row's mixture."""
    parts = log_weights - 0.5 * ((y - means) / np.exp(log_scales)) ** 2 - log_scales - 0.5 * np.log(2 * np.pi)
    return logsumexp(parts, axis=1)


def branches(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.uniform(0.5, np.pi - 0.5, (n, 1))
    return x, np.where(rng.uniform(size=(n, 1)) < UPPER, 1, -1) * np.sin(x) + NOISE * rng.normal(size=(n, 1))


def true_log_density(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    weights, means = np.array([UPPER, 1 - UPPER]), np.sin(x) * [1, -1]
    parts = weights * np.exp(-0.5 * ((y - means) / NOISE) ** 2) / (NOISE * np.sqrt(2 * np.pi))
    return np.log(parts.sum(axis=1))


def test_the_gradient_is_that_of_the_responsibilities() -> None:
    """d log p / d mean is the probability of the component given y, times (y - mean) / variance."""
    rng = np.random.default_rng(0)
    logits, means, log_scales = rng.normal(size=(3, 6, COMPONENTS))
    y = rng.normal(size=(6, 1))

    def total(logits: Any, means: Any, log_scales: Any) -> Any:
        return np.sum(log_density(log_softmax(logits), means, log_scales, y))

    of_logits, of_means, of_scales = func.grad(total, (0, 1, 2))(logits, means, log_scales)
    white = (y - means) / np.exp(log_scales)
    joint = np.exp(log_softmax(logits) - 0.5 * white**2 - log_scales)
    belongs = joint / joint.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(of_logits, belongs - np.exp(log_softmax(logits)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_means, belongs * white / np.exp(log_scales), rtol=1e-10)
    np.testing.assert_allclose(of_scales, belongs * (white**2 - 1), rtol=1e-10, atol=1e-12)


def test_points_far_out_do_not_underflow() -> None:
    found, slope = func.value_and_grad(
        lambda means: np.sum(log_density(np.log([[0.5, 0.5]]), means, np.zeros((1, 2)), np.array([[1e3]])))
    )(np.array([[0.0, 1.0]]))
    np.testing.assert_allclose(found, -0.5 * 999**2 + np.log(0.5) - 0.5 * np.log(2 * np.pi), rtol=1e-12)
    np.testing.assert_allclose(slope, [[0, 999]], atol=1e-12)


def test_it_learns_both_branches_and_one_number_does_not() -> None:
    rng = np.random.default_rng(0)
    model = MixtureDensity(rng)
    optimizer = optim.Adam(model.parameters(), lr=CosineScheduler(0.005, steps=800))
    for _ in range(800):
        x, y = branches(256, rng)
        optimizer.minimize(-np.mean(log_density(*model(x), y)))
    x, y = branches(5000, rng)
    with no_grad():
        log_weights, means, log_scales = (part.data for part in model(x))
    expected = true_log_density(x, y).mean()
    found = log_density(log_weights, means, log_scales, y).mean()
    assert expected - 0.02 < found < expected + 0.005
    order = np.argsort(-means, axis=1)  # the upper branch first
    weights, means, scales = (np.take_along_axis(a, order, axis=1) for a in (np.exp(log_weights), means, log_scales))
    np.testing.assert_allclose(weights, np.broadcast_to([UPPER, 1 - UPPER], weights.shape), atol=0.1)
    np.testing.assert_allclose(means, np.sin(x) * [1, -1], atol=0.15)
    np.testing.assert_allclose(np.exp(scales).mean(axis=0), NOISE, atol=0.03)
    one = np.polynomial.Polynomial.fit(x[:, 0], y[:, 0], 5)  # the least squares of one number
    np.testing.assert_allclose(one(x[:, 0]), (2 * UPPER - 1) * np.sin(x[:, 0]), atol=0.1)
