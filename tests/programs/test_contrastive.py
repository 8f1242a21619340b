"""Contrastive learning: NT-Xent pulls two views of a thing together, and all others apart.

The loss is compared with its definition, pair by pair, and with its value where all is known. A network learns what
two views have in common, and drops the rest (T. Chen et al. 2020, "A simple framework for contrastive learning").
"""

from typing import Any

from tinygrad_np import Tensor, cross_entropy, func, nn, no_grad, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow
TEMPERATURE = 0.2


def nt_xent(a: Any, b: Any) -> Any:
    """The loss of two views a and b, (n, features) each; rows of the same number belong together."""
    n = len(a)
    both = np.concatenate([a, b])
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    similarities = both @ both.T / TEMPERATURE
    others = np.where(np.eye(2 * n, dtype=bool), -np.inf, similarities)  # none is its own partner
    return cross_entropy(others, np.roll(np.arange(2 * n), n))


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    both = np.concatenate([a, b])
    n, losses = len(a), []
    for i in range(2 * n):
        cosines = [x @ both[i] / np.linalg.norm(x) / np.linalg.norm(both[i]) for x in both]
        others = [np.exp(cosines[j] / TEMPERATURE) for j in range(2 * n) if j != i]
        losses.append(-np.log(np.exp(cosines[(i + n) % (2 * n)] / TEMPERATURE) / np.sum(others)))
    return float(np.mean(losses))


def test_the_loss_is_its_definition_and_its_gradient_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 5, 3))
    value, (of_a, of_b) = func.value_and_grad(nt_xent, (0, 1))(a, b)
    np.testing.assert_allclose(value, by_definition(a, b), rtol=1e-12)
    for _ in range(5):
        da, db = rng.normal(size=(2, 5, 3))
        h = 1e-6
        slope = (by_definition(a + h * da, b + h * db) - by_definition(a - h * da, b - h * db)) / (2 * h)
        np.testing.assert_allclose(np.sum(of_a * da) + np.sum(of_b * db), slope, rtol=1e-6, atol=1e-8)


def test_the_loss_of_partners_that_agree_and_others_at_right_angles() -> None:
    n = 4
    found = nt_xent(Tensor(np.eye(n)), Tensor(3 * np.eye(n))).item()  # lengths do not matter
    expected = np.log(np.exp(1 / TEMPERATURE) + 2 * n - 2) - 1 / TEMPERATURE
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_gradient_is_at_right_angles_to_its_vector() -> None:
    """Since the loss does not depend on lengths."""
    a, b = np.random.default_rng(1).normal(size=(2, 6, 4))
    slopes = func.grad(nt_xent)(a, b)
    np.testing.assert_allclose(np.sum(slopes * a, axis=1), 0, atol=1e-14)


def views(n: int, rng: np.random.Generator, mixing: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two views (n, 10) of things with an angle each: it is the same in both, eight louder features are not."""
    angle = rng.uniform(0, 2 * np.pi, n)
    signal = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    both = [np.concatenate([signal, 2 * rng.normal(size=(n, 8))], axis=1) @ mixing for _ in range(2)]
    return both[0].astype(np.float32), both[1].astype(np.float32), angle


def found_first(a: np.ndarray, b: np.ndarray, angles: np.ndarray) -> float:
    """How far the angle of the most similar b is from that of each a, in radians, on average."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    apart = angles[np.argmax(a @ b.T, axis=1)] - angles
    return float(np.mean(np.abs((apart + np.pi) % (2 * np.pi) - np.pi)))


def test_a_network_learns_what_two_views_have_in_common() -> None:
    rng = np.random.default_rng(0)
    mixing = np.linalg.qr(rng.normal(size=(10, 10))).Q
    model = nn.Linear(10, 2, rng=rng)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(400):
        a, b, _ = views(128, rng, mixing)
        optimizer.minimize(nt_xent(model(a), model(b)))
    a, b, angles = views(500, rng, mixing)
    assert found_first(a, b, angles) > 1  # pi / 2 by chance
    with no_grad():
        assert found_first(model(a).data, model(b).data, angles) < 0.15
    kept = mixing @ model.weight.data  # of each feature before they were mixed
    assert np.linalg.norm(kept[2:]) < 0.1 * np.linalg.norm(kept[:2])
