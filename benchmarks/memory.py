"""Memory: the peak of the MNIST training, what a step allocates, and whether anything grows over many steps.

    python -m benchmarks.memory                  # H = 1024, an epoch each; ours, NumPy by hand, PyTorch
    python -m benchmarks.memory --steps 1000     # instead of 100,000, for the last figure

Peaks are of the whole process, with its libraries and float32 images, in a process of its own.
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

BYTES = "tinygrad_np on bytes"  # all others hold the images as float32


def train_on_bytes(hidden: int, images: int) -> None:
    """An epoch as in examples/mnist_fcn.py: the images stay bytes, and each batch is scaled as it comes."""
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
    """The peak resident memory, in MB, of a process that trains for one epoch."""
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
    """The resident memory of this process now, in MB."""
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
            print(f"{name}: left out, {error}", file=sys.stderr)
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
    print(f"a step at H=64 holds {(highest - before) / 1024:.0f} KB more at its peak, {weights / 1024:.0f} KB of it as"
          f" gradients; after 50 steps {(kept - before) / 1024:.1f} KB more are held than before")  # fmt: skip

    gc.disable()  # nothing may depend on it
    for _ in range(10):
        run()
    start = resident()
    for _ in range(options.steps // 50):
        run()
    growth = resident() - start
    print(f"resident memory after {options.steps:,} more steps, without the garbage collector: {growth:+.2f} MB")
    print(json.dumps({"benchmark": "memory", "peak_mb": peaks, "step_bytes": highest - before, "growth_mb": growth}))
    if growth > 1:
        raise SystemExit(f"memory grows: {growth:.2f} MB over {options.steps} steps")


if __name__ == "__main__":
    main()
