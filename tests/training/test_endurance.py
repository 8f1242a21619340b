"""Training in threads, in processes forked or spawned, and over many steps: the same bits, and no more memory."""

import gc
import multiprocessing
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tinygrad_np import cross_entropy, nn, optim

import numpy as np
import pytest
from machine import blas_threads

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    with blas_threads(2):
        yield


def trained(seed: int, steps: int = 20) -> list[bytes]:
    """The weights of a network after some steps, from a seed: with convolutions, on the threads of `parallel`."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, rng=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2, rng=rng),
        nn.Linear(4 * 9, 5, rng=rng),
    )
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        images, labels = rng.random((16, 1, 8, 8), np.float32), rng.integers(0, 5, 16)
        optimizer.minimize(cross_entropy(model(images), labels))
    return [array.tobytes() for array in model.state_dict().values()]


def test_trainings_in_four_threads_give_the_bits_of_one_after_the_other() -> None:
    one_after_the_other = [trained(seed) for seed in range(8)]
    assert len({tuple(weights) for weights in one_after_the_other}) == 8
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(trained, range(8))) == one_after_the_other


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_that_is_forked_or_spawned_trains_to_the_same_bits(method: str) -> None:
    expected = [trained(seed) for seed in range(2)]  # with the threads of this process in use before
    np.ones((600, 600), np.float32) @ np.ones((600, 600), np.float32)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(trained, range(2)) == expected
    assert trained(1) == expected[1]


def test_memory_is_flat_without_the_garbage_collector() -> None:
    """`python -m benchmarks.memory` makes 100,000 steps."""
    resource = pytest.importorskip("resource", reason="the size of a page")
    if not Path("/proc/self/statm").exists():
        pytest.skip("resident memory is read from Linux's /proc")

    def resident() -> int:
        with open("/proc/self/statm", encoding="utf-8") as file:
            return int(file.read().split()[1]) * int(resource.getpagesize())

    gc.disable()
    tracemalloc.start()
    try:
        trained(0, steps=100)
        gc.collect()  # empties Python's own lists of free tuples, too
        before, resident_before = tracemalloc.get_traced_memory()[0], resident()
        trained(0, steps=1500)
        # What the C library keeps depends on which threads meet in it; it does not grow from step to step.
        assert resident() - resident_before < 20_000_000
        assert gc.collect() < 100  # not one graph among them
        assert tracemalloc.get_traced_memory()[0] - before < 100_000  # of Python and NumPy; 70 bytes a step
    finally:
        tracemalloc.stop()
        gc.enable()
