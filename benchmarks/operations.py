"""Time of decompositions of matrices, forward and backward.

    python -m benchmarks.operations
    python -m benchmarks.operations --beside ../before         # in turns with another checkout of this project

They are of one n x n matrix in float64, with random output gradients for all parts. The sums of the gradients must
agree to 1e-3.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import turns

DECOMPOSITIONS: dict[str, Callable[[Any], Any]] = {
    "svd": lambda x: np.linalg.svd(x, full_matrices=False),
    "eigh": lambda x: np.linalg.eigh(x),
    "qr": lambda x: np.linalg.qr(x),
    "slogdet": lambda x: np.linalg.slogdet(x)[1:],  # the sign has no gradient
}
SIZES = {8: 200, 128: 10}  # decompositions per turn, by n
WORKLOADS = {f"{name} {n}": calls for name in DECOMPOSITIONS for n, calls in SIZES.items()}


def contend(name: str, workload: str) -> Callable[[], float]:
    """A function that runs forward and backward several times and returns the sum of the gradient's magnitudes."""
    from tinygrad_np import Tensor, grad

    decomposition, n = workload.split()
    x = Tensor(np.random.default_rng(0).normal(size=(int(n), int(n))), requires_grad=True)

    def forward() -> tuple[Any, ...]:
        return tuple(DECOMPOSITIONS[decomposition](x))

    rng = np.random.default_rng(1)
    seeds = [rng.normal(size=y.shape).astype(y.dtype) for y in forward()]

    def several() -> float:
        for _ in range(WORKLOADS[workload]):
            g = grad(forward(), x, seeds)
        return float(np.sum(np.abs(g.data)))

    return several


def main() -> None:
    options = turns.arguments(__doc__, workloads=list(WORKLOADS), rounds=7, names=[turns.OURS])
    raced = {}
    for workload in options.workloads:
        results = turns.race("benchmarks.operations", options.names, options.rounds, {"workload": workload})
        turns.report(f"operations, {workload}, {WORKLOADS[workload]} times", results, workload=workload)
        raced[workload] = results, WORKLOADS[workload]
        turns.agree(f"{workload}: the gradients", results, 1e-3)
    turns.table(raced)


if __name__ == "__main__":
    main()
