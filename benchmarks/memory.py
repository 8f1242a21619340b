"""Memory of trainings: their peaks, what a step allocates, and whether usage grows over many steps.

    python -m benchmarks.memory                  # H = 1024, one epoch each; tinygrad_np, NumPy by hand, PyTorch
    python -m benchmarks.memory --steps 1000     # test for growth over 1,000 steps instead of 100,000

784-H-10 trains on MNIST for one epoch, and each network of `benchmarks.networks` for five steps. A peak is that of a
whole process, including its libraries and the images; what grew since the imports is printed as well. Each competitor
runs in its own process.
"""

import gc
import json
import resource
import subprocess
import sys
import tracemalloc
from typing import NamedTuple

from tinygrad_np import cross_entropy, nn, optim
from tinygrad_np.data import DataLoader, load_mnist

import numpy as np

from benchmarks import mnist_step, networks, turns
from benchmarks.models import BATCHES

ROOT = mnist_step.DATA.parents[2]
BYTES = "tinygrad_np on bytes"  # all others keep the images as float32
LIBRARIES = {"pytorch": ["torch"], "jax": ["jax"], "mygrad": ["mygrad"], "autograd": ["autograd"]}


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


class Peak(NamedTuple):
    """The peak resident memory of a process, in MB, and how much of it came after its imports."""

    whole: float
    grown: float


def peak(imports: list[str], call: str) -> Peak:
    """The peak of a process that imports modules and calls a function, such as `memory.train_on_bytes(64, 640)`.

    Raises:
        ImportError: the process failed, as it does if the competitor is not installed.
    """
    lines = [
        f"import tinygrad_np, resource, {', '.join(imports)}",
        "from benchmarks import memory, mnist_step, networks",
        "before = memory.resident()",
        call,
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise ImportError(done.stderr.splitlines()[-1])
    whole, before = map(float, done.stdout.split())
    return Peak(whole, whole - before)


def peaks(imports: list[str], calls: dict[str, str]) -> dict[str, Peak]:
    """The peaks of competitors, which are printed."""
    found = {}
    for name, call in calls.items():
        try:
            found[name] = peak([*imports, *LIBRARIES.get(name, [])], call)
        except ImportError as error:
            print(f"{name}: skipped, {error}", file=sys.stderr)
    for name, (whole, grown) in found.items():
        ratios = [
            f"{ours} / {name} {found[ours].whole / whole:.2f}, {found[ours].grown / grown:.2f}"
            for ours in (BYTES, turns.OURS)
            if ours in found and ours != name
        ]
        megabytes = f"peak {whole:7.1f} MB, {grown:7.1f} MB since the imports"
        print(f"  {name:20} {megabytes}   {'; '.join(ratios)}".rstrip())
    return found


def resident() -> float:
    """The current resident memory of this process, in MB."""
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def main() -> None:
    options = turns.arguments(
        __doc__,
        races=False,
        hidden=1024,
        images=60_000,
        networks=list(BATCHES),
        steps=100_000,
        names=[BYTES, turns.OURS, "numpy", "pytorch"],
    )
    size = f"{options.hidden}, {options.images}"
    calls = {name: f"mnist_step.contend({name!r}, {size})()" for name in options.names}
    if BYTES in calls:
        calls[BYTES] = f"memory.train_on_bytes({size})"
    print(f"784-{options.hidden}-10")
    of_all = {"mnist": peaks(["tinygrad_np.data"], calls)}
    for network in options.networks:
        print(network)
        names = [name for name in options.names if name in networks.NAMES]
        calls = {name: f"networks.contend({name!r}, {network!r}, steps=5)()" for name in names}
        is_example = (ROOT / f"examples/{network}.py").exists()  # which imports matplotlib
        of_all[network] = peaks([f"examples.{network}" if is_example else "benchmarks.models.ours"], calls)

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
    print(json.dumps({"benchmark": "memory", "peak_mb": of_all, "step_bytes": highest - before, "growth_mb": growth}))
    if growth > 1:
        raise SystemExit(f"memory grows: {growth:.2f} MB over {options.steps} steps")


if __name__ == "__main__":
    main()
