"""A denoising diffusion model (DDPM) of a Gaussian mixture, whose best prediction of the noise is known.

Given x_t = sqrt(kept) x_0 + sqrt(1 - kept) noise, the best prediction is the average of the noise given x_t. For a
mixture of Gaussians it has a closed form (J. Ho, A. Jain and P. Abbeel 2020).
"""

from typing import Any

from tinygrad_np import Tensor, func, logsumexp, nn, no_grad, optim
from tinygrad_np.schedules import CosineScheduler

import numpy as np
import pytest

pytestmark = pytest.mark.slow
STEPS = 50
RATES = np.linspace(1e-3, 0.2, STEPS)  # of the noise that each step adds
KEPT = np.cumprod(1 - RATES)  # how much of the variance of the data is left after each step
WEIGHTS, MEANS, SCALE = np.array([0.3, 0.7]), np.array([-1.5, 1.0]), 0.3


def data(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(MEANS, p=WEIGHTS, size=n) + SCALE * rng.normal(size=n)


def log_density(x: Any, t: int) -> Any:
    """That of noisy data x (n,) after step t, up to a constant: a mixture again."""
    variance = KEPT[t] * SCALE**2 + 1 - KEPT[t]
    return logsumexp(np.log(WEIGHTS) - (x[:, None] - np.sqrt(KEPT[t]) * MEANS) ** 2 / (2 * variance), axis=1)


def best(x: np.ndarray, t: int) -> np.ndarray:
    """The average noise in x: -sqrt(1 - kept) times the slope of the log-density."""
    return -np.sqrt(1 - KEPT[t]) * func.grad(lambda x: np.sum(log_density(x, t)))(x)


class Denoiser(nn.Module):
    """Predicts the noise in data x (n,) after steps t (n,)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.time = nn.Embedding(STEPS, 32, rng=rng)
        self.first, self.output = nn.Linear(1, 32, rng=rng), nn.Linear(32, 1, rng=rng)
        self.middle = nn.Sequential(nn.SiLU(), nn.Linear(32, 32, rng=rng), nn.SiLU())

    def forward(self, x: np.ndarray, t: np.ndarray) -> Tensor:
        return self.output(self.middle(self.first(x[:, None].astype(np.float32)) + self.time(t)))[:, 0]


def noisy(x: np.ndarray, t: Any, noise: np.ndarray) -> np.ndarray:
    return np.sqrt(KEPT[t]) * x + np.sqrt(1 - KEPT[t]) * noise


def sample(predict: Any, n: int, rng: np.random.Generator) -> np.ndarray:
    """Data from noise, one step back after the other."""
    x = rng.normal(size=n)
    for t in reversed(range(STEPS)):
        x = (x - RATES[t] / np.sqrt(1 - KEPT[t]) * predict(x, t)) / np.sqrt(1 - RATES[t])
        if t:
            x += np.sqrt(RATES[t]) * rng.normal(size=n)
    return x


def check_samples(x: np.ndarray, tolerance: float) -> None:
    """The parts of the mixture, with their weights, means and widths."""
    left = x < -0.25  # between the means
    np.testing.assert_allclose(left.mean(), WEIGHTS[0], atol=tolerance)
    for part, mean in zip((x[left], x[~left]), MEANS, strict=True):
        np.testing.assert_allclose(part.mean(), mean, atol=tolerance)
        np.testing.assert_allclose(part.std(), SCALE, atol=tolerance)


def test_the_best_prediction_is_the_average_of_the_noise() -> None:
    """By integration over the data, given x: the weights are the densities of both."""
    noise = np.linspace(-8, 8, 4001)
    for t, x in ((3, -1.2), (20, 0.3), (49, 1.0)):
        clean = (x - np.sqrt(1 - KEPT[t]) * noise) / np.sqrt(KEPT[t])
        parts = WEIGHTS * np.exp(-((clean[:, None] - MEANS) ** 2) / (2 * SCALE**2))
        density = np.sum(parts, axis=1) * np.exp(-(noise**2) / 2)
        expected = np.sum(noise * density) / np.sum(density)
        np.testing.assert_allclose(best(np.array([x]), t), expected, rtol=1e-9)


def test_the_best_prediction_makes_samples_of_the_data() -> None:
    check_samples(sample(best, 20_000, np.random.default_rng(0)), 0.05)


def test_a_network_learns_it() -> None:
    rng = np.random.default_rng(0)
    model = Denoiser(rng)
    optimizer = optim.Adam(model.parameters(), lr=CosineScheduler(1e-2, steps=1500))
    for _ in range(1500):
        t, noise = rng.integers(0, STEPS, 256), rng.normal(size=256)
        predicted = model(noisy(data(256, rng), t, noise), t)
        optimizer.minimize(np.mean((predicted - noise.astype(np.float32)) ** 2))

    def predict(x: np.ndarray, t: int) -> np.ndarray:
        with no_grad():
            return model(x, np.full(len(x), t)).data

    errors = []
    for t in range(STEPS):
        x = noisy(data(500, rng), t, rng.normal(size=500))
        errors.append(np.mean((predict(x, t) - best(x, t)) ** 2))
    assert np.mean(errors) < 0.02  # the noise has variance 1
    check_samples(sample(predict, 20_000, rng), 0.1)
