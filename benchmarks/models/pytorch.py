"""The networks in PyTorch, with the names of parameters that they have in `ours`."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, relu

from benchmarks.models import LETTERS


def of_images(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(model(images), labels)


def of_letters(model: nn.Module, letters: Tensor, following: Tensor) -> Tensor:
    return cross_entropy(model(letters).reshape(-1, LETTERS), following.reshape(-1))


def mnist_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.0), nn.Linear(32 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResidualNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2))
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.blocks(self.first(x)).mean((2, 3)))


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 400)
        self.mean, self.log_variance = nn.Linear(400, 20), nn.Linear(400, 20)
        self.decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784))

    def forward(self, pixels: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = relu(self.hidden(pixels))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return mean, log_variance, self.decoder(mean + torch.exp(log_variance / 2) * noise)


def negative_elbo(model: nn.Module, pixels: Tensor, noise: Tensor) -> Tensor:
    mean, log_variance, logits = model(pixels, noise)
    reconstruction = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.square() - torch.exp(log_variance))
    return (reconstruction + divergence) / len(pixels)


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.letter = nn.Embedding(LETTERS, 128)
        self.lstm = nn.LSTM(128, 128, num_layers=2, batch_first=True)
        self.output = nn.Linear(128, LETTERS)

    def forward(self, letters: Tensor) -> Tensor:
        states, _ = self.lstm(self.letter(letters))
        return self.output(states)


class Block(nn.Module):
    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, heads, batch_first=True)
        self.before_network = nn.LayerNorm(features)
        wide, narrow = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)
        self.network = nn.Sequential(wide, nn.ReLU(), narrow)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.before_attention(x)
        x = x + self.attention(y, y, y, attn_mask=mask, is_causal=True, need_weights=False)[0]
        return x + self.network(self.before_network(x))


class Transformer(nn.Module):
    def __init__(self, length: int = 64, features: int = 128, layers: int = 3) -> None:
        super().__init__()
        self.letter = nn.Embedding(LETTERS, features)
        self.position = nn.Embedding(length, features)
        self.blocks = nn.ModuleList(Block(features, 4) for _ in range(layers))
        self.norm = nn.LayerNorm(features)
        self.output = nn.Linear(features, LETTERS)
        self.mask = nn.Transformer.generate_square_subsequent_mask(length)

    def forward(self, letters: Tensor) -> Tensor:
        x = self.letter(letters) + self.position.weight
        for block in self.blocks:
            x = block(x, self.mask)
        return self.output(self.norm(x))


NETWORKS: dict[str, tuple[Any, Any]] = {
    "mnist_cnn": (mnist_cnn, of_images),
    "residual": (ResidualNetwork, of_images),
    "vae": (Autoencoder, negative_elbo),
    "lstm": (LanguageModel, of_letters),
    "char_transformer": (Transformer, of_letters),
}
