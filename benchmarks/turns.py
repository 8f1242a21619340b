"""Measure competitors fairly: each in a process of its own, taking turns, after warming up; report ratios of medians.

A benchmark is a module with a function `contend(name, **settings)` that returns what is to be timed; `race` starts one
process for each name, lets them run by turns, and gathers what they say. `--beside PATH` lets this package at another
commit compete, under the name `tinygrad_np at PATH`: the same benchmark, run on that checkout's package and examples.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = {"torch", "jax", "mygrad", "autograd"}  # what competitors need
OURS = "tinygrad_np"
AT = " at "  # between our name and the path of another checkout


class Result(NamedTuple):
    """Seconds of each of a competitor's turns, what it computed in them, and what it ran on."""

    seconds: list[float]
    values: list[float]
    environment: str

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(
    module: str, names: Sequence[str], rounds: int, settings: dict[str, Any], variables: dict[str, str] | None = None
) -> dict[str, Result]:
    """Run competitors by turns, each once to warm up and then `rounds` times; one that cannot be imported is left out.

    Args:
        module: the benchmark, as `benchmarks.mnist_step`.
        names: its competitors; `tinygrad_np at PATH` is the package in another checkout.
        rounds: the turns of each that count.
        settings: what `contend` gets beside the name.
        variables: of the environment, for all of them.
    """
    racers: dict[str, subprocess.Popen[str]] = {}
    try:
        for name in names:
            competitor, _, checkout = name.partition(AT)
            racer = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.turns", module, competitor, json.dumps(settings), checkout],
                cwd=Path(__file__).parent.parent,
                env=os.environ | (variables or {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            said = _ask(racer, None)
            if "missing" in said:
                print(f"{name}: left out, {said['missing']} is not installed", file=sys.stderr)
                racer.wait()
            else:
                racers[name] = racer
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in racers}
        for turn in range(rounds + 1):
            for name, racer in racers.items():
                time.sleep(0.2)  # so that the threads of the one before, which wait busily for a while, are at rest
                said = _ask(racer, "go")
                if turn:
                    turns[name].append(said)
        return {
            name: Result([s["seconds"] for s in said], [s["value"] for s in said], said[-1]["environment"])
            for name, said in turns.items()
        }
    finally:
        for racer in racers.values():
            racer.kill()
            racer.communicate()


def _ask(racer: "subprocess.Popen[str]", word: str | None) -> dict[str, Any]:
    assert racer.stdin is not None
    assert racer.stdout is not None
    if word is not None:
        racer.stdin.write(word + "\n")
        racer.stdin.flush()
    line = racer.stdout.readline()
    if not line:
        module, name, _, checkout = racer.args[3:]  # type: ignore[index]
        raise RuntimeError(f"{module}: {name}{AT if checkout else ''}{checkout} ended with code {racer.wait()}")
    return json.loads(line)  # type: ignore[no-any-return]


def environment() -> str:
    """The BLAS libraries that are loaded, with their kernels and numbers of threads."""
    import threadpoolctl  # after the competitor has loaded its own

    blas = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return "; ".join(
        f"{b['internal_api']} {b['version']} {b.get('architecture', '')} x{b['num_threads']}" for b in blas
    )


def report(title: str, results: dict[str, Result], **settings: Any) -> None:
    """Print a table of medians, spreads and ratios, and one line of JSON."""
    print(f"\n{title}")
    ours, width = results[OURS], max(map(len, results))
    for name, result in sorted(results.items(), key=lambda item: item[1].median):
        # The ratio of each round, so that what slowed the machine slowed both.
        ratios = sorted(a / b for a, b in zip(ours.seconds, result.seconds, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"  {name:{width}} {result.median:9.4f} s   ours / theirs {statistics.median(ratios):6.3f}"
            f" ({low:.3f} to {high:.3f})   {result.environment}"
        )
    summary = {
        name: {"median": r.median, "seconds": r.seconds, "environment": r.environment} for name, r in results.items()
    }
    print(json.dumps({"benchmark": title, **settings, "results": summary}), flush=True)


def arguments(documentation: str | None, *, races: bool = True, **defaults: Any) -> argparse.Namespace:
    """The command line of a benchmark: an option for each default, and `--beside` where its names compete in a race."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        several = {"nargs": "+", "type": type(default[0])} if isinstance(default, list) else {"type": type(default)}
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help="(default %(default)s)", **several)
    if not (races and "names" in defaults):
        return parser.parse_args()
    parser.add_argument(
        "--beside", type=Path, metavar="PATH", help=f"another checkout of this project, to compete as '{OURS}{AT}PATH'"
    )
    options = parser.parse_args()
    if options.beside is not None:
        if not (options.beside / OURS).is_dir():
            parser.error(f"--beside {options.beside}: expected a checkout of this project, with a directory {OURS}")
        options.names = [*options.names, f"{OURS}{AT}{options.beside.resolve()}"]
    return options


def _race_along() -> None:
    """A competitor's process: a turn for each line on its input."""
    module, name, settings, checkout = sys.argv[1:]
    if checkout:
        sys.path[:0] = [checkout, f"{checkout}/examples"]
    if name.startswith(OURS) or name == "numpy":  # gradients by hand in NumPy run on the kernels that we choose
        importlib.import_module(OURS)  # before the benchmark imports NumPy, so that it can choose
    try:
        run: Callable[[], float] = importlib.import_module(module).contend(name, **json.loads(settings))
    except ImportError as error:
        if error.name not in PACKAGES:
            raise
        print(json.dumps({"missing": error.name}), flush=True)
        return
    print(json.dumps({}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        value = run()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "value": value, "environment": environment()}), flush=True)


if __name__ == "__main__":
    _race_along()
