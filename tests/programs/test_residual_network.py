"""A residual network: it trains as PyTorch's does, and a block whose last scale is 0 passes its input on.

The task has a known answer: stripes that run up to the right, and stripes that run up to the left.
"""

from typing import Any

from tinygrad_np import Tensor, cross_entropy, func, nn, no_grad, optim, relu

import numpy as np
import pytest

pytestmark = pytest.mark.slow


class Block(nn.Module):
    """Two convolutions, to which their input is added; with a stride, it is brought to their shape before."""

    def __init__(self, inputs: int, outputs: int, stride: int, rng: np.random.Generator, dtype: Any) -> None:
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False, rng=rng, dtype=dtype)
        self.norm1 = nn.BatchNorm2d(outputs, dtype=dtype)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False, rng=rng, dtype=dtype)
        self.norm2 = nn.BatchNorm2d(outputs, dtype=dtype)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False, rng=rng, dtype=dtype))

    def forward(self, x: Any) -> Tensor:
        y = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class Network(nn.Module):
    """Images (n, 1, height, width) to the logits of two classes."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        self.first = nn.Conv2d(1, 8, 3, padding=1, rng=rng, dtype=dtype)
        self.blocks = nn.Sequential(Block(8, 8, 1, rng, dtype), Block(8, 16, 2, rng, dtype))
        self.output = nn.Linear(16, 2, rng=rng, dtype=dtype)

    def forward(self, images: np.ndarray) -> Tensor:
        return self.output(np.mean(self.blocks(self.first(images)), axis=(2, 3)))


def stripes(n: int, rng: np.random.Generator, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images (n, 1, 12, 12), and which of them have stripes that run up to the left."""
    rows, columns = np.indices((12, 12))
    labels = rng.integers(0, 2, n)
    along = columns + (1 - 2 * labels)[:, None, None] * rows
    images = np.sin(along * 1.2 + rng.uniform(0, 2 * np.pi, (n, 1, 1))) + rng.normal(size=(n, 12, 12))
    return images[:, None].astype(dtype), labels


def test_a_block_whose_last_scale_is_0_passes_its_input_on() -> None:
    block = Block(4, 4, 1, np.random.default_rng(0), np.float64)
    block.norm2.weight.data = np.zeros(4)
    x = np.abs(np.random.default_rng(1).normal(size=(2, 4, 5, 5)))
    np.testing.assert_array_equal(block(x).data, x)
    g = np.random.default_rng(2).normal(size=x.shape)
    np.testing.assert_array_equal(func.vjp(block, x)[1](g)[0].data, g)


def test_it_tells_the_directions_of_stripes_apart() -> None:
    rng = np.random.default_rng(0)
    model = Network(rng)
    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        images, labels = stripes(64, rng)
        optimizer.minimize(cross_entropy(model(images), labels))
    model.eval()
    images, labels = stripes(500, rng)
    with no_grad():
        assert np.mean(model(images).argmax(axis=1) == labels) > 0.98


def test_ten_steps_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    class TorchBlock(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            self.norm1 = torch.nn.BatchNorm2d(outputs)
            self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
            self.norm2 = torch.nn.BatchNorm2d(outputs)
            layers = [torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False)] if stride > 1 else []
            self.shortcut = torch.nn.Sequential(*layers)

        def forward(self, x: Any) -> Any:
            y = torch.relu(self.norm1(self.conv1(x)))
            return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))

    class TorchNetwork(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(1, 8, 3, padding=1)
            self.blocks = torch.nn.Sequential(TorchBlock(8, 8, 1), TorchBlock(8, 16, 2))
            self.output = torch.nn.Linear(16, 2)

        def forward(self, images: Any) -> Any:
            return self.output(self.blocks(self.first(images)).mean((2, 3)))

    rng = np.random.default_rng(0)
    ours, theirs = Network(rng, np.float64), TorchNetwork().double()
    weights = nn.transpose_weights(ours, ours.state_dict())
    theirs.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    optimizer = optim.SGD(ours.parameters(), lr=0.1, momentum=0.9)
    optimizer_too = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    for _ in range(10):
        images, labels = stripes(16, rng, np.float64)
        loss = cross_entropy(ours(images), labels)
        optimizer.minimize(loss)
        loss_too = torch.nn.functional.cross_entropy(theirs(torch.tensor(images)), torch.tensor(labels))
        optimizer_too.zero_grad()
        loss_too.backward()
        optimizer_too.step()
        np.testing.assert_allclose(loss.item(), loss_too.item(), rtol=1e-10)
    ours.eval()
    theirs.eval()  # with the running statistics
    np.testing.assert_allclose(ours(images).data, theirs(torch.tensor(images)).detach().numpy(), rtol=1e-9, atol=1e-10)
