"""Time of training steps of larger networks, compared with PyTorch.

    python -m benchmarks.networks                                   # all of them
    python -m benchmarks.networks --networks residual lstm

Two of them are those of examples/mnist_cnn.py and examples/char_transformer.py; all are in benchmarks/models. A step is
forward pass, backward pass and AdamW. Both frameworks start from the same weights, and their losses after two steps
must agree to 2e-5 of their size. *limit* is the time of the step's matrix products alone.
"""

import math
from collections.abc import Callable

import numpy as np

from benchmarks import turns
from benchmarks.models import BATCHES, PROGRAMS

NAMES = [turns.OURS, "pytorch", turns.LIMIT]
WARM_UP = 0.1  # seconds until the second core of a virtual machine is awake, after the pause between turns


def contend(name: str, network: str, steps: int) -> Callable[[], float]:
    """A function that takes several steps on one batch and returns the loss that there was after two."""
    batch = (BATCHES | PROGRAMS)[network](np.random.default_rng(1))
    step = {turns.OURS: ours, "pytorch": pytorch, turns.LIMIT: limit}[name](network, batch)
    *_, loss = step(), step(), step()

    def several() -> float:
        for _ in range(steps):
            step()
        return loss

    return several


def ours(network: str, batch: tuple[np.ndarray, ...]) -> Callable[[], float]:
    from tinygrad_np import optim

    from benchmarks.models.ours import NETWORKS

    make, loss_of = NETWORKS[network]
    model = make(np.random.default_rng(0))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        loss = loss_of(model, *batch)
        optimizer.minimize(loss)
        return float(loss.item())

    return step


def pytorch(network: str, batch: tuple[np.ndarray, ...]) -> Callable[[], float]:
    from tinygrad_np.nn import transpose_weights

    import torch

    from benchmarks.models import ours, pytorch

    make, loss_of = pytorch.NETWORKS[network]
    model, same = make(), ours.NETWORKS[network][0](np.random.default_rng(0))
    weights = transpose_weights(same, same.state_dict())
    model.load_state_dict({name: torch.tensor(array) for name, array in weights.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    tensors = [torch.tensor(array) for array in batch]

    def step() -> float:
        loss = loss_of(model, *tensors)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def limit(network: str, batch: tuple[np.ndarray, ...]) -> Callable[[], float]:
    from benchmarks.models.limits import products_of, replay
    from benchmarks.models.ours import NETWORKS

    make, loss_of = NETWORKS[network]
    model = make(np.random.default_rng(0))
    multiply = replay(products_of(lambda: loss_of(model, *batch)))

    def step() -> float:
        multiply()
        return math.nan  # there is no loss

    return step


def main() -> None:
    options = turns.arguments(__doc__, networks=list(BATCHES), rounds=5, steps=30, names=NAMES)
    raced = {}
    for network in options.networks:
        settings = {"network": network, "steps": options.steps}
        results = turns.race("benchmarks.networks", options.names, options.rounds, settings)
        turns.report(f"networks, {network}, {options.steps} steps", results, **settings)
        raced[network] = results, options.steps
        turns.agree(f"{network}: the losses", results, 2e-5)
    turns.table(raced)


if __name__ == "__main__":
    main()
