"""A neural ordinary differential equation: a network learns the acceleration of a damped pendulum from its motion.

The gradients go back through the steps of a Runge-Kutta method. They are compared with the closed form of a linear
equation; the network's acceleration with the pendulum's; and its motion with one that it has not seen.
"""

from collections.abc import Callable
from typing import Any

from tinygrad_np import func

import numpy as np
import pytest

STEP = 0.2


def runge_kutta(slope: Callable[[Any], Any], state: Any, steps: int) -> Any:
    """The states after 0, 1, ... steps of the classic method of fourth order."""
    states = [state]
    for _ in range(steps):
        k1 = slope(state)
        k2 = slope(state + STEP / 2 * k1)
        k3 = slope(state + STEP / 2 * k2)
        k4 = slope(state + STEP * k3)
        state = state + STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(state)
    return np.stack(states)


def acceleration(state: Any) -> Any:
    return -np.sin(state[..., :1]) - 0.2 * state[..., 1:]


def moving(acceleration: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The slope of states (..., 2) of angle and speed."""
    return lambda state: np.concatenate([state[..., 1:], acceleration(state)], axis=-1)


def test_gradients_of_a_linear_equation_are_those_of_its_solution() -> None:
    """A spiral: the solution of x' = A x is exp(t A) x, here a rotation that shrinks."""

    def end(decay: Any, turn: Any, start: Any) -> Any:
        A = np.stack([np.stack([-decay, -turn]), np.stack([turn, -decay])])
        return runge_kutta(lambda x: A @ x, start, 10)[-1]

    def exact(decay: Any, turn: Any, start: Any) -> Any:
        t = 10 * STEP
        c, s = np.cos(turn * t), np.sin(turn * t)
        return np.exp(-decay * t) * (np.stack([np.stack([c, -s]), np.stack([s, c])]) @ start)

    arguments = (0.3, 1.5, np.array([1.0, 0.5]))
    found, expected = (func.jacobian(solution, (0, 1, 2))(*arguments) for solution in (end, exact))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)  # the method's own error


def network(weights: Any) -> Callable[[Any], Any]:
    """The acceleration of states (..., 2) by a network with one hidden layer."""
    return lambda state: np.tanh(state @ weights["W"] + weights["b"]) @ weights["V"]


def test_a_network_learns_a_pendulum() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    starts = rng.uniform(-2, 2, (64, 2))
    motions = runge_kutta(moving(acceleration), starts, 3)
    start, unflatten = func.flatten(
        {"W": rng.normal(size=(2, 12)) / 2, "b": rng.normal(size=12) / 2, "V": rng.normal(size=(12, 1)) / 2}
    )

    def loss(weights: Any) -> Any:
        return np.mean((runge_kutta(moving(network(unflatten(weights))), starts, 3) - motions) ** 2)

    found = optimize.minimize(func.value_and_grad(loss), start, jac=True, method="L-BFGS-B", options={"maxiter": 120})
    unseen = np.array([1.5, 0.0])
    expected = runge_kutta(moving(acceleration), unseen, 50)  # 10 units of time, from 3 * 0.2 in the training
    learned = network(unflatten(found.x))
    np.testing.assert_allclose(learned(expected), acceleration(expected), atol=0.05)
    np.testing.assert_allclose(runge_kutta(moving(learned), unseen, 50), expected, atol=0.05)
