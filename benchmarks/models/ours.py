"""The networks in tinygrad_np."""

from typing import Any

from tinygrad_np import Tensor, binary_cross_entropy_with_logits, cross_entropy, nn, relu

import numpy as np

from benchmarks.models import LETTERS


def of_images(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> Tensor:
    return cross_entropy(model(images), labels)


def of_letters(model: nn.Module, letters: np.ndarray, following: np.ndarray) -> Tensor:
    return cross_entropy(np.reshape(model(letters), (-1, LETTERS)), following.reshape(-1))


def mnist_cnn(rng: np.random.Generator) -> nn.Module:
    from examples import mnist_cnn  # imported when needed, because it brings matplotlib

    model = mnist_cnn.network(rng)
    model[9].p = 0.0  # no dropout, so that both compute the same
    return model


class Residual(nn.Module):
    """Two convolutions, to which their input is added, by a 1 x 1 convolution if its shape is another."""

    def __init__(self, inputs: int, outputs: int, stride: int, rng: np.random.Generator) -> None:
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False, rng=rng)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False, rng=rng)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride > 1:
            shorter = nn.Conv2d(inputs, outputs, 1, stride, bias=False, rng=rng)
            self.shortcut = nn.Sequential(shorter, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.norm1(self.conv1(x)))
        return relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResidualNetwork(nn.Module):
    """Images (n, 3, 32, 32) to the logits of ten classes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False, rng=rng), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Residual(16, 16, 1, rng), Residual(16, 32, 2, rng), Residual(32, 64, 2, rng))
        self.output = nn.Linear(64, 10, rng=rng)

    def forward(self, x: np.ndarray) -> Tensor:
        return self.output(np.mean(self.blocks(self.first(x)), axis=(2, 3)))


class Autoencoder(nn.Module):
    """Pixels (n, 784) and noise (n, 20) to means and log-variances of codes, and to the logits of the pixels."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.hidden = nn.Linear(784, 400, rng=rng)
        self.mean, self.log_variance = nn.Linear(400, 20, rng=rng), nn.Linear(400, 20, rng=rng)
        self.decoder = nn.Sequential(nn.Linear(20, 400, rng=rng), nn.ReLU(), nn.Linear(400, 784, rng=rng))

    def forward(self, pixels: np.ndarray, noise: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        hidden = relu(self.hidden(pixels))
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return mean, log_variance, self.decoder(mean + np.exp(log_variance / 2) * noise)


def negative_elbo(model: Autoencoder, pixels: np.ndarray, noise: np.ndarray) -> Tensor:
    mean, log_variance, logits = model(pixels, noise)
    reconstruction = binary_cross_entropy_with_logits(logits, pixels, reduction="sum")
    divergence = -0.5 * np.sum(1 + log_variance - np.square(mean) - np.exp(log_variance))
    return (reconstruction + divergence) / len(pixels)


class LanguageModel(nn.Module):
    """Letters (n, length) to the logits of the letter after each."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.letter = nn.Embedding(LETTERS, 128, rng=rng)
        self.lstm = nn.LSTM(128, 128, num_layers=2, batch_first=True, rng=rng)
        self.output = nn.Linear(128, LETTERS, rng=rng)

    def forward(self, letters: np.ndarray) -> Tensor:
        states, _ = self.lstm(self.letter(letters))
        return self.output(states)


def char_transformer(rng: np.random.Generator) -> nn.Module:
    from examples import char_transformer

    return char_transformer.Transformer(LETTERS, length=64, features=128, layers=3, rng=rng)


NETWORKS: dict[str, tuple[Any, Any]] = {
    "mnist_cnn": (mnist_cnn, of_images),
    "residual": (ResidualNetwork, of_images),
    "vae": (Autoencoder, negative_elbo),
    "lstm": (LanguageModel, of_letters),
    "char_transformer": (char_transformer, of_letters),
}
