"""A small fluid: the initial velocity is optimised so that the flow carries smoke into another shape.

Velocity and smoke live on a periodic grid. Each step carries them along the flow (semi-Lagrangian advection) and makes
the velocity free of divergence (projection by `np.fft`).
"""

from typing import Any

from tinygrad_np import func

import numpy as np
import pytest

SIZE, STEPS = 25, 6  # an odd size has no frequency whose sign is ambiguous
ROWS, COLUMNS = np.indices((SIZE, SIZE)).astype(float)
FREQUENCIES = np.stack([np.fft.fftfreq(SIZE)[:, None] * np.ones(SIZE), np.fft.fftfreq(SIZE) * np.ones((SIZE, 1))])
SQUARES = np.sum(FREQUENCIES**2, axis=0)
SQUARES[0, 0] = 1  # the mean velocity has no divergence


def project(velocity: Any) -> Any:
    """The part of a velocity (2, rows, columns) that has no divergence."""
    waves = np.fft.fft2(velocity)
    along = np.sum(FREQUENCIES * waves, axis=0) / SQUARES
    return np.real(np.fft.ifft2(waves - FREQUENCIES * along))


def advect(fields: Any, velocity: Any) -> Any:
    """Fields (..., rows, columns) after one unit of time: each cell takes the value that the flow brings to it."""
    rows, columns = ROWS - velocity[0], COLUMNS - velocity[1]
    up, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down_part, right_part = rows - up, columns - left
    up, down, left, right = up % SIZE, (up + 1) % SIZE, left % SIZE, (left + 1) % SIZE
    above = (1 - right_part) * fields[..., up, left] + right_part * fields[..., up, right]
    below = (1 - right_part) * fields[..., down, left] + right_part * fields[..., down, right]
    return (1 - down_part) * above + down_part * below


def simulate(velocity: Any, smoke: Any, steps: int = STEPS) -> Any:
    """The smoke after some steps."""
    velocity = project(velocity)
    for _ in range(steps):
        smoke = advect(smoke, velocity)
        velocity = project(advect(velocity, velocity))
    return smoke


def blob(row: float, column: float, height: float, width: float) -> np.ndarray:
    return np.exp(-(((ROWS - row) / height) ** 2) - ((COLUMNS - column) / width) ** 2)


SMOKE, TARGET = blob(9, 9, 4, 4), blob(14, 13, 3, 5)


def loss(velocity: Any) -> Any:
    return np.mean((simulate(velocity, SMOKE) - TARGET) ** 2)


def test_projection_removes_the_divergence_and_nothing_else() -> None:
    velocity = project(np.random.default_rng(0).normal(size=(2, SIZE, SIZE)))
    divergence = np.fft.ifft2(np.sum(FREQUENCIES * np.fft.fft2(velocity), axis=0))
    np.testing.assert_allclose(divergence, 0, atol=1e-12)
    np.testing.assert_allclose(project(velocity), velocity, atol=1e-12)


def test_a_uniform_flow_moves_the_smoke() -> None:
    flow = np.ones((2, SIZE, SIZE)) * np.array([1.0, 2.0])[:, None, None]
    np.testing.assert_allclose(simulate(flow, SMOKE, 3), np.roll(SMOKE, (3, 6), (0, 1)), atol=1e-12)


def test_the_gradient_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(1)
    velocity = rng.normal(size=(2, SIZE, SIZE)) / 4
    gradient = func.grad(loss)(velocity)
    for _ in range(10):
        direction, h = rng.normal(size=velocity.shape), 1e-6
        slope = (loss(velocity + h * direction) - loss(velocity - h * direction)) / (2 * h)
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-4, atol=1e-8)


def test_the_smoke_takes_the_target_shape() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    shape = (2, SIZE, SIZE)
    objective = func.value_and_grad(lambda flat: loss(flat.reshape(shape)))
    start = np.full(2 * SIZE * SIZE, 0.01)  # at 0 the cells meet, and the loss has a kink
    found = optimize.minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 25})
    assert loss(start.reshape(shape)) > 0.05
    assert found.fun < 6e-4
