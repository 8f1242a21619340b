"""What the framework costs above bare NumPy for an operation on eight numbers, forward and backward.

python -m benchmarks.overhead [--repeats N]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from tinygrad_np import Tensor

LENGTH = 100  # operations in a chain, so that the cost of starting a backward is spread


def chain_of_tensors(x: np.ndarray, a: np.ndarray) -> None:
    y = leaf = Tensor(x, requires_grad=True)
    for _ in range(LENGTH):
        y = y * a
    y.backward(np.ones_like(x))
    leaf.grad = None


def chain_of_arrays(x: np.ndarray, a: np.ndarray) -> None:
    y = x
    for _ in range(LENGTH):
        y = y * a
    g = np.ones_like(x)
    for _ in range(LENGTH):
        g = g * a


def forward_of_tensors(x: np.ndarray, a: np.ndarray) -> None:
    y = Tensor(x, requires_grad=True)
    for _ in range(LENGTH):
        y = y * a


def forward_of_arrays(x: np.ndarray, a: np.ndarray) -> None:
    y = x
    for _ in range(LENGTH):
        y = y * a


def microseconds(functions: list[Callable[..., None]], repeats: int) -> list[float]:
    """The median time per operation of each function, measured in turns."""
    x, a = np.full(8, 1.5, np.float32), np.full(8, 0.99, np.float32)
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, samples in zip(functions, times, strict=True):
            start = time.perf_counter()
            function(x, a)
            samples.append((time.perf_counter() - start) / LENGTH * 1e6)
    return [statistics.median(samples) for samples in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000, help="how often each chain runs (default 2000)")
    repeats = parser.parse_args().repeats
    both, numpy_both, forward, numpy_forward = microseconds(
        [chain_of_tensors, chain_of_arrays, forward_of_tensors, forward_of_arrays], repeats
    )
    for what, ours, numpys in (("forward", forward, numpy_forward), ("forward and backward", both, numpy_both)):
        print(f"{what:20} {ours:.2f} us, NumPy {numpys:.2f} us, above it {ours - numpys:.2f} us")


if __name__ == "__main__":
    main()
