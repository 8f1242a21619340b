"""An implicit layer: its output is the fixed point z = tanh(W z + U x + b), found by `solvers.fixed_point`.

The gradient follows from the implicit function theorem. It is compared with that of many recorded steps, and with the
theorem written out. The layer learns by it (S. Bai, J. Z. Kolter and V. Koltun 2019, "Deep equilibrium models").
"""

from typing import Any

from tinygrad_np import Tensor, func, nn, optim, solvers

import numpy as np
import pytest

pytestmark = pytest.mark.slow


class Equilibrium(nn.Module):
    """Inputs (n, inputs) to fixed points (n, features)."""

    def __init__(self, inputs: int, features: int, rng: np.random.Generator) -> None:
        self.W = Tensor(0.5 * np.linalg.qr(rng.normal(size=(features, features))).Q, requires_grad=True)
        self.U = nn.Linear(inputs, features, rng=rng, dtype=np.float64)
        self.features = features

    def step(self, z: Any, x: Any) -> Tensor:
        return np.tanh(z @ self.W + self.U(x))

    def forward(self, x: Any) -> Tensor:
        return solvers.fixed_point(self.step, np.zeros((len(x), self.features)), x)


def test_the_output_is_a_fixed_point_and_its_gradient_that_of_many_steps() -> None:
    rng = np.random.default_rng(0)
    layer, x = Equilibrium(3, 4, rng), rng.normal(size=(5, 3))
    z = layer(x)
    np.testing.assert_allclose(layer.step(z, x).data, z.data, atol=1e-7)

    def unrolled(x: Any) -> Any:
        z: Any = np.zeros((5, 4))
        for _ in range(100):
            z = layer.step(z, x)
        return z

    weights = np.random.default_rng(1).normal(size=(5, 4))
    gradients = []
    for run in (layer, unrolled):
        layer.zero_grad()
        of_x = Tensor(x, requires_grad=True)
        np.sum(weights * run(of_x)).backward()
        gradients.append([of_x.grad.data, *(p.grad.data for p in layer.parameters())])
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_implicit_function_theorem() -> None:
    """dz/db = (I - D W^T)^-1 D, where D is the slope of tanh; here for one input, as matrices."""
    rng = np.random.default_rng(2)
    W, b = 0.4 * np.linalg.qr(rng.normal(size=(4, 4))).Q, rng.normal(size=4)
    solve = func.jacobian(lambda b: solvers.fixed_point(lambda z, b: np.tanh(z @ W + b), np.zeros(4), b))
    z = solvers.fixed_point(lambda z, b: np.tanh(z @ W + b), np.zeros(4), b)
    D = np.diag(1 - z**2)
    np.testing.assert_allclose(solve(b), np.linalg.solve(np.eye(4) - D @ W.T, D), rtol=1e-6, atol=1e-8)


def test_it_learns_a_fixed_point() -> None:
    """Kepler's equation E = M + e sin E, which has no closed form: the anomaly E is learnt from e and M."""
    rng = np.random.default_rng(0)
    eccentricity, mean = rng.uniform(0, 0.8, 100), rng.uniform(0, np.pi, 100)
    anomaly = solvers.fixed_point(lambda E, e, M: M + e * np.sin(E), mean, eccentricity, mean)
    np.testing.assert_allclose(anomaly - eccentricity * np.sin(anomaly), mean, atol=1e-7)
    x, y = np.stack([eccentricity, mean], axis=1), (anomaly - mean)[:, None]

    layer, output = Equilibrium(2, 8, rng), nn.Linear(8, 1, rng=rng, dtype=np.float64)
    optimizer = optim.Adam([*layer.parameters(), *output.parameters()], lr=3e-2)
    for _ in range(150):
        optimizer.minimize(np.mean((output(layer(x[:60])) - y[:60]) ** 2))
    error = output(layer(x[60:])).data - y[60:]
    linear = np.c_[x, np.ones(100)] @ np.linalg.lstsq(np.c_[x, np.ones(100)][:60], y[:60])[0] - y
    assert np.mean(error**2) < 0.25 * np.mean(linear[60:] ** 2)


def test_what_has_no_fixed_point_is_refused() -> None:
    with pytest.raises(solvers.ConvergenceError):
        solvers.fixed_point(lambda z: z + 1, np.zeros(2))
