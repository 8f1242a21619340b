"""A Wasserstein GAN with gradient penalty: the critic's gradient is differentiated once more.

For a linear critic the best one is known in closed form. A generator learns to shift and stretch noise into the data.
"""

from typing import Any

from tinygrad_np import Tensor, func, grad, nn, no_grad, optim
from tinygrad_np.schedules import CosineScheduler

import numpy as np
import pytest

pytestmark = pytest.mark.slow
PENALTY = 10.0


def network(inputs: int, rng: np.random.Generator) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 32, rng=rng, dtype=np.float64), nn.Tanh(), nn.Linear(32, 1, rng=rng, dtype=np.float64)
    )


def critic_loss(critic: Any, real: np.ndarray, fake: np.ndarray, mix: np.ndarray) -> Tensor:
    """The negative difference of the scores, and the penalty on slopes other than 1 between real and fake points."""
    between = Tensor(mix * real + (1 - mix) * fake, requires_grad=True)
    slopes = grad(np.sum(critic(between)), between, create_graph=True)
    lengths = np.linalg.norm(slopes, axis=1)
    return np.mean(critic(fake)) - np.mean(critic(real)) + PENALTY * np.mean((lengths - 1) ** 2)


def test_the_best_linear_critic_is_that_of_the_closed_form() -> None:
    """It points along the difference d of the means, and has length 1 + |d| / (2 penalty)."""
    rng = np.random.default_rng(0)
    real, fake, mix = rng.normal(size=(50, 2)) + [3.0, 4.0], rng.normal(size=(50, 2)), rng.uniform(size=(50, 1))
    w = Tensor(np.array([0.5, 0.1]), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.02)
    for _ in range(2000):
        optimizer.minimize(critic_loss(lambda x: x @ w, real, fake, mix))
    apart = real.mean(axis=0) - fake.mean(axis=0)
    length = np.linalg.norm(apart)
    np.testing.assert_allclose(w.data, apart / length * (1 + length / (2 * PENALTY)), rtol=1e-6)


def test_the_gradient_of_the_penalty_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    real, fake, mix = rng.normal(size=(20, 2)) + 1, rng.normal(size=(20, 2)), rng.uniform(size=(20, 1))
    weights = {"W": rng.normal(size=(2, 8)), "b": rng.normal(size=8), "v": rng.normal(size=8)}
    start, unflatten = func.flatten(weights)

    def loss(vector: Any) -> Any:
        p = unflatten(vector)
        return critic_loss(lambda x: np.tanh(x @ p["W"] + p["b"]) @ p["v"], real, fake, mix)

    gradient = func.grad(loss)(start).data
    for i in range(len(start)):
        step = 1e-5 * np.eye(len(start))[i]
        slope = (loss(start + step).item() - loss(start - step).item()) / 2e-5
        np.testing.assert_allclose(gradient[i], slope, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_a_critic_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    critic = network(2, rng)
    real, fake, mix = rng.normal(size=(20, 2)) + 1, rng.normal(size=(20, 2)), rng.uniform(size=(20, 1))
    found = grad(critic_loss(critic, real, fake, mix), list(critic.parameters()))

    theirs = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).double()
    weights = nn.transpose_weights(critic, critic.state_dict())
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    a, b, c = torch.tensor(real), torch.tensor(fake), torch.tensor(mix)
    between = (c * a + (1 - c) * b).requires_grad_()
    slopes = torch.autograd.grad(theirs(between).sum(), between, create_graph=True)[0]
    loss = theirs(b).mean() - theirs(a).mean() + PENALTY * ((slopes.norm(dim=1) - 1) ** 2).mean()
    expected = torch.autograd.grad(loss, list(theirs.parameters()), allow_unused=True)
    for ours, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.data, other.numpy().T, rtol=1e-10, atol=1e-12)


def test_a_generator_learns_where_the_data_are_and_how_wide() -> None:
    rng = np.random.default_rng(0)
    critic = network(2, rng)
    mean, scale = Tensor(np.zeros(2), requires_grad=True), Tensor(np.full(2, 0.3), requires_grad=True)
    of_critic = optim.Adam(critic.parameters(), lr=5e-3, betas=(0.5, 0.9))
    of_generator = optim.Adam([mean, scale], lr=CosineScheduler(2e-2, steps=400), betas=(0.5, 0.9))

    def generated(n: int) -> Tensor:
        return mean + scale * rng.normal(size=(n, 2))

    for _ in range(400):
        for _ in range(3):
            real = [2, -1] + np.array([0.7, 1.2]) * rng.normal(size=(128, 2))
            with no_grad():
                fake = generated(128)
            of_critic.minimize(critic_loss(critic, real, fake.data, rng.uniform(size=(128, 1))))
        of_generator.minimize(-np.mean(critic(generated(128))))
    np.testing.assert_allclose(mean.data, [2, -1], atol=0.2)
    np.testing.assert_allclose(np.abs(scale.data), [0.7, 1.2], atol=0.2)
