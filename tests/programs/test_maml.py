"""Model-agnostic meta-learning: a start from which one gradient step fits a new task.

The gradient of the start goes through the step, so it is of second order. It is compared with the closed form of linear
models, and with PyTorch's. The tasks are sines, as in C. Finn, P. Abbeel and S. Levine 2017.
"""

from typing import Any

from tinygrad_np import func, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow
Task = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # points to learn from, and points to test with
RATE = 0.05


def network(weights: Any, x: Any) -> Any:
    hidden = np.tanh(x @ weights["W"] + weights["b"])
    return np.tanh(hidden @ weights["V"] + weights["c"]) @ weights["u"]


def loss(weights: Any, x: np.ndarray, y: np.ndarray) -> Any:
    return np.mean((network(weights, x) - y) ** 2)


def adapted(weights: Any, x: np.ndarray, y: np.ndarray, steps: int = 1) -> Any:
    for _ in range(steps):
        slopes = func.grad(loss)(weights, x, y)
        weights = {name: w - RATE * slopes[name] for name, w in weights.items()}
    return weights


def meta_loss(weights: Any, tasks: list[Task]) -> Any:
    return sum(loss(adapted(weights, x, y), *test) for x, y, *test in tasks) / len(tasks)


def sines(rng: np.random.Generator, n: int) -> list[Task]:
    """Tasks of ten points to learn from and ten to test with, each of another amplitude and phase."""

    def task() -> Task:
        amplitude, phase = rng.uniform(1, 3), rng.uniform(0, np.pi)
        x = rng.uniform(-3, 3, (2, 10, 1))
        y = amplitude * np.sin(x + phase)
        return x[0], y[0], x[1], y[1]

    return [task() for _ in range(n)]


def initial(rng: np.random.Generator, size: int = 24) -> dict[str, np.ndarray]:
    shapes = {"W": (1, size), "b": (size,), "V": (size, size), "c": (size,), "u": (size, 1)}
    return {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}


def test_the_gradient_is_that_of_the_closed_form_for_a_linear_model() -> None:
    """w' = w - r A^T (A w - y) and the loss is |B w' - z|^2 / 2, so its slope is (1 - r A^T A) B^T (B w' - z)."""
    rng = np.random.default_rng(0)
    A, B, y, z, w = (rng.normal(size=shape) for shape in ((5, 3), (4, 3), 5, 4, 3))

    def after(w: Any) -> Any:
        return w - RATE * func.grad(lambda w: 0.5 * np.sum((A @ w - y) ** 2))(w)

    found = func.grad(lambda w: 0.5 * np.sum((B @ after(w) - z) ** 2))(w)
    first_order = B.T @ (B @ (w - RATE * A.T @ (A @ w - y)) - z)
    np.testing.assert_allclose(found, (np.eye(3) - RATE * A.T @ A) @ first_order, rtol=1e-12)
    assert np.abs(found - first_order).max() > 0.1


def test_the_gradient_through_two_steps_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    weights = initial(rng)
    [(x, y, *test)] = sines(rng, 1)
    found = func.grad(lambda weights: loss(adapted(weights, x, y, 2), *test))(weights)

    def error(weights: Any, x: np.ndarray, y: np.ndarray) -> Any:
        hidden = torch.tanh(torch.tensor(x) @ weights["W"] + weights["b"])
        outputs = torch.tanh(hidden @ weights["V"] + weights["c"]) @ weights["u"]
        return ((outputs - torch.tensor(y)) ** 2).mean()

    start = {name: torch.tensor(w, requires_grad=True) for name, w in weights.items()}
    current = start
    for _ in range(2):
        slopes = torch.autograd.grad(error(current, x, y), list(current.values()), create_graph=True)
        current = {name: w - RATE * slope for (name, w), slope in zip(current.items(), slopes, strict=True)}
    expected = torch.autograd.grad(error(current, *test), list(start.values()))
    for name, slope in zip(weights, expected, strict=True):
        np.testing.assert_allclose(found[name], slope.numpy(), rtol=1e-10, atol=1e-12)


def test_a_few_steps_fit_a_new_sine_after_meta_training_only() -> None:
    rng = np.random.default_rng(0)
    start = initial(rng)
    found = optim.minimize(
        lambda weights: meta_loss(weights, sines(rng, 8)), start, method=optim.Adam, lr=5e-3, steps=600
    )
    weights = found.x
    tasks = sines(np.random.default_rng(1), 50)

    def after(weights: Any, steps: int) -> float:
        return float(np.mean([loss(adapted(weights, x, y, steps), *test) for x, y, *test in tasks]))

    print(after(start, 5), after(weights, 0), after(weights, 1), after(weights, 5))
    assert after(weights, 1) < 0.5 * after(weights, 0)
    assert after(weights, 5) < 0.5 * after(start, 5)
