"""Time of a step through a layer of a graph network, forward and backward, compared with PyTorch's on one thread.

    python -m benchmarks.graphs
    python -m benchmarks.graphs --beside ../before             # in turns with another checkout of this project

Each edge carries a message relu(x[sender] @ W + b) of 32 or 64 numbers to its receiver, which adds up what it gets and
becomes sum @ V + x. The gradients are those of x and of the weights, in float32; the sums of their magnitudes must
agree to 1e-3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch"]
WARM_UP = 0.1


class Graph(NamedTuple):
    """Steps per turn, and sizes."""

    calls: int
    nodes: int
    edges: int
    width: int


WORKLOADS = {
    "small": Graph(100, 200, 1000, 32),
    "medium": Graph(20, 1000, 10_000, 64),
    "large": Graph(2, 10_000, 100_000, 64),
}


def made(workload: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """The nodes and the weights; the senders and the receivers of the edges."""
    _, nodes, edges, width = WORKLOADS[workload]
    rng = np.random.default_rng(0)
    shapes = [(nodes, width), (width, width), (width,), (width, width)]
    arrays = [rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(width)) for shape in shapes]
    return arrays, rng.integers(0, nodes, edges), rng.integers(0, nodes, edges)


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that makes several steps and returns the sum of the gradients' magnitudes."""
    step = {turns.OURS: ours, "pytorch": pytorch}[name](*made(workload))

    def several() -> float:
        for _ in range(WORKLOADS[workload].calls - 1):
            step()
        return float(sum(np.sum(np.abs(np.asarray(g))) for g in step()))

    return several


def ours(arrays: list[np.ndarray], senders: Any, receivers: Any) -> Callable[[], Any]:
    from tinygrad_np import Tensor, grad, relu, segment_sum, set_num_threads, tune

    tune()  # as an optimiser does
    set_num_threads(1)
    x, W, b, V = tensors = [Tensor(array, requires_grad=True) for array in arrays]

    def step() -> Any:
        messages = relu(x[senders] @ W + b)
        y = segment_sum(messages, receivers, len(x)) @ V + x
        return grad((y * y).mean(), tensors)

    return step


def pytorch(arrays: list[np.ndarray], senders: Any, receivers: Any) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(1)
    x, W, b, V = tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    senders, receivers = torch.tensor(senders), torch.tensor(receivers)

    def step() -> Any:
        messages = torch.relu(x[senders] @ W + b)
        y = torch.zeros_like(x).index_add(0, receivers, messages) @ V + x
        return torch.autograd.grad((y * y).mean(), tensors)

    return step


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    raced = {}
    for workload in options.workloads:
        results = turns.race("benchmarks.graphs", options.names, options.rounds, {"workload": workload})
        turns.report(f"graphs, {workload}, {WORKLOADS[workload].calls} times", results, workload=workload)
        raced[workload] = results, WORKLOADS[workload].calls
        turns.agree(f"graphs, {workload}: the gradients", results, 1e-3)
    turns.table(raced)


if __name__ == "__main__":
    main()
