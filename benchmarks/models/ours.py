"""The networks in tinygrad_np."""

from typing import Any

from tinygrad_np import (
    Tensor,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gelu,
    grad,
    log_softmax,
    logsumexp,
    nn,
    relu,
)

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


class UNet(nn.Module):
    """Images (n, 1, height, width) to logits of the same shape."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.down1, self.down2 = (nn.Conv2d(*channels, 3, padding=1, rng=rng) for channels in ((1, 16), (16, 32)))
        self.bottom = nn.Conv2d(32, 32, 3, padding=1, rng=rng)
        self.up2, self.up1 = (nn.Conv2d(*channels, 3, padding=1, rng=rng) for channels in ((64, 32), (48, 16)))
        self.output, self.halved = nn.Conv2d(16, 1, 1, rng=rng), nn.MaxPool2d(2)

    def forward(self, images: np.ndarray) -> Tensor:
        fine = relu(self.down1(images))
        middle = relu(self.down2(self.halved(fine)))
        coarse = relu(self.bottom(self.halved(middle)))
        middle = relu(self.up2(np.concatenate([doubled(coarse), middle], axis=1)))
        return self.output(relu(self.up1(np.concatenate([doubled(middle), fine], axis=1))))


def doubled(x: Tensor) -> Tensor:
    return np.repeat(np.repeat(x, 2, axis=2), 2, axis=3)


def of_masks(model: nn.Module, images: np.ndarray, masks: np.ndarray) -> Tensor:
    return binary_cross_entropy_with_logits(model(images), masks)


class GraphNetwork(nn.Module):
    """Three layers, each of which adds up what the neighbours of a node send."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.own = nn.ModuleList(nn.Linear(32, 32, rng=rng) for _ in range(3))
        self.message = nn.ModuleList(nn.Linear(32, 32, rng=rng) for _ in range(3))

    def forward(self, x: np.ndarray, senders: np.ndarray, receivers: np.ndarray) -> Tensor:
        for own, message in zip(self.own, self.message, strict=True):
            x = relu(own(x).at[receivers].add(message(x)[senders]))
        return x


def of_graph(model: nn.Module, x: np.ndarray, senders: np.ndarray, receivers: np.ndarray) -> Tensor:
    return np.mean(np.square(model(x, senders, receivers) - x))


class Block(nn.Module):
    def __init__(self, features: int, rng: np.random.Generator) -> None:
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, 4, rng=rng)
        self.wide, self.narrow = nn.Linear(features, 128, rng=rng), nn.Linear(128, features, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.narrow(gelu(self.wide(self.norm2(x))))


class VisionTransformer(nn.Module):
    """Patches (n, 16, 49) to the logits of ten classes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.embedding, self.position = nn.Linear(49, 64, rng=rng), nn.Embedding(16, 64, rng=rng)
        self.blocks = nn.Sequential(Block(64, rng), Block(64, rng))
        self.norm, self.output = nn.LayerNorm(64), nn.Linear(64, 10, rng=rng)

    def forward(self, x: np.ndarray) -> Tensor:
        x = self.blocks(self.embedding(x) + self.position.weight)
        return self.output(np.mean(self.norm(x), axis=1))


def critic(rng: np.random.Generator) -> nn.Module:
    return nn.Sequential(
        nn.Linear(2, 64, rng=rng), nn.Tanh(), nn.Linear(64, 64, rng=rng), nn.Tanh(), nn.Linear(64, 1, rng=rng)
    )


def of_critic(model: nn.Module, real: np.ndarray, fake: np.ndarray, mix: np.ndarray) -> Tensor:
    between = Tensor(mix * real + (1 - mix) * fake, requires_grad=True)
    slopes = grad(np.sum(model(between)), between, create_graph=True)
    penalty = np.mean(np.square(np.linalg.norm(slopes, axis=1) - 1))
    return np.mean(model(fake)) - np.mean(model(real)) + 10 * penalty


class Flow(nn.Module):
    """Points (n, 2) to their log-densities."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(1, 32, rng=rng), nn.Tanh(), nn.Linear(32, 2, rng=rng)) for _ in range(6)
        )

    def forward(self, points: np.ndarray) -> Tensor:
        x, y = points[:, :1], points[:, 1:]
        total: Any = 0
        for layer in self.layers:
            both = layer(x)
            log_scale, shift = np.tanh(both[:, :1]), both[:, 1:]
            x, y, total = y * np.exp(log_scale) + shift, x, total + log_scale
        return total - 0.5 * np.square(x) - 0.5 * np.square(y) - np.log(np.float32(2 * np.pi))


def of_flow(model: nn.Module, points: np.ndarray) -> Tensor:
    return -np.mean(model(points))


class Regression(nn.Module):
    """A network of which the weights can be given, for a gradient step inside a loss."""

    def __init__(self, rng: np.random.Generator) -> None:
        shapes = {"W": (1, 40), "b": (40,), "V": (40, 40), "c": (40,), "u": (40, 1)}
        for name, shape in shapes.items():
            weights = rng.standard_normal(shape, np.float32) / np.sqrt(np.float32(shape[0]))
            setattr(self, name, Tensor(weights, requires_grad=True))

    def forward(self, weights: list[Tensor], x: np.ndarray) -> Tensor:
        W, b, V, c, u = weights
        return np.tanh(np.tanh(x @ W + b) @ V + c) @ u


def of_tasks(model: nn.Module, x: np.ndarray, y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> Tensor:
    """The loss after a gradient step for each task (C. Finn, P. Abbeel and S. Levine 2017)."""
    weights, total = list(model.parameters()), Tensor(np.float32(0))
    for i in range(len(x)):
        slopes = grad(np.mean(np.square(model(weights, x[i]) - y[i])), weights, create_graph=True)
        adapted = [w - 0.05 * slope for w, slope in zip(weights, slopes, strict=True)]
        total = total + np.mean(np.square(model(adapted, test_x[i]) - test_y[i]))
    return total / len(x)


def encoder(rng: np.random.Generator) -> nn.Module:
    return nn.Sequential(nn.Linear(100, 128, rng=rng), nn.ReLU(), nn.Linear(128, 64, rng=rng))


def of_views(model: nn.Module, a: np.ndarray, b: np.ndarray) -> Tensor:
    """NT-Xent (T. Chen et al. 2020)."""
    both, n = model(np.concatenate([a, b])), len(a)
    both = both / np.linalg.norm(both, axis=1, keepdims=True)
    similarities = np.where(np.eye(2 * n, dtype=bool), -np.inf, both @ both.T / 0.2)
    return cross_entropy(similarities, np.roll(np.arange(2 * n), n))


def mixture_density(rng: np.random.Generator) -> nn.Module:
    return nn.Sequential(
        nn.Linear(1, 64, rng=rng), nn.Tanh(), nn.Linear(64, 64, rng=rng), nn.Tanh(), nn.Linear(64, 15, rng=rng)
    )


def of_mixture(model: nn.Module, x: np.ndarray, y: np.ndarray) -> Tensor:
    logits, means, log_scales = np.split(model(x), 3, axis=1)
    densities = log_softmax(logits) - 0.5 * np.square((y - means) / np.exp(log_scales)) - log_scales
    return -np.mean(logsumexp(densities, axis=1))


class HiddenMarkov(nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        for name, shape in {"start": (4,), "transition": (4, 4), "emission": (4, 3)}.items():
            setattr(self, name, Tensor(rng.standard_normal(shape, np.float32), requires_grad=True))

    def forward(self, symbols: np.ndarray) -> Tensor:
        """The log-likelihoods of sequences, by the forward algorithm."""
        start, transition, emission = (log_softmax(z) for z in (self.start, self.transition, self.emission))
        seen = emission.T[symbols]
        alpha = start + seen[:, 0]
        for t in range(1, symbols.shape[1]):
            alpha = logsumexp(alpha[:, :, np.newaxis] + transition, axis=1) + seen[:, t]
        return logsumexp(alpha, axis=1)


def of_symbols(model: nn.Module, symbols: np.ndarray) -> Tensor:
    return -np.mean(model(symbols))


class Bodies(nn.Module):
    """Eight bodies whose speeds are learnt."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.v = Tensor(rng.standard_normal((8, 2), np.float32), requires_grad=True)

    def forward(self, x: np.ndarray) -> Tensor:
        """The places after 20 steps of leapfrog."""
        v: Any = self.v
        for _ in range(20):
            v = v + 0.025 * pull(x)
            x = x + 0.05 * v
            v = v + 0.025 * pull(x)
        return x


def pull(x: Any) -> Any:
    apart = x[np.newaxis] - x[:, np.newaxis]
    squares = np.sum(np.square(apart), axis=2) + np.float32(0.1)
    return np.sum(apart * (squares**-1.5)[:, :, np.newaxis], axis=1)


def of_places(model: nn.Module, x: np.ndarray) -> Tensor:
    return np.mean(np.square(model(x) - 1))


NETWORKS: dict[str, tuple[Any, Any]] = {
    "mnist_cnn": (mnist_cnn, of_images),
    "residual": (ResidualNetwork, of_images),
    "vae": (Autoencoder, negative_elbo),
    "lstm": (LanguageModel, of_letters),
    "char_transformer": (char_transformer, of_letters),
    "u_net": (UNet, of_masks),
    "graph": (GraphNetwork, of_graph),
    "vision_transformer": (VisionTransformer, of_images),
    "wgan_gp": (critic, of_critic),
    "real_nvp": (Flow, of_flow),
    "maml": (Regression, of_tasks),
    "nt_xent": (encoder, of_views),
    "mixture_density": (mixture_density, of_mixture),
    "hidden_markov": (HiddenMarkov, of_symbols),
    "n_body": (Bodies, of_places),
}
