"""Time of training steps of a convolutional network and of a transformer, compared with PyTorch.

    python -m benchmarks.networks

The networks are those of examples/mnist_cnn.py and examples/char_transformer.py. Both frameworks start from the same
weights, and their first losses must agree to 1e-4.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch"]
NETWORKS = ["mnist_cnn", "char_transformer"]
LETTERS, LENGTH, FEATURES, HEADS = 103, 64, 128, 4


def contend(name: str, network: str, batch: int, steps: int, layers: int) -> Callable[[], float]:
    """A function that takes several steps on one batch and returns the loss of the first step of all."""
    rng = np.random.default_rng(0)
    ours = our_network(network, layers, rng)
    if network == "mnist_cnn":
        x = rng.random((batch, 1, 28, 28), np.float32)
        labels = rng.integers(0, 10, batch)
    else:
        windows = rng.integers(0, LETTERS, (batch // 2, LENGTH + 1))
        x, labels = windows[:, :-1], windows[:, 1:].reshape(-1)
    step = our_step(ours, x, labels) if name == turns.OURS else pytorch_step(network, layers, ours, x, labels)
    first = step()

    def several() -> float:
        for _ in range(steps):
            step()
        return first

    return several


def our_network(network: str, layers: int, rng: "np.random.Generator") -> Any:
    from examples import char_transformer, mnist_cnn

    if network == "char_transformer":
        return char_transformer.Transformer(LETTERS, LENGTH, FEATURES, layers, rng)
    model = mnist_cnn.network(rng)
    model[9].p = 0.0  # no dropout, so that both compute the same
    return model


def our_step(model: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    from tinygrad_np import cross_entropy, optim

    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        logits = model(x)
        loss = cross_entropy(np.reshape(logits, (-1, logits.shape[-1])), labels)
        optimizer.minimize(loss)
        return float(loss.item())

    return step


def pytorch_step(network: str, layers: int, ours: Any, x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    from tinygrad_np.nn import transpose_weights

    import torch

    model = {"mnist_cnn": pytorch_cnn, "char_transformer": pytorch_transformer}[network](torch, layers)
    weights = transpose_weights(ours, ours.state_dict())
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs, targets = torch.tensor(x), torch.tensor(labels)

    def step() -> float:
        logits = model(inputs)
        loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def pytorch_cnn(torch: Any, layers: int) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def pytorch_transformer(torch: Any, layers: int) -> Any:
    nn = torch.nn
    mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.before_attention = nn.LayerNorm(FEATURES)
            self.attention = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)
            self.before_network = nn.LayerNorm(FEATURES)
            self.network = nn.Sequential(
                nn.Linear(FEATURES, 4 * FEATURES), nn.ReLU(), nn.Linear(4 * FEATURES, FEATURES)
            )

        def forward(self, x: Any) -> Any:
            y = self.before_attention(x)
            x = x + self.attention(y, y, y, attn_mask=mask, is_causal=True, need_weights=False)[0]
            return x + self.network(self.before_network(x))

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.letter = nn.Embedding(LETTERS, FEATURES)
            self.position = nn.Embedding(LENGTH, FEATURES)
            self.blocks = nn.ModuleList(Block() for _ in range(layers))
            self.norm = nn.LayerNorm(FEATURES)
            self.output = nn.Linear(FEATURES, LETTERS)

        def forward(self, letters: Any) -> Any:
            x = self.letter(letters) + self.position.weight
            for block in self.blocks:
                x = block(x)
            return self.output(self.norm(x))

    return Transformer()


def main() -> None:
    options = turns.arguments(__doc__, networks=NETWORKS, rounds=5, batch=64, steps=10, layers=3, names=NAMES)
    for network in options.networks:
        settings = {"network": network, "batch": options.batch, "steps": options.steps, "layers": options.layers}
        results = turns.race("benchmarks.networks", options.names, options.rounds, settings)
        turns.report(f"networks, {network}, {options.steps} steps", results, **settings)
        first = {name: result.values[0] for name, result in results.items()}
        if max(first.values()) - min(first.values()) > 1e-4:
            sys.exit(f"{network}: the first losses differ: {first}")


if __name__ == "__main__":
    main()
