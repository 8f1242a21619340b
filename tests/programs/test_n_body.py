"""N bodies under gravity, by the leapfrog method: forces are the gradient of the potential, and momentum is conserved.

Two bodies follow Kepler's laws. The gradient of a trajectory is that of finite differences, and finds the speed of an
orbit that comes back to where it began.
"""

from typing import Any

from tinygrad_np import func

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def potential(x: Any, masses: np.ndarray) -> Any:
    """The energy of bodies at x (n, 2): minus the sum of m_i m_j / distance over all pairs."""
    first, second = np.triu_indices(len(masses), 1)
    return -np.sum(masses[first] * masses[second] / np.linalg.norm(x[first] - x[second], axis=1))


def kinetic(v: Any, masses: np.ndarray) -> Any:
    return 0.5 * np.sum(masses[:, None] * v**2)


def leapfrog(x: Any, v: Any, masses: np.ndarray, step: float, steps: int) -> tuple[Any, Any]:
    """Positions and velocities (n, 2) after some steps."""
    force = func.grad(lambda x: -potential(x, masses))
    for _ in range(steps):
        v = v + step / 2 * force(x) / masses[:, None]
        x = x + step * v
        v = v + step / 2 * force(x) / masses[:, None]
    return x, v


def bodies(rng: np.random.Generator, n: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    angles = 2 * np.pi * np.arange(n) / n
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 2 + 0.1 * rng.normal(size=(n, 2))
    v = np.stack([-np.sin(angles), np.cos(angles)], axis=1) * 0.6
    return x, v, rng.uniform(0.5, 1.0, n)


def test_forces_are_those_of_newton() -> None:
    x, _, masses = bodies(np.random.default_rng(0))
    expected = np.zeros_like(x)
    for i in range(4):
        for j in range(4):
            if i != j:
                apart = x[j] - x[i]
                expected[i] += masses[i] * masses[j] * apart / np.linalg.norm(apart) ** 3
    np.testing.assert_allclose(func.grad(lambda x: -potential(x, masses))(x), expected, rtol=1e-12)


def test_momentum_is_conserved_and_energy_to_the_square_of_the_step() -> None:
    x, v, masses = bodies(np.random.default_rng(1))
    energy, drifts = kinetic(v, masses) + potential(x, masses), []
    for step, steps in ((0.04, 50), (0.02, 100)):
        later, speed = leapfrog(x, v, masses, step, steps)
        np.testing.assert_allclose(masses @ speed, masses @ v, atol=1e-13)
        moment = masses @ (x[:, 0] * v[:, 1] - x[:, 1] * v[:, 0])
        np.testing.assert_allclose(masses @ (later[:, 0] * speed[:, 1] - later[:, 1] * speed[:, 0]), moment, rtol=1e-12)
        drifts.append(abs(kinetic(speed, masses) + potential(later, masses) - energy))
    assert drifts[1] < 1e-3 * abs(energy)
    assert 3 < drifts[0] / drifts[1] < 5  # half the step, a quarter of the error
    back, _ = leapfrog(later, -speed, masses, 0.02, 100)  # and time can be turned back
    np.testing.assert_allclose(back, x, atol=1e-11)


def test_the_gradient_of_a_trajectory_is_that_of_finite_differences() -> None:
    x, v, masses = bodies(np.random.default_rng(2))
    target = np.random.default_rng(3).normal(size=x.shape)

    def miss(x: Any, v: Any) -> Any:
        return np.sum((leapfrog(x, v, masses, 0.05, 20)[0] - target) ** 2)

    of_x, of_v = func.grad(miss, (0, 1))(x, v)
    rng = np.random.default_rng(4)
    for _ in range(4):
        dx, dv = rng.normal(size=(2, *x.shape))
        h = 1e-5
        slope = (miss(x + h * dx, v + h * dv) - miss(x - h * dx, v - h * dv)) / (2 * h)
        np.testing.assert_allclose(np.sum(of_x * dx) + np.sum(of_v * dv), slope, rtol=1e-7)


def test_the_map_of_a_trajectory_keeps_volume() -> None:
    """The Jacobian J of positions and momenta is symplectic: J^T S J = S, as Hamilton's equations demand."""
    x, v, masses = bodies(np.random.default_rng(5), 3)
    m = masses[:, None]

    def later(state: Any) -> Any:
        x, p = state.reshape(2, 3, 2)
        x, v = leapfrog(x, p / m, masses, 0.1, 10)
        return np.concatenate([x.reshape(-1), (m * v).reshape(-1)])

    J = func.jacobian(later)(np.concatenate([x.reshape(-1), (m * v).reshape(-1)]))
    S = np.block([[np.zeros((6, 6)), np.eye(6)], [-np.eye(6), np.zeros((6, 6))]])
    np.testing.assert_allclose(J.T @ S @ J, S, atol=1e-10)


def test_the_speed_of_an_orbit_is_that_of_kepler() -> None:
    """A light body at distance 1 comes back after a time T if its orbit's axis is a = (T / 2 pi)^(2/3)."""
    masses, period, steps = np.array([1.0, 1e-9]), 7.0, 100
    x = np.array([[0.0, 0.0], [1.0, 0.0]])

    def height(speed: Any) -> Any:
        v = np.stack([np.zeros(2), np.stack([0.0 * speed, speed])])
        return leapfrog(x, v, masses, period / steps, steps)[0][1, 1]  # 0 when it is back

    speed = 1.0
    for _ in range(4):  # Newton's method
        value, slope = func.value_and_grad(height)(speed)
        speed -= value / slope
    axis = (period / (2 * np.pi)) ** (2 / 3)
    np.testing.assert_allclose(speed, np.sqrt(2 - 1 / axis), rtol=5e-3)
