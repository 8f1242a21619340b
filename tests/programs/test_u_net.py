"""A U-Net finds disks in noise, and trains as the same network in PyTorch.

Images are halved and doubled again; doubling is `np.repeat`, and each level joins what it had on the way down.
"""

from typing import Any

from tinygrad_np import Tensor, binary_cross_entropy_with_logits, func, nn, no_grad, optim, relu

import numpy as np
import pytest

pytestmark = pytest.mark.slow


def doubled(x: Any) -> Any:
    """Images (n, channels, height, width) of twice the height and width: each pixel four times."""
    return np.repeat(np.repeat(x, 2, axis=2), 2, axis=3)


class UNet(nn.Module):
    """Images (n, 1, height, width) to logits of the same shape; height and width are multiples of 4."""

    def __init__(self, rng: np.random.Generator, dtype: Any = np.float32) -> None:
        def convolution(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, rng=rng, dtype=dtype)

        self.down1, self.down2, self.bottom = convolution(1, 8), convolution(8, 16), convolution(16, 16)
        self.up2, self.up1 = convolution(32, 16), convolution(24, 8)
        self.output = nn.Conv2d(8, 1, 1, rng=rng, dtype=dtype)
        self.halved = nn.MaxPool2d(2)

    def forward(self, images: Any) -> Tensor:
        fine = relu(self.down1(images))
        middle = relu(self.down2(self.halved(fine)))
        coarse = relu(self.bottom(self.halved(middle)))
        middle = relu(self.up2(np.concatenate([doubled(coarse), middle], axis=1)))
        fine = relu(self.up1(np.concatenate([doubled(middle), fine], axis=1)))
        return self.output(fine)


def disks(n: int, rng: np.random.Generator, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Noisy images (n, 1, 16, 16) with a bright disk each, and the disks: 1 inside, 0 outside."""
    rows, columns = np.indices((16, 16))
    row, column, radius = (rng.uniform(low, high, (n, 1, 1)) for low, high in ((4, 12), (4, 12), (2, 5)))
    inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    images = inside + 0.5 * rng.normal(size=inside.shape)
    return images[:, None].astype(dtype), inside[:, None].astype(dtype)


def test_the_gradient_of_doubling_is_the_sum_of_the_four_pixels() -> None:
    x, g = np.arange(6.0).reshape(1, 1, 2, 3), np.random.default_rng(0).normal(size=(1, 1, 4, 6))
    y, back = func.vjp(doubled, x)
    np.testing.assert_array_equal(y[0, 0], np.kron(x[0, 0], np.ones((2, 2))))
    np.testing.assert_allclose(back(g)[0], g.reshape(1, 1, 2, 2, 3, 2).sum(axis=(3, 5)), rtol=1e-15)


def test_it_finds_disks_better_than_the_best_threshold() -> None:
    rng = np.random.default_rng(0)
    model = UNet(rng)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        images, inside = disks(32, rng)
        optimizer.minimize(binary_cross_entropy_with_logits(model(images), inside))
    images, inside = disks(200, rng)

    def overlap(found: np.ndarray) -> float:
        """Intersection over union with the disks."""
        return float(np.sum(found * inside) / np.sum(np.maximum(found, inside)))

    assert max(overlap(images > threshold) for threshold in np.linspace(0, 1.5, 16)) < 0.6
    with no_grad():
        assert overlap(model(images).data > 0) > 0.85


def test_ten_steps_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    class TorchUNet(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, (inputs, outputs) in (
                ("down1", (1, 8)), ("down2", (8, 16)), ("bottom", (16, 16)), ("up2", (32, 16)), ("up1", (24, 8)),
            ):  # fmt: skip
                setattr(self, name, torch.nn.Conv2d(inputs, outputs, 3, padding=1))
            self.output = torch.nn.Conv2d(8, 1, 1)

        def forward(self, images: Any) -> Any:
            fine = torch.relu(self.down1(images))
            middle = torch.relu(self.down2(functional.max_pool2d(fine, 2)))
            coarse = torch.relu(self.bottom(functional.max_pool2d(middle, 2)))
            middle = torch.relu(self.up2(torch.cat([functional.interpolate(coarse, scale_factor=2), middle], 1)))
            fine = torch.relu(self.up1(torch.cat([functional.interpolate(middle, scale_factor=2), fine], 1)))
            return self.output(fine)

    rng = np.random.default_rng(0)
    ours, theirs = UNet(rng, np.float64), TorchUNet().double()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in ours.state_dict().items()})
    optimizer, optimizer_too = optim.Adam(ours.parameters(), lr=5e-3), torch.optim.Adam(theirs.parameters(), lr=5e-3)
    for _ in range(10):
        images, inside = disks(8, rng, np.float64)
        loss = binary_cross_entropy_with_logits(ours(images), inside)
        optimizer.minimize(loss)
        logits = theirs(torch.tensor(images))
        loss_too = functional.binary_cross_entropy_with_logits(logits, torch.tensor(inside))
        optimizer_too.zero_grad()
        loss_too.backward()
        optimizer_too.step()
        np.testing.assert_allclose(loss.item(), loss_too.item(), rtol=1e-10)
    np.testing.assert_allclose(ours(images).data, theirs(torch.tensor(images)).detach().numpy(), rtol=1e-9, atol=1e-10)
