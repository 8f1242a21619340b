"""The networks in PyTorch, with the names of parameters that they have in `ours`."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, gelu, interpolate, relu

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


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.bottom = nn.Conv2d(32, 32, 3, padding=1)
        self.up2, self.up1 = nn.Conv2d(64, 32, 3, padding=1), nn.Conv2d(48, 16, 3, padding=1)
        self.output, self.halved = nn.Conv2d(16, 1, 1), nn.MaxPool2d(2)

    def forward(self, images: Tensor) -> Tensor:
        fine = relu(self.down1(images))
        middle = relu(self.down2(self.halved(fine)))
        coarse = relu(self.bottom(self.halved(middle)))
        middle = relu(self.up2(torch.cat([interpolate(coarse, scale_factor=2), middle], dim=1)))
        return self.output(relu(self.up1(torch.cat([interpolate(middle, scale_factor=2), fine], dim=1))))


def of_masks(model: nn.Module, images: Tensor, masks: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(model(images), masks)


class GraphNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.own = nn.ModuleList(nn.Linear(32, 32) for _ in range(3))
        self.message = nn.ModuleList(nn.Linear(32, 32) for _ in range(3))

    def forward(self, x: Tensor, senders: Tensor, receivers: Tensor) -> Tensor:
        for own, message in zip(self.own, self.message, strict=True):
            x = relu(own(x).index_add(0, receivers, message(x)[senders]))
        return x


def of_graph(model: nn.Module, x: Tensor, senders: Tensor, receivers: Tensor) -> Tensor:
    return (model(x, senders, receivers) - x).square().mean()


class PatchBlock(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, 4, batch_first=True)
        self.wide, self.narrow = nn.Linear(features, 128), nn.Linear(128, features)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.narrow(gelu(self.wide(self.norm2(x))))


class VisionTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.position = nn.Linear(49, 64), nn.Embedding(16, 64)
        self.blocks = nn.Sequential(PatchBlock(64), PatchBlock(64))
        self.norm, self.output = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.embedding(x) + self.position.weight)
        return self.output(self.norm(x).mean(1))


def critic() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))


def of_critic(model: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    slopes = torch.autograd.grad(model(between).sum(), between, create_graph=True)[0]
    penalty = (slopes.norm(dim=1) - 1).square().mean()
    return model(fake).mean() - model(real).mean() + 10 * penalty


class Flow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2)) for _ in range(6))

    def forward(self, points: Tensor) -> Tensor:
        x, y = points[:, :1], points[:, 1:]
        total: Any = 0
        for layer in self.layers:
            both = layer(x)
            log_scale, shift = torch.tanh(both[:, :1]), both[:, 1:]
            x, y, total = y * torch.exp(log_scale) + shift, x, total + log_scale
        return total - 0.5 * x.square() - 0.5 * y.square() - math.log(2 * math.pi)


def of_flow(model: nn.Module, points: Tensor) -> Tensor:
    return -model(points).mean()


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, shape in {"W": (1, 40), "b": (40,), "V": (40, 40), "c": (40,), "u": (40, 1)}.items():
            setattr(self, name, nn.Parameter(torch.empty(shape)))

    def forward(self, weights: list[Tensor], x: Tensor) -> Tensor:
        W, b, V, c, u = weights
        return torch.tanh(torch.tanh(x @ W + b) @ V + c) @ u


def of_tasks(model: nn.Module, x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor) -> Tensor:
    weights, total = list(model.parameters()), torch.tensor(0.0)
    for i in range(len(x)):
        slopes = torch.autograd.grad((model(weights, x[i]) - y[i]).square().mean(), weights, create_graph=True)
        adapted = [w - 0.05 * slope for w, slope in zip(weights, slopes, strict=True)]
        total = total + (model(adapted, test_x[i]) - test_y[i]).square().mean()
    return total / len(x)


def encoder() -> nn.Module:
    return nn.Sequential(nn.Linear(100, 128), nn.ReLU(), nn.Linear(128, 64))


def of_views(model: nn.Module, a: Tensor, b: Tensor) -> Tensor:
    both, n = model(torch.cat([a, b])), len(a)
    both = both / both.norm(dim=1, keepdim=True)
    similarities = (both @ both.T / 0.2).masked_fill(torch.eye(2 * n, dtype=torch.bool), -math.inf)
    return cross_entropy(similarities, torch.arange(2 * n).roll(n))


def mixture_density() -> nn.Module:
    return nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 15))


def of_mixture(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    logits, means, log_scales = model(x).chunk(3, dim=1)
    densities = logits.log_softmax(1) - 0.5 * ((y - means) / log_scales.exp()).square() - log_scales
    return -densities.logsumexp(1).mean()


class HiddenMarkov(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for name, shape in {"start": (4,), "transition": (4, 4), "emission": (4, 3)}.items():
            setattr(self, name, nn.Parameter(torch.empty(shape)))

    def forward(self, symbols: Tensor) -> Tensor:
        start, transition, emission = (z.log_softmax(-1) for z in (self.start, self.transition, self.emission))
        seen = emission.T[symbols]
        alpha = start + seen[:, 0]
        for t in range(1, symbols.shape[1]):
            alpha = (alpha[:, :, None] + transition).logsumexp(1) + seen[:, t]
        return alpha.logsumexp(1)


def of_symbols(model: nn.Module, symbols: Tensor) -> Tensor:
    return -model(symbols).mean()


class Bodies(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.empty(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        v: Any = self.v
        for _ in range(20):
            v = v + 0.025 * pull(x)
            x = x + 0.05 * v
            v = v + 0.025 * pull(x)
        return x


def pull(x: Tensor) -> Tensor:
    apart = x[None] - x[:, None]
    squares = apart.square().sum(2) + 0.1
    return (apart * (squares**-1.5)[:, :, None]).sum(1)


def of_places(model: nn.Module, x: Tensor) -> Tensor:
    return (model(x) - 1).square().mean()


NETWORKS: dict[str, tuple[Any, Any]] = {
    "mnist_cnn": (mnist_cnn, of_images),
    "residual": (ResidualNetwork, of_images),
    "vae": (Autoencoder, negative_elbo),
    "lstm": (LanguageModel, of_letters),
    "char_transformer": (Transformer, of_letters),
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
