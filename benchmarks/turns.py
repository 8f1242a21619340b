"""Compare the speed of competitors: each runs in its own process, in turns with the others, after a warm-up.

A benchmark is a module with a function `contend(name, **settings)` that returns the function to time. If it has
`WARM_UP`, the function is called for so many seconds before each turn. `race` starts one
process per name, runs them in turns and collects the times; `report` prints medians and ratios. With `--beside PATH`,
another checkout of this project competes under the name `tinygrad_np at PATH`: the same benchmark, run with the package
and the examples of that checkout.
"""

import argparse
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = {"torch", "jax", "mygrad", "autograd"}  # competitors are skipped if one of these is missing
OURS = "tinygrad_np"
LIMIT = "limit"  # what no competitor can do without; see benchmarks.models.limits
AT = " at "  # separates our name from the path of another checkout
HELP = {  # of the options of all benchmarks
    "batch": "examples per batch",
    "hidden": "hidden units",
    "images": "training images",
    "largest": "n for a largest graph of 10^n operations",
    "names": "competitors",
    "networks": "networks to train",
    "plot": "image file of the plot, or '' for none",
    "repeats": "runs of the workload per turn",
    "rounds": "timed turns of each competitor",
    "samples": "arguments per function",
    "steps": "training steps",
    "threads": "BLAS threads",
    "workloads": "workloads to run",
}


class Result(NamedTuple):
    """A competitor's seconds and computed value for each turn, and its BLAS environment."""

    seconds: list[float]
    values: list[float]
    environment: str

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def race(
    module: str, names: Sequence[str], rounds: int, settings: dict[str, Any], variables: dict[str, str] | None = None
) -> dict[str, Result]:
    """Results of competitors that run in turns, one warm-up turn each and then `rounds` timed turns.

    A competitor that is not installed is skipped.

    Args:
        module: the benchmark, such as `benchmarks.mnist_step`.
        names: the competitors; `tinygrad_np at PATH` is the package in another checkout.
        rounds: the number of timed turns of each.
        settings: the keyword arguments of `contend`.
        variables: environment variables for all competitors.

    Raises:
        RuntimeError: a competitor's process ended early.
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
            answer = _ask(racer, None)
            if "missing" in answer:
                print(f"{name}: skipped, {answer['missing']} is not installed", file=sys.stderr)
                racer.wait()
            else:
                racers[name] = racer
        turns: dict[str, list[dict[str, Any]]] = {name: [] for name in racers}
        for turn in range(rounds + 1):
            # In another order each time: whoever always followed PyTorch's or JAX's process was up to 19 % slower.
            for name in random.Random(turn).sample(list(racers), len(racers)):
                time.sleep(0.2)  # until the threads of the previous competitor have stopped spinning
                answer = _ask(racers[name], "go")
                if turn:
                    turns[name].append(answer)
        return {
            name: Result([a["seconds"] for a in answers], [a["value"] for a in answers], answers[-1]["environment"])
            for name, answers in turns.items()
        }
    finally:
        for racer in racers.values():
            racer.kill()
            racer.communicate()


def _ask(racer: "subprocess.Popen[str]", word: str | None) -> dict[str, Any]:
    """The next line of JSON from a competitor's process, after sending it a word unless that is None."""
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
    """The loaded BLAS libraries, with their kernels and numbers of threads."""
    import threadpoolctl  # imported after the competitor has loaded its BLAS

    blas = [library for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]
    return "; ".join(
        f"{b['internal_api']} {b['version']} {b.get('architecture', '')} x{b['num_threads']}" for b in blas
    )


def report(title: str, results: dict[str, Result], **settings: Any) -> None:
    """Print a table of medians, ratios and their quartiles, and one line of JSON."""
    print(f"\n{title}")
    ours, width = results[OURS], max(map(len, results))
    for name, result in sorted(results.items(), key=lambda item: item[1].median):
        quotients = ratios(ours, result)
        low, high = quotients[len(quotients) // 4], quotients[-1 - len(quotients) // 4]
        print(
            f"  {name:{width}} {result.median:9.4f} s   ours / theirs {statistics.median(quotients):6.3f}"
            f" ({low:.3f} to {high:.3f})   {result.environment}"
        )
    summary = {
        name: {"median": r.median, "seconds": r.seconds, "environment": r.environment} for name, r in results.items()
    }
    print(json.dumps({"benchmark": title, **settings, "results": summary}), flush=True)


def table(raced: dict[str, tuple[dict[str, Result], int]]) -> None:
    """Print the results of several races, each with its runs per turn: milliseconds of a run, and ours / theirs."""
    others = list(dict.fromkeys(name for results, _ in raced.values() for name in results if name != OURS))
    rows = [["ms, and ours / theirs", OURS, *(text for name in others for text in (name, "ratio"))]]
    for workload, (results, runs) in raced.items():
        row = [workload, f"{results[OURS].median / runs * 1000:.3f}"]
        for name in others:
            if name in results:
                ratio = statistics.median(ratios(results[OURS], results[name]))
                row += [f"{results[name].median / runs * 1000:.3f}", f"{ratio:.2f}"]
            else:
                row += ["", ""]
        rows.append(row)
    print_rows(rows)


def print_rows(rows: list[list[str]]) -> None:
    """Print rows of texts, the first of them headings, in columns that are wide enough."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    print()
    for first, *others in rows:
        cells = [text.rjust(width) for text, width in zip(others, widths[1:], strict=True)]
        print(first.ljust(widths[0]), *cells, sep="   ")


def ratios(ours: Result, theirs: Result) -> list[float]:
    """Our time divided by theirs, sorted. It is taken within each round, so that a slowdown affects both sides."""
    return sorted(a / b for a, b in zip(ours.seconds, theirs.seconds, strict=True))


def agree(what: str, results: dict[str, Result], tolerance: float) -> None:
    """Fail unless the last values of all competitors are ours, up to a part of it; a limit has none."""
    values = {name: result.values[-1] for name, result in results.items() if name != LIMIT}
    if any(not abs(value - values[OURS]) <= tolerance * abs(values[OURS]) for value in values.values()):
        sys.exit(f"{what} differ: {values}")


def arguments(documentation: str | None, *, races: bool = True, **defaults: Any) -> argparse.Namespace:
    """Parse a benchmark's command line: an option for each default, and `--beside` if the benchmark is a race."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        several = {"nargs": "+", "type": type(default[0])} if isinstance(default, list) else {"type": type(default)}
        explained = f"{HELP[name]} (default: %(default)s)"
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=explained, **several)
    if not (races and "names" in defaults):
        return parser.parse_args()
    parser.add_argument(
        "--beside", type=Path, metavar="PATH", help=f"add another checkout of this project as '{OURS}{AT}PATH'"
    )
    options = parser.parse_args()
    if options.beside is not None:
        if not (options.beside / OURS).is_dir():
            parser.error(f"--beside {options.beside}: expected a checkout of this project, with a directory {OURS}")
        options.names = [*options.names, f"{OURS}{AT}{options.beside.resolve()}"]
    return options


def _compete() -> None:
    """Run a competitor's process: one turn for each line on standard input."""
    module, name, settings, checkout = sys.argv[1:]
    if checkout:
        sys.path[:0] = [checkout, f"{checkout}/examples"]
    if name.startswith(OURS) or name in ("numpy", LIMIT):  # plain NumPy uses the same kernels as this package
        importlib.import_module(OURS)  # before the benchmark imports NumPy, so that it can choose the kernels
    try:
        benchmark = importlib.import_module(module)
        run: Callable[[], float] = benchmark.contend(name, **json.loads(settings))
    except ImportError as error:
        if error.name not in PACKAGES:
            raise
        print(json.dumps({"missing": error.name}), flush=True)
        return
    print(json.dumps({}), flush=True)
    warm_up = getattr(benchmark, "WARM_UP", 0.0)
    for _ in sys.stdin:
        # On a virtual machine two threads are no faster than one for 50 ms after the pause between turns.
        start = time.perf_counter()
        while time.perf_counter() - start < warm_up:
            run()
        start = time.perf_counter()
        value = run()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "value": value, "environment": environment()}), flush=True)


if __name__ == "__main__":
    _compete()
