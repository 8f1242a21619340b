"""What the command `mnist_search.py` does with its options: run a search, keep it in a folder, report it."""

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from tinygrad_np.data import load_mnist
from tinygrad_np.serialization import remove_abandoned, write_atomically

from . import command_line, search_results
from .application import DATA
from .candidates import train_side_by_side
from .folders import writable_folder
from .workers import make_executor, stop


class SearchApplication:
    """The command around a search.

    Args:
        settings: a dataclass of hyperparameters, whose fields are options too.
        parameters: the fields that are searched.
        search: `search(base, candidates, train_all)` yields the steps (see `mnist_search.search`).
        train_candidate: `train_candidate(data, validation, settings, file)` returns the record of one candidate.
    """

    def __init__(
        self,
        *,
        settings: type,
        parameters: tuple[str, ...],
        search: Callable[..., Iterator[dict[str, Any]]],
        train_candidate: Callable[..., dict[str, Any]],
    ) -> None:
        self.settings, self.parameters, self.search = settings, parameters, search
        self.train_candidate = train_candidate

    def run(self, options: argparse.Namespace, words: list[str]) -> None:
        """Search, or continue a search; `words` are the options as they were given, for the report."""
        data, folder = options.data or DATA, options.out
        candidates = {name: getattr(options, name) for name in self.parameters}
        names = [each.name for each in fields(self.settings) if each.name not in self.parameters]
        others = {name: getattr(options, name) for name in names}
        shared = others | _describe(data, options.validation)
        executor = make_executor(options.executor, min(options.workers, max(map(len, candidates.values()))))
        _open_folder(folder, shared)
        start = time.perf_counter()
        record: dict[str, Any] = {"shared": shared, "steps": []}
        epochs = options.epochs * sum(len(values) for values in candidates.values() if len(values) > 1)
        train = partial(self.train_candidate, data, options.validation)
        try:
            with command_line.progress(epochs, "epoch", options.quiet) as bar:
                train_all = partial(train_side_by_side, executor=executor, train=train, folder=folder, bar=bar)
                for step in self.search(self.settings(**others), candidates, train_all):
                    record["steps"].append(step)
                    with bar.external_write_mode(file=sys.stdout):
                        search_results.print_step(len(record["steps"]), step)
                    _save_step(folder, record)
        except BaseException as error:
            stop(executor)
            done = len(list((folder / "candidates").glob("*.json")))
            print(f"{done} candidates are trained or begun in {folder}; the same command goes on from there")
            if isinstance(error, futures.BrokenExecutor):
                raise OSError("a worker process was killed, or ran out of memory") from error
            raise
        executor.shutdown()

        best = record["steps"][-1]["candidates"][record["steps"][-1]["best"]]["settings"]
        final = self.settings(**best | {"epochs": max(self.settings.epochs, options.epochs)})
        where = ["--data", str(data)] if options.data else []
        words_of_winner = [*command_line.as_options(final), *where, "--report", "--search", str(folder)]
        winner = command_line.command("mnist_fcn.py", *words_of_winner)
        if options.report:
            again = command_line.command("mnist_search.py", *words)
            write_atomically(folder / "report.html", search_results.search_page(record, winner, again, start))
        print(f"{time.perf_counter() - start:.1f} s in all; results are in {folder}. The final training:\n\n{winner}")


def _describe(data: Path, validation: int) -> dict[str, Any]:
    """What all candidates of a search share beside their settings: the images, and how many are held out.

    Raises:
        ValueError: no images are left to train on.
    """
    images, labels = load_mnist(data)[0]
    if validation >= len(labels):
        raise ValueError(f"--validation {validation}: there are only {len(labels)} images in {data}")
    checksum = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    return {"validation": validation, "images": f"{len(labels)}, SHA-256 {checksum}"}


def _open_folder(folder: Path, shared: Mapping[str, Any]) -> None:
    """Make the folder of a search, or check that the one that is there has the same settings.

    Raises:
        ValueError: it has not; the message shows the differences.
        OSError: it cannot be written to.
    """
    writable_folder(folder)
    if (folder / "model.safetensors").exists():
        raise ValueError(f"{folder} holds a trained model; give another --out")
    (folder / "candidates").mkdir(exist_ok=True)
    if (folder / "search.json").exists():
        there = search_results.read_search(folder)["shared"]
        differences = [
            f"{name} is {there.get(name, 'not given')} there, {shared.get(name, 'not given')} here"
            for name in {**shared, **there}
            if there.get(name) != shared.get(name)
        ]
        if differences:
            raise ValueError(
                f"{folder} holds a search with other settings: {'; '.join(differences)}; give another --out"
            )
    else:
        _save(folder, {"shared": shared, "steps": []})
    for stale in (*folder.glob("step-*.png"), folder / "report.html"):  # of a search with other candidates
        stale.unlink(missing_ok=True)
    remove_abandoned((folder / "candidates").glob(".*"))


def _save_step(folder: Path, record: Mapping[str, Any]) -> None:
    """Save a search with its newest step, and draw that."""
    number, step = len(record["steps"]), record["steps"][-1]
    write_atomically(folder / f"step-{number}-{step['parameter']}.png", search_results.step_picture(step).png)
    _save(folder, record)


def _save(folder: Path, record: Mapping[str, Any]) -> None:
    write_atomically(folder / "search.json", json.dumps(record, indent=1).encode())
