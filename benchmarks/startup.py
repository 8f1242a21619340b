"""Time and resident memory of an import: tinygrad_np, NumPy alone and other frameworks.

python -m benchmarks.startup [--rounds 9]
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

from benchmarks import turns

MODULES = {"tinygrad_np": "tinygrad_np", "numpy": "numpy", "pytorch": "torch", "jax": "jax", "mygrad": "mygrad",
           "autograd": "autograd.numpy"}  # fmt: skip
SCRIPT = """
import time, resource
start = time.perf_counter()
import {module}
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measure(module: str, cache: str) -> tuple[float, float]:
    """Seconds of the import and peak MB of a new process that imports a module, with bytecode from the cache.

    Raises:
        ImportError: the module cannot be imported.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(module=module)],
        env=environment | {"PYTHONPYCACHEPREFIX": cache},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ImportError(done.stderr.splitlines()[-1])
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def main() -> None:
    options = turns.arguments(__doc__, races=False, rounds=9, names=list(MODULES))
    taken: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(options.rounds + 1):  # the first turn fills the bytecode cache
            for name in options.names:
                try:
                    sample = measure(MODULES[name], cache)
                except ImportError as error:
                    if not turn:
                        print(f"{name}: skipped, {error}", file=sys.stderr)
                    continue
                if turn:
                    taken.setdefault(name, []).append(sample)
    medians = {
        name: [statistics.median(column) for column in zip(*samples, strict=True)] for name, samples in taken.items()
    }
    for name, (seconds, megabytes) in medians.items():
        ratio = statistics.median(a[0] / b[0] for a, b in zip(taken[turns.OURS], taken[name], strict=True))
        print(f"{name:12} {seconds:.3f} s, ours / theirs {ratio:.2f};  {megabytes:.0f} MB")
    print(json.dumps({"benchmark": "startup", "medians": medians}))


if __name__ == "__main__":
    main()
