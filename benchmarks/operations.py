"""Time of single operations, forward and backward: decompositions, recurrences and normalisations.

    python -m benchmarks.operations                            # all of them, layers beside PyTorch's
    python -m benchmarks.operations --beside ../before         # in turns with another checkout of this project
    python -m benchmarks.operations --workloads lstm gru

Decompositions are of one n x n matrix in float64, with random output gradients for all parts. Layers are in float32,
with gradients of the input and of all parameters. The sums of the gradients must agree to 1e-3.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch"]
DECOMPOSITIONS: dict[str, Callable[[Any], Any]] = {
    "svd": lambda x: np.linalg.svd(x, full_matrices=False),
    "eigh": lambda x: np.linalg.eigh(x),
    "qr": lambda x: np.linalg.qr(x),
    "slogdet": lambda x: np.linalg.slogdet(x)[1:],  # the sign has no gradient
}
SIZES = {8: 200, 128: 10}  # decompositions per turn, by n
LAYERS = {"lstm": 2, "gru": 2, "layer_norm": 200, "batch_norm": 5, "rms_norm": 200}  # calls per turn
WORKLOADS = {f"{name} {n}": calls for name in DECOMPOSITIONS for n, calls in SIZES.items()} | LAYERS


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that runs forward and backward several times and returns the sum of the gradients' magnitudes."""
    make = torch_layer if name == "pytorch" else layer
    step = make(workload) if workload in LAYERS else decomposition(*workload.split())

    def several() -> float:
        for _ in range(WORKLOADS[workload] - 1):
            step()
        return float(sum(np.sum(np.abs(g)) for g in step()))

    return several


def decomposition(name: str, n: str) -> Callable[[], Sequence[Any]]:
    from tinygrad_np import Tensor

    x = Tensor(np.random.default_rng(0).normal(size=(int(n), int(n))), requires_grad=True)
    return step_of(lambda: tuple(DECOMPOSITIONS[name](x)), [x])


def made(name: str) -> tuple[Any, tuple[int, ...]]:
    """A layer, and the shape of its input."""
    from tinygrad_np import nn

    rng = np.random.default_rng(0)
    return {
        "lstm": lambda: (nn.LSTM(128, 128, rng=rng), (50, 64, 128)),  # steps, batch, features
        "gru": lambda: (nn.GRU(128, 128, rng=rng), (50, 64, 128)),
        "layer_norm": lambda: (nn.LayerNorm(1024), (64, 1024)),
        "batch_norm": lambda: (nn.BatchNorm2d(32), (64, 32, 28, 28)),
        "rms_norm": lambda: (nn.RMSNorm(1024), (64, 1024)),
    }[name]()


def example(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(2).normal(size=shape).astype(np.float32)


def layer(name: str) -> Callable[[], Sequence[Any]]:
    from tinygrad_np import Tensor, optim

    module, shape = made(name)
    optim.SGD(module.parameters(), lr=0.1)  # creating an optimiser tunes the process, as in a training
    x = Tensor(example(shape), requires_grad=True)

    def forward() -> tuple[Any]:
        y = module(x)
        return (y[0] if isinstance(y, tuple) else y,)

    return step_of(forward, [x, *module.parameters()])


def torch_layer(name: str) -> Callable[[], Sequence[Any]]:
    """The same layer of PyTorch, with the same weights and input."""
    from tinygrad_np import nn

    import torch

    ours, shape = made(name)
    theirs = {
        "lstm": lambda: torch.nn.LSTM(128, 128),
        "gru": lambda: torch.nn.GRU(128, 128),
        "layer_norm": lambda: torch.nn.LayerNorm(1024),
        "batch_norm": lambda: torch.nn.BatchNorm2d(32),
        "rms_norm": lambda: torch.nn.RMSNorm(1024),
    }[name]()
    state = nn.transpose_weights(ours, ours.state_dict())
    theirs.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in state.items()})
    x = torch.from_numpy(example(shape).copy()).requires_grad_()

    def forward() -> Any:
        y = theirs(x)
        return y[0] if isinstance(y, tuple) else y

    seed = torch.from_numpy(np.random.default_rng(1).normal(size=tuple(forward().shape)).astype(np.float32))
    inputs = [x, *theirs.parameters()]
    return lambda: [g.numpy() for g in torch.autograd.grad(forward(), inputs, seed)]


def step_of(forward: Callable[[], tuple[Any, ...]], inputs: list[Any]) -> Callable[[], Sequence[Any]]:
    """A function that computes the gradients of the inputs for fixed random gradients of the outputs."""
    from tinygrad_np import grad

    rng = np.random.default_rng(1)
    seeds = [rng.normal(size=y.shape).astype(y.dtype) for y in forward()]
    return lambda: grad(forward(), inputs, seeds)  # type: ignore[no-any-return]


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    for workload in options.workloads:
        names = [name for name in options.names if name != "pytorch" or workload in LAYERS]
        results = turns.race("benchmarks.operations", names, options.rounds, {"workload": workload})
        turns.report(f"operations, {workload}, {WORKLOADS[workload]} times", results, workload=workload)
        sums = {name: result.values[-1] for name, result in results.items()}
        if not np.allclose(list(sums.values()), sums[turns.OURS], rtol=1e-3):
            sys.exit(f"operations, {workload}: the gradients differ: {sums}")


if __name__ == "__main__":
    main()
