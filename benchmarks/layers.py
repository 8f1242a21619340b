"""Time of layers, forward and backward, compared with PyTorch's and with what they cannot do without.

    python -m benchmarks.layers                                    # all of them
    python -m benchmarks.layers --workloads lstm gru --rounds 9
    python -m benchmarks.layers --beside ../before                 # in turns with another checkout of this project

Weights and inputs are the same, in float32. Gradients are those of all parameters and, but for a first convolution, of
the input; the sums of their magnitudes must agree to 1e-3. *limit* is the time of the matrix products alone, or, for a
layer without any, of reading and writing as many numbers as its inputs, outputs and their gradients have.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch", turns.LIMIT]
WARM_UP = 0.1  # seconds until the second core of a virtual machine is awake, after the pause between turns
IMAGES, SEQUENCE, TEXTS, WIDE = (64, 32, 28, 28), (50, 64, 128), (32, 64, 128), (2048, 512)


class Layer(NamedTuple):
    """Calls per turn, the shape of the input, and how to make the layer."""

    calls: int
    shape: tuple[int, ...]
    make: Callable[..., Any]  # of the module `nn`, ours or PyTorch's, and a generator of weights, which only ours takes


def of_logits(nn: Any) -> Any:
    """The loss of connectionist temporal classification of logits, for which PyTorch has the same gradient."""

    class Loss(nn.CTCLoss):  # type: ignore[misc]
        def forward(self, logits: Any, *targets: Any) -> Any:
            return super().forward(nn.LogSoftmax(-1)(logits), *targets)

    return Loss()


WORKLOADS = {
    "linear": Layer(10, (2048, 128), lambda nn, **rng: nn.Linear(128, 512, **rng)),
    "conv 3x3": Layer(4, IMAGES, lambda nn, **rng: nn.Conv2d(32, 32, 3, padding=1, **rng)),
    "conv 5x5": Layer(2, IMAGES, lambda nn, **rng: nn.Conv2d(32, 32, 5, padding=2, **rng)),
    "first conv 5x5": Layer(5, (64, 1, 28, 28), lambda nn, **rng: nn.Conv2d(1, 32, 5, padding=2, **rng)),
    "conv_transpose 2x2": Layer(4, (64, 64, 14, 14), lambda nn, **rng: nn.ConvTranspose2d(64, 32, 2, stride=2, **rng)),
    "max_pool": Layer(10, IMAGES, lambda nn, **_: nn.MaxPool2d(2)),
    "avg_pool": Layer(10, IMAGES, lambda nn, **_: nn.AvgPool2d(2)),
    "batch_norm 1d": Layer(20, WIDE, lambda nn, **_: nn.BatchNorm1d(512)),
    "batch_norm 2d": Layer(5, IMAGES, lambda nn, **_: nn.BatchNorm2d(32)),
    "layer_norm 64 x 1024": Layer(200, (64, 1024), lambda nn, **_: nn.LayerNorm(1024)),
    "layer_norm 2048 x 128": Layer(50, (2048, 128), lambda nn, **_: nn.LayerNorm(128)),
    "rms_norm 64 x 1024": Layer(200, (64, 1024), lambda nn, **_: nn.RMSNorm(1024)),
    "rms_norm 2048 x 128": Layer(50, (2048, 128), lambda nn, **_: nn.RMSNorm(128)),
    "rnn": Layer(5, SEQUENCE, lambda nn, **rng: nn.RNN(128, 128, **rng)),
    "lstm": Layer(2, SEQUENCE, lambda nn, **rng: nn.LSTM(128, 128, **rng)),
    "gru": Layer(2, SEQUENCE, lambda nn, **rng: nn.GRU(128, 128, **rng)),
    "attention": Layer(5, TEXTS, lambda nn, **rng: nn.MultiheadAttention(128, 4, **(rng or {"batch_first": True}))),
    "embedding": Layer(50, (32, 64), lambda nn, **rng: nn.Embedding(1000, 128, **rng)),
    "dropout": Layer(10, WIDE, lambda nn, **rng: nn.Dropout(0.1, **rng)),
    "softmax": Layer(20, (8192, 64), lambda nn, **_: nn.Softmax(-1)),
    "log_softmax": Layer(50, (2048, 103), lambda nn, **_: nn.LogSoftmax(-1)),
    "cross_entropy": Layer(50, (2048, 103), lambda nn, **_: nn.CrossEntropyLoss()),
    "ctc": Layer(5, (150, 16, 30), lambda nn, **_: of_logits(nn)),
    "gelu": Layer(10, WIDE, lambda nn, **_: nn.GELU()),
    "gelu tanh": Layer(10, WIDE, lambda nn, **_: nn.GELU(approximate="tanh")),
    "silu": Layer(10, WIDE, lambda nn, **_: nn.SiLU()),
    "relu": Layer(20, WIDE, lambda nn, **_: nn.ReLU()),
    "tanh": Layer(10, WIDE, lambda nn, **_: nn.Tanh()),
    "sigmoid": Layer(10, WIDE, lambda nn, **_: nn.Sigmoid()),
}


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that runs forward and backward several times and returns the sum of the gradients' magnitudes."""
    step = {turns.OURS: ours, "pytorch": pytorch, turns.LIMIT: limit}[name](workload)
    gradients = step() or ()  # none of the limit
    magnitude = float(sum(np.sum(np.abs(np.asarray(g))) for g in gradients))

    def several() -> float:
        for _ in range(WORKLOADS[workload].calls):
            step()
        return magnitude

    return several


def made(workload: str) -> tuple[Any, list[Any]]:
    """Our layer and its arguments: normal numbers, or indices for an embedding; and the targets of a loss."""
    from tinygrad_np import nn

    rng, shape = np.random.default_rng(0), WORKLOADS[workload].shape
    x = rng.integers(0, 1000, shape) if workload == "embedding" else rng.standard_normal(shape, np.float32)
    labels = [rng.integers(0, shape[1], len(x))] if workload == "cross_entropy" else []
    if workload == "ctc":  # of 20 labels, in sequences of different lengths
        steps, batch, classes = shape
        labels = [rng.integers(1, classes, (batch, 20)), rng.integers(100, steps + 1, batch), np.full(batch, 20)]
    return WORKLOADS[workload].make(nn, rng=rng), [x, *labels]


def differentiable(workload: str) -> bool:
    """Whether a gradient of the input is needed."""
    return workload != "embedding" and not workload.startswith("first")


def forward(layer: Any, x: Any, *labels: Any) -> Any:
    """The output, without the weights of an attention or the last state of a recurrence."""
    attention = type(layer).__name__ == "MultiheadAttention"
    y = layer(x, x, x, need_weights=False) if attention else layer(x, *labels)
    return y[0] if isinstance(y, tuple) else y


def seed(y: Any) -> np.ndarray:
    """The gradient of the output."""
    return np.asarray(np.random.default_rng(1).normal(size=tuple(y.shape)), np.float32)


def ours(workload: str) -> Callable[[], Sequence[Any]]:
    from tinygrad_np import Tensor, grad, tune

    tune()  # as an optimiser does
    layer, (x, *labels) = made(workload)
    inputs = layer.parameters()
    if differentiable(workload):
        x = Tensor(x, requires_grad=True)
        inputs.append(x)
    g = seed(forward(layer, x, *labels))
    return lambda: grad(forward(layer, x, *labels), inputs, g)


def pytorch(workload: str) -> Callable[[], Sequence[Any]]:
    from tinygrad_np import nn

    import torch

    same, arrays = made(workload)
    layer, (x, *labels) = WORKLOADS[workload].make(torch.nn), map(torch.tensor, arrays)
    state = nn.transpose_weights(same, same.state_dict())
    layer.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    inputs = list(layer.parameters())
    if differentiable(workload):
        inputs.append(x.requires_grad_())
    g = torch.tensor(seed(forward(layer, x, *labels)))
    return lambda: torch.autograd.grad(forward(layer, x, *labels), inputs, g)


def limit(workload: str) -> Callable[[], None]:
    from tinygrad_np import Tensor

    from benchmarks.models.limits import copying, products_of, replay

    layer, (x, *labels) = made(workload)
    x = Tensor(x, requires_grad=True) if differentiable(workload) else x
    if products := products_of(lambda: forward(layer, x, *labels)):
        return replay(products)
    y = forward(layer, x, *labels)
    # x and y, then the gradients of y and x, and one of x and y again
    return copying(2 * x.size + 2 * y.size + min(x.size, y.size))


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    raced = {}
    for workload in options.workloads:
        calls = WORKLOADS[workload].calls
        results = turns.race("benchmarks.layers", options.names, options.rounds, {"workload": workload})
        turns.report(f"layers, {workload}, {calls} times", results, workload=workload)
        raced[workload] = results, calls
        tolerance = 1e-2 if workload == "dropout" else 1e-3  # which drops other elements
        turns.agree(f"{workload}: the gradients", results, tolerance)
    turns.table(raced)


if __name__ == "__main__":
    main()
