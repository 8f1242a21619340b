"""Actor and critic in a corridor, a Markov decision process whose best policy and values are known.

The gradient of a policy is compared with that of its exact value, which solves a linear system. Then actor and critic
learn from episodes alone, and are compared with value iteration.
"""

from typing import Any

from tinygrad_np import Tensor, func, grad, log_softmax, optim, softmax
from tinygrad_np.schedules import CosineScheduler

import numpy as np
import pytest

pytestmark = pytest.mark.slow
STATES, ACTIONS, DISCOUNT = 5, 2, 0.9
# Actions are left and right. Right of the last state is the goal; a step into it has reward 1. One move in ten slips.
NEXT = np.zeros((ACTIONS, STATES, STATES))  # probability of the next state; what is missing to 1 ends the episode
REWARD = np.zeros((ACTIONS, STATES))
for s in range(STATES):
    for a, way in enumerate((-1, 1)):
        for step, probability in ((way, 0.9), (-way, 0.1)):
            if s + step < STATES:
                NEXT[a, s, max(s + step, 0)] += probability
            else:
                REWARD[a, s] += probability
START = np.eye(STATES)[0]


def best_values() -> np.ndarray:
    values = np.zeros(STATES)
    for _ in range(500):
        values = np.max(REWARD + DISCOUNT * NEXT @ values, axis=0)
    return values


def values_of(logits: Any) -> Any:
    """The exact values of the states, (I - discount P)^-1 r, under the policy with these logits (states, actions)."""
    policy = softmax(logits)
    transition = np.einsum("sa,ast->st", policy, NEXT)
    return np.linalg.solve(np.eye(STATES) - DISCOUNT * transition, np.sum(policy * REWARD.T, axis=1))


def test_the_policy_gradient_is_that_of_the_exact_value() -> None:
    """The sum over states of their discounted visits times d policy(a | s) / d logits times Q(s, a) (Sutton 2000)."""
    logits = np.random.default_rng(0).normal(size=(STATES, ACTIONS))
    values, policy = values_of(logits), softmax(logits)
    transition = np.einsum("sa,ast->st", policy, NEXT)
    visits = np.linalg.solve((np.eye(STATES) - DISCOUNT * transition).T, START)
    advantages = (REWARD + DISCOUNT * NEXT @ values).T - values[:, None]
    found = func.grad(lambda logits: START @ values_of(logits))(logits)
    np.testing.assert_allclose(found, visits[:, None] * policy * advantages, rtol=1e-10)


def test_gradient_ascent_on_the_exact_value_finds_the_best_policy() -> None:
    climb = func.grad(lambda logits: np.sum(values_of(logits)))
    logits = np.zeros((STATES, ACTIONS))
    for _ in range(500):
        logits = logits + 5 * climb(logits)
    assert np.all(np.argmax(logits, axis=1) == 1)
    np.testing.assert_allclose(values_of(logits), best_values(), rtol=0.01)


class Episodes:
    """Many corridors side by side, each with its own state; one that ends begins anew."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.rng, self.states = rng, np.zeros(n, int)

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rewards, next states, and which episodes go on."""
        slips = self.rng.uniform(size=len(actions)) < 0.1
        ways = np.where((actions == 1) ^ slips, 1, -1)
        after = np.maximum(self.states + ways, 0)
        going_on = after < STATES
        self.states = np.where(going_on, after, 0)
        return (~going_on).astype(float), self.states, going_on


def test_actor_and_critic_learn_from_episodes_alone() -> None:
    rng = np.random.default_rng(0)
    logits, values = (Tensor(np.zeros(shape), requires_grad=True) for shape in ((STATES, ACTIONS), STATES))
    rate = CosineScheduler(0.03, steps=2000)
    of_actor, of_critic = optim.Adam([logits], lr=rate), optim.Adam([values], lr=rate)
    episodes = Episodes(64, rng)
    rows = np.arange(64)
    for _ in range(2000):
        states = episodes.states
        actions = (rng.uniform(size=64) < softmax(logits.data)[states, 1]).astype(int)
        rewards, after, going_on = episodes.step(actions)
        targets = rewards + DISCOUNT * going_on * values.data[after]
        advantages = targets - values.data[states]
        of_actor.minimize(-np.mean(log_softmax(logits)[states][rows, actions] * advantages))
        of_critic.minimize(np.mean((values[states] - targets) ** 2))
    assert np.all(softmax(logits.data)[:, 1] > 0.9)
    assert values_of(logits.data)[0] > 0.95 * best_values()[0]
    np.testing.assert_allclose(values.data, values_of(logits.data), atol=0.03)  # the critic's are those of the actor


def test_the_average_of_the_sampled_gradient_is_the_exact_one() -> None:
    """Over all actions in all states, each with its probability, in place of samples."""
    logits = Tensor(np.random.default_rng(1).normal(size=(STATES, ACTIONS)), requires_grad=True)
    policy, values = softmax(logits.data), values_of(logits.data)
    advantages = (REWARD + DISCOUNT * NEXT @ values).T - values[:, None]
    transition = np.einsum("sa,ast->st", policy, NEXT)
    visits = np.linalg.solve((np.eye(STATES) - DISCOUNT * transition).T, START)
    expected = func.grad(lambda logits: START @ values_of(logits))(logits.data)
    total = np.sum(visits[:, None] * policy * log_softmax(logits) * advantages)
    np.testing.assert_allclose(grad(total, logits).data, expected, rtol=1e-10)
