"""An operation, a layer and a loss of one's own with a proof of their gradients, as a type checker sees it."""

from typing import Any

from tinygrad_np import Tensor, differentiable, nn, softplus
from tinygrad_np import numpy as np
from tinygrad_np.optim import SGD, clip_grad_norm
from tinygrad_np.testing import check_gradients


def gated_back(g: Any, y: Any, x: Any) -> Any:
    t = np.tanh(x)
    return g * (t + x * (1 - t * t))


@differentiable(gated_back, jvp="elementwise")
def gated(x: Any) -> Any:
    """x * tanh(x), elementwise."""
    return x * np.tanh(x)


class Gated(nn.Module):
    def __init__(self, features: int) -> None:
        self.scale = Tensor(np.ones(features, np.float32), requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = gated(x * self.scale)
        return y


def margin_loss(scores: Tensor, signs: Tensor) -> Tensor:
    return softplus(-signs * scores).mean()


def main() -> None:
    check_gradients(gated, np.array([-1.0, 0.5, 2.0]))
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), Gated(4), nn.Linear(4, 1, rng=rng))
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    x = Tensor(rng.normal(size=(8, 3)).astype(np.float32))
    signs = Tensor(np.sign(rng.normal(size=(8, 1))).astype(np.float32))
    for _ in range(3):
        optimizer.zero_grad()
        margin_loss(model(x), signs).backward()
        clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    print([w.grad.shape for w in model.parameters() if w.grad is not None])


if __name__ == "__main__":
    main()
