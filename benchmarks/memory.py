"""Memory of MNIST training: its peak, what a step allocates, and whether usage grows over many steps.

    python -m benchmarks.memory                  # H = 1024, one epoch each; tinygrad_np, NumPy by hand, PyTorch
    python -m benchmarks.memory --steps 1000     # test for growth over 1,000 steps instead of 100,000

A peak is that of a whole process, including its libraries and the images. Each competitor runs in its own process.
"""

import gc
import json
import resource
import subprocess
import sys
import tracemalloc

from tinygrad_np import cross_entropy, nn, optim
from tinygrad_np.data import DataLoader, load_mnist

import numpy as np

from benchmarks import mnist_step, turns

BYTES = "tinygrad_np on bytes"  # all others keep the images as float32


def train_on_bytes(hidden: int, images: int) -> None:
    """Train for one epoch as in examples/mnist_fcn.py: images stay bytes, and each batch is converted when used."""
    rng = np.random.default_rng(0)
    train, _ = load_mnist(mnist_step.DATA)
    loader = DataLoader(train.images[:images], train.labels[:images], batch_size=mnist_step.BATCH, rng=rng)
    model = nn.Sequential(nn.Linear(784, hidden, rng=rng), nn.ReLU(), nn.Linear(hidden, 10, rng=rng))
    optimizer = optim.SGD(model.parameters(), lr=mnist_step.LR, weight_decay=mnist_step.DECAY)
    for batch, labels in loader:
        pixels = np.multiply(batch.reshape(len(batch), -1), np.float32(1 / 255), dtype=np.float32)
        loss = cross_entropy(model(pixels), labels)
        optimizer.minimize(loss)


def peak(name: str, hidden: int, images: int) -> float:
    """The peak resident memory, in MB, of a process that trains for one epoch.

    Raises:
        ImportError: the process failed, as it does if the competitor is not installed.
    """
    call = f"mnist_step.contend({name!r}, {hidden}, {images})()"
    if name == BYTES:
        call = f"memory.train_on_bytes({hidden}, {images})"
    script = (
        f"import resource; from benchmarks import {'memory' if name == BYTES else 'mnist_step'}; {call};"
        " print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=mnist_step.DATA.parents[2]
    )
    if done.returncode:
        raise ImportError(done.stderr.splitlines()[-1])
    return int(done.stdout) / 1024


def resident() -> float:
    """The current resident memory of this process, in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    options = turns.arguments(
        __doc__, races=False, hidden=1024, images=60_000, steps=100_000, names=[BYTES, turns.OURS, "numpy", "pytorch"]
    )
    peaks = {}
    for name in options.names:
        try:
            peaks[name] = peak(name, options.hidden, options.images)
        except ImportError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
    for name, megabytes in peaks.items():
        ratios = ", ".join(
            f"{ours} / {name} {peaks[ours] / megabytes:.2f}" for ours in (BYTES, turns.OURS) if ours in peaks
        )
        print(f"{name:20} peak {megabytes:7.1f} MB   {ratios}")

    run = mnist_step.contend(turns.OURS, 64, 64 * 50)  # 50 steps
    run()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    run()
    kept, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    weights = 4 * (784 * 64 + 64 + 64 * 10 + 10)
    print(f"a step at H=64 allocates {(highest - before) / 1024:.0f} KB at its peak, {weights / 1024:.0f} KB of it for"
          f" gradients; 50 steps leave {(kept - before) / 1024:.1f} KB allocated")  # fmt: skip

    gc.disable()  # memory must not depend on the garbage collector
    for _ in range(10):
        run()
    start = resident()
    for _ in range(options.steps // 50):
        run()
    growth = resident() - start
    print(f"growth of resident memory over {options.steps:,} steps, without the garbage collector: {growth:+.2f} MB")
    print(json.dumps({"benchmark": "memory", "peak_mb": peaks, "step_bytes": highest - before, "growth_mb": growth}))
    if growth > 1:
        raise SystemExit(f"memory grows: {growth:.2f} MB over {options.steps} steps")


if __name__ == "__main__":
    main()
