"""Search for the settings of `mnist_fcn.py`, one parameter after the other, by the accuracy on images held out.

    python examples/mnist_search.py                    # learning rate, hidden units, weight decay: under 3 minutes
    python examples/mnist_search.py --lr 0.1,0.3,1     # other candidates
    mpiexec -n 3 python -m mpi4py.futures examples/mnist_search.py --executor mpi

Each candidate is a training of its own, and as many run at a time as there are cores. Its result is a file in --out,
so a search that was interrupted or killed goes on where it was when the command is given again, and a list of
candidates can be made longer. The test set is not touched.

A parameter whose turn has not come is at the smallest of its candidates; one with a single candidate is fixed, as the
stage length is unless you give several. How long a stage should be depends on how long the training is, so search it
with --epochs of the final one: --epochs 30 --lr 0.5 --hidden 1024 --weight-decay 1e-5 --stage-length 500,2000,8000
"""

import argparse
import functools
import hashlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # so that python -m examples.mnist_search finds its neighbours too
from tinygrad_np.data import Dataset, load_mnist
from tinygrad_np.serialization import write_atomically

import numpy as np

import command_line
import results
from command_line import path_name, positive_integer
from mnist_fcn import DATA, DivergenceError, Settings, network, test, train
from results import SEARCH_METRICS

CANDIDATES = {"lr": "0.001,0.01,0.1,0.5", "hidden": "64,128,256,512,1024", "weight_decay": "0.001,0.0001,1e-05,0",
              "stage_length": "500"}  # in the order in which they are searched  # fmt: skip


# --- one candidate, in a process of its own --------------------------------------------------------------------------


def train_candidate(settings: Settings, folder: Path, validation: int, file: Path) -> dict[str, Any]:
    """Train with these settings on all but the validation images; the record is in the file, too, after every epoch."""
    from threadpoolctl import threadpool_limits  # here, so that what is missing is said first

    threadpool_limits(1)  # of this process, for good: two trainings side by side want a core each
    training_set, validation_set = split(folder, validation, settings.seed)
    rng = np.random.default_rng(settings.seed)
    classes = int(max(training_set.labels.max(), validation_set.labels.max())) + 1
    model = network(training_set.images[0].size, settings.hidden, classes, rng)
    record = empty_record(settings)
    start = time.perf_counter()
    try:
        for train_loss, train_accuracy in train(model, training_set, settings, rng):
            validation_loss, validation_accuracy = test(model, validation_set)
            values = (train_loss, validation_loss, train_accuracy, validation_accuracy)
            for name, value in zip(SEARCH_METRICS, values, strict=True):
                record[name].append(value)
            record["seconds"] = time.perf_counter() - start
            write_atomically(file, json.dumps(record, indent=1).encode())
    except DivergenceError as error:
        record |= {"diverged": str(error), "seconds": time.perf_counter() - start}
        write_atomically(file, json.dumps(record, indent=1).encode())
    return record


def empty_record(settings: Settings) -> dict[str, Any]:
    """What is known of a candidate before its first epoch."""
    return {name: [] for name in SEARCH_METRICS} | {"settings": asdict(settings), "diverged": ""}


@functools.lru_cache(maxsize=1)  # once in each process
def split(folder: Path, validation: int, seed: int) -> tuple[Dataset, Dataset]:
    """The training set in two: what is trained on, and as many images as are held out, chosen by chance."""
    images, labels = load_mnist(folder)[0]
    held_out = np.zeros(len(labels), bool)
    held_out[np.random.default_rng(seed).permutation(len(labels))[:validation]] = True
    return Dataset(images[~held_out], labels[~held_out]), Dataset(images[held_out], labels[held_out])


# --- the search ------------------------------------------------------------------------------------------------------


def search(
    base: Settings, candidates: dict[str, list[Any]], train_all: Callable[[list[Settings]], list[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """Search one parameter after the other; yield each step: the records of its candidates, and which is best.

    Args:
        base: all that is not searched.
        candidates: the values of each parameter, in the order in which the parameters are searched.
        train_all: what trains networks with these settings and returns their records.

    Raises:
        ValueError: all candidates of a step diverge.
    """
    best = replace(base, **{name: min(values) for name, values in candidates.items()})
    for name, values in candidates.items():
        if len(values) == 1:
            continue
        records = train_all([replace(best, **{name: value}) for value in values])
        if all(record["diverged"] for record in records):
            raise ValueError(f"all candidates for {name} diverge, the first so: {records[0]['diverged']}")
        winner = max(range(len(values)), key=lambda i: merit(records[i]))
        best = replace(best, **{name: values[winner]})
        yield {"parameter": name, "candidates": records, "best": winner}


def merit(record: dict[str, Any]) -> tuple[float, float]:
    """By what candidates are compared: the validation accuracy after the last epoch, then the loss."""
    if record["diverged"]:
        return -1, 0
    return record["validation_accuracy"][-1], -record["validation_loss"][-1]


def train_side_by_side(
    candidates: list[Settings], executor: futures.Executor, data: Path, validation: int, folder: Path, bar: Any
) -> list[dict[str, Any]]:
    """The records of these candidates; those that are not in the folder yet are trained now, the largest first."""
    before = bar.n
    records = {settings: read_result(result_file(folder, settings), settings) for settings in candidates}
    waiting = {}
    for settings in sorted(candidates, key=lambda settings: -settings.hidden):
        if not finished(records[settings]):
            file = result_file(folder, settings)
            file.unlink(missing_ok=True)  # a training that was interrupted starts again
            waiting[executor.submit(train_candidate, settings, data, validation, file)] = settings
    while True:
        for future in futures.wait(waiting, timeout=0.2, return_when=futures.FIRST_COMPLETED).done:
            records[waiting.pop(future)] = future.result()  # or raise what was raised there
        for settings in waiting.values():  # how far they are
            records[settings] = read_result(result_file(folder, settings), settings)
        epochs = (
            settings.epochs if finished(record) else len(record["train_loss"]) for settings, record in records.items()
        )
        bar.update(before + sum(epochs) - bar.n)
        if not waiting:
            return [records[settings] for settings in candidates]


def result_file(folder: Path, settings: Settings) -> Path:
    name = ",".join(f"{name}={getattr(settings, name)}" for name in CANDIDATES)
    return folder / "candidates" / f"{name}.json"


def read_result(file: Path, settings: Settings) -> dict[str, Any]:
    """The record of a candidate as far as it is trained.

    Raises:
        ValueError: the file is damaged, or of other settings; names it.
    """
    empty = empty_record(settings)
    if not file.exists():
        return empty
    try:
        record = json.loads(file.read_bytes())
        if record["settings"] != empty["settings"]:
            raise ValueError(f"its settings are {record['settings']}, not {empty['settings']}")
        lengths = {len(record[name]) for name in SEARCH_METRICS}
        numbers = [record["seconds"], *(value for name in SEARCH_METRICS for value in record[name])]
        if len(lengths) != 1 or not all(type(value) is float for value in numbers):
            raise ValueError("its metrics are not as many numbers each")
        return {name: record[name] for name in (*empty, "seconds")}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: damaged; delete it to train this candidate again ({error!r})") from error


def finished(record: dict[str, Any]) -> bool:
    return bool(record["diverged"]) or len(record["train_loss"]) == record["settings"]["epochs"]


def open_folder(folder: Path, shared: dict[str, Any]) -> None:
    """Make the folder of a search, or make sure that it is one with the same settings.

    Raises:
        ValueError: it is of other settings; shows the differences.
    """
    command_line.writable_folder(folder)
    if (folder / "model.safetensors").exists():
        raise ValueError(f"{folder} holds a trained model; give another --out")
    (folder / "candidates").mkdir(exist_ok=True)
    if not (folder / "search.json").exists():
        save_search(folder, {"shared": shared, "steps": []})
        return
    there = results.read_search(folder)["shared"]
    differences = [
        f"{name} is {there.get(name, 'not given')} there, {shared.get(name, 'not given')} here"
        for name in shared | there
        if there.get(name) != shared.get(name)
    ]
    if differences:
        raise ValueError(f"{folder} holds a search with other settings: {'; '.join(differences)}; give another --out")


def save_search(folder: Path, record: dict[str, Any]) -> None:
    write_atomically(folder / "search.json", json.dumps(record, indent=1).encode())


# --- the processes ---------------------------------------------------------------------------------------------------


def make_executor(kind: str, workers: int) -> futures.Executor:
    if kind == "mpi":
        try:  # an extra, which needs an MPI beside it
            from mpi4py import MPI
            from mpi4py.futures import MPIPoolExecutor
        except (ImportError, RuntimeError) as error:
            raise ValueError(f'--executor mpi: python -m pip install -e ".[mpi]" brings mpi4py ({error})') from error
        if MPI.COMM_WORLD.Get_size() == 1:
            raise ValueError("--executor mpi: start it with mpiexec -n 3 python -m mpi4py.futures, for 2 workers")
        return MPIPoolExecutor()
    return Workers(workers, multiprocessing.get_context("spawn"), initializer=start_worker)


class Workers(futures.ProcessPoolExecutor):
    """Processes that ctrl-C does not reach, since it is their parent's to deal with."""

    def submit(self, *arguments: Any, **keywords: Any) -> Any:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # inherited by a process that is started now
        try:
            return super().submit(*arguments, **keywords)
        finally:
            signal.signal(signal.SIGINT, before)


def start_worker() -> None:
    """Make a worker process end with its parent, however that ends."""
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def stop(executor: futures.Executor) -> None:
    """End the workers at once: what they have done is in files."""
    executor.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        process.terminate()


# --- the command line ------------------------------------------------------------------------------------------------


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = command_line.parser(__doc__)
    command_line.add_settings(parser, Settings, **CANDIDATES)
    parser.set_defaults(epochs=10)
    add = partial(command_line.add, parser)
    add("--validation", "images held out of the training set", type=positive_integer, default=10_000, metavar="N")
    add("--data", "of four IDX files, raw or .gz (default: MNIST)", type=path_name, metavar="FOLDER")
    add(
        "--out",
        "for the results, and to go on from",
        type=path_name,
        default=Path("runs/mnist_search"),
        metavar="FOLDER",
    )
    add("--workers", "trainings at a time", type=positive_integer, default=os.cpu_count(), metavar="N")
    add("--executor", "what they run in: processes, or mpi (under mpiexec)", choices=["processes", "mpi"],
        default="processes")  # fmt: skip
    add("--report", "write all of it into one page as well, report.html", action="store_true")
    add("--quiet", "no progress bar", action="store_true")
    options = parser.parse_args(arguments)
    if all(len(getattr(options, name)) == 1 for name in CANDIDATES):
        parser.error(f"nothing to search: give several candidates to one of --{', --'.join(CANDIDATES)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    data, folder = options.data or DATA, options.out
    training_set, _ = load_mnist(data)
    if options.validation >= len(training_set.labels):
        raise ValueError(
            f"--validation {options.validation}: there are only {len(training_set.labels)} images in {data}"
        )
    candidates = {name: getattr(options, name) for name in CANDIDATES}
    others = {each.name: getattr(options, each.name) for each in fields(Settings) if each.name not in CANDIDATES}
    checksum = hashlib.sha256(training_set.images.tobytes() + training_set.labels.tobytes()).hexdigest()
    shared = others | {"validation": options.validation, "images": f"{len(training_set.labels)}, SHA-256 {checksum}"}
    executor = make_executor(options.executor, min(options.workers, max(map(len, candidates.values()))))
    open_folder(folder, shared)
    # Of a search with other candidates, and of one that was killed while it wrote.
    for stale in (*folder.glob("step-*.png"), folder / "report.html", *(folder / "candidates").glob(".*")):
        stale.unlink(missing_ok=True)

    start = time.perf_counter()
    record: dict[str, Any] = {"shared": shared, "steps": []}
    epochs = options.epochs * sum(len(values) for values in candidates.values() if len(values) > 1)
    try:
        with command_line.progress(epochs, "epoch", options.quiet) as bar:
            train_all = partial(train_side_by_side, executor=executor, data=data, validation=options.validation,
                                folder=folder, bar=bar)  # fmt: skip
            for step in search(Settings(**others), candidates, train_all):
                record["steps"].append(step)
                number = len(record["steps"])
                with bar.external_write_mode(file=sys.stdout):
                    results.print_step(number, step)
                write_atomically(folder / f"step-{number}-{step['parameter']}.png", results.step_picture(step).png)
                save_search(folder, record)
    except BaseException as error:
        stop(executor)
        done = len(list((folder / "candidates").glob("*.json")))
        print(f"{done} candidates are trained or begun in {folder}; the same command goes on from there")
        if isinstance(error, futures.BrokenExecutor):
            raise OSError("a worker process was killed, or ran out of memory") from error
        raise
    executor.shutdown()

    best = record["steps"][-1]["candidates"][record["steps"][-1]["best"]]["settings"]
    final = Settings(**best | {"epochs": max(Settings.epochs, options.epochs)})
    winner = command_line.command(
        "mnist_fcn.py",
        *command_line.as_options(final),
        *(["--data", str(data)] if options.data else []),
        "--report",
        "--search",
        str(folder),
    )
    if options.report:
        again = command_line.command("mnist_search.py", *(sys.argv[1:] if arguments is None else arguments))
        write_atomically(folder / "report.html", results.search_page(record, winner, again))
    print(f"{time.perf_counter() - start:.1f} s in all; results are in {folder}. The final training:\n\n{winner}")


if __name__ == "__main__":
    command_line.run(main)
