"""A hidden Markov model: gradient ascent on the likelihood that the forward algorithm computes, in log space.

The likelihood of a short sequence is compared with the sum over all paths. Its gradient with respect to the logarithms
of the probabilities is what the E-step of Baum-Welch computes, the expected counts. Both methods reach one maximum.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from tinygrad_np import func, log_softmax, logsumexp

import numpy as np

Model = tuple[Any, Any, Any]  # of the first state, (states,); next state, (states, states); symbol, (states, symbols)
TRUTH: Model = (
    np.array([0.6, 0.4]),
    np.array([[0.9, 0.1], [0.2, 0.8]]),
    np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]),
)
LOG_TRUTH: Model = (np.log(TRUTH[0]), np.log(TRUTH[1]), np.log(TRUTH[2]))


def sample(sequences: int, length: int, rng: np.random.Generator) -> np.ndarray:
    start, transition, emission = TRUTH
    symbols = np.empty((sequences, length), int)
    for sequence in symbols:
        state = rng.choice(2, p=start)
        for t in range(length):
            sequence[t] = rng.choice(3, p=emission[state])
            state = rng.choice(2, p=transition[state])
    return symbols


def log_likelihood(log_probabilities: Model, symbols: np.ndarray) -> Any:
    """The forward algorithm for symbols of shape (sequences, length).

    `alpha[n, i]` is log p(symbols of sequence n so far, its state is i).
    """
    start, transition, emission = log_probabilities
    seen = emission.T[symbols]
    alpha = start + seen[:, 0]
    for t in range(1, symbols.shape[1]):
        alpha = logsumexp(alpha[:, :, None] + transition, axis=1) + seen[:, t]
    return np.sum(logsumexp(alpha, axis=1))


def of_logits(logits: Model) -> Model:
    start, transition, emission = logits
    return log_softmax(start), log_softmax(transition), log_softmax(emission)


def counts_of(path: Sequence[int], symbols: Sequence[int]) -> list[np.ndarray]:
    """How often a path starts in each state, takes each transition and shows each symbol in each state."""
    counts = [np.zeros(2), np.zeros((2, 2)), np.zeros((2, 3))]
    counts[0][path[0]] = 1
    np.add.at(counts[1], (path[:-1], path[1:]), 1)
    np.add.at(counts[2], (path, symbols), 1)
    return counts


def expected_counts(model: Model, symbols: np.ndarray) -> tuple[list[np.ndarray], float]:
    """The E-step of Baum-Welch, by scaled forward and backward recursions, and the log-likelihood."""
    start, transition, emission = model
    length = symbols.shape[1]
    seen = emission.T[symbols.T]  # (length, sequences, states)
    alpha, beta, scale = np.empty_like(seen), np.ones_like(seen), np.empty((*seen.shape[:2], 1))
    for t in range(length):
        alpha[t] = seen[t] * (alpha[t - 1] @ transition if t else start)
        scale[t] = alpha[t].sum(axis=1, keepdims=True)
        alpha[t] /= scale[t]
    for t in reversed(range(length - 1)):
        beta[t] = (seen[t + 1] * beta[t + 1] / scale[t + 1]) @ transition.T
    states = alpha * beta
    moves = transition * np.einsum("tni,tnj->ij", alpha[:-1], seen[1:] * beta[1:] / scale[1:])
    shown = np.stack([states[symbols.T == symbol].sum(axis=0) for symbol in range(3)], axis=1)
    return [states[0].sum(axis=0), moves, shown], float(np.log(scale).sum())


def baum_welch(model: Model, symbols: np.ndarray, iterations: int) -> tuple[Model, float]:
    for _ in range(iterations):
        counts = expected_counts(model, symbols)[0]
        model = tuple(n / n.sum(axis=-1, keepdims=True) for n in counts)  # type: ignore[assignment]
    return model, expected_counts(model, symbols)[1]


def test_the_likelihood_is_the_sum_over_all_paths_and_its_gradient_the_expected_counts() -> None:
    symbols = [0, 2, 2, 1, 0, 0, 1, 2]
    found, gradient = func.value_and_grad(log_likelihood)(LOG_TRUTH, np.array([symbols]))

    likelihood, counts = 0.0, [np.zeros(2), np.zeros((2, 2)), np.zeros((2, 3))]
    for path in itertools.product(range(2), repeat=len(symbols)):
        of_path = counts_of(path, symbols)
        p = np.prod([np.prod(probability**n) for probability, n in zip(TRUTH, of_path, strict=True)])
        likelihood += p
        counts = [total + p * n for total, n in zip(counts, of_path, strict=True)]
    np.testing.assert_allclose(found, np.log(likelihood), rtol=1e-13)
    for ours, theirs in zip(gradient, counts, strict=True):
        np.testing.assert_allclose(ours, theirs / likelihood, rtol=1e-12)


def test_long_sequences_do_not_underflow() -> None:
    symbols = sample(2, 1000, np.random.default_rng(1))
    counts, expected = expected_counts(TRUTH, symbols)
    found, gradient = func.value_and_grad(log_likelihood)(LOG_TRUTH, symbols)
    assert found < -1800  # exp(-746) is 0 in float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    for ours, theirs in zip(gradient, counts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_gradient_ascent_reaches_the_maximum_of_baum_welch() -> None:
    symbols = sample(50, 12, np.random.default_rng(2))
    logits: Model = (np.zeros(2), np.eye(2), np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
    start: Model = tuple(np.exp(log_p) for log_p in of_logits(logits))  # type: ignore[assignment]
    best, expected = baum_welch(start, symbols, 500)

    climb = func.value_and_grad(lambda logits: log_likelihood(of_logits(logits), symbols))
    velocity = [np.zeros_like(z) for z in logits]
    for _ in range(300):
        reached, gradient = climb(logits)
        velocity = [0.9 * v + 0.01 * g for v, g in zip(velocity, gradient, strict=True)]
        logits = tuple(z + v for z, v in zip(logits, velocity, strict=True))  # type: ignore[assignment]
    np.testing.assert_allclose(reached, expected, rtol=1e-9)
    for log_p, p in zip(of_logits(logits), best, strict=True):
        np.testing.assert_allclose(np.exp(log_p), p, atol=1e-4)
