"""A language model with an LSTM: it learns a language down to its entropy, and trains as PyTorch's does.

In the language each letter depends on the last two. One letter alone says nothing about the next.
"""

from typing import Any

from tinygrad_np import Tensor, cross_entropy, nn, no_grad, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow
LETTERS, NOISE = 5, 0.1


class LanguageModel(nn.Module):
    """Letters (n, length) to the logits of the letter after each."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        self.letter = nn.Embedding(LETTERS, 8, rng=rng, dtype=dtype)
        self.lstm = nn.LSTM(8, 32, batch_first=True, rng=rng, dtype=dtype)
        self.output = nn.Linear(32, LETTERS, rng=rng, dtype=dtype)

    def forward(self, letters: np.ndarray) -> Tensor:
        states, _ = self.lstm(self.letter(letters))
        return self.output(states)


def texts(n: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """A letter is the sum of the last two, modulo their number; one in ten is any letter instead."""
    letters = rng.integers(0, LETTERS, (n, length))
    for t in range(2, length):
        following = rng.uniform(size=n) >= NOISE
        letters[following, t] = (letters[:, t - 2] + letters[:, t - 1])[following] % LETTERS
    return letters


def loss_of(model: LanguageModel, texts: np.ndarray) -> Tensor:
    return cross_entropy(np.reshape(model(texts[:, :-1]), (-1, LETTERS)), texts[:, 1:].reshape(-1))


def entropy() -> float:
    """Of a letter, given the last two."""
    likely, other = 1 - NOISE + NOISE / LETTERS, NOISE / LETTERS
    return float(-likely * np.log(likely) - (LETTERS - 1) * other * np.log(other))


def test_the_loss_goes_down_to_the_entropy() -> None:
    rng = np.random.default_rng(0)
    model = LanguageModel(rng)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.minimize(loss_of(model, texts(32, 25, rng)))
    sample = texts(500, 25, rng)
    with no_grad():
        logits = model(sample[:, 1:-1])[:, 1:]  # from here on, two letters are known
        found = cross_entropy(np.reshape(logits, (-1, LETTERS)), sample[:, 3:].reshape(-1)).item()
    assert found < entropy() + 0.05 < 0.7 < np.log(LETTERS)  # the last is that of the best model of one letter
    seen = sample[:, 3:] == (sample[:, 1:-2] + sample[:, 2:-1]) % LETTERS
    assert found > -np.mean(np.log(np.where(seen, 1 - NOISE + NOISE / LETTERS, NOISE / LETTERS))) - 0.005


def test_the_state_carries_a_text_on() -> None:
    rng = np.random.default_rng(0)
    model, letters = LanguageModel(rng, np.float64), texts(3, 20, rng)
    whole, _ = model.lstm(model.letter(letters))
    first, state = model.lstm(model.letter(letters[:, :12]))
    second, _ = model.lstm(model.letter(letters[:, 12:]), state)
    np.testing.assert_allclose(np.concatenate([first.data, second.data], axis=1), whole.data, rtol=1e-12)


def test_ten_steps_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    class TorchModel(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.letter = torch.nn.Embedding(LETTERS, 8)
            self.lstm = torch.nn.LSTM(8, 32, batch_first=True)
            self.output = torch.nn.Linear(32, LETTERS)

        def forward(self, letters: Any) -> Any:
            return self.output(self.lstm(self.letter(letters))[0])

    rng = np.random.default_rng(0)
    ours, theirs = LanguageModel(rng, np.float64), TorchModel().double()
    weights = nn.transpose_weights(ours, ours.state_dict())
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    optimizer, optimizer_too = optim.Adam(ours.parameters(), lr=1e-2), torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for _ in range(10):
        sample = texts(8, 15, rng)
        loss = loss_of(ours, sample)
        optimizer.minimize(loss)
        theirs_too = torch.tensor(sample)
        logits = theirs(theirs_too[:, :-1]).reshape(-1, LETTERS)
        loss_too = torch.nn.functional.cross_entropy(logits, theirs_too[:, 1:].reshape(-1))
        optimizer_too.zero_grad()
        loss_too.backward()
        optimizer_too.step()
        np.testing.assert_allclose(loss.item(), loss_too.item(), rtol=1e-10)
