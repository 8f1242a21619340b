"""A vision transformer: patches are words. Without positions their order does not matter, with them it does.

It trains as the same network in PyTorch, and learns in which quarter of an image two marks are.
"""

from typing import Any

from tinygrad_np import Tensor, cross_entropy, gelu, nn, no_grad, optim

import numpy as np
import pytest

pytestmark = pytest.mark.slow
SIZE, PATCH, FEATURES, HEADS = 12, 3, 24, 4
PATCHES = (SIZE // PATCH) ** 2


def patches(images: np.ndarray) -> np.ndarray:
    """Images (n, 12, 12) as patches (n, 16, 9), row by row."""
    n, side = len(images), SIZE // PATCH
    return images.reshape(n, side, PATCH, side, PATCH).transpose(0, 1, 3, 2, 4).reshape(n, PATCHES, PATCH * PATCH)


class Block(nn.Module):
    def __init__(self, rng: np.random.Generator, dtype: Any) -> None:
        self.norm1, self.norm2 = nn.LayerNorm(FEATURES, dtype=dtype), nn.LayerNorm(FEATURES, dtype=dtype)
        self.attention = nn.MultiheadAttention(FEATURES, HEADS, rng=rng, dtype=dtype)
        self.wide = nn.Linear(FEATURES, 2 * FEATURES, rng=rng, dtype=dtype)
        self.narrow = nn.Linear(2 * FEATURES, FEATURES, rng=rng, dtype=dtype)

    def forward(self, x: Any) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.narrow(gelu(self.wide(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Patches (n, 16, 9) to the logits of four classes."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        self.embedding = nn.Linear(PATCH * PATCH, FEATURES, rng=rng, dtype=dtype)
        self.position = Tensor((0.3 * rng.normal(size=(PATCHES, FEATURES))).astype(dtype), requires_grad=True)
        self.blocks = nn.Sequential(Block(rng, dtype), Block(rng, dtype))
        self.norm, self.output = nn.LayerNorm(FEATURES, dtype=dtype), nn.Linear(FEATURES, 4, rng=rng, dtype=dtype)

    def forward(self, x: np.ndarray) -> Tensor:
        x = self.blocks(self.embedding(x) + self.position)
        return self.output(np.mean(self.norm(x), axis=1))


def marks(n: int, rng: np.random.Generator, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Patches of noisy images with a cross in one quarter, and its number."""
    images, labels = 0.5 * rng.normal(size=(n, SIZE, SIZE)), rng.integers(0, 4, n)
    rows, columns = (rng.integers(1, SIZE // 2 - 1, n) + SIZE // 2 * part for part in np.divmod(labels, 2))
    for row, column in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        images[np.arange(n), rows + row, columns + column] += 1.5
    return patches(images).astype(dtype), labels


def test_patches_are_pieces_of_the_image() -> None:
    image = np.arange(SIZE * SIZE).reshape(1, SIZE, SIZE)
    np.testing.assert_array_equal(patches(image)[0, 6].reshape(PATCH, PATCH), image[0, 3:6, 6:9])


def test_the_order_of_patches_matters_by_their_positions_only() -> None:
    rng = np.random.default_rng(0)
    model, (x, _) = VisionTransformer(rng, np.float64), marks(4, rng, np.float64)
    order = rng.permutation(PATCHES)
    assert np.abs(model(x[:, order]).data - model(x).data).max() > 1e-3
    model.position.data = np.zeros((PATCHES, FEATURES))
    np.testing.assert_allclose(model(x[:, order]).data, model(x).data, rtol=1e-11, atol=1e-13)


def test_it_finds_the_quarter() -> None:
    rng = np.random.default_rng(0)
    model = VisionTransformer(rng)
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(300):
        x, labels = marks(64, rng)
        optimizer.minimize(cross_entropy(model(x), labels))
    x, labels = marks(1000, rng)
    with no_grad():
        assert np.mean(model(x).argmax(axis=1) == labels) > 0.95


def test_ten_steps_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    class TorchTransformer(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Linear(PATCH * PATCH, FEATURES)
            self.position = torch.nn.Parameter(torch.zeros(PATCHES, FEATURES))
            self.blocks = torch.nn.ModuleList(
                torch.nn.ModuleDict({
                    "norm1": torch.nn.LayerNorm(FEATURES), "norm2": torch.nn.LayerNorm(FEATURES),
                    "attention": torch.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True),
                    "wide": torch.nn.Linear(FEATURES, 2 * FEATURES), "narrow": torch.nn.Linear(2 * FEATURES, FEATURES),
                })
                for _ in range(2)
            )  # fmt: skip
            self.norm, self.output = torch.nn.LayerNorm(FEATURES), torch.nn.Linear(FEATURES, 4)

        def forward(self, x: Any) -> Any:
            x = self.embedding(x) + self.position
            for block in self.blocks:
                y = block["norm1"](x)
                x = x + block["attention"](y, y, y)[0]
                x = x + block["narrow"](torch.nn.functional.gelu(block["wide"](block["norm2"](x))))
            return self.output(self.norm(x).mean(1))

    rng = np.random.default_rng(0)
    ours, theirs = VisionTransformer(rng, np.float64), TorchTransformer().double()
    weights = nn.transpose_weights(ours, ours.state_dict())
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    optimizer, optimizer_too = optim.AdamW(ours.parameters(), lr=3e-3), torch.optim.AdamW(theirs.parameters(), lr=3e-3)
    for _ in range(10):
        x, labels = marks(8, rng, np.float64)
        loss = cross_entropy(ours(x), labels)
        optimizer.minimize(loss)
        loss_too = torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(labels))
        optimizer_too.zero_grad()
        loss_too.backward()
        optimizer_too.step()
        np.testing.assert_allclose(loss.item(), loss_too.item(), rtol=1e-9)
