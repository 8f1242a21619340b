"""Activations in float16, and checkpoints, beside float32: the memory that a graph keeps, and the time of a step.

    python -m benchmarks.half                    # 8 layers of 512, batches of 4096

The weights are float32 in all; `func.functional_call` computes with copies of them in float16. They take turns in one
process, and a ratio is the median of those of the rounds.
"""

import argparse
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from tinygrad_np import cross_entropy, func, nn, optim

import numpy as np

SCALE = 1024  # of the loss, so that small gradients do not underflow float16


def network(layers: int, width: int) -> nn.Sequential:
    """Layers of equal width with ReLU."""
    rng = np.random.default_rng(0)
    return nn.Sequential(*(part for _ in range(layers) for part in (nn.Linear(width, width, rng=rng), nn.ReLU())))


def in_float32(model: nn.Module, x: Any) -> Any:
    """The logits, in float32."""
    return model(x)


def in_float16(model: nn.Module, x: Any) -> Any:
    """The logits, computed in float16 from weights in float32."""
    half = {path: w.astype(np.float16) for path, w in model.named_parameters()}
    return func.functional_call(model, half, x.astype(np.float16)).astype(np.float32)


def in_checkpoints(model: nn.Sequential, x: Any) -> Any:
    """The logits, in float32, of which only those of every second layer are kept."""
    layers = list(model)
    for i in range(0, len(layers), 4):
        x = func.checkpoint(nn.Sequential(*layers[i : i + 4]))(x)
    return x


def step(model: nn.Module, optimizer: optim.Optimizer, forward: Callable[..., Any], x: Any, labels: Any) -> int:
    """A step of training; returns the bytes that were in use before the backward pass."""
    optimizer.zero_grad()
    loss = cross_entropy(forward(model, x), labels)
    kept = tracemalloc.get_traced_memory()[0]
    (loss * SCALE).backward()
    for parameter in optimizer.parameters:
        parameter.grad = parameter.grad / SCALE
    optimizer.step()
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 8), ("width", 512), ("batch", 4096), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default %(default)s)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(options.batch, options.width)).astype(np.float32)
    labels = rng.integers(options.width, size=options.batch)
    model = network(options.layers, options.width)
    optimizer = optim.SGD(model.parameters(), lr=1e-3)
    ways = {"float32": in_float32, "float16": in_float16, "checkpoints": in_checkpoints}
    kept_mb = {}
    for name, forward in ways.items():
        tracemalloc.start()
        kept_mb[name] = step(model, optimizer, forward, x, labels) / 1e6
        tracemalloc.stop()
        print(f"{name}: the graph keeps {kept_mb[name]:.0f} MB")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, forward in ways.items():
            start = time.perf_counter()
            step(model, optimizer, forward, x, labels)
            seconds[name].append(time.perf_counter() - start)
    for name, values in seconds.items():
        ratio = statistics.median(own / single for single, own in zip(seconds["float32"], values, strict=True))
        print(f"{name}: a step takes {statistics.median(values) * 1e3:.0f} ms, {ratio:.2f} of float32")
    print(json.dumps({"benchmark": "half", **vars(options), "kept_mb": kept_mb, "seconds": seconds}))


if __name__ == "__main__":
    main()
