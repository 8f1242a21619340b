"""Time of an MNIST epoch under `detect_anomaly` and `guard`, compared with PyTorch under its own `detect_anomaly`.

python -m benchmarks.watching
"""

import warnings
from collections.abc import Callable
from typing import Any

from benchmarks import mnist_step, turns

NAMES = [
    turns.OURS,
    "tinygrad_np under detect_anomaly",
    "tinygrad_np under guard",
    "pytorch",
    "pytorch under detect_anomaly",
]


def contend(name: str, hidden: int, images: int) -> Callable[[], float]:
    """A function that trains for one epoch, under a debugging context or not, and returns its mean loss."""
    competitor, _, watch = name.partition(" under ")
    epoch = mnist_step.contend(competitor, hidden, images)
    if not watch:
        return epoch
    context: Any
    if competitor == turns.OURS:
        import tinygrad_np

        context = getattr(tinygrad_np, watch)
    else:
        import torch

        context = torch.autograd.detect_anomaly

    def watched() -> float:
        with warnings.catch_warnings(action="ignore"), context():  # PyTorch warns that its own is slow
            return epoch()

    return watched


def main() -> None:
    options = turns.arguments(__doc__, hidden=[64, 1024], rounds=5, images=60000, names=NAMES)
    for hidden in options.hidden:
        settings = {"hidden": hidden, "images": options.images}
        results = turns.race("benchmarks.watching", options.names, options.rounds, settings)
        turns.report(f"watching, H={hidden}", results, **settings)


if __name__ == "__main__":
    main()
