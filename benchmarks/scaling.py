"""Growth of run time with the size of the graph, of the batch and of the hidden layer.

    python -m benchmarks.scaling                 # graphs of 10^2 to 10^6 operations; writes scaling.png
    python -m benchmarks.scaling --largest 4 --plot ''

The exponent p of time ~ size^p is fitted by least squares to the logarithms; 1 means linear growth.
"""

import gc
import json
import time
from typing import TYPE_CHECKING

from tinygrad_np import Tensor, cross_entropy, nn, optim

import numpy as np

from benchmarks import turns

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def graph(operations: int) -> float:
    """Seconds to build a chain of operations on eight numbers, run its backward pass and free it."""
    x, a = np.full(8, 1.5, np.float32), np.full(8, 0.999999, np.float32)
    start = time.perf_counter()
    y = leaf = Tensor(x, requires_grad=True)
    for _ in range(operations):
        y = y * a
    y.backward(np.ones_like(x))
    del y, leaf
    return time.perf_counter() - start


def step(batch: int, hidden: int) -> float:
    """Seconds of a training step of a 784-hidden-10 network, the median of five."""
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(784, hidden, rng=rng), nn.ReLU(), nn.Linear(hidden, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=0.01, weight_decay=1e-5)
    x, labels = rng.random((batch, 784), np.float32), rng.integers(0, 10, batch)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        loss = cross_entropy(model(x), labels)
        optimizer.minimize(loss)
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:]))


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """The exponent p of the least squares fit seconds ~ sizes^p."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main() -> None:
    options = turns.arguments(__doc__, largest=6, plot="scaling.png")
    gc.disable()  # graphs are freed by reference counting alone, and the collector would only traverse them
    graph(100)
    sizes = {
        "operations": [10**n for n in range(2, options.largest + 1)],
        "batch": [2**n for n in range(4, 11)],
        "hidden": [2**n for n in range(5, 12)],
    }
    seconds = {
        "operations": [min(graph(n) for _ in range(3 if n < 1e6 else 1)) for n in sizes["operations"]],
        "batch": [step(n, 256) for n in sizes["batch"]],
        "hidden": [step(64, n) for n in sizes["hidden"]],
    }
    for name in sizes:
        p = exponent(sizes[name], seconds[name])
        print(f"{name:10} {sizes[name][0]} to {sizes[name][-1]}: {seconds[name][0]:.2g} s to {seconds[name][-1]:.2g} s,"
              f" time ~ {name}^{p:.2f}")  # fmt: skip
    print(json.dumps({"benchmark": "scaling", "sizes": sizes, "seconds": seconds}))
    if options.plot:
        draw(sizes, seconds).savefig(options.plot, dpi=160)
        print(f"plotted in {options.plot}")


def draw(sizes: dict[str, list[int]], seconds: dict[str, list[float]]) -> "Figure":
    """The time of each size, with the exponent of the power law that fits."""
    from matplotlib.figure import Figure  # imported after the measurements, because it takes 0.3 s and 40 MB

    figure = Figure((3.75, 7), layout="constrained")
    labels = {"operations": "operations in the graph", "batch": "batch (H = 256)", "hidden": "hidden units (batch 64)"}
    for axes, name in zip(figure.subplots(3), sizes, strict=True):
        p = exponent(sizes[name], seconds[name])
        axes.loglog(sizes[name], seconds[name], "o-", color="#0072b2")
        axes.xaxis.set_major_formatter("{x:,g}")  # powers of ten have small exponents
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(labels[name])
        axes.set_ylabel("seconds")
        axes.set_title(f"time ~ size^{p:.2f}", fontsize=10)
        axes.grid(alpha=0.3)
    return figure


if __name__ == "__main__":
    main()
