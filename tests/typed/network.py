"""A network of one's own, trained in batches with a schedule and checkpoints, as a type checker sees it."""

from pathlib import Path
from typing import assert_type

from tinygrad_np import Tensor, cross_entropy, nn, no_grad, optim, relu
from tinygrad_np import numpy as np
from tinygrad_np.checkpoint import Checkpoints
from tinygrad_np.data import DataLoader
from tinygrad_np.schedules import CosineScheduler


class Classifier(nn.Module):
    def __init__(self, hidden: int, rng: np.random.Generator) -> None:
        self.first = nn.Linear(2, hidden, rng=rng)
        self.norm = nn.LayerNorm(hidden)
        self.rest = nn.Sequential(nn.Dropout(0.1, rng=rng), nn.Linear(hidden, 2, rng=rng))

    def forward(self, x: Tensor) -> Tensor:
        h = relu(self.norm(self.first(x)))
        assert_type(h, Tensor)
        return self.rest(h)


class Tagger(nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        self.recurrent = nn.LSTM(4, 8, rng=rng)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, _ = self.recurrent(x)
        assert_type(y, Tensor)
        return y, np.tanh(y)


def train(folder: Path) -> float:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (256, 2)).astype(np.float32)
    labels = (points[:, 0] * points[:, 1] > 0).astype(np.int64)
    model = Classifier(16, rng)
    optimizer = optim.AdamW(model.parameters(), lr=0.01, weight_decay=1e-4)
    schedule = CosineScheduler(0.01, steps=40)
    batches = DataLoader(points, labels, batch_size=32, rng=rng)
    checkpoints = Checkpoints(folder, model=model, optimizer=optimizer, batches=batches, rng=rng)
    for epoch in range(5):
        for x, y in batches:
            optimizer.lr = schedule(epoch)
            loss = cross_entropy(model(Tensor(x)), y) + 1e-4 * sum_of_squares(model)
            assert_type(loss, Tensor)
            optimizer.minimize(loss)
        checkpoints.save(epoch, {"lr": optimizer.lr})
    model.eval()
    with no_grad():
        logits = model(Tensor(points))
        assert_type(logits, Tensor)
    sequence, activations = Tagger(rng)(Tensor(np.ones((3, 5, 4), np.float32)))
    assert_type(sequence, Tensor)
    assert_type(activations, Tensor)
    return float(np.mean(logits.data.argmax(axis=1) == labels))


def sum_of_squares(model: nn.Module) -> Tensor:
    return np.sum(np.stack([np.sum(w * w) for w in model.parameters()]))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        print(train(Path(folder, "run")))
