"""Time of an MNIST epoch next to another busy process, compared with an idle machine.

python -m benchmarks.contention              # H = 64 and 1024; tinygrad_np, PyTorch and JAX, 1 and 2 threads each
"""

import json
import subprocess
import sys

from benchmarks import turns


def main() -> None:
    options = turns.arguments(
        __doc__, hidden=[64, 1024], rounds=3, images=60_000, threads=[1, 2], names=[turns.OURS, "pytorch", "jax"]
    )
    for hidden in options.hidden:
        settings = {"hidden": hidden, "images": options.images}
        for threads in options.threads:
            medians: list[dict[str, float]] = []
            for busy in (False, True):
                neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
                try:
                    variables = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
                    results = turns.race("benchmarks.mnist_step", options.names, options.rounds, settings, variables)
                finally:
                    if neighbour is not None:
                        neighbour.kill()
                        neighbour.wait()
                medians.append({name: result.median for name, result in results.items()})
            idle, beside = medians
            for name in idle:
                print(f"H={hidden}, threads {threads}: {name:12} idle {idle[name]:.3f} s, beside a busy process"
                      f" {beside[name]:.3f} s: {beside[name] / idle[name]:.2f} times")  # fmt: skip
            print(json.dumps({"benchmark": "contention", **settings, "threads": threads, "idle": idle, "busy": beside}))


if __name__ == "__main__":
    main()
