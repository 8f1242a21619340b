"""RealNVP, a normalising flow: its log-determinant is that of the Jacobian, and its density integrates to 1.

Each layer scales and shifts one coordinate by a network of the other (L. Dinh, J. Sohl-Dickstein and S. Bengio 2017,
"Density estimation using Real NVP").
"""

from typing import Any

from tinygrad_np import Tensor, func, grad, nn, no_grad, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow


class Coupling(nn.Module):
    """Scales and shifts one coordinate of points (n, 2), by amounts that depend on the other one."""

    def __init__(self, kept: int, rng: np.random.Generator) -> None:
        self.mask = np.eye(2)[kept]
        self.network = nn.Sequential(
            nn.Linear(2, 24, rng=rng, dtype=np.float64), nn.Tanh(), nn.Linear(24, 4, rng=rng, dtype=np.float64)
        )

    def amounts(self, x: Any) -> tuple[Tensor, Tensor]:
        both = self.network(x * self.mask)
        return np.tanh(both[:, :2]) * (1 - self.mask), both[:, 2:] * (1 - self.mask)

    def forward(self, x: Any) -> tuple[Tensor, Tensor]:
        """The points after this layer, and the logarithm of the determinant of its Jacobian at each."""
        log_scale, shift = self.amounts(x)
        return x * np.exp(log_scale) + shift, np.sum(log_scale, axis=1)

    def inverse(self, y: Any) -> Tensor:
        log_scale, shift = self.amounts(y)  # the kept coordinate is the same before and after
        return (y - shift) * np.exp(-log_scale)


class Flow(nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        self.layers = nn.ModuleList(Coupling(i % 2, rng) for i in range(6))

    def forward(self, x: Any) -> tuple[Tensor, Tensor]:
        total: Any = 0
        for layer in self.layers:
            x, log_determinant = layer(x)
            total = total + log_determinant
        return x, total

    def inverse(self, z: Any) -> Tensor:
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z

    def log_density(self, x: Any) -> Tensor:
        z, log_determinant = self(x)
        return -0.5 * np.sum(z**2, axis=1) - np.log(2 * np.pi) + log_determinant


def crescents(n: int, rng: np.random.Generator) -> np.ndarray:
    """Points (n, 2) around two half circles, one of which opens upward, the other downward."""
    angle, upper = rng.uniform(0, np.pi, n), rng.integers(0, 2, n) == 1
    x = np.where(upper, np.cos(angle) - 0.5, np.cos(angle) + 0.5)
    y = np.where(upper, np.sin(angle) - 0.25, 0.25 - np.sin(angle))
    return np.stack([x, y], axis=1) * 1.5 + 0.1 * rng.normal(size=(n, 2))


def test_the_log_determinant_is_that_of_the_jacobian() -> None:
    rng = np.random.default_rng(0)
    flow, points = Flow(rng), rng.normal(size=(10, 2))
    y, found = flow(points)
    for i, point in enumerate(points):
        jacobian = func.jacobian(lambda x: flow(np.reshape(x, (1, 2)))[0][0])(point)
        np.testing.assert_allclose(found.data[i], np.linalg.slogdet(jacobian.data).logabsdet, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(flow.inverse(y.data).data, points, rtol=1e-10, atol=1e-12)


def test_the_slope_of_the_log_determinant_is_that_through_the_jacobian() -> None:
    """The gradient of the weights by two ways; that through the Jacobian is of second order."""
    rng = np.random.default_rng(0)
    flow, point = Flow(rng), rng.normal(size=2)
    weights = list(flow.parameters())
    direct = flow(point.reshape(1, 2))[1]
    jacobian = func.jacobian(lambda x: flow(np.reshape(x, (1, 2)))[0][0])(point)
    through = np.linalg.slogdet(jacobian).logabsdet
    for ours, other in zip(grad(direct.sum(), weights), grad(through, weights), strict=True):
        np.testing.assert_allclose(ours.data, other.data, rtol=1e-8, atol=1e-10)


def test_it_learns_a_density_that_integrates_to_1() -> None:
    rng = np.random.default_rng(0)
    flow = Flow(rng)
    optimizer = optim.Adam(flow.parameters(), lr=5e-3)
    for _ in range(400):
        optimizer.minimize(-np.mean(flow.log_density(crescents(128, rng))))
    steps = np.linspace(-4, 4, 161)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    test = crescents(2000, rng)
    with no_grad():
        np.testing.assert_allclose(np.sum(np.exp(flow.log_density(grid).data)) * 0.05**2, 1, atol=0.01)
        found = np.mean(flow.log_density(test).data)
        samples = flow.inverse(rng.normal(size=(2000, 2))).data
    gaussian = -np.log(2 * np.pi) - 1 - 0.5 * np.linalg.slogdet(np.cov(test.T)).logabsdet  # of the best Gaussian
    assert found > gaussian + 0.5
    np.testing.assert_allclose(np.cov(samples.T), np.cov(test.T), atol=0.15)
