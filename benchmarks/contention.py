"""Time of an MNIST epoch, and of steps of larger networks, next to another busy process, compared with an idle machine.

    python -m benchmarks.contention              # everything; tinygrad_np, PyTorch and JAX, 1 and 2 threads each
    python -m benchmarks.contention --workloads residual lstm --threads 2

A workload is one of `benchmarks.networks`, or the number of hidden units of 784-H-10.
"""

import json
import subprocess
import sys

from benchmarks import mnist_step, networks, turns
from benchmarks.models import BATCHES


def main() -> None:
    options = turns.arguments(
        __doc__,
        workloads=["64", "1024", *BATCHES],
        rounds=3,
        images=60_000,
        steps=10,
        threads=[1, 2],
        names=[turns.OURS, "pytorch", "jax"],
    )
    rows = [["workload", "competitor", "threads", "idle", "beside a busy process", "ratio"]]
    for workload in options.workloads:
        if workload.isdecimal():
            module, names = "benchmarks.mnist_step", mnist_step.NAMES
            settings = {"hidden": int(workload), "images": options.images}
        else:
            module, names = "benchmarks.networks", networks.NAMES
            settings = {"network": workload, "steps": options.steps}
        names = [name for name in options.names if name.partition(turns.AT)[0] in names]
        for threads in options.threads:
            variables = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
            medians: list[dict[str, float]] = []
            for busy in (False, True):
                neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
                try:
                    results = turns.race(module, names, options.rounds, settings, variables)
                finally:
                    if neighbour is not None:
                        neighbour.kill()
                        neighbour.wait()
                medians.append({name: result.median for name, result in results.items()})
            idle, beside = medians
            for name in idle:
                times = [f"{idle[name]:.3f} s", f"{beside[name]:.3f} s", f"{beside[name] / idle[name]:.2f}"]
                rows.append([workload, name, str(threads), *times])
            record = {"benchmark": "contention", "workload": workload, **settings, "threads": threads}
            print(json.dumps({**record, "idle": idle, "busy": beside}), flush=True)
    turns.print_rows(rows)


if __name__ == "__main__":
    main()
