"""Connectionist temporal classification, written in plain operations in log space.

The likelihood of a text is compared with the sum over all alignments, and with PyTorch's loss. A network learns to
spell noisy recordings without being told where each letter is (A. Graves et al. 2006).
"""

import itertools
from typing import Any

from tinygrad_np import func, log_softmax, nn, no_grad, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow
BLANK = 0


def ctc(log_probabilities: Any, text: np.ndarray) -> Any:
    """-log p(text) for log-probabilities (frames, symbols) and a text of symbols other than the blank.

    `alpha[s]` is the log-probability of all paths that are now at place s of the text with blanks around each letter.
    """
    places = np.full(2 * len(text) + 1, BLANK)
    places[1::2] = text
    skips = np.zeros(len(places), bool)  # from one letter to the next without a blank, if they differ
    skips[2:] = (places[2:] != BLANK) & (places[2:] != places[:-2])
    never = np.full(2, -np.inf)
    seen = log_probabilities[:, places]
    alpha = np.where(np.arange(len(places)) < 2, seen[0], -np.inf)
    for frame in range(1, len(seen)):
        padded = np.concatenate([never, alpha])
        arrived = np.logaddexp(padded[2:], padded[1:-1])
        alpha = np.logaddexp(arrived, np.where(skips, padded[:-2], -np.inf)) + seen[frame]
    return -np.logaddexp(alpha[-1], alpha[-2])


def collapsed(path: Any) -> list[int]:
    """The text of a path: runs become one symbol, then blanks go."""
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != BLANK]


@pytest.mark.parametrize("text", [[1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 1]])
def test_the_likelihood_is_the_sum_over_all_alignments(text: list[int]) -> None:
    """And so is its gradient: the expected number of times that each symbol is seen in each frame, given the text."""
    log_p = log_softmax(np.random.default_rng(0).normal(size=(6, 3)))
    likelihood, counts = 0.0, np.zeros((6, 3))
    for path in itertools.product(range(3), repeat=6):
        if collapsed(path) == text:
            p = np.exp(log_p[np.arange(6), list(path)].sum())
            likelihood += p
            counts[np.arange(6), list(path)] += p
    found, gradient = func.value_and_grad(lambda log_p: ctc(log_p, np.array(text)))(log_p)
    np.testing.assert_allclose(found, -np.log(likelihood), rtol=1e-12)
    np.testing.assert_allclose(gradient, -counts / likelihood, rtol=1e-11, atol=1e-14)


def test_the_likelihoods_of_all_texts_add_up_to_1() -> None:
    log_p = log_softmax(np.random.default_rng(1).normal(size=(4, 3)))
    texts = [text for length in range(1, 5) for text in itertools.product((1, 2), repeat=length)]
    possible = [text for text in texts if len(text) + sum(a == b for a, b in itertools.pairwise(text)) <= 4]
    total = np.exp(log_p[:, BLANK].sum()) + sum(np.exp(-ctc(log_p, np.array(text))) for text in possible)
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_it_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    logits, text = rng.normal(size=(40, 6)), rng.integers(1, 6, 12)
    found, gradient = func.value_and_grad(lambda z: ctc(log_softmax(z), text))(logits)
    theirs = torch.tensor(logits, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        theirs.log_softmax(-1)[:, None], torch.tensor(text)[None], [40], [12], blank=BLANK, reduction="sum"
    )
    expected.backward()
    np.testing.assert_allclose(found, expected.item(), rtol=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def recording(text: np.ndarray, tones: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames (2 to 4 for each letter, features): the tone of the letter, and noise; one silent frame between two."""
    parts = []
    for letter in text:
        parts += [np.zeros((1, tones.shape[1])), np.repeat(tones[letter - 1][None], rng.integers(2, 5), axis=0)]
    frames = np.concatenate(parts)
    return frames + 0.2 * rng.normal(size=frames.shape)


def test_a_network_learns_to_spell() -> None:
    rng = np.random.default_rng(0)
    tones = 2 * rng.normal(size=(4, 5))
    model = nn.Sequential(
        nn.Linear(5, 24, rng=rng, dtype=np.float64), nn.ReLU(), nn.Linear(24, 5, rng=rng, dtype=np.float64)
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        texts = rng.integers(1, 5, (8, 4))
        losses = [ctc(log_softmax(model(recording(text, tones, rng))), text) for text in texts]
        optimizer.minimize(sum(losses) / len(losses))
    texts = rng.integers(1, 5, (100, 6))  # longer than those it learnt from
    with no_grad():
        read = [collapsed(model(recording(text, tones, rng)).argmax(axis=1)) for text in texts]
    assert np.mean([found == list(text) for found, text in zip(read, texts, strict=True)]) > 0.9
