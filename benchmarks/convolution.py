"""Time of convolution and pooling, forward and backward, compared with PyTorch.

    python -m benchmarks.convolution

Images are 28 x 28 in batches of 64, kernels 5 x 5, and pooling windows 2 x 2.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch"]
WORKLOADS = ["conv 1 to 32", "conv 32 to 32", "max_pool", "avg_pool"]
CALLS = 10


def contend(name: str, workload: str, batch: int) -> Callable[[], float]:
    """A function that runs forward and backward several times and returns an element of a gradient."""
    channels = 1 if workload == "conv 1 to 32" else 32
    rng = np.random.default_rng(0)
    arrays = [
        rng.normal(size=shape).astype(np.float32) for shape in ((batch, channels, 28, 28), (32, channels, 5, 5), (32,))
    ]
    step = {turns.OURS: ours, "pytorch": pytorch}[name](workload, arrays, input_needed=channels > 1)

    def several() -> float:
        for _ in range(CALLS - 1):
            step()
        return float(step())

    return several


def ours(workload: str, arrays: list[np.ndarray], input_needed: bool) -> Callable[[], Any]:
    from tinygrad_np import Tensor
    from tinygrad_np.ops.convolution import conv2d
    from tinygrad_np.ops.pooling import avg_pool2d, max_pool2d

    x, weight, bias = (Tensor(a, requires_grad=True) for a in arrays)
    x.requires_grad = input_needed
    functions = {"max_pool": lambda: max_pool2d(x, 2), "avg_pool": lambda: avg_pool2d(x, 2)}
    forward = functions.get(workload, lambda: conv2d(x, weight, bias, padding=2))
    g = np.ones(forward().shape, np.float32)

    def step() -> Any:
        x.grad = weight.grad = bias.grad = None
        forward().backward(g)
        return (x if input_needed else weight).grad.data.ravel()[0]

    return step


def pytorch(workload: str, arrays: list[np.ndarray], input_needed: bool) -> Callable[[], Any]:
    import torch
    from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

    x, weight, bias = (torch.from_numpy(a).requires_grad_() for a in arrays)
    x.requires_grad_(input_needed)
    functions = {"max_pool": lambda: max_pool2d(x, 2), "avg_pool": lambda: avg_pool2d(x, 2)}
    forward = functions.get(workload, lambda: conv2d(x, weight, bias, padding=2))
    g = torch.ones(forward().shape)

    def step() -> Any:
        x.grad = weight.grad = bias.grad = None
        forward().backward(g)
        return (x if input_needed else weight).grad.ravel()[0]

    return step


def main() -> None:
    options = turns.arguments(__doc__, workloads=WORKLOADS, rounds=7, batch=64, names=NAMES)
    for workload in options.workloads:
        settings = {"workload": workload, "batch": options.batch}
        results = turns.race("benchmarks.convolution", options.names, options.rounds, settings)
        turns.report(f"convolution, {workload}, {CALLS} times", results, **settings)


if __name__ == "__main__":
    main()
