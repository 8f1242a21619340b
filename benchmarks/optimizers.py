"""Time of an optimiser's update, compared with PyTorch's `foreach`, which updates all parameters together.

    python -m benchmarks.optimizers

*transformer* is 30 tensors with 1.3 million parameters, as two layers with 224 features have; *small* is 60 tensors
with 84,480. Weights and gradients are the same, and stay in place; the sums of the weights' magnitudes must agree to
1e-5. *limit* is the time of reading weights, state and gradients, and writing weights and state.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

NAMES = [turns.OURS, "pytorch", turns.LIMIT]
WARM_UP = 0.1  # seconds until the second core of a virtual machine is awake, after the pause between turns
METHODS: dict[str, tuple[int, Callable[..., Any]]] = {  # arrays of state, and the optimiser, which has one name in both
    "sgd momentum": (1, lambda optim, weights, **more: optim.SGD(weights, lr=1e-3, momentum=0.9, **more)),
    "adam": (2, lambda optim, weights, **more: optim.Adam(weights, lr=1e-3, **more)),
    "adamw": (2, lambda optim, weights, **more: optim.AdamW(weights, lr=1e-3, **more)),
    "amsgrad": (3, lambda optim, weights, **more: optim.Adam(weights, lr=1e-3, amsgrad=True, **more)),
    "nadam": (2, lambda optim, weights, **more: optim.NAdam(weights, lr=1e-3, **more)),
    "radam": (2, lambda optim, weights, **more: optim.RAdam(weights, lr=1e-3, **more)),
    "adamax": (2, lambda optim, weights, **more: optim.Adamax(weights, lr=1e-3, **more)),
    "adadelta": (2, lambda optim, weights, **more: optim.Adadelta(weights, lr=1e-3, **more)),
    "adafactor": (0, lambda optim, weights, **more: optim.Adafactor(weights, lr=1e-3, **more)),
}
F = 224
LAYER = [(F,), (F,), (F, 3 * F), (3 * F,), (F, F), (F,), (F,), (F,), (F, 4 * F), (4 * F,), (4 * F, F), (F,)]
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "transformer": [(103, F), (64, F), *LAYER, *LAYER, (F,), (F,), (F, 103), (103,)],
    "small": [(64, 64), (64,), (64,)] * 20,
}
WORKLOADS = {f"{method}, {shapes}": (method, shapes) for shapes in SHAPES for method in METHODS}
STEPS = 20  # per turn


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that takes several steps and returns the sum of the weights' magnitudes after the first two."""
    method, shapes = WORKLOADS[workload]
    state, make = METHODS[method]
    rng = np.random.default_rng(0)
    weights, gradients = ([rng.standard_normal(shape, np.float32) for shape in SHAPES[shapes]] for _ in range(2))
    if name == turns.LIMIT:
        step = limit(sum(w.size for w in weights) * (3 + 2 * state))
    else:
        step = {turns.OURS: ours, "pytorch": pytorch}[name](make, weights, gradients)
    step()
    step()
    magnitude = float(sum(np.sum(np.abs(w)) for w in weights))

    def several() -> float:
        for _ in range(STEPS):
            step()
        return magnitude

    return several


def ours(make: Any, weights: list[np.ndarray], gradients: list[np.ndarray]) -> Callable[[], None]:
    from tinygrad_np import Tensor, optim

    parameters = [Tensor(w, requires_grad=True) for w in weights]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = Tensor(gradient)
    return make(optim, parameters).step  # type: ignore[no-any-return]


def pytorch(make: Any, weights: list[np.ndarray], gradients: list[np.ndarray]) -> Callable[[], None]:
    import torch

    parameters = [torch.from_numpy(w).requires_grad_() for w in weights]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(gradient)
    return make(torch.optim, parameters, foreach=True).step  # type: ignore[no-any-return]


def limit(elements: int) -> Callable[[], None]:
    from benchmarks.models.limits import adding

    return adding(elements)


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=NAMES)
    raced = {}
    for workload in options.workloads:
        results = turns.race("benchmarks.optimizers", options.names, options.rounds, {"workload": workload})
        turns.report(f"optimizers, {workload}, {STEPS} steps", results, workload=workload)
        raced[workload] = results, STEPS
        turns.agree(f"{workload}: the weights", results, 1e-5)
    turns.table(raced)


if __name__ == "__main__":
    main()
